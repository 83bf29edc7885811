//! The data of `pipelines/`: ladders and graph templates, embedded in the program.
//!
//! A folder of the same shape (`NOWCAST_PIPELINES`) goes before what is embedded, file by file, so a new
//! ladder or another encoder needs no Rust.

use std::path::PathBuf;

/// Where ladders and templates come from.
#[derive(Clone, Debug, Default)]
pub struct Pipelines {
    dir: Option<PathBuf>,
}

macro_rules! embedded {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../pipelines/", $path)))),*]
    };
}

const EMBEDDED: &[(&str, &str)] = embedded![
    "decode-h264.launch",
    "decode-hevc.launch",
    "h264-x264.launch",
    "ladders/h264-720p.toml",
    "scale.launch",
];

impl Pipelines {
    /// What is embedded, behind the folder that `NOWCAST_PIPELINES` names, if it is set.
    #[must_use]
    pub fn from_env() -> Self {
        Self { dir: std::env::var_os("NOWCAST_PIPELINES").map(PathBuf::from) }
    }

    /// What is embedded, behind a folder.
    #[must_use]
    pub fn in_folder(dir: impl Into<PathBuf>) -> Self {
        Self { dir: Some(dir.into()) }
    }

    /// The text of a ladder's file.
    #[must_use]
    pub fn ladder(&self, name: &str) -> Option<String> {
        self.file(&format!("ladders/{name}.toml"))
    }

    /// The names of all ladders, sorted.
    #[must_use]
    pub fn ladders(&self) -> Vec<String> {
        let name = |file: &str| file.strip_suffix(".toml").map(str::to_owned);
        let embedded = EMBEDDED.iter().filter_map(|(path, _)| name(path.strip_prefix("ladders/")?));
        let folder = self.dir.as_ref().and_then(|dir| dir.join("ladders").read_dir().ok());
        let own = folder
            .into_iter()
            .flatten()
            .filter_map(|entry| name(entry.ok()?.file_name().to_str()?));
        let mut names: Vec<String> = embedded.chain(own).collect();
        names.sort();
        names.dedup();
        names
    }

    /// A graph template with its placeholders filled, on one line, without its comments.
    ///
    /// # Errors
    /// In a sentence: there is no such template, or it has a placeholder that nothing fills.
    pub fn graph(&self, name: &str, values: &[(&str, &str)]) -> Result<String, String> {
        let text = self
            .file(&format!("{name}.launch"))
            .ok_or_else(|| format!("there is no graph template pipelines/{name}.launch"))?;
        let lines =
            text.lines().map(str::trim).filter(|line| !line.starts_with('#') && !line.is_empty());
        let mut graph = lines.collect::<Vec<_>>().join(" ");
        for (placeholder, value) in values {
            graph = graph.replace(&format!("{{{placeholder}}}"), value);
        }
        match graph.split_once('{').and_then(|(_, rest)| rest.split_once('}')) {
            Some((unknown, _)) => Err(format!(
                "pipelines/{name}.launch has a placeholder that nothing fills: {{{unknown}}}"
            )),
            None => Ok(graph),
        }
    }

    fn file(&self, path: &str) -> Option<String> {
        // A name is one path element: it comes from configuration, and must not leave the folder.
        if path.split('/').any(|element| element.starts_with('.')) || path.matches('/').count() > 1
        {
            return None;
        }
        let own = self.dir.as_ref().and_then(|dir| std::fs::read_to_string(dir.join(path)).ok());
        own.or_else(|| {
            EMBEDDED.iter().find(|(known, _)| *known == path).map(|(_, text)| (*text).to_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_before_what_is_embedded_file_by_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("ladders")).unwrap();
        std::fs::write(dir.path().join("ladders/own.toml"), "x").unwrap();
        std::fs::write(dir.path().join("scale.launch"), "# note\nscale {width}\n! caps").unwrap();
        let pipelines = Pipelines::in_folder(dir.path());
        assert_eq!(pipelines.ladders(), ["h264-720p", "own"]);
        assert_eq!(pipelines.graph("scale", &[("width", "64")]).unwrap(), "scale 64 ! caps");
        assert!(pipelines.graph("scale", &[]).unwrap_err().contains("{width}"));
        assert!(pipelines.graph("decode-h264", &[]).unwrap().contains("avdec_h264"));
        assert!(pipelines.graph("../secret", &[]).unwrap_err().contains("no graph template"));
        assert_eq!(pipelines.ladder("../scale"), None);
    }
}

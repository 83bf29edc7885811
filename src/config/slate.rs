//! What viewers see while nobody publishes.

use std::fmt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

/// No image is larger than this …
const MOST_BYTES: usize = 8 << 20;
/// … or has longer sides.
const LONGEST_SIDE: u32 = 8192;
/// How a PNG begins, and its first chunk (ISO 15948 §5.2, §11.2.2): width and height follow.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

/// The operator's image.
#[derive(Clone, PartialEq)]
pub struct Slate {
    /// Where it was read.
    pub file: PathBuf,
    /// Its bytes.
    pub png: Bytes,
}

impl fmt::Debug for Slate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Slate").field(&self.file).finish()
    }
}

/// What follows when a lost publisher does not come back in time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AfterGrace {
    /// The stream ends.
    End,
    /// It stays on the slate.
    Slate,
}

impl AfterGrace {
    /// As the configuration has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::Slate => "slate",
        }
    }
}

pub(super) fn after_grace(text: &str) -> Result<AfterGrace, String> {
    match text {
        "end" => Ok(AfterGrace::End),
        "slate" => Ok(AfterGrace::Slate),
        _ => Err(format!("\"{text}\" is neither \"end\" nor \"slate\"")),
    }
}

impl Slate {
    /// Reads a PNG.
    ///
    /// # Errors
    /// What is wrong with the file, and what to do.
    pub fn load(file: &Path) -> Result<Self, String> {
        let name = file.display();
        let png = std::fs::read(file).map_err(|error| {
            format!("{name} cannot be read ({error}); check the path and who may read it")
        })?;
        if png.len() > MOST_BYTES {
            return Err(format!("{name} is larger than 8 MB; save it smaller"));
        }
        let side = |at: usize| png.get(at..)?.first_chunk().copied().map(u32::from_be_bytes);
        let sides = side(PNG.len()).zip(side(PNG.len() + 4)).filter(|_| png.starts_with(PNG));
        match sides {
            None => Err(format!("{name} is no PNG; save it as one")),
            Some((width, height))
                if [width, height].iter().all(|it| (1..=LONGEST_SIDE).contains(it)) =>
            {
                Ok(Self { file: file.to_owned(), png: png.into() })
            }
            Some((width, height)) => Err(format!(
                "{name} is of {width}x{height} pixels; its sides may be of 1 to {LONGEST_SIDE}"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides};

    #[test]
    fn a_slate_is_sought_beside_the_file_and_only_what_is_encoded_has_one() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.png"), include_bytes!("../../pipelines/slate.png"))
            .unwrap();
        let file = dir.path().join("nowcast.toml").display().to_string();
        let load = |keys: &str| {
            let text = format!("[[stream]]\nname = \"a\"\nopen = true\n{keys}");
            let config = Config::load(&file, &text, &Overrides::default());
            config.map_err(|faults| faults[0].to_string())
        };
        let stream = load("slate = \"a.png\"\nafter_grace = \"slate\"").unwrap().streams.remove(0);
        assert_eq!(stream.after_grace, AfterGrace::Slate);
        assert_eq!(stream.slate.unwrap().file, dir.path().join("a.png"));
        assert!(load("slate = \"b.png\"").unwrap_err().contains("b.png cannot be read"));
        assert!(load("after_grace = \"never\"").unwrap_err().contains("neither"));
        let passed = load("mode = \"passthrough\"\nafter_grace = \"slate\"").unwrap_err();
        assert!(passed.contains("only a transcoded stream has a slate"), "{passed}");
    }

    #[test]
    fn an_image_is_a_png_of_a_sensible_size_or_a_fault_with_its_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let text = include_bytes!("../../pipelines/slate.png");
        let huge = [&text[..16], &[0, 1, 0, 0], &text[20..]].concat();
        for (name, bytes, fault) in [
            ("good.png", Some(&text[..]), None),
            ("cut.png", Some(&text[..20]), Some("is no PNG")),
            ("photo.png", Some(b"\xff\xd8\xff\xe0 a photograph, in truth"), Some("is no PNG")),
            ("huge.png", Some(&huge), Some("65536x720")),
            ("absent.png", None, Some("cannot be read")),
        ] {
            let file = dir.path().join(name);
            if let Some(bytes) = bytes {
                std::fs::write(&file, bytes).unwrap();
            }
            let loaded = Slate::load(&file).map(|slate| slate.png);
            match fault {
                None => assert_eq!(loaded.unwrap(), text.as_slice()),
                Some(fault) => assert!(loaded.unwrap_err().contains(fault), "{name}"),
            }
        }
    }
}

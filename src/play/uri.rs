use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Error, Result, bail, ensure};

/// Where something is fetched from: an `http` URL without fragment.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Location {
    /// Host and port, as the Host header has them.
    pub authority: String,
    /// Path and query.
    pub target: String,
}

impl Location {
    /// Host and port to connect to.
    #[must_use]
    pub fn address(&self) -> String {
        let host_has_port = self.authority.rsplit_once(':').is_some_and(|(host, port)| {
            !port.is_empty()
                && port.bytes().all(|byte| byte.is_ascii_digit())
                && !host.ends_with(':')
        });
        match host_has_port {
            true => self.authority.clone(),
            false => format!("{}:80", self.authority),
        }
    }

    /// Resolves a reference in a document that lies here (RFC 3986 §5.2, as far as playlists go).
    ///
    /// # Errors
    /// Another scheme than `http`.
    pub fn join(&self, reference: &str) -> Result<Self> {
        if reference.contains("://") {
            return reference.parse();
        }
        if let Some(rest) = reference.strip_prefix("//") {
            return format!("http://{rest}").parse();
        }
        let base = self.target.split('?').next().unwrap_or_default();
        let folder = &base[..base.rfind('/').map_or(0, |slash| slash + 1)];
        let path = match reference.starts_with('/') {
            true => reference.to_owned(),
            false => format!("{folder}{reference}"),
        };
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
            None => (path, None),
        };
        let mut steps: Vec<&str> = Vec::new();
        for step in path.split('/').skip(1) {
            match step {
                "." => {}
                ".." => drop(steps.pop()),
                step => steps.push(step),
            }
        }
        let query = query.map_or_else(String::new, |query| format!("?{query}"));
        let target = format!("/{}{query}", steps.join("/"));
        Ok(Self { authority: self.authority.clone(), target })
    }

    /// With parameters added to the query.
    #[must_use]
    pub fn with_query(&self, parameters: &str) -> Self {
        let mark = if self.target.contains('?') { '&' } else { '?' };
        Self {
            authority: self.authority.clone(),
            target: format!("{}{mark}{parameters}", self.target),
        }
    }
}

impl FromStr for Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let rest = match text.split_once("://") {
            Some(("http", rest)) => rest,
            Some((scheme, _)) => bail!("{text}: the scheme \"{scheme}\" is not played: use http"),
            None => bail!("{text}: no URL: http://HOST:PORT/live/STREAM/index.m3u8 is meant"),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let slash = rest.find('/').with_context(|| format!("{text}: there is no path"))?;
        ensure!(slash > 0, "{text}: there is no host");
        Ok(Self { authority: rest[..slash].to_owned(), target: rest[slash..].to_owned() })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved_as_browsers_do() {
        let base: Location = "http://host:81/live/a/index.m3u8?x=1".parse().unwrap();
        for (reference, expected) in [
            ("1-1/720p/index.m3u8", "http://host:81/live/a/1-1/720p/index.m3u8"),
            ("../b.m4s?y=2", "http://host:81/live/b.m4s?y=2"),
            ("./c", "http://host:81/live/a/c"),
            ("/d", "http://host:81/d"),
            ("http://cdn/e", "http://cdn/e"),
            ("//cdn/f", "http://cdn/f"),
        ] {
            assert_eq!(base.join(reference).unwrap().to_string(), expected);
        }
        assert_eq!(base.address(), "host:81");
        assert_eq!("http://[::1]/x".parse::<Location>().unwrap().address(), "[::1]:80");
        assert_eq!(base.with_query("z").to_string(), "http://host:81/live/a/index.m3u8?x=1&z");
        for wrong in ["host/path", "ftp://host/x", "http:///x", "http://host"] {
            assert!(wrong.parse::<Location>().is_err(), "{wrong}");
        }
    }
}

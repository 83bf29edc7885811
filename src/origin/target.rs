use super::figures::Kind;

/// What a path below `/live/` names. Paths are compared byte by byte: another spelling of a name
/// would be another object to every cache, so it names nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Target<'a> {
    /// `/live/STREAM/index.m3u8`
    Multivariant { stream: &'a str },
    /// `/live/STREAM/SESSION/RENDITION/index.m3u8`
    Playlist { stream: &'a str, session: &'a str, rendition: &'a str },
    /// `/live/STREAM/SESSION/RENDITION/FILE`
    Media { stream: &'a str, session: &'a str, rendition: &'a str, file: &'a str },
}

impl<'a> Target<'a> {
    pub(super) fn parse(path: &'a str) -> Option<Self> {
        let mut names = path.strip_prefix("/live/")?.split('/');
        let target = match (names.next()?, names.next()?, names.next(), names.next()) {
            (stream, "index.m3u8", None, None) => Self::Multivariant { stream },
            (stream, session, Some(rendition), Some("index.m3u8")) => {
                Self::Playlist { stream, session, rendition }
            }
            (stream, session, Some(rendition), Some(file)) => {
                Self::Media { stream, session, rendition, file }
            }
            _ => return None,
        };
        names.next().is_none().then_some(target)
    }

    pub(super) fn stream(&self) -> &'a str {
        match *self {
            Self::Multivariant { stream }
            | Self::Playlist { stream, .. }
            | Self::Media { stream, .. } => stream,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Multivariant { .. } => Kind::Multivariant,
            Self::Playlist { .. } => Kind::Playlist,
            Self::Media { file, .. } if file.starts_with("init-") => Kind::Init,
            Self::Media { file, .. } if file.starts_with('s') => Kind::Segment,
            Self::Media { .. } => Kind::Part,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_playlists_and_media() {
        assert_eq!(Target::parse("/live/a/index.m3u8"), Some(Target::Multivariant { stream: "a" }));
        assert_eq!(
            Target::parse("/live/a/s/720p/index.m3u8"),
            Some(Target::Playlist { stream: "a", session: "s", rendition: "720p" })
        );
        assert_eq!(
            Target::parse("/live/a/s/720p/p1.m4s"),
            Some(Target::Media { stream: "a", session: "s", rendition: "720p", file: "p1.m4s" })
        );
    }

    #[test]
    fn other_paths_name_nothing() {
        for path in [
            "/live/",
            "/live/a",
            "/live/a/",
            "/live/a/other.m3u8",
            "/live/a/s/index.m3u8",
            "/live/a/s/r/x/index.m3u8",
            "/live/a/index.m3u8/",
            "/live",
            "/",
            "*",
            "",
        ] {
            assert_eq!(Target::parse(path), None, "{path}");
        }
    }
}

//! What a caller writes in SRTO_STREAMID.
//!
//! The long form follows the SRT Access Control guidelines (`#!::key=value,…`); the short forms are
//! for encoders with one field to type into.

use crate::flow::StreamName;

/// What is asked for. Borrows the key, which is never shown.
#[derive(Clone, Eq, PartialEq)]
pub(super) struct StreamId<'a> {
    /// `r=`
    pub(super) stream: StreamName,
    /// `m=`: publish, or something that is not offered here.
    pub(super) publish: bool,
    /// `s=`
    pub(super) key: Option<&'a str>,
}

/// Why a stream id cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("it sent no streamid")]
    Empty,
    #[error("its streamid is not text")]
    NotText,
    #[error("its streamid begins like an access control id, but is not `#!::key=value,…`")]
    Malformed,
    #[error("its streamid names no stream (`r=`)")]
    NoStream,
    #[error("its stream name has other letters than a-z, 0-9, _ and -, or is longer than 64")]
    IllegalName,
}

impl<'a> StreamId<'a> {
    /// Reads `#!::r=STREAM,m=publish,s=KEY`, `STREAM:KEY` or `STREAM`. Other keys of the long form
    /// mean nothing here; without `m=` it is a publisher, as nobody else calls this port.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Unreadable> {
        let text = std::str::from_utf8(bytes).map_err(|_| Unreadable::NotText)?;
        if text.is_empty() {
            return Err(Unreadable::Empty);
        }
        if let Some(pairs) = text.strip_prefix("#!::") {
            return Self::parse_long(pairs);
        }
        if text.starts_with("#!") {
            return Err(Unreadable::Malformed);
        }
        let (stream, key) = match text.split_once(':') {
            Some((stream, key)) => (stream, Some(key)),
            None => (text, None),
        };
        Ok(Self { stream: name(stream)?, publish: true, key })
    }

    fn parse_long(pairs: &'a str) -> Result<Self, Unreadable> {
        let (mut stream, mut publish, mut key) = (None, true, None);
        for pair in pairs.split(',').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=').ok_or(Unreadable::Malformed)? {
                ("r", value) => stream = Some(value),
                ("m", value) => publish = value == "publish",
                ("s", value) => key = Some(value),
                _ => {}
            }
        }
        Ok(Self { stream: name(stream.ok_or(Unreadable::NoStream)?)?, publish, key })
    }
}

fn name(text: &str) -> Result<StreamName, Unreadable> {
    StreamName::new(text).ok_or(Unreadable::IllegalName)
}

impl std::fmt::Debug for StreamId<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = self.key.map(|_| "…");
        write!(f, "{} publish={} key={key:?}", self.stream, self.publish)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<(String, bool, Option<&str>), Unreadable> {
        let id = StreamId::parse(text.as_bytes())?;
        Ok((id.stream.to_string(), id.publish, id.key))
    }

    fn found(
        stream: &str,
        publish: bool,
        key: Option<&'static str>,
    ) -> Result<(String, bool, Option<&'static str>), Unreadable> {
        Ok((stream.to_owned(), publish, key))
    }

    #[test]
    fn the_three_forms_are_read() {
        assert_eq!(read("#!::r=live,m=publish,s=s3cret"), found("live", true, Some("s3cret")));
        assert_eq!(read("live:s3cret"), found("live", true, Some("s3cret")));
        assert_eq!(read("live"), found("live", true, None));
    }

    #[test]
    fn order_and_unknown_keys_do_not_matter_and_keys_may_hold_separators() {
        assert_eq!(
            read("#!::u=bob,s=a=b:c,h=host,r=live,t=stream"),
            found("live", true, Some("a=b:c"))
        );
        assert_eq!(read("live:a:b"), found("live", true, Some("a:b")));
        assert_eq!(read("live:"), found("live", true, Some("")));
    }

    #[test]
    fn another_mode_is_told_apart() {
        assert_eq!(read("#!::r=live,m=request"), found("live", false, None));
        assert_eq!(read("#!::r=live,m=bidirectional"), found("live", false, None));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        assert_eq!(read(""), Err(Unreadable::Empty));
        assert_eq!(read("#!{r=live}"), Err(Unreadable::Malformed));
        assert_eq!(read("#!::r"), Err(Unreadable::Malformed));
        assert_eq!(read("#!::m=publish"), Err(Unreadable::NoStream));
        assert_eq!(read("Live!"), Err(Unreadable::IllegalName));
        assert_eq!(read(":key"), Err(Unreadable::IllegalName));
        assert_eq!(StreamId::parse(b"\xff").err(), Some(Unreadable::NotText));
    }

    #[test]
    fn the_key_is_never_shown() {
        let id = StreamId::parse(b"live:s3cret").unwrap();
        assert!(!format!("{id:?}").contains("s3cret"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(prefix in "(#!::|#!|)", bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let bytes = [prefix.as_bytes(), &bytes].concat();
            if let Ok(id) = StreamId::parse(&bytes) {
                prop_assert!(StreamName::new(id.stream.as_str()).is_some());
            }
        }
    }
}

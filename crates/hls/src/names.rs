//! File names of media below a rendition's playlist.
//!
//! A name is written in one way only, so that no cache holds two copies of one resource.

/// A part or a segment, as its file name says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MediaName {
    /// The part with this running number.
    Part(u64),
    /// The segment with this media sequence number.
    Segment(u64),
}

/// The name of a part: `p17.m4s`. Parts are numbered through all segments, so the next one's name
/// can be promised wherever the segment will end.
#[must_use]
pub fn part(number: u64) -> String {
    format!("p{number}.m4s")
}

/// The name of a segment: `s17.m4s`.
#[must_use]
pub fn segment(msn: u64) -> String {
    format!("s{msn}.m4s")
}

/// The name of an init section, made of its bytes: `init-0123456789abcdef.mp4`.
///
/// The hash is FNV-1a, 64 bits: equal bytes share a name on every machine and after every restart,
/// and the few init sections of a stream differ in it. It protects against nothing.
#[must_use]
pub fn init(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("init-{hash:016x}.mp4")
}

/// What a file name asks for; `None` unless it is written as [`part`] or [`segment`] write it.
#[must_use]
pub fn parse(name: &str) -> Option<MediaName> {
    let stem = name.strip_suffix(".m4s")?;
    let (kind, digits) = stem.split_at_checked(1)?;
    let canonical = digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'));
    let number = digits.parse().ok().filter(|_| canonical)?;
    match kind {
        "p" => Some(MediaName::Part(number)),
        "s" => Some(MediaName::Segment(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_is_read_back_as_what_it_names(number: u64) {
            prop_assert_eq!(parse(&part(number)), Some(MediaName::Part(number)));
            prop_assert_eq!(parse(&segment(number)), Some(MediaName::Segment(number)));
        }

        #[test]
        fn whatever_is_read_is_written_the_same_way(name in "[ps]?[0-9+-]{0,22}(\\.m4s)?") {
            match parse(&name) {
                Some(MediaName::Part(number)) => prop_assert_eq!(part(number), name),
                Some(MediaName::Segment(number)) => prop_assert_eq!(segment(number), name),
                None => {}
            }
        }
    }

    #[test]
    fn other_spellings_name_nothing() {
        for name in [
            "",
            "p",
            ".m4s",
            "p.m4s",
            "p01.m4s",
            "p-1.m4s",
            "p+1.m4s",
            "P1.m4s",
            "p1.mp4",
            "x1.m4s",
            "é1.m4s",
            "p1.m4s ",
            "p18446744073709551616.m4s",
            "p1.m4s.m4s",
            "p٣.m4s",
        ] {
            assert_eq!(parse(name), None, "{name:?}");
        }
    }

    /// The published test vectors of FNV-1a.
    #[test]
    fn init_names_never_change() {
        assert_eq!(init(b""), "init-cbf29ce484222325.mp4");
        assert_eq!(init(b"foobar"), "init-85944171f73967e8.mp4");
    }
}

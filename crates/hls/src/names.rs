//! File names of media below a rendition's playlist.
//!
//! A name is written in one way only, so that no cache holds two copies of one resource; and it is
//! given once: it carries the start of the server that gave it. What a server listed and lost with its
//! life is never named again by the one after it, though that goes on with the same numbers.

/// Which start of the server gave a name: 0 for the one that began the session, whose names do not
/// say it.
pub type Start = u64;

/// A part or a segment, as its file name says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MediaName {
    /// The part with this running number.
    Part(Start, u64),
    /// The segment with this media sequence number.
    Segment(Start, u64),
}

/// The name of a part: `p17.m4s`, or `p3-17.m4s` from a later start. Parts are numbered through all
/// segments, so the next one's name can be promised wherever the segment will end.
#[must_use]
pub fn part(start: Start, number: u64) -> String {
    name('p', start, number)
}

/// The name of a segment: `s17.m4s`, or `s3-17.m4s` where a later start completed it.
#[must_use]
pub fn segment(start: Start, msn: u64) -> String {
    name('s', start, msn)
}

fn name(kind: char, start: Start, number: u64) -> String {
    match start {
        0 => format!("{kind}{number}.m4s"),
        start => format!("{kind}{start}-{number}.m4s"),
    }
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
    let (kind, numbers) = stem.split_at_checked(1)?;
    let (start, number) = match numbers.split_once('-') {
        Some((start, number)) => (canonical(start).filter(|start| *start > 0)?, number),
        None => (0, numbers),
    };
    let number = canonical(number)?;
    match kind {
        "p" => Some(MediaName::Part(start, number)),
        "s" => Some(MediaName::Segment(start, number)),
        _ => None,
    }
}

fn canonical(digits: &str) -> Option<u64> {
    let canonical = digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'));
    digits.parse().ok().filter(|_| canonical)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_is_read_back_as_what_it_names(start: u64, number: u64) {
            for start in [0, start] {
                prop_assert_eq!(parse(&part(start, number)), Some(MediaName::Part(start, number)));
                let segment = segment(start, number);
                prop_assert_eq!(parse(&segment), Some(MediaName::Segment(start, number)));
            }
        }

        #[test]
        fn whatever_is_read_is_written_the_same_way(name in "[ps]?[0-9]{0,3}[0-9+-]{0,22}(\\.m4s)?") {
            match parse(&name) {
                Some(MediaName::Part(start, number)) => prop_assert_eq!(part(start, number), name),
                Some(MediaName::Segment(start, number)) => {
                    prop_assert_eq!(segment(start, number), name);
                }
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
            "p0-1.m4s",
            "p01-1.m4s",
            "p1-01.m4s",
            "p1-.m4s",
            "p-.m4s",
            "p1-2-3.m4s",
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

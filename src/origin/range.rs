//! Byte ranges (RFC 9110 §14) over bytes that lie in several pieces.

use std::ops::Range;

use bytes::Bytes;

/// One range of a `Range` header. Others, several at once among them, are passed over: the answer
/// is then the whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ByteRange {
    /// `bytes=FIRST-LAST` and `bytes=FIRST-`, LAST included.
    From { first: u64, last: u64 },
    /// `bytes=-LENGTH`
    Suffix { length: u64 },
}

impl ByteRange {
    pub(super) fn parse(value: &str) -> Option<Self> {
        let (unit, range) = value.split_once('=')?;
        let (first, last) = range.trim().split_once('-')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        match (first, last) {
            ("", "") => None,
            ("", length) => Some(Self::Suffix { length: position(length)? }),
            (first, "") => Some(Self::From { first: position(first)?, last: u64::MAX }),
            (first, last) => {
                let (first, last) = (position(first)?, position(last)?);
                (first <= last).then_some(Self::From { first, last })
            }
        }
    }

    /// The bytes it means of `length`; `None` if it begins past the end.
    pub(super) fn within(self, length: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From { first, last } => first..last.saturating_add(1).min(length),
            Self::Suffix { length: suffix } => length.saturating_sub(suffix)..length,
        };
        (range.start < range.end).then_some(range)
    }
}

/// A number, however long: past the end is past the end.
fn position(digits: &str) -> Option<u64> {
    let legal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    legal.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// The pieces of `chunks` that make up `range` of their concatenation, not copied.
pub(super) fn cut(chunks: &[Bytes], range: &Range<u64>) -> Vec<Bytes> {
    let mut start = 0_u64;
    let mut pieces = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        let end = start + chunk.len() as u64;
        let within = |at: u64| usize::try_from(at.clamp(start, end) - start).unwrap_or(0);
        let piece = within(range.start)..within(range.end);
        if !piece.is_empty() {
            pieces.push(chunk.slice(piece));
        }
        start = end;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_has_them() {
        for (value, within_ten) in [
            ("bytes=0-0", Some(0..1)),
            ("bytes=2-5", Some(2..6)),
            ("bytes=2-9007199254740991", Some(2..10)),
            ("bytes=9-", Some(9..10)),
            ("bytes=-3", Some(7..10)),
            ("bytes=-30", Some(0..10)),
            ("Bytes=0-", Some(0..10)),
            ("bytes=0-99999999999999999999999", Some(0..10)),
            ("bytes=10-", None),
            ("bytes=-0", None),
            ("bytes=99999999999999999999999-", None),
        ] {
            let range = ByteRange::parse(value).unwrap_or_else(|| panic!("{value}"));
            assert_eq!(range.within(10), within_ten, "{value}");
        }
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-2",
            "bytes=0-1,3-4",
            "bytes=a-b",
            "items=0-1",
            "bytes=+1-2",
            "bytes=--1",
        ] {
            assert_eq!(ByteRange::parse(value), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn a_cut_is_the_slice_of_the_whole(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..6),
            first in 0_usize..60,
            length in 0_usize..60,
        ) {
            let whole = chunks.concat();
            let chunks: Vec<_> = chunks.into_iter().map(Bytes::from).collect();
            let range = first.min(whole.len())..(first + length).min(whole.len());
            let cut = cut(&chunks, &(range.start as u64..range.end as u64));
            prop_assert_eq!(cut.concat(), &whole[range]);
        }
    }
}

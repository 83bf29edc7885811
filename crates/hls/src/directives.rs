use thiserror::Error;

/// The delivery directives of a playlist request (§6.2.5).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Directives {
    /// `_HLS_msn`: wait for this segment, or for a part of it.
    pub msn: Option<u64>,
    /// `_HLS_part`: wait for this part of it, counted from 0. Never without `msn`.
    pub part: Option<u32>,
    /// `_HLS_skip`: a delta update will do.
    pub skip: bool,
}

/// A request that cannot be answered: status 400. The one who wrote the player is at fault.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum DirectiveError {
    /// A value is missing, not a decimal integer, or beyond any sequence number.
    #[error("{0} is not a decimal integer in range: send digits only")]
    Invalid(&'static str),
    /// The same directive twice.
    #[error("{0} is given more than once: send it once")]
    Duplicate(&'static str),
    /// §6.2.5.2: a part is counted within a segment.
    #[error("_HLS_part without _HLS_msn: name the segment that the part belongs to")]
    PartWithoutMsn,
    /// §6.2.5.2: more than two segments, or too many parts, past the last one.
    #[error("the request is too far ahead: the next to come is segment {msn}, part {part}")]
    TooFarAhead {
        /// Media sequence number of the next part.
        msn: u64,
        /// The next part's index in it.
        part: u32,
    },
}

impl Directives {
    /// Reads the query of a request, without its `?`. Parameters may come in any order; those that
    /// are no directives, and values of `_HLS_skip` that are unknown, are passed over.
    ///
    /// # Errors
    /// A directive that cannot be obeyed. Once a playlist has ended it ignores directives, the
    /// broken ones too (§6.2.5.2).
    pub fn parse(query: Option<&str>) -> Result<Self, DirectiveError> {
        let (mut msn, mut part, mut skip) = (None, None, None);
        for pair in query.unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "_HLS_msn" => once("_HLS_msn", &mut msn, integer("_HLS_msn", value)?)?,
                "_HLS_part" => {
                    let index = u32::try_from(integer("_HLS_part", value)?)
                        .map_err(|_| DirectiveError::Invalid("_HLS_part"))?;
                    once("_HLS_part", &mut part, index)?;
                }
                "_HLS_skip" => once("_HLS_skip", &mut skip, matches!(value, "YES" | "v2"))?,
                _ => {}
            }
        }
        if part.is_some() && msn.is_none() {
            return Err(DirectiveError::PartWithoutMsn);
        }
        Ok(Self { msn, part, skip: skip.unwrap_or(false) })
    }
}

fn once<T>(name: &'static str, slot: &mut Option<T>, value: T) -> Result<(), DirectiveError> {
    match slot.replace(value) {
        Some(_) => Err(DirectiveError::Duplicate(name)),
        None => Ok(()),
    }
}

fn integer(name: &'static str, value: &str) -> Result<u64, DirectiveError> {
    // `parse` alone would take a plus sign.
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| digits).ok_or(DirectiveError::Invalid(name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::DirectiveError::{Duplicate, Invalid, PartWithoutMsn};
    use super::*;

    fn directives(msn: Option<u64>, part: Option<u32>, skip: bool) -> Directives {
        Directives { msn, part, skip }
    }

    #[test]
    fn directives_are_read_in_any_order_among_other_parameters() {
        for (query, expected) in [
            (None, directives(None, None, false)),
            (Some(""), directives(None, None, false)),
            (Some("&&=&a=b&msn=7&_hls_msn=x"), directives(None, None, false)),
            (Some("_HLS_msn=7"), directives(Some(7), None, false)),
            (Some("_HLS_msn=7&_HLS_part=0"), directives(Some(7), Some(0), false)),
            (Some("_HLS_part=3&token=%3D&_HLS_msn=7"), directives(Some(7), Some(3), false)),
            (Some("_HLS_skip=YES&_HLS_part=3&_HLS_msn=7"), directives(Some(7), Some(3), true)),
            (Some("_HLS_skip=v2"), directives(None, None, true)),
            (Some("_HLS_skip=v3"), directives(None, None, false)),
            (Some("_HLS_skip=&_HLS_future=x"), directives(None, None, false)),
            (Some("_HLS_msn=00000000000000000000000000000007"), directives(Some(7), None, false)),
            (Some("_HLS_msn=18446744073709551615"), directives(Some(u64::MAX), None, false)),
        ] {
            assert_eq!(Directives::parse(query), Ok(expected), "{query:?}");
        }
    }

    #[test]
    fn directives_that_cannot_be_obeyed_are_refused() {
        for (query, expected) in [
            ("_HLS_part=0", PartWithoutMsn),
            ("_HLS_msn", Invalid("_HLS_msn")),
            ("_HLS_msn=", Invalid("_HLS_msn")),
            ("_HLS_msn=-1", Invalid("_HLS_msn")),
            ("_HLS_msn=+1", Invalid("_HLS_msn")),
            ("_HLS_msn=1.0", Invalid("_HLS_msn")),
            ("_HLS_msn=0x1", Invalid("_HLS_msn")),
            ("_HLS_msn= 1", Invalid("_HLS_msn")),
            ("_HLS_msn=18446744073709551616", Invalid("_HLS_msn")),
            ("_HLS_msn=1&_HLS_part=", Invalid("_HLS_part")),
            ("_HLS_msn=1&_HLS_part=4294967296", Invalid("_HLS_part")),
            ("_HLS_msn=1&_HLS_msn=1", Duplicate("_HLS_msn")),
            ("_HLS_msn=1&_HLS_part=1&_HLS_part=2", Duplicate("_HLS_part")),
            ("_HLS_skip=YES&_HLS_skip=YES", Duplicate("_HLS_skip")),
        ] {
            assert_eq!(Directives::parse(Some(query)), Err(expected), "{query}");
        }
    }

    proptest! {
        #[test]
        fn no_query_is_too_strange_to_read(query in "(_HLS_(msn|part|skip)|[^=]{0,3}|=|&|[0-9]{1,25}){0,12}") {
            if let Ok(read) = Directives::parse(Some(&query)) {
                prop_assert!(read.part.is_none() || read.msn.is_some());
            }
        }
    }
}

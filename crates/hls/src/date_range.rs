use std::borrow::Cow;
use std::fmt::Write;

use nowcast_media::Seconds5;

use crate::date::DateTime;
use crate::quotable;

/// What EXT-X-DATERANGE says of a span of time (§4.4.5.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DateRange {
    /// ID: no other range of the playlist has it.
    pub id: String,
    /// CLASS.
    pub class: Cow<'static, str>,
    /// START-DATE, in Unix milliseconds.
    pub start_unix_ms: i64,
    /// DURATION in milliseconds, once it is known. Never changes then.
    pub duration_ms: Option<u64>,
    /// PLANNED-DURATION in milliseconds.
    pub planned_duration_ms: Option<u64>,
    /// `X-…` attributes with their values, quoted strings; one that is there stays as it is, others may follow.
    pub attributes: Vec<(Cow<'static, str>, String)>,
}

/// The date ranges of a playlist, their tags written once.
#[derive(Clone, Debug, Default)]
pub(crate) struct DateRanges {
    tags: Vec<Tag>,
}

#[derive(Clone, Debug)]
struct Tag {
    /// When it ends, in Unix milliseconds, once that is known. It is not by PLANNED-DURATION.
    end: Option<i64>,
    line: String,
}

impl DateRanges {
    pub(crate) fn new(ranges: &[DateRange]) -> Self {
        let tag = |range: &DateRange| {
            let lasts = range.duration_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
            let end = lasts.map(|lasts| range.start_unix_ms.saturating_add(lasts));
            Tag { end, line: line(range) }
        };
        Self { tags: ranges.iter().map(tag).collect() }
    }

    /// Writes the tags of those that do not end before a date: the others map to nothing that is
    /// listed (§6.2.1).
    pub(crate) fn write(&self, first_unix_ms: i64, text: &mut String) {
        for tag in self.tags.iter().filter(|tag| tag.end.is_none_or(|end| end >= first_unix_ms)) {
            text.push_str(&tag.line);
        }
    }
}

/// All attributes in every tag: Shaka and Media3 pass over one without START-DATE.
fn line(range: &DateRange) -> String {
    let start = DateTime { unix_ms: range.start_unix_ms };
    let mut line = format!(
        "#EXT-X-DATERANGE:ID=\"{}\",CLASS=\"{}\",START-DATE=\"{start}\"",
        quotable(&range.id),
        quotable(&range.class)
    );
    let durations =
        [("DURATION", range.duration_ms), ("PLANNED-DURATION", range.planned_duration_ms)];
    for (name, ms) in durations.iter().filter_map(|(name, ms)| Some((name, (*ms)?))) {
        let seconds = Seconds5::from_units(ms.saturating_mul(100));
        write!(line, ",{name}={seconds}").unwrap_or_default();
    }
    for (name, value) in &range.attributes {
        write!(line, ",{name}=\"{}\"", quotable(value)).unwrap_or_default();
    }
    line + "\n"
}

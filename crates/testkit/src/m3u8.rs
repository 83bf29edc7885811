//! A strict reader of low-latency media playlists that knows nothing of how they are written.
//!
//! [`MediaPlaylist::read`] refuses what the syntax forbids, [`MediaPlaylist::check`] what one
//! generation may not say, [`MediaPlaylist::follows`] what may not change between two, and
//! [`MediaPlaylist::merge`] does with a delta update what a player does. Each says in a sentence what
//! is wrong. Sections are those of draft-pantos-hls-rfc8216bis-22.

mod attributes;
mod check;
mod reader;
#[cfg(test)]
mod tests;
mod update;

/// Hundred-thousandths of a second: every duration is read exactly, with at most 5 decimals.
pub type Units = u64;

/// What a media playlist says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MediaPlaylist {
    /// What must never change.
    pub head: Head,
    /// EXT-X-MEDIA-SEQUENCE.
    pub media_sequence: u64,
    /// EXT-X-DISCONTINUITY-SEQUENCE.
    pub discontinuity_sequence: u64,
    /// SKIPPED-SEGMENTS of a delta update.
    pub skipped: Option<u64>,
    /// EXT-X-DATERANGE in order.
    pub date_ranges: Vec<DateRange>,
    /// Complete segments; the first has the number `media_sequence + skipped`.
    pub segments: Vec<Segment>,
    /// The parts after the last complete segment.
    pub open: Option<Segment>,
    /// URI of the hinted part.
    pub part_hint: Option<String>,
    /// URI of the hinted init section.
    pub map_hint: Option<String>,
    /// Rendition reports in order.
    pub reports: Vec<Report>,
    /// EXT-X-ENDLIST.
    pub ended: bool,
}

/// The tags that stay as they are for a stream's life.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Head {
    /// EXT-X-VERSION.
    pub version: u64,
    /// EXT-X-TARGETDURATION in seconds.
    pub target_duration: u64,
    /// PART-TARGET.
    pub part_target: Units,
    /// PART-HOLD-BACK.
    pub part_hold_back: Units,
    /// HOLD-BACK.
    pub hold_back: Units,
    /// CAN-SKIP-UNTIL.
    pub can_skip_until: Units,
}

/// EXT-X-DATERANGE.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DateRange {
    /// ID.
    pub id: String,
    /// CLASS.
    pub class: String,
    /// START-DATE in milliseconds since 1970.
    pub start: i64,
    /// DURATION.
    pub duration: Option<Units>,
    /// PLANNED-DURATION.
    pub planned_duration: Option<Units>,
    /// `X-…` attributes in order, without their quotes.
    pub attributes: Vec<(String, String)>,
}

/// A segment, complete or open.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Segment {
    /// Media sequence number.
    pub msn: u64,
    /// Its URI; `None` while it is open.
    pub uri: Option<String>,
    /// EXTINF; 0 while it is open.
    pub duration: Units,
    /// Whether EXT-X-DISCONTINUITY precedes it.
    pub discontinuity: bool,
    /// The init section that applies; `None` in a delta update that does not say.
    pub init: Option<String>,
    /// EXT-X-PROGRAM-DATE-TIME in milliseconds since 1970.
    pub program_date_time: Option<i64>,
    /// EXT-X-GAP.
    pub gap: bool,
    /// Its parts, as far as they are listed.
    pub parts: Vec<Part>,
}

/// EXT-X-PART.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Part {
    /// URI.
    pub uri: String,
    /// DURATION.
    pub duration: Units,
    /// INDEPENDENT=YES.
    pub independent: bool,
    /// GAP=YES.
    pub gap: bool,
}

/// EXT-X-RENDITION-REPORT.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// URI.
    pub uri: String,
    /// LAST-MSN.
    pub last_msn: u64,
    /// LAST-PART.
    pub last_part: u64,
}

impl DateRange {
    /// Whether it is known to have ended before a date in milliseconds since 1970.
    #[must_use]
    pub fn ended_before(&self, date: i64) -> bool {
        let ends = |duration: Units| Some(self.start + i64::try_from(duration.div_ceil(100)).ok()?);
        self.duration.and_then(ends).is_some_and(|end| end < date)
    }
}

impl MediaPlaylist {
    /// Complete segments and the open one.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.segments.iter().chain(&self.open)
    }

    /// The last part listed: its segment's number and its index.
    #[must_use]
    pub fn last_part(&self) -> Option<(u64, usize)> {
        let last = self.all().next_back()?;
        Some((last.msn, last.parts.len().checked_sub(1)?))
    }

    /// Whether part `part` of segment `msn`, or without `part` the whole segment, or anything after
    /// it is listed: what a blocked request waits for (§6.2.5.2).
    #[must_use]
    pub fn reaches(&self, msn: u64, part: Option<u64>) -> bool {
        let complete = self.segments.last().is_some_and(|last| last.msn >= msn);
        let Some(part) = part else { return complete };
        self.all().any(|s| s.msn > msn || (s.msn == msn && (s.parts.len() as u64) > part))
    }

    /// Time listed after the end of complete segment `index`, open parts included.
    fn distance_from_end(&self, index: usize) -> Units {
        let complete: Units = self.segments[index + 1..].iter().map(|s| s.duration).sum();
        let open: Units = self.open.iter().flat_map(|s| &s.parts).map(|p| p.duration).sum();
        complete + open
    }
}

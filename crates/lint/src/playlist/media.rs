use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::exchange::ByteRange;
use crate::playlist::{Attributes, Fault};

/// A media playlist, full or a delta update.
#[derive(Clone, Debug, Default)]
pub struct MediaPlaylist {
    /// EXT-X-VERSION.
    pub version: Option<Tagged<u64>>,
    /// EXT-X-TARGETDURATION in seconds.
    pub target_duration: Option<Tagged<u64>>,
    /// PART-TARGET of EXT-X-PART-INF.
    pub part_target: Option<Tagged<Duration>>,
    /// EXT-X-SERVER-CONTROL.
    pub server_control: Option<Tagged<ServerControl>>,
    /// EXT-X-MEDIA-SEQUENCE; the first segment has the number 0 without it.
    pub media_sequence: Option<Tagged<u64>>,
    /// EXT-X-DISCONTINUITY-SEQUENCE.
    pub discontinuity_sequence: Option<Tagged<u64>>,
    /// EXT-X-PLAYLIST-TYPE.
    pub playlist_type: Option<Tagged<String>>,
    /// Whether EXT-X-I-FRAMES-ONLY is there.
    pub i_frames_only: bool,
    /// SKIPPED-SEGMENTS of a delta update.
    pub skipped: Option<Tagged<u64>>,
    /// The segments, without those skipped; the last is open where its `uri` is `None`.
    pub segments: Vec<Segment>,
    /// EXT-X-PRELOAD-HINT.
    pub hints: Vec<Hint>,
    /// EXT-X-RENDITION-REPORT.
    pub reports: Vec<Report>,
    /// EXT-X-DATERANGE.
    pub date_ranges: Vec<DateRange>,
    /// RECENTLY-REMOVED-DATERANGES of a delta update that leaves date ranges out.
    pub removed_ranges: Option<Vec<String>>,
    /// The line of EXT-X-ENDLIST.
    pub ended: Option<usize>,
    /// The first line of each tag that asks for a version, with that version.
    pub needs: Vec<Tagged<(u64, &'static str)>>,
    /// What could not be read.
    pub faults: Vec<Fault>,
}

/// A value and the line it stands on, counted from 1.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tagged<T> {
    /// The value.
    pub value: T,
    /// The line.
    pub line: usize,
}

/// EXT-X-SERVER-CONTROL (§4.4.3.8).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ServerControl {
    /// CAN-BLOCK-RELOAD=YES.
    pub can_block_reload: bool,
    /// PART-HOLD-BACK.
    pub part_hold_back: Option<Duration>,
    /// HOLD-BACK.
    pub hold_back: Option<Duration>,
    /// CAN-SKIP-UNTIL.
    pub can_skip_until: Option<Duration>,
    /// CAN-SKIP-DATERANGES=YES.
    pub can_skip_dateranges: bool,
}

/// A segment, complete or open.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segment {
    /// Media sequence number.
    pub msn: u64,
    /// The line of its URI; while it is open, of its first tag.
    pub line: usize,
    /// Where it is; `None` while it is open.
    pub url: Option<Url>,
    /// EXTINF; zero while it is open.
    pub duration: Duration,
    /// Its bytes within `url`.
    pub range: Option<ByteRange>,
    /// Whether EXT-X-DISCONTINUITY precedes it.
    pub discontinuity: bool,
    /// EXT-X-GAP.
    pub gap: bool,
    /// EXT-X-PROGRAM-DATE-TIME in microseconds since 1970.
    pub date: Option<i64>,
    /// EXT-X-MAP that applies; `None` where there is none, or a delta update does not say.
    pub map: Option<Arc<Map>>,
    /// The last EXT-X-KEY that applies, its attributes as they stand.
    pub key: Option<Arc<str>>,
    /// Its parts, as far as they are listed.
    pub parts: Vec<Part>,
}

/// EXT-X-DATERANGE (§4.4.5.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DateRange {
    /// The line it stands on.
    pub line: usize,
    /// ID.
    pub id: String,
    /// START-DATE in microseconds since 1970; only the first tag of an ID needs it.
    pub start: Option<i64>,
    /// When it ends in microseconds since 1970, by END-DATE, or by START-DATE and DURATION.
    pub end: Option<i64>,
    /// All its attributes.
    pub attributes: Attributes,
}

/// EXT-X-MAP.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Map {
    /// Where the init section is.
    pub url: Url,
    /// Its bytes there.
    pub range: Option<ByteRange>,
}

/// EXT-X-PART.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The line it stands on.
    pub line: usize,
    /// Where it is.
    pub url: Url,
    /// Its bytes there.
    pub range: Option<ByteRange>,
    /// DURATION.
    pub duration: Duration,
    /// INDEPENDENT=YES.
    pub independent: bool,
    /// GAP=YES.
    pub gap: bool,
}

impl Segment {
    /// Whether it lists its parts from the first on: the oldest leave first.
    pub(crate) fn has_all_parts(&self) -> bool {
        const FRAME: Duration = Duration::from_millis(42);
        let listed: Duration = self.parts.iter().map(|part| part.duration).sum();
        self.url.is_none() || listed + FRAME >= self.duration
    }
}

impl Part {
    /// Whether it is the same part as in another generation, on whatever line.
    pub(crate) fn is(&self, other: &Self) -> bool {
        (&self.url, self.range, self.duration, self.independent, self.gap)
            == (&other.url, other.range, other.duration, other.independent, other.gap)
    }
}

/// TYPE of a preload hint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HintType {
    /// A part.
    Part,
    /// An init section.
    Map,
}

/// EXT-X-PRELOAD-HINT.
#[derive(Clone, Debug, PartialEq)]
pub struct Hint {
    /// The line it stands on.
    pub line: usize,
    /// What is to come.
    pub kind: HintType,
    /// Where it will be.
    pub url: Url,
    /// Its bytes there: from BYTERANGE-START, so many as BYTERANGE-LENGTH; `None` without either.
    pub range: Option<ByteRange>,
}

/// EXT-X-RENDITION-REPORT.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The line it stands on.
    pub line: usize,
    /// The other media playlist.
    pub url: Url,
    /// LAST-MSN.
    pub last_msn: Option<u64>,
    /// LAST-PART.
    pub last_part: Option<u64>,
}

/// The end of what a playlist lists: complete segments, and parts of the one after them.
///
/// A segment that is complete is past all its parts.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Position {
    /// The media sequence number of the first segment that is not complete.
    pub open_msn: u64,
    /// Parts listed of that segment.
    pub open_parts: u64,
}

impl MediaPlaylist {
    /// EXT-X-MEDIA-SEQUENCE, or what holds without it.
    #[must_use]
    pub fn first_msn(&self) -> u64 {
        self.media_sequence.as_ref().map_or(0, |tag| tag.value)
    }

    /// EXT-X-TARGETDURATION; zero where it is missing.
    #[must_use]
    pub fn target(&self) -> Duration {
        Duration::from_secs(self.target_duration.as_ref().map_or(0, |tag| tag.value))
    }

    /// PART-TARGET.
    #[must_use]
    pub fn part_target(&self) -> Option<Duration> {
        self.part_target.as_ref().map(|tag| tag.value)
    }

    /// EXT-X-SERVER-CONTROL, or what holds without it.
    #[must_use]
    pub fn control(&self) -> ServerControl {
        self.server_control.as_ref().map(|tag| tag.value.clone()).unwrap_or_default()
    }

    /// The segments that are complete.
    pub fn complete(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.segments.iter().filter(|segment| segment.url.is_some())
    }

    /// The segment that is open and has parts.
    #[must_use]
    pub fn open(&self) -> Option<&Segment> {
        self.segments.last().filter(|segment| segment.url.is_none())
    }

    /// A segment by its number.
    #[must_use]
    pub fn segment(&self, msn: u64) -> Option<&Segment> {
        let index = self.segments.binary_search_by_key(&msn, |segment| segment.msn).ok()?;
        self.segments.get(index)
    }

    /// The end of what is listed.
    #[must_use]
    pub fn position(&self) -> Position {
        let skipped = self.skipped.as_ref().map_or(0, |tag| tag.value);
        let complete = self.complete().count() as u64;
        Position {
            open_msn: self.first_msn().saturating_add(skipped + complete),
            open_parts: self.open().map_or(0, |open| open.parts.len() as u64),
        }
    }

    /// Whether a part, or without one the whole of a segment, or anything later is listed
    /// (§6.2.5.2). A part past the end of a complete segment is part 0 of the next.
    #[must_use]
    pub fn reaches(&self, msn: u64, part: Option<u64>) -> bool {
        let end = self.position();
        let Some(part) = part else { return end.open_msn > msn };
        if msn != end.open_msn {
            let past_the_end = self
                .segment(msn)
                .is_some_and(|last| !last.parts.is_empty() && part >= last.parts.len() as u64);
            let is_last = end.open_msn == msn + 1;
            return end.open_msn > msn && !(past_the_end && is_last && end.open_parts == 0);
        }
        end.open_parts > part
    }

    /// The hint of the next part.
    #[must_use]
    pub fn part_hint(&self) -> Option<&Hint> {
        self.hints.iter().find(|hint| hint.kind == HintType::Part)
    }

    /// The discontinuity sequence number of each segment listed.
    pub fn discontinuities(&self) -> impl Iterator<Item = (&Segment, u64)> {
        let mut number = self.discontinuity_sequence.as_ref().map_or(0, |tag| tag.value);
        self.segments.iter().map(move |segment| {
            number += u64::from(segment.discontinuity);
            (segment, number)
        })
    }

    /// Time listed in complete segments.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.complete().map(|segment| segment.duration).sum()
    }
}

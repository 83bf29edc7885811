mod mark;

use std::collections::VecDeque;
use std::fmt::Write;
use std::mem;
use std::sync::Arc;

use nowcast_media::{MediaTime, Seconds5};

use crate::date::DateTime;
use crate::date_range::DateRanges;
use crate::names::{self, Start};
use crate::{DateRange, Profile};

pub use mark::Mark;

/// A window never falls below so many segments (Apple's authoring rule 8.11).
const LEAST_SEGMENTS: usize = 6;

/// Appends a line; writing to a `String` cannot fail.
macro_rules! line {
    ($text:expr, $($format:tt)*) => { writeln!($text, $($format)*).unwrap_or_default() };
}

/// The media playlist of one rendition of a live stream.
///
/// Per segment: [`begin_segment`](Self::begin_segment), [`add_part`](Self::add_part) for each part,
/// [`end_segment`](Self::end_segment), [`evict`](Self::evict). After any of them
/// [`render`](Self::render) writes the generation that players may see; what is rendered together
/// appears together, so a part's bytes must be there first.
///
/// What is listed only ever changes as §6.2.1 allows. Calls after [`end`](Self::end) do nothing.
#[derive(Clone, Debug)]
pub struct MediaPlaylist {
    profile: Profile,
    timescale: u32,
    /// The tags that never change, up to PART-INF.
    head: String,
    /// Complete segments, the oldest first.
    segments: VecDeque<Segment>,
    open: Option<Segment>,
    /// Media sequence number of the open segment, or of the next one to begin.
    open_msn: u64,
    /// The init section of the segment to begin, once it is known.
    next_init: Option<Arc<str>>,
    next_part: u64,
    /// Which start of the server gives the names from now on.
    start: Start,
    discontinuity_sequence: u64,
    date_ranges: DateRanges,
    /// End of the last part, in ticks from the start of the first segment ever listed.
    position: u64,
    /// The longest this playlist ever was, in ticks.
    longest: u64,
    ended: bool,
}

/// A segment: what decides on its place in the playlist, and its lines, written once.
#[derive(Clone, Debug)]
struct Segment {
    /// In ticks from the start of the first segment ever listed.
    start: u64,
    /// Its end once complete, the end of its last part before.
    end: u64,
    parts: u32,
    gaps: u32,
    discontinuity: bool,
    init: Arc<str>,
    /// Of its first sample, in Unix milliseconds.
    unix_ms: i64,
    date_line: String,
    /// Emptied once the segment is too far from the live edge to list its parts.
    part_lines: String,
    /// EXTINF and the name; empty before the segment is complete.
    last_lines: String,
}

/// A part that can be fetched from now on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PartInfo {
    /// Its number, one more than that of the part before it: the hint named it already.
    pub number: u64,
    /// Its duration in ticks of the rendition's timescale, at most PART-TARGET.
    pub duration: u64,
    /// Whether it contains a frame that decoding can start at; true of all audio.
    pub independent: bool,
    /// Whether its media is missing.
    pub gap: bool,
}

/// A segment that is listed no more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Removed {
    /// Its media sequence number.
    pub msn: u64,
    /// How long it, its parts and its init section must still be served: its own duration and that
    /// of the longest playlist that listed it (§6.2.2).
    pub retention: MediaTime,
}

/// Where another rendition stands: EXT-X-RENDITION-REPORT (§4.4.5.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RenditionReport<'a> {
    /// Its playlist, relative to this one.
    pub uri: &'a str,
    /// The last segment it lists a part of.
    pub last_msn: u64,
    /// The last part of that, counted from 0.
    pub last_part: u32,
}

/// One generation of a playlist.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rendered {
    /// All of it.
    pub full: String,
    /// The delta update (§6.2.5.1), if there is anything to skip. Who asks for one where there is
    /// none gets the full playlist.
    pub delta: Option<String>,
}

impl MediaPlaylist {
    /// An empty playlist whose first segment will have the number `first_msn`; part durations come
    /// in ticks of `timescale`, at least 1 a second.
    #[must_use]
    pub fn new(profile: Profile, timescale: u32, first_msn: u64) -> Self {
        let mut head = String::new();
        line!(head, "#EXTM3U");
        line!(head, "#EXT-X-VERSION:9");
        line!(head, "#EXT-X-TARGETDURATION:{}", profile.target_duration);
        line!(
            head,
            "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={},HOLD-BACK={},CAN-SKIP-UNTIL={}",
            profile.part_hold_back(),
            profile.hold_back(),
            profile.skip_until()
        );
        line!(head, "#EXT-X-PART-INF:PART-TARGET={}", profile.part_target);
        Self {
            profile,
            timescale: timescale.max(1),
            head,
            segments: VecDeque::new(),
            open: None,
            open_msn: first_msn,
            next_init: None,
            next_part: 0,
            start: 0,
            discontinuity_sequence: 0,
            date_ranges: DateRanges::default(),
            position: 0,
            longest: 0,
            ended: false,
        }
    }

    /// Says which init section the next segment will be decoded with, as soon as that is known: where
    /// it is another one, players are told to fetch it ahead.
    pub fn announce_init(&mut self, uri: &str) {
        self.next_init = Some(Arc::from(uri));
    }

    /// Opens a segment: its first sample is shown at `program_date_time_unix_ms`, it is decoded with
    /// the init section at `init_uri`, and with `discontinuity` nothing of the one before holds on.
    ///
    /// A segment still open is ended first. Nothing is listed before the first part.
    pub fn begin_segment(
        &mut self,
        program_date_time_unix_ms: i64,
        init_uri: &str,
        discontinuity: bool,
    ) {
        if self.ended {
            return;
        }
        self.end_segment();
        let init = match self.segments.back() {
            Some(last) if *last.init == *init_uri => Arc::clone(&last.init),
            _ => Arc::from(init_uri),
        };
        self.next_init = Some(Arc::clone(&init));
        let date = DateTime { unix_ms: program_date_time_unix_ms };
        self.open = Some(Segment {
            start: self.position,
            end: self.position,
            parts: 0,
            gaps: 0,
            discontinuity,
            init,
            unix_ms: program_date_time_unix_ms,
            date_line: format!("#EXT-X-PROGRAM-DATE-TIME:{date}\n"),
            part_lines: String::new(),
            last_lines: String::new(),
        });
    }

    /// Lists the next part of the open segment; without one it does nothing.
    ///
    /// Rounding frames to ticks may make a part a tick longer than its target; it is written as the
    /// target, since a player gives a stream up over a part that is longer.
    pub fn add_part(&mut self, part: PartInfo) {
        let Some(open) = &mut self.open else { return };
        let duration = Seconds5::from_ticks(part.duration, self.timescale);
        let name = names::part(self.start, part.number);
        line!(
            open.part_lines,
            "#EXT-X-PART:DURATION={},URI=\"{name}\"{}{}",
            duration.min(self.profile.part_target),
            if part.independent { ",INDEPENDENT=YES" } else { "" },
            if part.gap { ",GAP=YES" } else { "" }
        );
        open.parts += 1;
        open.gaps += u32::from(part.gap);
        self.position += part.duration;
        open.end = self.position;
        self.next_part = part.number + 1;
    }

    /// Completes the open segment with the parts it has; one without parts never was.
    ///
    /// It is a gap if all its parts are. Its EXTINF is the difference of its rounded ends, not its
    /// rounded duration, so that no error adds up over any number of segments.
    pub fn end_segment(&mut self) {
        let Some(mut segment) = self.open.take().filter(|segment| segment.parts > 0) else {
            return;
        };
        let seconds = |ticks| Seconds5::from_ticks(ticks, self.timescale).units();
        let extinf = seconds(segment.end) - seconds(segment.start);
        if segment.gaps == segment.parts {
            line!(segment.last_lines, "#EXT-X-GAP");
        }
        line!(segment.last_lines, "#EXTINF:{}.{:05},", extinf / 100_000, extinf % 100_000);
        line!(segment.last_lines, "{}", names::segment(self.start, self.open_msn));
        self.segments.push_back(segment);
        self.open_msn += 1;
        let oldest = self.oldest_with_parts();
        for old in self.segments.range_mut(..oldest).rev() {
            if mem::take(&mut old.part_lines).is_empty() {
                break;
            }
        }
    }

    /// Sets what EXT-X-DATERANGE says from now on.
    ///
    /// Of a range that was there before, attributes only ever come (§4.4.5.1), and it goes only once it
    /// has ended before all that is listed: then it is left out here, too.
    pub fn set_date_ranges(&mut self, ranges: &[DateRange]) {
        if !self.ended {
            self.date_ranges = DateRanges::new(ranges);
        }
    }

    /// Ends the playlist: EXT-X-ENDLIST. An open segment is completed first.
    pub fn end(&mut self) {
        self.end_segment();
        self.ended = true;
    }

    /// Takes out, oldest first, the segments that the window can do without: never below the
    /// window, three target durations (§6.2.2) or six segments.
    pub fn evict(&mut self) -> Vec<Removed> {
        let mut removed = Vec::new();
        let window = u64::try_from(self.profile.window.to_scale(self.timescale)).unwrap_or(0);
        let least = window.max(self.targets(3));
        while let (Some(first), Some(second), Some(last)) =
            (self.segments.front(), self.segments.get(1), self.segments.back())
        {
            let rest = last.end - second.start;
            if self.ended || rest < least || self.segments.len() <= LEAST_SEGMENTS {
                break;
            }
            self.longest = self.longest.max(self.position - first.start);
            let retention = first.end - first.start + self.longest;
            removed.push(Removed { msn: self.first_msn(), retention: self.media_time(retention) });
            self.discontinuity_sequence += u64::from(first.discontinuity);
            self.segments.pop_front();
        }
        removed
    }

    /// Writes what is listed now, with where the other renditions stand.
    #[must_use]
    pub fn render(&self, reports: &[RenditionReport<'_>]) -> Rendered {
        let mut head = self.head.clone();
        line!(head, "#EXT-X-MEDIA-SEQUENCE:{}", self.first_msn());
        line!(head, "#EXT-X-DISCONTINUITY-SEQUENCE:{}", self.discontinuity_sequence);

        let (skipped, with_parts) = (self.skippable(), self.oldest_with_parts());
        let open = self.open.iter().filter(|open| open.parts > 0);
        let listed = self.segments.iter().chain(open);
        // Before all segments, where every parser takes them for the playlist's own; in delta updates
        // too, since CAN-SKIP-DATERANGES is not offered.
        let mut ranges = String::new();
        if let Some(first) = listed.clone().next() {
            self.date_ranges.write(first.unix_ms, &mut ranges);
        }
        let mut full = String::with_capacity(head.len() + ranges.len() + self.length_of_lines());
        full.extend([head.as_str(), ranges.as_str()]);
        let mut kept_from = full.len();
        let (mut init, mut kept_init) = (None::<&Arc<str>>, None);
        for (index, segment) in listed.enumerate() {
            if index == skipped {
                kept_from = full.len();
                kept_init = init.filter(|&before| *before == segment.init);
            }
            if segment.discontinuity {
                full.push_str("#EXT-X-DISCONTINUITY\n");
            }
            if init.replace(&segment.init) != Some(&segment.init) {
                line!(full, "#EXT-X-MAP:URI=\"{}\"", segment.init);
            }
            full.push_str(&segment.date_line);
            if index >= with_parts {
                full.push_str(&segment.part_lines);
            }
            full.push_str(&segment.last_lines);
        }
        if self.ended {
            full.push_str("#EXT-X-ENDLIST\n");
        } else {
            self.write_hints(&mut full);
            for RenditionReport { uri, last_msn, last_part } in reports {
                line!(
                    full,
                    "#EXT-X-RENDITION-REPORT:URI=\"{uri}\",LAST-MSN={last_msn},LAST-PART={last_part}"
                );
            }
        }
        // EXT-X-MAP again, also where it did not change: not every player carries it over what was
        // skipped (docs/players.md, Shaka).
        let delta = (skipped > 0).then(|| {
            let mut delta = head;
            line!(delta, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}");
            delta.push_str(&ranges);
            if let Some(init) = kept_init {
                line!(delta, "#EXT-X-MAP:URI=\"{init}\"");
            }
            delta + &full[kept_from..]
        });
        Rendered { full, delta }
    }

    /// The next part, and its init section where that is known to be another one (§4.4.5.3).
    fn write_hints(&self, text: &mut String) {
        if let (Some(last), Some(next)) = (self.segments.back(), &self.next_init)
            && self.open.as_ref().is_none_or(|open| open.parts == 0)
            && *next != last.init
        {
            line!(text, "#EXT-X-PRELOAD-HINT:TYPE=MAP,URI=\"{next}\"");
        }
        let next = names::part(self.start, self.next_part);
        line!(text, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{next}\"");
    }

    /// How many segments end further than CAN-SKIP-UNTIL from the end of the last complete one;
    /// none once directives are ignored.
    fn skippable(&self) -> usize {
        let boundary = self.segments.back().map_or(0, |last| last.end);
        let boundary = boundary.saturating_sub(self.targets(6));
        if self.ended { 0 } else { self.segments.partition_point(|old| old.end < boundary) }
    }

    /// Index of the first complete segment that ends within three target durations of the end of
    /// the playlist: it and all later ones list their parts (§6.2.2).
    fn oldest_with_parts(&self) -> usize {
        let horizon = self.targets(3);
        self.segments.partition_point(|old| self.position - old.end >= horizon)
    }

    fn first_msn(&self) -> u64 {
        self.open_msn - self.segments.len() as u64
    }

    fn targets(&self, count: u64) -> u64 {
        count * u64::from(self.profile.target_duration) * u64::from(self.timescale)
    }

    fn media_time(&self, ticks: u64) -> MediaTime {
        Seconds5::from_ticks(ticks, self.timescale).media_time()
    }

    fn length_of_lines(&self) -> usize {
        let lines = |s: &Segment| s.date_line.len() + s.part_lines.len() + s.last_lines.len() + 64;
        self.segments.iter().chain(&self.open).map(lines).sum::<usize>() + 512
    }
}

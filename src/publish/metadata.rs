//! What a session's parts carry beside the media: composed once for each, the same in all video
//! renditions.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use nowcast_cmaf::{Event, Part, events};
use nowcast_hls::DateRange;
use nowcast_media::{Grid, MediaTime};

use crate::config::Mode;
use crate::flow::{Cues, PartSpan, Position};

/// Parts whose boxes are remembered for the renditions that are behind: a worker's rungs are a few
/// frames apart, and its queue holds a second of them.
const REMEMBERED: usize = 64;
/// Percent of the lowest rendition's bit rate that a busy chat may have.
const SHARE: u64 = 3;
/// Bytes of a part that it may have at the least and at the most.
const BUDGET: std::ops::RangeInclusive<u64> = 1024..=4096;

/// The timed metadata of a session.
#[derive(Debug)]
pub(super) struct TimedMetadata {
    cues: Arc<Cues>,
    grid: Grid,
    mode: Mode,
    /// Unix time in microseconds of the timeline's zero.
    anchor: i64,
    /// Bits a second of the lowest video rendition.
    bit_rate: u64,
    /// A segment of the highest rendition, from which parts are numbered.
    segment: Segment,
    /// Where the parts composed last begin, in ticks and rising, and their boxes.
    composed: VecDeque<(u64, Bytes)>,
    date_ranges: Arc<[DateRange]>,
    /// Whether the playlists have other date ranges yet.
    changed: bool,
    /// Whether pictures come in.
    flowing: bool,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    msn: u64,
    /// Its first frame's number on the grid; `None`: that of the part to be composed next.
    first: Option<i64>,
    /// Frames until the next one: in passthrough as many as the one before it had.
    frames: i64,
}

impl TimedMetadata {
    pub(super) fn new(cues: Arc<Cues>, grid: Grid, mode: Mode) -> Self {
        Self {
            cues,
            grid,
            mode,
            anchor: 0,
            bit_rate: 0,
            segment: Segment { msn: 0, first: None, frames: i64::from(grid.segment_frames) },
            composed: VecDeque::with_capacity(REMEMBERED),
            date_ranges: Arc::default(),
            changed: false,
            flowing: false,
        }
    }

    /// The least tick the session may begin at.
    pub(super) fn floor(&self) -> MediaTime {
        MediaTime::from_ticks(i64::try_from(self.cues.floor()).unwrap_or(i64::MAX))
    }

    pub(super) fn set_anchor(&mut self, unix_micros: i64) {
        self.anchor = unix_micros;
    }

    pub(super) fn set_bit_rate(&mut self, bits: u64) {
        self.bit_rate = bits;
    }

    /// A picture came in, which belongs to this frame: the part it begins is open if none was.
    pub(super) fn flow(&mut self, index: i64) {
        if !self.flowing {
            self.flowing = true;
            self.tell_position(index);
        }
    }

    /// Nothing comes in any more: where the next part begins is unknown.
    pub(super) fn stop(&mut self) {
        self.flowing = false;
        self.cues.set_position(None);
    }

    /// The timeline breaks: the highest rendition's next segment has this number.
    pub(super) fn restart(&mut self, msn: u64) {
        self.stop();
        self.segment = Segment { msn, first: None, ..self.segment };
    }

    /// The session ends, its media at this time.
    pub(super) fn end(&mut self, at: MediaTime) {
        self.stop();
        self.cues.raise_floor(u64::try_from(at.ticks()).unwrap_or(0));
    }

    /// A segment of the highest rendition begins with this part.
    pub(super) fn begin_segment(&mut self, part: &Part, msn: u64) {
        let first = self.frame(part.base_decode_time);
        let before = self.segment.first.filter(|_| self.mode == Mode::Passthrough);
        let frames = before.map_or(self.segment.frames, |before| (first - before).max(1));
        self.segment = Segment { msn, first: Some(first), frames };
    }

    /// The part of a rendition with what it carries. `last` is where the rendition's part before began.
    ///
    /// The first rendition with a part has it composed, the others take what that gave. A rendition
    /// that has no such part, because the media broke off before, has it with its next one.
    pub(super) fn carry(&mut self, part: Part, last: Option<u64>) -> Part {
        let base = part.base_decode_time;
        if self.composed.back().is_none_or(|(begin, _)| *begin < base) {
            self.compose(&part);
        }
        let missing = |begin: u64| last.is_none_or(|last| last < begin) && begin <= base;
        let boxes: Vec<&[u8]> = self
            .composed
            .iter()
            .filter_map(|(begin, boxes)| missing(*begin).then_some(boxes.as_ref()))
            .collect();
        part.with_events(&boxes.concat())
    }

    /// What EXT-X-DATERANGE says, if it is new.
    pub(super) fn new_date_ranges(&mut self) -> Option<Arc<[DateRange]>> {
        std::mem::take(&mut self.changed).then(|| Arc::clone(&self.date_ranges))
    }

    /// What EXT-X-DATERANGE says.
    pub(super) fn date_ranges(&self) -> &[DateRange] {
        &self.date_ranges
    }

    /// Goes on with what was said before a restart of the server.
    pub(super) fn restore(&mut self, date_ranges: Arc<[DateRange]>) {
        (self.date_ranges, self.changed) = (date_ranges, true);
    }

    fn compose(&mut self, part: &Part) {
        let (pts, end) = (part.base_decode_time, part.base_decode_time + part.duration);
        let index = self.frame(pts);
        self.segment.first.get_or_insert(index);
        let (msn, number) = self.place(index);
        let composed = self.cues.compose(&PartSpan {
            pts,
            duration: u32::try_from(part.duration).unwrap_or(u32::MAX),
            msn,
            part: number,
            budget: self.budget(part.duration),
        });
        let boxes = events(composed.cues.iter().map(|cue| Event {
            presentation_time: cue.pts,
            duration: cue.duration,
            id: cue.id,
            text: &cue.text,
        }));
        if self.composed.len() == REMEMBERED {
            self.composed.pop_front();
        }
        self.composed.push_back((pts, boxes));
        if self.date_ranges != composed.date_ranges {
            self.date_ranges = composed.date_ranges;
            self.changed = true;
        }
        self.cues.raise_floor(end);
        if self.flowing {
            self.tell_position(self.frame(end));
        }
    }

    fn tell_position(&self, index: i64) {
        let (msn, part) = self.place(index);
        self.cues.set_position(Some(Position {
            index,
            anchor: self.anchor,
            msn,
            part,
            grid: self.grid,
            since: Instant::now(),
        }));
    }

    /// The segment and the part of it that begin with a frame or have it.
    fn place(&self, index: i64) -> (u64, u32) {
        let Segment { msn, first, frames } = self.segment;
        let ahead = first.map_or(0, |first| index.saturating_sub(first).max(0));
        let part = ahead % frames / i64::from(self.grid.part_frames);
        (msn + (ahead / frames).unsigned_abs(), u32::try_from(part).unwrap_or(0))
    }

    fn budget(&self, duration: u64) -> usize {
        let bytes = u128::from(self.bit_rate) * u128::from(duration) * u128::from(SHARE)
            / (8 * 100 * u128::from(MediaTime::TIMESCALE));
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        usize::try_from(bytes.clamp(*BUDGET.start(), *BUDGET.end())).unwrap_or(0)
    }

    fn frame(&self, ticks: u64) -> i64 {
        let time = MediaTime::from_ticks(i64::try_from(ticks).unwrap_or(i64::MAX));
        self.grid.rate.nearest_frame(time)
    }
}

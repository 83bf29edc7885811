//! Access units into parts and segments, on the slots of the grid.

use std::collections::VecDeque;

use nowcast_media::{AccessUnit, Grid, MediaTime, VideoCodec, nal};

use crate::part::{PartWriter, Sample};
use crate::{Misbehaviour, Output, PackageError};

/// Where segments are cut.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cut {
    /// Every `grid.segment_frames` slots: the encoder puts a random access point there.
    Counted,
    /// At the source's own random access points, the last one that keeps EXTINF within the target duration
    /// (rounded to the nearest second, RFC 8216bis §4.4.3.1), predicted from the source's last groups
    /// of pictures.
    AtRandomAccess,
}

/// Packages one video rendition.
///
/// Every unit takes a *slot*: the frame of the grid nearest to its decode time. Samples last from
/// slot to slot, so the decode timeline is exact at 24000/1001 and 60000/1001 too, and a source clock
/// that is rounded to milliseconds leaves no trace in it; the presentation time is kept exact by the
/// signed composition offset.
///
/// - A part closes as soon as the unit of its last slot is there; it never waits for the next one.
/// - A slot nobody came for stretches the sample before it up to the end of its part, and the sample behind
///   it from the start of the next one. What does not fit is a [`PackageError::Gap`].
/// - Two units nearest to the same slot (a jittering clock, a burst of a variable frame rate) take it
///   and the next one, up to three slots ahead of their decode times; beyond that the source is faster
///   than its frame rate, and units are left out.
#[derive(Debug)]
pub struct VideoPackager {
    codec: VideoCodec,
    grid: Grid,
    cut: Cut,
    writer: PartWriter,
    segment: Option<Segment>,
    part: OpenPart,
    /// The first slot that is not taken.
    end: i64,
    last_dts: Option<MediaTime>,
    gops: RecentGops,
    failed: Option<PackageError>,
    outputs: VecDeque<Output>,
}

/// How many slots the units may run ahead of their decode times: a burst of four where one was due.
const MAX_LEAD: i64 = 3;
/// The furthest a picture may be shown from when it is decoded; 16 reordered pictures at 2 fps.
pub(crate) const MAX_OFFSET: MediaTime = MediaTime::from_millis(8_000);

#[derive(Clone, Copy, Debug)]
struct Segment {
    /// Its first slot.
    start: i64,
    /// The slot of its last random access point.
    last_key: i64,
}

#[derive(Debug, Default)]
struct OpenPart {
    /// Its first slot.
    start: i64,
    units: Vec<Unit>,
}

#[derive(Debug)]
struct Unit {
    slot: i64,
    pts: MediaTime,
    sync: bool,
    data: bytes::Bytes,
}

impl VideoPackager {
    /// A packager for units of `codec` at the rate and lengths of `grid`.
    #[must_use]
    pub fn new(codec: VideoCodec, grid: Grid, cut: Cut) -> Self {
        Self {
            codec,
            grid,
            cut,
            writer: PartWriter::new(MediaTime::TIMESCALE),
            segment: None,
            part: OpenPart::default(),
            end: 0,
            last_dts: None,
            gops: RecentGops::default(),
            failed: None,
            outputs: VecDeque::new(),
        }
    }

    /// Sets the Unix time, in microseconds, of the timeline's zero: parts then carry `prft`.
    pub fn set_anchor(&mut self, unix_micros: i64) {
        self.writer.set_anchor(unix_micros);
    }

    /// Goes on behind media that ends at `end`, in ticks: units for what is before it are left out.
    pub fn resume(&mut self, end: u64) {
        let end = MediaTime::from_ticks(i64::try_from(end).unwrap_or(i64::MAX));
        self.end = self.end.max(self.grid.rate.nearest_frame(end));
    }

    /// Takes the next unit in decode order, its times on the session's timeline.
    ///
    /// # Errors
    /// See [`PackageError`]: the unit was not taken, and what was packaged before is untouched.
    pub fn handle_unit(&mut self, unit: &AccessUnit) -> Result<(), PackageError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let slot = self.slot_of(unit)?;
        let data = nal::to_length_prefixed(self.codec, &unit.data);
        if data.is_empty() {
            return Err(Misbehaviour::Empty.into());
        }
        match self.segment {
            None if !unit.random_access => {
                return Err(PackageError::NotRandomAccess { dts: unit.dts });
            }
            None => self.begin(slot),
            Some(segment) => self.make_room(segment, slot, unit)?,
        }
        self.part.units.push(Unit { slot, pts: unit.pts, sync: unit.random_access, data });
        self.end = slot + 1;
        self.last_dts = Some(unit.dts);
        if let Some(segment) = &mut self.segment
            && unit.random_access
        {
            segment.last_key = slot;
        }
        if let Some(segment) = self.segment
            && self.end == self.part_limit(segment)
        {
            self.close_part(segment, self.end);
        }
        Ok(())
    }

    /// What was made; drain it after every call.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Closes the open part and segment. The next segment begins with the next random access unit, at its
    /// own time: mark a discontinuity. Also the end of the stream.
    pub fn restart(&mut self) {
        self.failed = None;
        if let Some(segment) = self.segment {
            self.close_part(segment, self.end);
        }
        // A counted segment that has just been filled has already ended.
        if let Some(segment) = self.segment.take()
            && segment.start < self.part.start
        {
            self.outputs.push_back(Output::SegmentEnd);
        }
    }

    /// Where the open segment begins; `None` before the first unit and after `restart`.
    #[must_use]
    pub fn open_segment_start(&self) -> Option<MediaTime> {
        self.segment.map(|segment| self.time_of(segment.start))
    }

    /// Where the next segment will begin, if that is known: it is where segments are counted.
    #[must_use]
    pub fn next_segment_start(&self) -> Option<MediaTime> {
        let segment = self.segment.filter(|_| self.cut == Cut::Counted)?;
        Some(self.time_of(self.segment_limit(segment)))
    }

    /// Where the media taken so far ends: the earliest place for a new source epoch.
    #[must_use]
    pub fn end(&self) -> MediaTime {
        self.time_of(self.end)
    }

    fn slot_of(&self, unit: &AccessUnit) -> Result<i64, Misbehaviour> {
        if unit.pts.ticks().abs_diff(unit.dts.ticks()) > MAX_OFFSET.ticks().unsigned_abs() {
            return Err(Misbehaviour::PresentationTime);
        }
        let nearest = self.grid.rate.nearest_frame(unit.dts);
        let rises = self.last_dts.is_none_or(|last| last < unit.dts);
        if nearest >= self.end {
            Ok(nearest)
        } else if rises && nearest >= 0 && self.end - nearest <= MAX_LEAD {
            Ok(self.end)
        } else {
            Err(Misbehaviour::DecodeTime)
        }
    }

    fn begin(&mut self, slot: i64) {
        self.segment = Some(Segment { start: slot, last_key: slot });
        self.part.start = slot;
    }

    /// Closes what must be closed before a unit can be taken at `slot`.
    fn make_room(
        &mut self,
        segment: Segment,
        slot: i64,
        unit: &AccessUnit,
    ) -> Result<(), PackageError> {
        let limit = self.part_limit(segment);
        let segment_limit = self.segment_limit(segment);
        // The part the unit goes into: the open one, or the one after it.
        let start =
            if slot < limit || self.part.units.is_empty() { self.part.start } else { limit };
        let gap = PackageError::Gap { from: self.end(), to: self.time_of(slot) };
        if slot >= start + i64::from(self.grid.part_frames) {
            return Err(gap);
        }
        match self.cut {
            Cut::Counted => {
                if slot >= segment_limit && start < segment_limit {
                    return Err(gap);
                }
                let begins = start == segment_limit
                    || (start == segment.start && self.part.units.is_empty());
                if begins && !unit.random_access {
                    return Err(PackageError::NotRandomAccess { dts: unit.dts });
                }
            }
            Cut::AtRandomAccess => {
                if slot >= segment_limit && !unit.random_access {
                    return Err(self.key_frame_missing(segment, slot));
                }
            }
        }
        if slot >= limit && !self.part.units.is_empty() {
            self.close_part(segment, limit);
        }
        if self.cut == Cut::AtRandomAccess && unit.random_access {
            self.gops.push(slot - segment.last_key);
            let cut_at = if self.part.units.is_empty() { self.part.start } else { slot };
            if cut_at + self.gops.longest() > segment_limit || slot >= segment_limit {
                self.close_part(segment, cut_at);
                self.outputs.push_back(Output::SegmentEnd);
                self.segment = Some(Segment { start: cut_at, last_key: slot });
            }
        }
        Ok(())
    }

    /// No key frame has come, and the open segment cannot take the unit at `slot`.
    fn key_frame_missing(&mut self, segment: Segment, slot: i64) -> PackageError {
        let gop = self.time_of(slot + 1) - self.time_of(segment.last_key);
        let longest = self.longest();
        if gop < longest {
            let expected = self.time_of(self.gops.longest());
            return PackageError::LateKeyFrame { gop, expected };
        }
        let error = PackageError::GopTooLong { gop, longest };
        self.failed = Some(error);
        error
    }

    /// The slot at which the open part is full, with its segment or before.
    fn part_limit(&self, segment: Segment) -> i64 {
        (self.part.start + i64::from(self.grid.part_frames)).min(self.segment_limit(segment))
    }

    /// The slot at which the segment is full.
    fn segment_limit(&self, segment: Segment) -> i64 {
        match self.cut {
            Cut::Counted => segment.start + i64::from(self.grid.segment_frames),
            Cut::AtRandomAccess => {
                let before = self.time_of(segment.start) + self.longest();
                let near = self.grid.rate.nearest_frame(before);
                if self.time_of(near) < before { near } else { near - 1 }
            }
        }
    }

    /// EXTINF must be shorter than this to round to EXT-X-TARGETDURATION at most.
    fn longest(&self) -> MediaTime {
        MediaTime::from_millis(i64::from(self.grid.target_duration()) * 1000 + 500)
    }

    fn time_of(&self, slot: i64) -> MediaTime {
        self.grid.rate.frame_start(slot)
    }

    /// Ends the open part before slot `at`, and a counted segment with it if that fills it.
    fn close_part(&mut self, segment: Segment, at: i64) {
        if self.part.units.is_empty() {
            return;
        }
        let part = std::mem::take(&mut self.part);
        let starts_segment = part.start == segment.start;
        let written = self.writer.write(
            u64::try_from(self.time_of(part.start).ticks()).unwrap_or(0),
            starts_segment,
            &self.samples(&part, at),
        );
        self.outputs.push_back(Output::Part(written));
        self.part.start = at;
        self.end = at;
        if self.cut == Cut::Counted && at == self.segment_limit(segment) {
            self.outputs.push_back(Output::SegmentEnd);
            self.segment = Some(Segment { start: at, last_key: segment.last_key });
        }
    }

    /// Each unit lasts until the next one begins, the last until `end`; the first begins with the part.
    fn samples(&self, part: &OpenPart, end: i64) -> Vec<Sample> {
        let starts = std::iter::once(part.start).chain(part.units.iter().skip(1).map(|u| u.slot));
        let ends = part.units.iter().skip(1).map(|unit| unit.slot).chain([end]);
        let times = starts.map(|slot| self.time_of(slot)).zip(ends.map(|slot| self.time_of(slot)));
        part.units
            .iter()
            .zip(times)
            .map(|(unit, (start, end))| Sample {
                duration: u32::try_from((end - start).ticks()).unwrap_or(0),
                composition_offset: i32::try_from((unit.pts - start).ticks()).unwrap_or(0),
                sync: unit.sync,
                data: unit.data.clone(),
            })
            .collect()
    }
}

/// The lengths of a source's last groups of pictures, in slots.
///
/// The longest of them predicts the next: an encoder that adds key frames at scene cuts makes short groups
/// between its regular ones.
#[derive(Debug, Default)]
struct RecentGops {
    lengths: [i64; 16],
    next: usize,
}

impl RecentGops {
    fn push(&mut self, length: i64) {
        self.lengths[self.next] = length;
        self.next = (self.next + 1) % self.lengths.len();
    }

    fn longest(&self) -> i64 {
        self.lengths.iter().copied().max().unwrap_or(0)
    }
}

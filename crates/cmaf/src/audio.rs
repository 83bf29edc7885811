//! AAC frames into parts and segments, on a timeline counted in samples.

use std::collections::VecDeque;
use std::num::NonZeroU32;

use bytes::Bytes;
use nowcast_media::{AacConfig, AudioFrame, Grid, MediaTime};

use crate::part::{PartWriter, Sample};
use crate::silence::silent_frame;
use crate::{Misbehaviour, Output, PackageError};

const FRAME: i64 = AacConfig::FRAME_SAMPLES as i64;

/// Packages the audio rendition.
///
/// The timeline is counted: every frame begins where the one before it ended, and time stamps only say
/// whether something is missing. They may be off by up to a frame either way; beyond that missing
/// audio becomes silence, up to 10 s of it, and frames too many are left out.
///
/// Segments end at the frame boundary at or after each [`AudioPackager::cut_at`], so a cut is within
/// a frame of the video's and the difference never adds up.
#[derive(Debug)]
pub struct AudioPackager {
    rate: NonZeroU32,
    part_frames: usize,
    silence: Bytes,
    writer: PartWriter,
    /// Where the timeline is to begin, if that is laid down, until it has begun.
    begins_at: Option<MediaTime>,
    running: bool,
    /// End of the last frame, in samples.
    end: i64,
    segment_start: i64,
    part: Vec<Sample>,
    boundaries: VecDeque<MediaTime>,
    silent_frames: u64,
    dropped_frames: u64,
    outputs: VecDeque<Output>,
}

/// The longest hole that is filled; beyond it the audio has to `restart`.
const MAX_SILENCE: MediaTime = MediaTime::from_millis(10_000);

impl AudioPackager {
    /// A packager for frames of `config`, in parts as the `grid` has them.
    ///
    /// Its timeline begins at zero: silence goes before a first frame that comes later.
    #[must_use]
    pub fn new(config: AacConfig, grid: Grid) -> Self {
        let rate = NonZeroU32::new(config.sample_rate).unwrap_or(NonZeroU32::MIN);
        Self {
            rate,
            part_frames: usize::try_from(grid.audio_part_frames(rate.get())).unwrap_or(usize::MAX),
            silence: silent_frame(config.channels),
            writer: PartWriter::new(rate.get()),
            begins_at: Some(MediaTime::ZERO),
            running: false,
            end: 0,
            segment_start: 0,
            part: Vec::new(),
            boundaries: VecDeque::new(),
            silent_frames: 0,
            dropped_frames: 0,
            outputs: VecDeque::new(),
        }
    }

    /// Sets the Unix time, in microseconds, of the timeline's zero: parts then carry `prft`.
    pub fn set_anchor(&mut self, unix_micros: i64) {
        self.writer.set_anchor(unix_micros);
    }

    /// Goes on behind media that ends at sample `end`.
    pub fn resume(&mut self, end: u64) {
        self.end = self.end.max(i64::try_from(end).unwrap_or(i64::MAX));
    }

    /// A video segment begins at `boundary`: the first frame that starts there or later begins a segment too.
    ///
    /// Boundaries come in rising order, any number of them ahead. One that the audio has already passed
    /// cuts where the audio is.
    pub fn cut_at(&mut self, boundary: MediaTime) {
        self.boundaries.push_back(boundary);
        self.cut_if_due();
    }

    /// Takes the next frame, its time on the session's timeline.
    ///
    /// Frames before the beginning of the timeline are left out.
    ///
    /// # Errors
    /// [`PackageError::Gap`] if more than 10 s are missing, [`PackageError::SourceMisbehaved`] for
    /// an empty frame; neither is taken.
    pub fn handle_frame(&mut self, frame: &AudioFrame) -> Result<(), PackageError> {
        if frame.data.is_empty() {
            return Err(Misbehaviour::Empty.into());
        }
        let at = frame.pts.to_scale(self.rate.get());
        let missing = if self.running {
            let skew = at - self.end;
            if skew < -FRAME {
                self.dropped_frames += 1;
                return Ok(());
            }
            if skew > MAX_SILENCE.to_scale(self.rate.get()) {
                return Err(PackageError::Gap { from: self.end(), to: frame.pts });
            }
            if skew > FRAME { (skew + FRAME / 2) / FRAME } else { 0 }
        } else {
            match self.begin(at) {
                Some(missing) => missing,
                None => return Ok(()),
            }
        };
        self.append_silence(missing);
        self.append(frame.data.clone());
        Ok(())
    }

    /// Puts silence where the audio stays away, as long as it ends before `until`; 10 s at most in one call.
    /// Frames that come later for that time are left out.
    pub fn fill_to(&mut self, until: MediaTime) {
        let rate = self.rate.get();
        if !self.running {
            let Some(origin) = self.begins_at.filter(|&origin| origin < until) else { return };
            self.start_at(origin.to_scale(rate).max(self.end));
        }
        let missing = (until.to_scale(rate) - self.end).min(MAX_SILENCE.to_scale(rate)) / FRAME;
        self.append_silence(missing);
    }

    /// What was made; drain it after every call.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Closes the open part and segment, and forgets the boundaries ahead. The next frame begins a segment,
    /// at its own time unless `begin_at` is called: mark a discontinuity. Also the end of the stream.
    pub fn restart(&mut self) {
        self.end_segment();
        self.boundaries.clear();
        self.running = false;
        self.begins_at = None;
    }

    /// Lays down, after `restart`, where the next segment begins: where the video's does. Frames before it
    /// are left out, and silence goes before a first frame that comes later.
    pub fn begin_at(&mut self, at: MediaTime) {
        if !self.running {
            self.begins_at = Some(at);
        }
    }

    /// Where the media taken so far ends.
    #[must_use]
    pub fn end(&self) -> MediaTime {
        MediaTime::from_scale(self.end, self.rate)
    }

    /// Frames of silence put where audio was missing.
    #[must_use]
    pub const fn silent_frames(&self) -> u64 {
        self.silent_frames
    }

    /// Frames left out because the audio already went beyond their time.
    #[must_use]
    pub const fn dropped_frames(&self) -> u64 {
        self.dropped_frames
    }

    /// Begins the timeline for a first frame at sample `at`; answers how many frames are missing before it,
    /// `None` if the frame comes too early.
    fn begin(&mut self, at: i64) -> Option<i64> {
        // Never back behind what was already packaged.
        let origin = self.begins_at.map(|time| time.to_scale(self.rate.get()).max(self.end));
        if at < origin.unwrap_or(self.end) {
            return None;
        }
        let late = at - origin.unwrap_or(at);
        let missing = if late <= MAX_SILENCE.to_scale(self.rate.get()) { late / FRAME } else { 0 };
        self.start_at(at - missing * FRAME);
        Some(missing)
    }

    fn start_at(&mut self, start: i64) {
        self.running = true;
        self.end = start;
        self.segment_start = start;
    }

    fn append_silence(&mut self, frames: i64) {
        for _ in 0..frames {
            self.silent_frames += 1;
            self.append(self.silence.clone());
        }
    }

    fn append(&mut self, data: Bytes) {
        let duration = AacConfig::FRAME_SAMPLES;
        self.part.push(Sample { duration, composition_offset: 0, sync: true, data });
        self.end += FRAME;
        if self.part.len() >= self.part_frames {
            self.close_part();
        }
        self.cut_if_due();
    }

    fn cut_if_due(&mut self) {
        while self.running
            && let Some(&boundary) = self.boundaries.front()
            && self.is_at_or_after(self.end, boundary)
        {
            self.boundaries.pop_front();
            if !self.is_at_or_after(self.segment_start, boundary) {
                self.end_segment();
            }
        }
    }

    /// Compares exactly: neither time is a whole number on the other's scale.
    fn is_at_or_after(&self, samples: i64, boundary: MediaTime) -> bool {
        i128::from(samples) * i128::from(MediaTime::TIMESCALE)
            >= i128::from(boundary.ticks()) * i128::from(self.rate.get())
    }

    fn end_segment(&mut self) {
        self.close_part();
        if self.segment_start < self.end && self.running {
            self.outputs.push_back(Output::SegmentEnd);
            self.segment_start = self.end;
        }
    }

    fn close_part(&mut self) {
        if self.part.is_empty() {
            return;
        }
        let length = i64::try_from(self.part.len()).unwrap_or(0) * FRAME;
        let start = self.end - length;
        let base_decode_time = u64::try_from(start).unwrap_or(0);
        let part = self.writer.write(base_decode_time, start == self.segment_start, &self.part);
        self.part.clear();
        self.outputs.push_back(Output::Part(part));
    }
}

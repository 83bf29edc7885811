//! Pictures out of PES packets.

use std::collections::VecDeque;

use nowcast_media::{AccessUnit, MediaTime, ParameterSets, VideoCodec, h264, hevc, nal};

use crate::Event;
use crate::demuxer::Output;
use crate::pes::{Assembler, Pes};
use crate::timeline::{self, Track};

/// Pictures that are further apart tell nothing of when the next one is due.
const MAX_STEP: MediaTime = MediaTime::from_millis(1000);
/// No encoder reorders pictures further.
const MAX_REORDER: MediaTime = MediaTime::from_millis(10_000);

/// A video track.
#[derive(Debug)]
pub(crate) struct Video {
    pub(crate) pid: u16,
    pub(crate) codec: VideoCodec,
    pub(crate) assembler: Assembler,
    /// The parameter sets in force.
    sets: Option<ParameterSets>,
    /// Parameter sets that make no sense, and were said to.
    refused: Option<ParameterSets>,
    /// A random access point was handed on.
    started: bool,
    /// The leading pictures that come now refer to pictures before the random access point.
    leading_lost: bool,
    /// The last decode time, as it was stamped.
    last: Option<MediaTime>,
}

impl Video {
    pub(crate) fn new(pid: u16, codec: VideoCodec) -> Self {
        Self {
            pid,
            codec,
            assembler: Assembler::default(),
            sets: None,
            refused: None,
            started: false,
            leading_lost: false,
            last: None,
        }
    }

    /// Hands on the picture of a PES.
    pub(crate) fn take(&mut self, pes: Pes, output: &mut Output) {
        let Some(pts) = pes.pts else {
            output.health.damaged_packets += 1;
            return;
        };
        let damaged = pes.gap.is_some();
        let (dts, reorder) = self.place(pts, pes.dts.unwrap_or(pts), output);
        if !damaged && let Some(sets) = ParameterSets::find(self.codec, &pes.payload) {
            self.adopt(sets, &mut output.events);
        }
        let Some(kind) = nal::picture_kind(self.codec, &pes.payload) else { return };
        let random_access = match self.codec {
            VideoCodec::H264 => kind == h264::NAL_IDR,
            VideoCodec::Hevc => hevc::is_irap(kind),
        };
        if !self.is_decodable(kind, random_access, damaged) {
            output.health.skipped_pictures += 1;
            return;
        }
        let dts = output.timeline.rising(Track::Video, dts);
        let pts = dts + reorder;
        let data = pes.payload;
        output.events.push_back(Event::Video(AccessUnit {
            pts,
            dts,
            random_access,
            damaged,
            data,
        }));
    }

    /// When the picture is decoded, and how much later it is shown.
    fn place(&mut self, pts: u64, dts: u64, output: &mut Output) -> (MediaTime, MediaTime) {
        let placed = output.place(Track::Video, dts);
        let last = self.last.replace(timeline::ticks(dts)).filter(|_| !placed.jumped);
        let step =
            last.map_or(MediaTime::ZERO, |last| timeline::wrapped(timeline::ticks(dts) - last));
        let step = step.clamp(MediaTime::ZERO, MAX_STEP);
        output.timeline.expect(Track::Video, placed.time + step);
        let reorder = timeline::wrapped(timeline::ticks(pts) - timeline::ticks(dts));
        let sane = (MediaTime::ZERO - MAX_REORDER..=MAX_REORDER).contains(&reorder);
        (placed.time, if sane { reorder } else { MediaTime::ZERO })
    }

    /// Tells of parameter sets that are new.
    fn adopt(&mut self, sets: ParameterSets, events: &mut VecDeque<Event>) {
        if self.sets.as_ref() == Some(&sets) || self.refused.as_ref() == Some(&sets) {
            return;
        }
        match sets.format() {
            Ok(format) => {
                self.sets = Some(sets.clone());
                events.push_back(Event::VideoFormat(sets, format));
            }
            Err(error) => {
                let (codec, pid) = (self.codec, self.pid);
                let remedy = "restart the encoder, or set it to another profile";
                let message = format!("{codec} on PID {pid} cannot be read, {error}; {remedy}");
                events.push_back(Event::Unsupported(message));
                self.refused = Some(sets);
            }
        }
    }

    /// Can a player that was handed nothing but the pictures so far decode this one?
    fn is_decodable(&mut self, kind: u8, random_access: bool, damaged: bool) -> bool {
        if random_access {
            // Behind the first random access point and behind a broken link (BLA) the leading
            // pictures have lost what they refer to (H.265 §8.1.3).
            self.leading_lost = !self.started || matches!(kind, 16..=18);
            self.started |= self.sets.is_some() && !damaged;
        }
        let leading = self.codec == VideoCodec::Hevc && hevc::is_rasl(kind);
        self.started && !(leading && self.leading_lost)
    }
}

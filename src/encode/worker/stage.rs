//! Where pictures become the frames that are encoded: each of the grid once, in order, whatever comes.

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;
use gstreamer_video as gst_video;
use nowcast_media::{FrameRate, Grid, MediaTime};

use super::retime::Retimer;
use super::slate;
use crate::encode::wire::Job;

/// Added to every time inside GStreamer: times before zero become positive, and x264enc, which moves what lies before 1000 h, moves nothing.
const BASE_NS: i128 = 1000 * 3_600 * 1_000_000_000;

/// Retimes pictures, and fills in for those that stay away.
pub(super) struct Stage {
    retimer: Retimer,
    grid: Grid,
    shape: (u32, u32),
    first_index: i64,
    resume_index: i64,
    raw: AppSrc,
    /// Counts the sources: a picture of an earlier one comes too late.
    source: u64,
    last: Option<gst::Sample>,
    /// What lies over the last picture in a slate. It is decoded before it is needed: then nothing is
    /// waited for, and what is wrong with it is known.
    image: Option<gst::Sample>,
    away: Option<Away>,
}

/// While the slate is on.
struct Away {
    slate: gst::Sample,
    /// A picture has come since; it is shown once a part begins.
    back: bool,
}

impl Stage {
    pub(super) fn new(job: &Job, rate: FrameRate, raw: AppSrc) -> Self {
        Self {
            retimer: Retimer::new(rate, job.resume_index),
            grid: Grid {
                rate,
                part_frames: job.part_frames.max(1),
                segment_frames: job.segment_frames.max(1),
            },
            shape: job.shape,
            first_index: job.first_index,
            resume_index: job.resume_index,
            raw,
            source: 0,
            last: None,
            image: None,
            away: None,
        }
    }

    /// Another source is shown from now on; answers the number its pictures come with.
    pub(super) fn next_source(&mut self) -> u64 {
        self.source += 1;
        self.source
    }

    /// Takes the image of the slates to come, in PNG.
    pub(super) fn set_slate(&mut self, png: &Bytes) -> Result<(), String> {
        self.image = Some(slate::image(png, self.shape)?);
        Ok(())
    }

    /// Frames that show a picture once more, and pictures that found their frame taken.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.retimer.repeated, self.retimer.skipped)
    }

    /// Shows a source's next picture; frames that nothing came for show the one before.
    pub(super) fn show(&mut self, source: u64, picture: gst::Sample) -> Result<(), gst::FlowError> {
        if source != self.source {
            return Err(gst::FlowError::Flushing);
        }
        let pts = picture.buffer().and_then(|buffer| buffer.pts()).map(time);
        if let Some(frames) = pts.and_then(|pts| self.retimer.place(pts)) {
            let at = *frames.end();
            for index in frames {
                let begins = self.begins_part(index);
                let ends = |away: &Away| begins && (away.back || index == at);
                let returns = self.away.take_if(|away| ends(away)).is_some();
                let slate = self.away.as_ref().map(|away| &away.slate);
                let before = self.last.as_ref().filter(|_| index < at);
                self.encode(index, slate.or(before).unwrap_or(&picture), returns)?;
            }
            if let Some(away) = &mut self.away {
                away.back = true;
            }
        }
        self.last = Some(picture);
        Ok(())
    }

    /// Makes what is missing of the frames before `until`.
    pub(super) fn fill(&mut self, until: i64, slate: bool) -> Result<(), gst::FlowError> {
        let frames = self.retimer.fill(until);
        if !frames.is_empty() && self.away.is_none() && (slate || self.last.is_none()) {
            self.away = Some(Away { slate: self.make_slate()?, back: false });
        }
        for index in frames {
            let slate = self.away.as_ref().map(|away| &away.slate);
            let Some(shown) = slate.or(self.last.as_ref()) else { break };
            self.encode(index, shown, false)?;
        }
        Ok(())
    }

    fn make_slate(&self) -> Result<gst::Sample, gst::FlowError> {
        let last = self.last.as_ref();
        let made = self.image.as_ref().map(|image| slate::make(last, self.shape, image));
        made.and_then(Result::ok)
            .map_or_else(|| slate::dark(last, self.shape).map_err(|_| gst::FlowError::Error), Ok)
    }

    /// How far into its segment a frame is.
    fn offset(&self, index: i64) -> u32 {
        let segment_frames = i64::from(self.grid.segment_frames);
        u32::try_from((index - self.first_index).rem_euclid(segment_frames)).unwrap_or(0)
    }

    fn begins_part(&self, index: i64) -> bool {
        self.offset(index).is_multiple_of(self.grid.part_frames)
    }

    fn begins_group(&self, index: i64) -> bool {
        self.grid.key_frame_at(self.offset(index))
    }

    fn encode(&self, index: i64, picture: &gst::Sample, key: bool) -> Result<(), gst::FlowError> {
        let start = exact(self.grid.rate, index);
        // Before the event: no event may overtake the caps.
        self.raw.set_caps(Some(&self.caps(picture).ok_or(gst::FlowError::NotNegotiated)?));
        if key || index == self.resume_index || self.begins_group(index) {
            let event = gst_video::DownstreamForceKeyUnitEvent::builder()
                .running_time(start)
                .all_headers(true);
            self.raw.send_event(event.build());
        }
        let mut buffer = picture.buffer_owned().ok_or(gst::FlowError::Error)?;
        // The pixels stay shared: only the times are this frame's own.
        let frame = buffer.make_mut();
        frame.set_pts(start);
        frame.set_dts(start);
        frame.set_duration(
            exact(self.grid.rate, index + 1)
                .zip(start)
                .map(|(end, start)| end.saturating_sub(start)),
        );
        self.raw.push_buffer(buffer).map(drop)
    }

    /// What the encoders' graph is told of a picture: only what may change without the output changing.
    fn caps(&self, picture: &gst::Sample) -> Option<gst::Caps> {
        let info = gst_video::VideoInfo::from_caps(picture.caps()?).ok()?;
        let rate = gst::Fraction::new(
            i32::try_from(self.grid.rate.num()).ok()?,
            i32::try_from(self.grid.rate.den()).ok()?,
        );
        let caps = gst_video::VideoInfo::builder(info.format(), info.width(), info.height())
            .fps(rate)
            .par(square(&info, self.shape))
            .colorimetry(&info.colorimetry())
            .chroma_site(info.chroma_site())
            .build();
        caps.ok()?.to_caps().ok()
    }
}

/// The pixels' shape, bent by up to 1 % where that spares borders a pixel or two wide.
fn square(info: &gst_video::VideoInfo, shape: (u32, u32)) -> gst::Fraction {
    let par = info.par();
    let shown = f64::from(info.width()) / f64::from(info.height().max(1)) * f64::from(par.numer())
        / f64::from(par.denom().max(1));
    let wanted = f64::from(shape.0) / f64::from(shape.1.max(1));
    let bent = i32::try_from(u64::from(shape.0) * u64::from(info.height()))
        .ok()
        .zip(i32::try_from(u64::from(shape.1) * u64::from(info.width())).ok());
    match bent {
        Some((num, den)) if num > 0 && den > 0 && (shown / wanted - 1.0).abs() < 0.01 => {
            gst::Fraction::new(num, den)
        }
        _ => par,
    }
}

/// A time inside GStreamer; `None` where it has none, which no source reaches.
pub(super) fn clock(time: MediaTime) -> Option<gst::ClockTime> {
    let ns = i128::from(time.ticks()) * 100_000 / 9 + BASE_NS;
    u64::try_from(ns).ok().filter(|&ns| ns < u64::MAX / 4).map(gst::ClockTime::from_nseconds)
}

/// The media time nearest to a time inside GStreamer.
#[expect(
    clippy::cast_possible_truncation,
    reason = "u64 nanoseconds are fewer ticks than an i64 holds"
)]
pub(super) fn time(clock: gst::ClockTime) -> MediaTime {
    MediaTime::from_ticks(
        ((i128::from(clock.nseconds()) - BASE_NS) * 9 + 50_000).div_euclid(100_000) as i64,
    )
}

/// Where a frame begins, not rounded to 90 kHz first.
fn exact(rate: FrameRate, index: i64) -> Option<gst::ClockTime> {
    let ns = i128::from(index) * 1_000_000_000 * i128::from(rate.den()) / i128::from(rate.num());
    u64::try_from(ns + BASE_NS).ok().map(gst::ClockTime::from_nseconds)
}

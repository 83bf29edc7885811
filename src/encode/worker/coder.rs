//! The two graphs of a worker, and the retimer between them.

use std::mem::ManuallyDrop;
use std::sync::Arc;

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks, AppSrc};
use gstreamer_video as gst_video;
use nowcast_media::{FrameRate, Grid, MediaTime};

use super::Outlet;
use super::retime::Retimer;
use crate::encode::graph;
use crate::encode::wire::{FromWorker, Job};

/// Added to every time inside GStreamer: times before zero become positive, and x264enc, which moves what lies before 1000 h, moves nothing.
const BASE_NS: i128 = 1000 * 3_600 * 1_000_000_000;

/// Decoder, retimer, scalers and encoders, running.
#[derive(Debug)]
pub(super) struct Coder {
    units: AppSrc,
    // Never dropped: they end with the process, and taking down a graph that hangs would hang.
    _graphs: ManuallyDrop<[gst::Pipeline; 2]>,
}

impl Coder {
    /// Makes and starts both graphs.
    pub(super) fn start(job: &Job, outlet: &Arc<Outlet>) -> Result<Self, String> {
        gst::init().map_err(|error| format!("GStreamer does not start: {error}"))?;
        let rate = FrameRate::new(job.rate.0, job.rate.1).ok_or("the job has no frame rate")?;
        let (decode, encode) = (graph::launch(&job.decode)?, graph::launch(&job.encode)?);

        for number in 0..job.rungs {
            let outlet = Arc::clone(outlet);
            let sink = element::<AppSink>(&encode, &format!("rung{number}"))?;
            sink.set_callbacks(
                AppSinkCallbacks::builder()
                    .new_sample(move |sink| {
                        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                        if let Some(coded) = coded(number, rate, &sample) {
                            outlet.send(&coded);
                        }
                        Ok(gst::FlowSuccess::Ok)
                    })
                    .build(),
            );
        }

        let raw = element::<AppSrc>(&encode, "raw")?;
        let mut stage = Stage::new(job, rate, raw.clone());
        let counts = Arc::clone(outlet);
        element::<AppSink>(&decode, "pictures")?.set_callbacks(
            AppSinkCallbacks::builder()
                .eos(move |_| {
                    // An error here is a graph that has ended already.
                    raw.end_of_stream().ok();
                })
                .new_sample(move |sink| {
                    let picture = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    stage.show(picture)?;
                    counts.count(|stats| {
                        stats.pictures += 1;
                        (stats.repeated, stats.skipped) =
                            (stage.retimer.repeated, stage.retimer.skipped);
                    });
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );

        let units = element::<AppSrc>(&decode, "units")?;
        let pad = units.static_pad("src").ok_or("appsrc has no pad")?;
        let taken = Arc::clone(outlet);
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(seq) = info.buffer().map(|buffer| buffer.offset()) {
                taken.send(&FromWorker::Taken { seq });
            }
            gst::PadProbeReturn::Ok
        });

        encode.set_property("name", "encode");
        for graph in [&encode, &decode] {
            watch(graph, outlet)?;
            graph
                .set_state(gst::State::Playing)
                .map_err(|error| format!("the graph does not start: {error}"))?;
        }
        Ok(Self { units, _graphs: ManuallyDrop::new([decode, encode]) })
    }

    /// Hands an access unit to the decoder; waits while four are before it.
    pub(super) fn push(&self, seq: u64, pts: i64, dts: i64, data: Bytes) -> Result<(), String> {
        let mut buffer = gst::Buffer::from_slice(data);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(clock(MediaTime::from_ticks(pts)));
            buffer.set_dts(clock(MediaTime::from_ticks(dts)));
            buffer.set_offset(seq);
        }
        self.units
            .push_buffer(buffer)
            .map(drop)
            .map_err(|error| format!("the decoder stopped: {error}"))
    }

    /// No more access units: what is inside comes out, then the process ends.
    pub(super) fn end(&self) {
        // An error here is a graph that has ended already.
        self.units.end_of_stream().ok();
    }
}

/// Where decoded pictures become the frames that are encoded.
struct Stage {
    retimer: Retimer,
    grid: Grid,
    shape: (u32, u32),
    first_index: i64,
    resume_index: i64,
    raw: AppSrc,
    last: Option<gst::Sample>,
}

impl Stage {
    fn new(job: &Job, rate: FrameRate, raw: AppSrc) -> Self {
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
            last: None,
        }
    }

    fn show(&mut self, picture: gst::Sample) -> Result<(), gst::FlowError> {
        let pts = picture.buffer().and_then(|buffer| buffer.pts()).map(time);
        if let Some(frames) = pts.and_then(|pts| self.retimer.place(pts)) {
            for index in frames.clone() {
                let shown = if index == *frames.end() { None } else { self.last.as_ref() };
                self.encode(index, shown.unwrap_or(&picture))?;
            }
        }
        self.last = Some(picture);
        Ok(())
    }

    fn begins_group(&self, index: i64) -> bool {
        let segment_frames = i64::from(self.grid.segment_frames);
        let offset = (index - self.first_index).rem_euclid(segment_frames);
        u32::try_from(offset).is_ok_and(|frame| self.grid.key_frame_at(frame))
    }

    fn encode(&self, index: i64, picture: &gst::Sample) -> Result<(), gst::FlowError> {
        let start = exact(self.grid.rate, index);
        // Before the event: no event may overtake the caps.
        self.raw.set_caps(Some(&self.caps(picture).ok_or(gst::FlowError::NotNegotiated)?));
        if index == self.resume_index || self.begins_group(index) {
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

/// A coded frame as it is sent on; its number is read from its time, which no encoder here changes.
fn coded(rung: u8, rate: FrameRate, sample: &gst::Sample) -> Option<FromWorker> {
    let buffer = sample.buffer()?;
    let index = rate.nearest_frame(time(buffer.pts()?));
    let key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
    let data = Bytes::copy_from_slice(&buffer.map_readable().ok()?);
    Some(FromWorker::Coded { rung, key, index, data })
}

fn watch(graph: &gst::Pipeline, outlet: &Arc<Outlet>) -> Result<(), String> {
    let outlet = Arc::clone(outlet);
    graph.bus().ok_or("a pipeline has no bus")?.set_sync_handler(move |_, message| {
        match message.view() {
            gst::MessageView::Error(error) => {
                let source =
                    error.src().map(|source| source.name().to_string()).unwrap_or_default();
                let debug = error.debug().map(|text| format!(" ({text})")).unwrap_or_default();
                outlet.fail(format!("{source}: {}{debug}", error.error()));
            }
            gst::MessageView::Eos(_)
                if message.src().is_some_and(|source| source.name() == "encode") =>
            {
                std::process::exit(0);
            }
            _ => {}
        }
        gst::BusSyncReply::Drop
    });
    Ok(())
}

fn element<T: IsA<gst::Element>>(graph: &gst::Pipeline, name: &str) -> Result<T, String> {
    graph
        .by_name(name)
        .and_then(|element| element.downcast().ok())
        .ok_or_else(|| format!("the graph lacks the element {name}"))
}

/// A time inside GStreamer; `None` where it has none, which no source reaches.
fn clock(time: MediaTime) -> Option<gst::ClockTime> {
    let ns = i128::from(time.ticks()) * 100_000 / 9 + BASE_NS;
    u64::try_from(ns).ok().filter(|&ns| ns < u64::MAX / 4).map(gst::ClockTime::from_nseconds)
}

/// The media time nearest to a time inside GStreamer.
#[expect(
    clippy::cast_possible_truncation,
    reason = "u64 nanoseconds are fewer ticks than an i64 holds"
)]
fn time(clock: gst::ClockTime) -> MediaTime {
    MediaTime::from_ticks(
        ((i128::from(clock.nseconds()) - BASE_NS) * 9 + 50_000).div_euclid(100_000) as i64,
    )
}

/// Where a frame begins, not rounded to 90 kHz first.
fn exact(rate: FrameRate, index: i64) -> Option<gst::ClockTime> {
    let ns = i128::from(index) * 1_000_000_000 * i128::from(rate.den()) / i128::from(rate.num());
    u64::try_from(ns + BASE_NS).ok().map(gst::ClockTime::from_nseconds)
}

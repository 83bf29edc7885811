//! The two graphs of a worker, and the stage between them.

use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks, AppSrc};
use nowcast_media::{FrameRate, MediaTime};

use super::Outlet;
use super::slate;
use super::stage::{Stage, clock, time};
use crate::encode::graph;
use crate::encode::wire::{FromWorker, Job};

/// Decoder, retimer, scalers and encoders, running.
pub(super) struct Coder {
    decoder: Option<Decoder>,
    stage: Arc<Mutex<Stage>>,
    raw: AppSrc,
    outlet: Arc<Outlet>,
    // Never dropped: it ends with the process, and taking down a graph that hangs would hang.
    _encode: ManuallyDrop<gst::Pipeline>,
}

struct Decoder {
    units: AppSrc,
    // As above.
    graph: ManuallyDrop<gst::Pipeline>,
}

impl Coder {
    /// Makes and starts the encoders, and the decoder if there is a source.
    pub(super) fn start(job: &Job, outlet: &Arc<Outlet>) -> Result<Self, String> {
        gst::init().map_err(|error| format!("GStreamer does not start: {error}"))?;
        let rate = FrameRate::new(job.rate.0, job.rate.1).ok_or("the job has no frame rate")?;
        let encode = graph::launch(&job.encode)?;
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
        encode.set_property("name", "encode");
        play(&encode, outlet)?;
        let mut coder = Self {
            decoder: None,
            stage: Arc::new(Mutex::new(Stage::new(job, rate, raw.clone()))),
            raw,
            outlet: Arc::clone(outlet),
            _encode: ManuallyDrop::new(encode),
        };
        if let Some(text) = &job.decode {
            coder.decode(text)?;
        }
        if let Err(fault) = locked(&coder.stage).set_slate(&Bytes::from_static(slate::TEXT)) {
            let problem = format!("the slate is a dark picture without a text: {fault}");
            outlet.send(&FromWorker::Problem(problem));
        }
        Ok(coder)
    }

    /// The units that follow are another source's: they have a decoder of their own. What is still in
    /// the one before is shown no more.
    pub(super) fn decode(&mut self, text: &str) -> Result<(), String> {
        if let Some(old) = self.decoder.take() {
            if let Some(bus) = old.graph.bus() {
                bus.unset_sync_handler();
            }
            // Nobody waits for a decoder that hangs.
            std::thread::spawn(move || old.graph.set_state(gst::State::Null));
        }
        let source = locked(&self.stage).next_source();
        let graph = graph::launch(text)?;
        let (stage, outlet, raw) =
            (Arc::clone(&self.stage), Arc::clone(&self.outlet), self.raw.clone());
        element::<AppSink>(&graph, "pictures")?.set_callbacks(
            AppSinkCallbacks::builder()
                .eos(move |_| {
                    // An error here is a graph that has ended already.
                    raw.end_of_stream().ok();
                })
                .new_sample(move |sink| {
                    let picture = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    let mut stage = locked(&stage);
                    stage.show(source, picture)?;
                    outlet.count(|stats| {
                        stats.pictures += 1;
                        (stats.repeated, stats.skipped) = stage.counts();
                    });
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
        let units = element::<AppSrc>(&graph, "units")?;
        let pad = units.static_pad("src").ok_or("appsrc has no pad")?;
        let taken = Arc::clone(&self.outlet);
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(seq) = info.buffer().map(|buffer| buffer.offset()) {
                taken.send(&FromWorker::Taken { seq });
            }
            gst::PadProbeReturn::Ok
        });
        play(&graph, &self.outlet)?;
        self.decoder = Some(Decoder { units, graph: ManuallyDrop::new(graph) });
        Ok(())
    }

    /// Hands an access unit to the decoder; waits while four are before it.
    pub(super) fn push(&self, seq: u64, pts: i64, dts: i64, data: Bytes) -> Result<(), String> {
        let decoder = self.decoder.as_ref().ok_or("the supervisor sent units of no source")?;
        let mut buffer = gst::Buffer::from_slice(data);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(clock(MediaTime::from_ticks(pts)));
            buffer.set_dts(clock(MediaTime::from_ticks(dts)));
            buffer.set_offset(seq);
        }
        decoder
            .units
            .push_buffer(buffer)
            .map(drop)
            .map_err(|error| format!("the decoder stopped: {error}"))
    }

    /// Makes what is missing of the frames before `until`.
    pub(super) fn fill(&self, until: i64, slate: bool) -> Result<(), String> {
        let mut stage = locked(&self.stage);
        let filled = stage.fill(until, slate);
        self.outlet.count(|stats| (stats.repeated, stats.skipped) = stage.counts());
        filled.map_err(|error| format!("the encoders stopped: {error}"))
    }

    /// The picture of the slates to come, in PNG.
    pub(super) fn set_slate(&self, png: &Bytes) {
        if let Err(fault) = locked(&self.stage).set_slate(png) {
            let problem = format!("the slate cannot be shown, a text takes its place: {fault}");
            self.outlet.send(&FromWorker::Problem(problem));
        }
    }

    /// No more access units: what is inside comes out, then the process ends.
    pub(super) fn end(&self) {
        let last = self.decoder.as_ref().map_or(&self.raw, |decoder| &decoder.units);
        // An error here is a graph that has ended already.
        last.end_of_stream().ok();
    }
}

/// A stage whose last user panicked ends with its worker soon enough.
fn locked(stage: &Mutex<Stage>) -> MutexGuard<'_, Stage> {
    stage.lock().unwrap_or_else(PoisonError::into_inner)
}

fn play(graph: &gst::Pipeline, outlet: &Arc<Outlet>) -> Result<(), String> {
    watch(graph, outlet)?;
    graph
        .set_state(gst::State::Playing)
        .map(drop)
        .map_err(|error| format!("the graph does not start: {error}"))
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

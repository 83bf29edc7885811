//! Admission: whether this machine carries one stream more, and a sentence where it does not.
//!
//! What a stream needs is a model made of measured figures: the bundled ladder at 720p30 takes 0.62
//! of a core, decoding and scaling included, and every other ladder so much in proportion to its pixels
//! a second. The model's cores are then multiplied by what the running workers really take, as the
//! kernel counts it, over what it says of them: a faster machine, a slower preset or a hardware encoder shows
//! itself as soon as the first stream runs. A running worker counts with what it takes.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use nowcast_media::FrameRate;
use tracing::debug;

use crate::config::units::show_bytes;
use crate::config::{Config, Limits, Mode, StreamConfig};
use crate::flow::{Control, Phase, StreamName, StreamStatus, Streams};
use crate::ladder::{Ladder, Rung};

/// Pixels a second of 720p, 480p and 360p at 30 fps, and the cores these three rungs take.
const MEASURED_PIXEL_RATE: f64 = 30.0 * (1280.0 * 720.0 + 854.0 * 480.0 + 640.0 * 360.0);
const MEASURED_CORES: f64 = 0.62;
/// The cores of a stream beside its encoder: receiving, packaging, playlists.
const STREAM_CORES: f64 = 0.005;
/// Bytes of a worker with three rungs of 720p.
const WORKER_BYTES: u64 = 117_000_000;
/// All publishers share one socket; a worker has a socket pair and the handle of its process.
const STREAM_DESCRIPTORS: u64 = 1;
const WORKER_DESCRIPTORS: u64 = 2;
/// The frame rate and the bit rate of a source that nobody has seen yet.
const USUAL_FPS: f64 = 30.0;
const USUAL_BITRATE: u64 = 4_000_000;
/// How far the measured cost may move the model: beyond that something else is wrong.
const CORRECTION: std::ops::RangeInclusive<f64> = 0.1..=10.0;

/// What a stream takes of the machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Need {
    /// Processor cores.
    pub cores: f64,
    /// Bytes of memory.
    pub memory: u64,
    /// Open descriptors.
    pub descriptors: u64,
}

impl Need {
    /// What the model says of a stream whose source nobody has seen yet: all rungs, at 30 frames a second.
    #[must_use]
    pub fn of(stream: &StreamConfig) -> Self {
        let rungs = match stream.mode {
            Mode::Passthrough => Vec::new(),
            // A ladder that cannot be read has no rungs, and the stream says so itself.
            Mode::Transcode => {
                Ladder::load(&stream.ladder).map(|it| it.whole()).unwrap_or_default()
            }
        };
        let bitrate = match stream.mode {
            Mode::Passthrough => USUAL_BITRATE,
            Mode::Transcode => rungs.iter().map(|rung| rung.bitrate).sum(),
        };
        Self::new(stream, STREAM_CORES + cores(&rungs, USUAL_FPS), bitrate)
    }

    fn new(stream: &StreamConfig, cores: f64, bitrate: u64) -> Self {
        // Segments stay for as long again once they have left the playlist (RFC 8216bis §6.2.2).
        let media = bitrate / 8 * 2 * stream.window.as_secs();
        let (worker, handles) = match stream.mode {
            Mode::Passthrough => (0, 0),
            Mode::Transcode => (WORKER_BYTES, WORKER_DESCRIPTORS),
        };
        Self { cores, memory: media + worker, descriptors: STREAM_DESCRIPTORS + handles }
    }

    /// How many streams like this fit into `limits`, and which limit ends it.
    #[must_use]
    pub fn fit(&self, limits: &Limits) -> (u64, &'static str) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive")]
        let cores = (limits.cores / self.cores) as u64;
        let (memory, descriptors) =
            (limits.memory / self.memory.max(1), limits.descriptors / self.descriptors);
        [(cores, "cores"), (memory, "memory"), (descriptors, "descriptors")]
            .into_iter()
            .min_by_key(|(streams, _)| *streams)
            .unwrap_or((0, "cores"))
    }
}

/// The cores that the model says a ladder takes at `rate`.
#[must_use]
pub fn ladder_cores(rungs: &[Rung], rate: FrameRate) -> f64 {
    cores(rungs, rate.as_f64())
}

fn cores(rungs: &[Rung], fps: f64) -> f64 {
    let pixels: f64 = rungs.iter().map(|it| f64::from(it.width) * f64::from(it.height)).sum();
    pixels * fps * MEASURED_CORES / MEASURED_PIXEL_RATE
}

/// What there is too little of for one stream more.
#[derive(Clone, Debug, PartialEq)]
pub struct Lack {
    limit: &'static str,
    needed: String,
    taken: String,
    allowed: String,
    running: usize,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, needed, taken, allowed, running } = self;
        if *limit == "disk" {
            return write!(
                f,
                "only {taken} are free in the state directory, [limits] disk wants {allowed}: \
                 free some, or name another directory by [state] dir"
            );
        }
        let streams = if *running == 1 { "stream" } else { "streams" };
        write!(
            f,
            "it needs about {needed}, and {running} running {streams} take {taken} of the {allowed} that [limits] \
             {limit} allows: end another stream, make this one smaller (ladder, window, mode = \
             \"passthrough\"), or raise the limit"
        )
    }
}

impl std::error::Error for Lack {}

/// A running stream: what the model says of it, and what its worker really takes.
struct Running {
    need: Need,
    expected: f64,
    measured: Option<f64>,
}

impl Running {
    fn new(stream: &StreamConfig, status: Option<&StreamStatus>) -> Self {
        let model = Need::of(stream);
        let Some(status) = status else {
            return Self { need: model, expected: 0.0, measured: None };
        };
        let encoder = status.encoder.as_ref();
        let expected = encoder.map_or(0.0, |encoder| encoder.cores_expected);
        let bitrate: u64 = status.renditions.iter().map(|one| one.bitrate).sum();
        let need = Need {
            cores: if expected > 0.0 { STREAM_CORES + expected } else { model.cores },
            memory: if bitrate > 0 { Need::new(stream, 0.0, bitrate).memory } else { model.memory },
            ..model
        };
        Self { need, expected, measured: encoder.and_then(|encoder| encoder.cores) }
    }
}

fn lack(limits: &Limits, running: &[Running], need: &Need, free: u64) -> Option<Lack> {
    let measured = running.iter().filter_map(|it| Some((it.measured?, it.expected)));
    let (real, expected) = measured.fold((0.0, 0.0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    let correction = if expected > 0.0 { real / expected } else { 1.0 };
    let correction = correction.clamp(*CORRECTION.start(), *CORRECTION.end());
    let taken: f64 = running
        .iter()
        .map(|it| it.measured.map_or(it.need.cores * correction, |real| real + STREAM_CORES))
        .sum();
    let needed = need.cores * correction;
    let lack = |limit, needed, taken, allowed| {
        Some(Lack { limit, needed, taken, allowed, running: running.len() })
    };
    if taken + needed > limits.cores {
        let show = |cores: f64| format!("{cores:.2}");
        return lack("cores", format!("{needed:.2} of a core"), show(taken), show(limits.cores));
    }
    let taken: u64 = running.iter().map(|it| it.need.memory).sum();
    if taken.saturating_add(need.memory) > limits.memory {
        let [needed, taken, allowed] = [need.memory, taken, limits.memory].map(show_bytes);
        return lack("memory", needed, taken, allowed);
    }
    let taken: u64 = running.iter().map(|it| it.need.descriptors).sum();
    if taken + need.descriptors > limits.descriptors {
        let [needed, taken, allowed] =
            [need.descriptors, taken, limits.descriptors].map(|number| number.to_string());
        return lack("descriptors", format!("{needed} descriptors"), taken, allowed);
    }
    if free < limits.disk {
        return lack("disk", String::new(), show_bytes(free), show_bytes(limits.disk));
    }
    None
}

/// Judges whether streams fit beside those that run; these are never touched.
#[derive(Debug)]
pub struct Admission {
    config: Arc<ArcSwap<Config>>,
    streams: Arc<Streams>,
}

impl Admission {
    /// Judges by the limits of `config`, whatever they are at the moment, and by what `streams` tell of themselves.
    #[must_use]
    pub fn new(config: Arc<ArcSwap<Config>>, streams: Arc<Streams>) -> Self {
        Self { config, streams }
    }

    /// Whether `stream` may run beside those that do. `connected` have a publisher, though their tasks
    /// may not know it yet.
    ///
    /// # Errors
    /// What there is too little of; the stream's status then says it as well.
    pub fn admit(&self, stream: &StreamConfig, connected: &[StreamName]) -> Result<(), Lack> {
        let config = self.config.load();
        let mut running = Vec::new();
        let mut names = connected.to_vec();
        let active = |phase| matches!(phase, Phase::Starting | Phase::Live | Phase::Waiting);
        let all = self.streams.all();
        names.extend(
            all.iter().filter(|it| active(it.status.borrow().phase)).map(|it| it.name.clone()),
        );
        names.sort();
        names.dedup();
        if names.contains(&stream.name) {
            return Ok(());
        }
        for name in &names {
            let Some(config) = config.stream(name) else { continue };
            let known = self.streams.find(name.as_str());
            running
                .push(Running::new(&config, known.map(|it| it.status.borrow().clone()).as_ref()));
        }
        // A directory that cannot be asked is one that the server could not have started with.
        let free = rustix::fs::statvfs(&config.state_dir)
            .map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        let Some(lack) = lack(&config.limits, &running, &Need::of(stream), free) else {
            return Ok(());
        };
        if let Some(known) = self.streams.find(stream.name.as_str())
            && known.control.try_send(Control::Refused(lack.to_string())).is_err()
        {
            debug!(stream = %stream.name, "the stream's task is busy; its status does not say the refusal");
        }
        Err(lack)
    }
}

#[cfg(test)]
mod tests;

//! Keeps one worker running for a stream: feeds it, starts it again, resumes where the last one ended.

mod delay;
mod history;
mod process;
mod usage;
mod watchdog;

use std::path::PathBuf;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use nowcast_media::VideoCodec;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::graph;
use super::wire::{FromWorker, Job, Stats, ToWorker};
use crate::admission;
use crate::flow::{
    ENCODER_INPUT_QUEUE, ENCODER_OUTPUT_QUEUE, EncodeJob, EncodedFrame, Encoder, EncoderStatus,
    Feed,
};
use crate::pipelines::Pipelines;
use delay::Delay;
use history::{Fill, History};
use process::Worker;
use usage::Usage;
use watchdog::Watchdog;

/// What is sent ahead of the socket: a key frame, not a backlog.
const SEND_AHEAD: usize = 64 << 10;
/// A worker that lived so long is started again at once.
const SOUND: Duration = Duration::from_secs(5);

/// How workers are started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program.
    pub worker: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Where its graphs come from.
    pub pipelines: Pipelines,
}

impl Default for Options {
    /// This program, as `encode-worker`.
    fn default() -> Self {
        Self {
            // Not current_exe(): after an upgrade in place that path names a deleted file.
            worker: PathBuf::from("/proc/self/exe"),
            arguments: vec!["encode-worker".into()],
            pipelines: Pipelines::from_env(),
        }
    }
}

/// Starts encoding; must be called within a tokio runtime. Problems are told by [`Encoder::status`].
///
/// Once the caller has dropped [`Encoder::input`], what is inside still comes out, then [`Encoder::output`] ends;
/// once it has dropped [`Encoder::output`], the worker ends at once.
#[must_use]
pub fn spawn(job: EncodeJob, options: Options) -> Encoder {
    let (input, units) = mpsc::channel(ENCODER_INPUT_QUEUE);
    let (frames, output) = mpsc::channel(ENCODER_OUTPUT_QUEUE);
    let (report, status) = watch::channel(EncoderStatus {
        cores_expected: admission::ladder_cores(&job.rungs, job.grid.rate),
        ..EncoderStatus::default()
    });
    let supervisor = Supervisor {
        resume: job.first_index,
        delay: Delay::new(job.rungs.len()),
        history: History::default(),
        fill: Fill::default(),
        before: Stats::default(),
        job,
        options,
        units,
        frames,
        report,
    };
    tokio::spawn(supervisor.run());
    Encoder { input, output, status }
}

struct Supervisor {
    job: EncodeJob,
    options: Options,
    units: mpsc::Receiver<Feed>,
    frames: mpsc::Sender<EncodedFrame>,
    report: watch::Sender<EncoderStatus>,
    history: History,
    fill: Fill,
    /// The frame after the last that any rung has handed on.
    resume: i64,
    delay: Delay,
    /// What earlier workers counted.
    before: Stats,
}

/// How the life of a worker ended.
enum End {
    /// There is nothing more to do.
    Done,
    /// It must be started again; why, in a sentence.
    Died(String),
}

impl Supervisor {
    async fn run(mut self) {
        let mut quick_deaths = 0_u32;
        loop {
            let started = Instant::now();
            let reason = match self.start().await {
                Err(reason) => reason,
                Ok((worker, job)) => match self.live(worker, job).await {
                    End::Done => return,
                    End::Died(reason) => reason,
                },
            };
            quick_deaths = if started.elapsed() < SOUND { quick_deaths + 1 } else { 1 };
            if let Some(poison) = self.history.worker_died() {
                tracing::warn!(stream = %self.job.stream, unit = poison, "two workers died at this access unit: it is left out");
            }
            tracing::warn!(stream = %self.job.stream, reason, "the encode worker ended; another is started");
            let status = self.report.borrow().clone();
            self.before = Stats {
                pictures: status.frames_in,
                repeated: status.frames_repeated,
                skipped: status.frames_skipped,
            };
            self.report.send_modify(|status| {
                status.pid = None;
                status.restarts += 1;
                status.last_error = Some(reason);
            });
            let pause = match quick_deaths {
                0 | 1 => Duration::ZERO,
                2 => Duration::from_millis(200),
                3 => Duration::from_secs(1),
                _ => Duration::from_secs(3),
            };
            let hopeless = self.units.is_closed() && quick_deaths > 3;
            if hopeless || !self.collect(pause).await {
                return;
            }
        }
    }

    async fn start(&self) -> Result<(Worker, Job), String> {
        let (job, pipelines) = (&self.job, &self.options.pipelines);
        let largest = job.rungs.first().ok_or("the job has no rungs")?;
        let wire = Job {
            decode: job.source.map(|codec| graph::decode(pipelines, codec)).transpose()?,
            encode: graph::encode(pipelines, job)?,
            rungs: u8::try_from(job.rungs.len()).map_err(|_| "the job has more than 255 rungs")?,
            shape: (largest.width, largest.height),
            rate: (job.grid.rate.num(), job.grid.rate.den()),
            part_frames: job.grid.part_frames,
            segment_frames: job.grid.segment_frames,
            first_index: job.first_index,
            resume_index: self.resume,
        };
        let worker = process::start(&self.options).await.map_err(|error| {
            format!("{} cannot be started: {error}", self.options.worker.display())
        })?;
        Ok((worker, wire))
    }

    /// Waits without a worker, and keeps what comes in meanwhile. `false`: nobody wants frames any more.
    async fn collect(&mut self, pause: Duration) -> bool {
        let end = Instant::now() + pause;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(end) => return !self.frames.is_closed(),
                () = self.frames.closed() => return false,
                // Without an input, what was kept is still to be encoded.
                Some(feed) = self.units.recv() => drop(self.receive(feed)),
            }
        }
    }

    /// Takes what comes in; answers the codec if another source begins.
    fn receive(&mut self, feed: Feed) -> Option<VideoCodec> {
        match feed {
            Feed::Unit(unit) => {
                self.fill.over = true;
                if ToWorker::fits(&unit.data) {
                    self.delay.received(self.job.grid.rate.nearest_frame(unit.pts), Instant::now());
                    self.history.push(unit);
                }
            }
            Feed::Fill { until, slate } => {
                self.fill = Fill { until, slate, told: self.fill.told, over: false };
            }
            Feed::Source(codec) => {
                self.job.source = Some(codec);
                self.history.forget();
                return Some(codec);
            }
        }
        None
    }

    /// One worker, from its first word to its last.
    async fn live(&mut self, mut worker: Worker, job: Job) -> End {
        self.report.send_modify(|status| status.pid = worker.process.id());
        let (mut read, mut write) = worker.socket.split();
        let (mut incoming, mut outgoing) = (BytesMut::new(), BytesMut::new());
        ToWorker::Job(Box::new(job)).write(&mut outgoing);
        if let Some(image) = self.job.slate.clone().filter(ToWorker::fits) {
            ToWorker::Slate(image).write(&mut outgoing);
        }
        self.fill.told = None;
        let mut tick = tokio::time::interval(Duration::from_millis(250));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut usage = Usage::default();
        let mut watchdog = Watchdog::default();
        let (mut input, mut error) = (Input::Open, None);
        loop {
            if matches!(input, Input::Open | Input::Ended) {
                let waited = self.waits();
                self.send_ahead(&mut outgoing);
                if !waited && self.waits() {
                    watchdog.sign();
                }
            }
            if matches!(input, Input::Ended) && outgoing.is_empty() {
                input = Input::Shut;
                watchdog.sign();
                // Fails where the worker is gone, which reading tells next.
                drop(write.shutdown().await);
            }
            tokio::select! {
                read = read.read_buf(&mut incoming) => {
                    if !read.is_ok_and(|length| length > 0) {
                        break;
                    }
                    loop {
                        match FromWorker::take(&mut incoming) {
                            Ok(None) => break,
                            Ok(Some(FromWorker::Error(text))) => error = Some(text),
                            Ok(Some(FromWorker::Problem(text))) => {
                                tracing::warn!(stream = %self.job.stream, "{text}");
                                self.report.send_modify(|status| status.problem = Some(text));
                            }
                            Ok(Some(FromWorker::Coded { rung, key, index, data })) => {
                                watchdog.sign();
                                let frame = EncodedFrame { rung: usize::from(rung), index, key, data };
                                if !self.hand_on(frame).await {
                                    return End::Done;
                                }
                                // Waiting for the reader of the output is no fault of the worker's.
                                watchdog.sign();
                            }
                            Ok(Some(FromWorker::Taken { seq })) => {
                                watchdog.sign();
                                self.history.taken(seq);
                            }
                            Ok(Some(FromWorker::Stats(stats))) => {
                                watchdog.started();
                                self.count(stats);
                            }
                            Err(fault) => return End::Died(format!("the worker sent {fault}")),
                        }
                    }
                },
                written = write.write_buf(&mut outgoing), if outgoing.has_remaining() => {
                    if written.is_err() {
                        // The worker is gone; its last words can still be read.
                        outgoing.clear();
                        input = Input::Broken;
                    }
                }
                unit = self.units.recv(), if matches!(input, Input::Open) && outgoing.is_empty() => match unit {
                    Some(feed) => if let Some(codec) = self.receive(feed) {
                        match graph::decode(&self.options.pipelines, codec) {
                            Ok(text) => ToWorker::Decode(text).write(&mut outgoing),
                            Err(fault) => return End::Died(fault),
                        }
                    },
                    None => input = Input::Ended,
                },
                () = self.frames.closed() => return End::Done,
                _ = tick.tick() => {
                    let delay_ms = self.delay.median_ms(Instant::now());
                    let cores = worker.process.id().and_then(|pid| usage.cores(pid, Instant::now()));
                    self.report.send_modify(|status| {
                        status.delay_ms = delay_ms;
                        status.cores = cores.or(status.cores);
                    });
                    let waits = !matches!(input, Input::Open) || self.waits();
                    if let Some(limit) = watchdog.barks(waits) {
                        error = Some(format!("the worker made nothing of its input for {limit} s and was killed"));
                        break;
                    }
                }
            }
        }
        if matches!(input, Input::Shut) {
            return End::Done;
        }
        // It is dead already, or hangs. An error means the former.
        drop(worker.process.start_kill());
        let exit = worker.process.wait().await;
        End::Died(error.unwrap_or_else(|| match exit {
            Ok(exit) => format!("the worker ended by itself: {exit}"),
            Err(error) => format!("the worker is lost: {error}"),
        }))
    }

    fn send_ahead(&mut self, outgoing: &mut BytesMut) {
        while outgoing.len() < SEND_AHEAD
            && let Some((seq, unit)) = self.history.next()
        {
            // An empty unit is one that was left out.
            if !unit.data.is_empty() {
                let (pts, dts) = (unit.pts.ticks(), unit.dts.ticks());
                ToWorker::Unit { seq, pts, dts, data: unit.data.clone() }.write(outgoing);
            }
        }
        let Fill { until, slate, told, over } = self.fill;
        let due = !over && until > self.resume && told.is_none_or(|told| told < until);
        if due && !self.history.has_unsent() {
            ToWorker::Fill { until, slate }.write(outgoing);
            self.fill.told = Some(until);
        }
    }

    /// Has the worker been told what it has not done?
    fn waits(&self) -> bool {
        self.history.waits() || self.fill.told.is_some_and(|told| told > self.resume)
    }

    /// `false`: nobody wants frames any more.
    async fn hand_on(&mut self, frame: EncodedFrame) -> bool {
        if frame.rung >= self.job.rungs.len() {
            return true;
        }
        self.delay.made(frame.rung, frame.index, Instant::now());
        if frame.index >= self.resume {
            self.resume = frame.index + 1;
            if frame.key {
                self.history.made(self.job.grid.rate, self.resume);
            }
        }
        self.frames.send(frame).await.is_ok()
    }

    fn count(&self, stats: Stats) {
        self.report.send_modify(|status| {
            status.frames_in = self.before.pictures + stats.pictures;
            status.frames_repeated = self.before.repeated + stats.repeated;
            status.frames_skipped = self.before.skipped + stats.skipped;
        });
    }
}

/// Where the way to the worker stands.
enum Input {
    /// Units come and are sent.
    Open,
    /// No more come; some are still to be sent.
    Ended,
    /// All are sent, and the worker knows that no more come.
    Shut,
    /// The worker takes nothing more.
    Broken,
}

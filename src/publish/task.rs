//! The task of one stream: the only writer of its sessions.
//!
//! It takes publishers in, one after the other, feeds their pictures to the encoder or straight to
//! the packager, ends the session when nobody comes back in time, and tells how things stand.

mod loss;
mod restore;
mod source;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use nowcast_cmaf::PackageError;
use nowcast_mpegts::Event;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tracing::{debug, info, warn};

use super::probe::Probe;
use super::session::LiveSession;
use super::store::{Copy, Store};
use crate::config::{Mode, StreamConfig};
use crate::flow::{
    Control, Cues, EncodeJob, EncodedFrame, Encoder, Feed, Phase, Publisher, Session, Stream,
    StreamStatus,
};

/// Starts an encoder for a job; `app` gives the one there is.
pub type StartEncoder = Arc<dyn Fn(EncodeJob) -> Encoder + Send + Sync>;

/// What every stream's task is given.
#[derive(Clone)]
pub struct Setting {
    /// Starts encoders.
    pub start_encoder: StartEncoder,
    /// How often the server was started on this state directory; part of every path.
    pub start_counter: u64,
    /// Where sessions outlive the server.
    pub store: Arc<Store>,
}

/// How long a source may say nothing useful before the operator is told.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often timers are looked at and the status is told.
const TICK: Duration = Duration::from_millis(250);
/// How often a stream looks for frames that are overdue.
const BEAT: Duration = Duration::from_millis(50);
/// Requests to a stream's task; senders wait when it is full.
const CONTROL_QUEUE: usize = 16;

/// Starts the task of a stream. It ends when every handle on its [`Stream`] is gone.
#[must_use]
pub fn spawn(config: StreamConfig, setting: Setting) -> Arc<Stream> {
    let (control, requests) = mpsc::channel(CONTROL_QUEUE);
    let status = StreamStatus { name: config.name.to_string(), ..StreamStatus::default() };
    let status = watch::Sender::new(status);
    let sessions = Arc::new(ArcSwap::default());
    let cues = Arc::<Cues>::default();
    let stream = Arc::new(Stream {
        name: config.name.clone(),
        sessions: Arc::clone(&sessions),
        status: status.subscribe(),
        control,
        demand: Arc::default(),
        audience: ArcSwap::default(),
        cues: Arc::clone(&cues),
    });
    let task = Task {
        config,
        setting,
        requests,
        status,
        sessions,
        cues,
        begun: 0,
        session: None,
        publisher: None,
        probe: None,
        encoder: None,
        lost_at: None,
        silent: None,
        ended: Vec::new(),
        trouble: None,
    };
    task.setting.store.begin_restoring();
    tokio::spawn(task.run());
    stream
}

struct Task {
    config: StreamConfig,
    setting: Setting,
    requests: mpsc::Receiver<Control>,
    status: watch::Sender<StreamStatus>,
    sessions: Arc<ArcSwap<Vec<Arc<Session>>>>,
    cues: Arc<Cues>,
    /// Sessions begun since the server started.
    begun: u64,
    session: Option<LiveSession>,
    publisher: Option<Publisher>,
    /// While the publisher's source is not known yet: what is known, and since when it is asked.
    probe: Option<(Probe, Instant)>,
    encoder: Option<Encoder>,
    /// When the publisher was lost.
    lost_at: Option<Instant>,
    /// What was told of a publisher that is connected and sends no pictures.
    silent: Option<String>,
    /// Sessions that ended; they are served for the length of the window.
    ended: Vec<Ended>,
    /// What was last told of the disk.
    trouble: Option<String>,
}

/// A session that ended, and when.
struct Ended {
    session: Arc<Session>,
    copy: Copy,
    since: Instant,
}

impl Task {
    async fn run(mut self) {
        self.restore().await;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                request = self.requests.recv() => match request {
                    Some(request) => self.handle_request(request),
                    None => break,
                },
                event = next_event(&mut self.publisher) => match event {
                    Some(event) => self.handle_event(event),
                    None => self.lose_publisher(),
                },
                frame = next_frame(&mut self.encoder) => match frame {
                    Some(frame) => self.handle_frame(&frame),
                    None => self.encoder = None,
                },
                _ = beat.tick(), if self.session.is_some() => self.keep_cadence(),
                _ = tick.tick() => self.handle_tick(),
            }
        }
        // The stream is no more. Where the server stops, the disk takes nothing any more.
        self.end_session();
        self.ended.iter().for_each(|ended| ended.copy.discard());
    }

    fn handle_request(&mut self, request: Control) {
        match request {
            Control::Publish(publisher) => {
                info!(stream = %self.config.name, peer = %publisher.peer, "publisher connected");
                self.set_phase(Phase::Starting, None);
                self.status
                    .send_modify(|status| status.publisher = Some(publisher.peer.to_string()));
                self.publisher = Some(publisher);
                self.probe = Some((Probe::default(), Instant::now()));
            }
            Control::Kick(answer) => {
                let kicked = self.publisher.is_some();
                self.lose_publisher();
                // The operator may have gone meanwhile: then nobody is to be told.
                answer.send(kicked).ok();
            }
            Control::Refused(why) => {
                if self.publisher.is_none() {
                    self.status.send_modify(|status| status.problem = Some(why));
                }
            }
            Control::Configure(config) => self.config = *config,
        }
    }

    fn handle_event(&mut self, event: Event) {
        if let Event::Unsupported(reason) = &event {
            warn!(stream = %self.config.name, "{reason}");
            self.status.send_modify(|status| status.problem = Some(reason.clone()));
        }
        let Some((probe, _)) = &mut self.probe else { return self.handle_media(event) };
        if let Some(source) = probe.push(event, unix_micros()) {
            self.probe = None;
            self.begin(source);
        }
    }

    fn handle_media(&mut self, event: Event) {
        let Some(session) = &mut self.session else { return };
        if matches!(&event, Event::Video(unit) if session.ends_gap(unit)) {
            session.restart(unix_micros());
        }
        let result = match event {
            Event::Video(unit) => match session.place(unit, Instant::now()) {
                None => Ok(()),
                Some(unit) => match &self.encoder {
                    None if session.mode == Mode::Passthrough => session.pass_through(&unit),
                    None => Ok(()),
                    Some(encoder) => {
                        if encoder.input.try_send(Feed::Unit(unit)).is_err() {
                            session.await_key_frame();
                            let problem = "the encoder does not keep up: pictures are left out until \
                                           the next key frame; choose a smaller ladder or a faster machine";
                            self.status
                                .send_modify(|status| status.problem = Some(problem.to_owned()));
                        }
                        Ok(())
                    }
                },
            },
            Event::Audio(pid, frame) => session.audio(pid, frame),
            Event::VideoFormat(sets, format) => {
                self.handle_format(&sets, format.codec);
                Ok(())
            }
            Event::AudioFormat(pid, config) => {
                self.handle_audio_format(pid, config);
                Ok(())
            }
            Event::Tracks { audio, .. } => {
                session.audio_tracks(&audio);
                Ok(())
            }
            Event::Epoch => {
                session.epoch(unix_micros());
                Ok(())
            }
            Event::Unsupported(_) => Ok(()),
        };
        self.handle_package_result(result);
        self.note_playable();
    }

    fn handle_frame(&mut self, frame: &EncodedFrame) {
        let Some(session) = &mut self.session else { return };
        let result = session.encoded(frame);
        self.handle_package_result(result);
        self.note_playable();
    }

    fn handle_package_result(&mut self, result: Result<(), PackageError>) {
        let (Err(error), Some(session)) = (result, &mut self.session) else { return };
        match error {
            PackageError::GopTooLong { .. } if session.playable() => {
                session.restart(unix_micros());
                self.set_phase(Phase::Live, Some(error.to_string()));
            }
            PackageError::GopTooLong { .. } => {
                self.discard_session();
                self.set_phase(Phase::Unsupported, Some(error.to_string()));
            }
            _ if error.needs_restart() => {
                warn!(stream = %self.config.name, %error, "a discontinuity follows");
                session.restart(unix_micros());
            }
            _ => debug!(stream = %self.config.name, %error, "left out"),
        }
    }

    /// Nobody could play it yet, and nobody ever will: the publisher has to come back with another source.
    fn discard_session(&mut self) {
        let Some(mut session) = self.session.take() else { return };
        session.lose_source(Instant::now());
        session.copy.discard();
        let mut sessions = Vec::clone(&self.sessions.load());
        sessions.retain(|one| !Arc::ptr_eq(one, &session.shared));
        self.sessions.store(Arc::new(sessions));
    }

    fn note_playable(&self) {
        let playable = self.session.as_ref().is_some_and(LiveSession::playable);
        let flowing = self.probe.is_none() && self.publisher.is_some();
        let phase = self.status.borrow().phase;
        if playable && flowing && matches!(phase, Phase::Starting | Phase::Unsupported) {
            // What cannot be carried beside the picture is told for as long as the publisher is there.
            let problem = self.status.borrow().problem.clone().filter(|_| phase == Phase::Starting);
            self.set_phase(Phase::Live, problem);
            info!(stream = %self.config.name, "playable");
        }
    }

    fn handle_tick(&mut self) {
        if let Some((probe, since)) = &self.probe
            && since.elapsed() >= PATIENCE
            && self.status.borrow().phase == Phase::Starting
        {
            let complaint = probe.complaint();
            warn!(stream = %self.config.name, "{complaint}");
            self.set_phase(Phase::Unsupported, Some(complaint));
        }
        let fault = self.encoder.as_ref().and_then(|encoder| {
            let status = encoder.status.borrow();
            let dead = status.last_error.clone().filter(|_| status.pid.is_none());
            dead.or_else(|| status.problem.clone())
        });
        if fault.is_some() {
            self.status.send_modify(|status| status.problem = fault);
        }
        if self.lost_at.is_some_and(|lost| lost.elapsed() >= self.config.grace) {
            self.end_grace();
        }
        if self.ended.first().is_some_and(|old| old.since.elapsed() >= self.config.window) {
            let old = self.ended.remove(0);
            let mut sessions = Vec::clone(&self.sessions.load());
            sessions.retain(|session| !Arc::ptr_eq(session, &old.session));
            self.sessions.store(Arc::new(sessions));
            old.copy.discard();
            if self.status.borrow().phase == Phase::Ended {
                self.set_phase(Phase::Idle, None);
            }
        }
        self.tell_trouble();
        self.tell_status();
    }

    fn set_phase(&self, phase: Phase, problem: Option<String>) {
        self.status.send_modify(|status| {
            status.phase = phase;
            status.problem = problem;
        });
    }

    fn tell_status(&self) {
        let ingest = self.publisher.as_ref().map(|publisher| publisher.health.borrow().clone());
        let encoder = self.encoder.as_ref().map(|encoder| encoder.status.borrow().clone());
        let renditions = self.session.as_ref().map(LiveSession::statuses).unwrap_or_default();
        self.status.send_modify(|status| {
            status.ingest = ingest;
            status.encoder = encoder;
            status.renditions = renditions;
        });
    }
}

async fn next_event(publisher: &mut Option<Publisher>) -> Option<Event> {
    match publisher {
        Some(publisher) => publisher.events.recv().await,
        None => std::future::pending().await,
    }
}

async fn next_frame(encoder: &mut Option<Encoder>) -> Option<EncodedFrame> {
    match encoder {
        Some(encoder) => encoder.output.recv().await,
        None => std::future::pending().await,
    }
}

fn unix_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

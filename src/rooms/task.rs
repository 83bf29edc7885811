//! The task of one room: the only one that changes it.
//!
//! Ops come in by its mailbox, what they decide goes to the disk, and what is on the disk goes out: to
//! sockets, to the media, to the ticks for caches, and as answers to those who asked.

mod erase;
mod media;
mod ops;
mod out;
mod people;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nowcast_interact::{
    Carriage, Commit, Event, Id, Op, OpKey, Record, Room, Settings, Verdict, Viewer,
};
use serde_json::Value as Json;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::{MissedTickBehavior, sleep_until};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::figures::Figures;
use super::moderator::{Judged, Moderator};
use super::store::{Batch, Done, Restored, Store};
use super::ticks::Ticks;
use super::{now_ms, wire};
use crate::flow::{Phase, Stream};

/// Ops and newcomers that wait for a room. Full: ops are refused with `state.busy`.
const MAILBOX: usize = 4096;
/// Messages taken before what they decided goes to the disk.
const TOGETHER: usize = 512;
/// Frames that a socket may fall behind before it is told of a gap.
const FRAMES: usize = 128;
/// Events are sent to sockets at most every so often; in a large room more seldom, so that a room sends
/// 100,000 frames a second at the most.
const PACE: Duration = Duration::from_millis(50);
const FRAME: Duration = Duration::from_micros(10);
/// Bytes of messages that a room sends a second, about; what a busy chat has beyond is in the ticks.
const CHAT_BYTES: usize = 16 << 20;
/// A message, as it is sent.
const MESSAGE_BYTES: usize = 280;
/// How often counts and timers are looked at; without media reactions and ticks keep this time.
const TICK: Duration = Duration::from_millis(250);
/// Parts whose lead is remembered.
const LEADS: usize = 15;
/// Messages of a busy chat in one frame; what is left out is in the ticks.
pub(super) const CHAT_TOGETHER: usize = 60;

pub(super) use self::erase::before;

/// Where answers to a person go.
pub(super) type Outbox = mpsc::Sender<Out>;

/// What one person alone is sent.
#[derive(Clone, Debug)]
pub(super) struct Out {
    pub(super) text: Utf8Bytes,
    /// Nothing follows: they have to go.
    pub(super) last: bool,
}

/// What a room is asked.
#[derive(Debug)]
pub(super) enum Message {
    /// Do this.
    Op { who: Viewer, op: Op, to: ReplyTo },
    /// Somebody comes in.
    Join {
        who: Option<Viewer>,
        was: Option<Id>,
        pos: Option<(String, u64)>,
        outbox: Outbox,
        to: oneshot::Sender<Joined>,
    },
    /// Somebody leaves.
    Leave { who: Id, outbox: Outbox },
    /// What is going on, as the operator asks it.
    Look(oneshot::Sender<Json>),
    /// From now on.
    Set(Box<Settings>, Duration),
    /// Take this person out of everything.
    Erase(Id, oneshot::Sender<Json>),
    /// The stream is no more.
    Close,
}

/// Who is answered, and how.
#[derive(Debug)]
pub(super) enum ReplyTo {
    Socket(Outbox),
    Once(oneshot::Sender<Json>),
}

impl ReplyTo {
    fn answer(self, value: &Json) {
        // Who has gone meanwhile hears it when they ask again.
        match self {
            Self::Socket(outbox) => {
                drop(outbox.try_send(Out { text: value.to_string().into(), last: false }));
            }
            Self::Once(to) => drop(to.send(value.clone())),
        }
    }
}

/// What somebody who comes in gets.
#[derive(Debug)]
pub(super) struct Joined {
    /// `welcome`, and what was missed.
    pub(super) frames: Vec<Utf8Bytes>,
    /// Nothing up to here is to be sent again.
    pub(super) seq: u64,
    pub(super) events: broadcast::Receiver<Frame>,
    pub(super) staff: Option<broadcast::Receiver<Utf8Bytes>>,
}

/// A `batch` for all sockets, written once.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) text: Utf8Bytes,
    /// Its last event.
    pub(super) to: u64,
}

/// What others have of a room.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) mailbox: mpsc::Sender<Message>,
    pub(super) ticks: Arc<Ticks>,
}

/// What is carried by the parts; the stream's task asks for it.
pub(super) type SharedCarriage = Arc<Mutex<Carriage>>;

/// An op on its way to the disk.
struct Waiting {
    kind: &'static str,
    since: Instant,
    to: Vec<ReplyTo>,
}

pub(super) struct Task {
    stream: Arc<Stream>,
    store: Arc<Store>,
    settings: Settings,
    room: Room,
    /// The number of the next commit in the journal.
    next: u64,
    /// How often the room has started over.
    generation: u64,
    mailbox: mpsc::Receiver<Message>,
    done: (mpsc::UnboundedSender<Done>, mpsc::UnboundedReceiver<Done>),
    /// Batches on their way to the disk.
    unsettled: usize,
    /// Who waits for an op that is on its way to the disk.
    in_flight: HashMap<OpKey, Waiting>,
    carriage: SharedCarriage,
    ticks: Arc<Ticks>,
    events: broadcast::Sender<Frame>,
    staff: broadcast::Sender<Utf8Bytes>,
    /// On the disk, and not sent to sockets yet.
    unsent: Vec<Arc<Event>>,
    sent_at: Instant,
    people: HashMap<Id, Vec<Outbox>>,
    phase: Phase,
    looked: u64,
    /// Of the last parts, in milliseconds.
    leads: VecDeque<i64>,
    figures: Arc<Figures>,
    moderator: Option<Moderator>,
    /// How long the audience is remembered, and when it was last seen to.
    retention: Duration,
    retired_at: Instant,
    /// Who is to be taken out, and who asked for it.
    leaving: VecDeque<(Id, oneshot::Sender<Json>)>,
}

/// What is configured of a room.
pub(super) struct Setup {
    pub(super) settings: Settings,
    /// How far back the stream's playlists reach.
    pub(super) window: Duration,
    /// How long what the audience did is kept.
    pub(super) retention: Duration,
    /// Who else judges messages; [`Settings::moderated`] says whether there is one.
    pub(super) moderator: Option<Moderator>,
}

/// Starts the task of a stream's room.
pub(super) fn spawn(
    stream: Arc<Stream>,
    store: Arc<Store>,
    setup: Setup,
    restored: Restored,
    figures: Arc<Figures>,
) -> Handle {
    let Setup { settings, window, retention, moderator } = setup;
    let (mailbox, messages) = mpsc::channel(MAILBOX);
    let Restored { epoch, records, next } = restored;
    let ticks = Arc::new(Ticks::new(&epoch, Arc::clone(&figures)));
    let mut carriage = Carriage::new(epoch.as_str().into(), keep_ms(window));
    for record in &records {
        if let Record::Event(event) = record {
            carriage.restore(event);
        }
    }
    ticks.restore(&records);
    let room = Room::restore(epoch, settings.clone(), records);
    stream.cues.raise_floor(room.furthest());
    let carriage = Arc::new(Mutex::new(carriage));
    let handle = Handle { mailbox, ticks: Arc::clone(&ticks) };
    compose_with(&stream, &carriage, &figures);
    let phase = stream.status.borrow().phase;
    let task = Task {
        phase,
        stream,
        store,
        settings,
        room,
        next,
        generation: 0,
        mailbox: messages,
        done: mpsc::unbounded_channel(),
        unsettled: 0,
        in_flight: HashMap::new(),
        carriage,
        ticks,
        events: broadcast::Sender::new(FRAMES),
        staff: broadcast::Sender::new(FRAMES),
        unsent: Vec::new(),
        sent_at: Instant::now(),
        people: HashMap::new(),
        looked: 0,
        leads: VecDeque::new(),
        figures,
        moderator,
        retention,
        retired_at: Instant::now(),
        leaving: VecDeque::new(),
    };
    tokio::spawn(task.run());
    handle
}

/// Playlists reach back for a window and some segments; what has left them is served for as long again.
fn keep_ms(window: Duration) -> i64 {
    i64::try_from(2 * window.as_millis() + 30_000).unwrap_or(i64::MAX)
}

/// The parts of the stream carry what the room's carriage holds.
fn compose_with(stream: &Stream, carriage: &SharedCarriage, figures: &Arc<Figures>) {
    let (carriage, figures) = (Arc::clone(carriage), Arc::clone(figures));
    stream.cues.compose_with(Box::new(move |span| {
        let mut carriage = carriage.lock().unwrap_or_else(PoisonError::into_inner);
        wire::composed(&mut carriage, span, &figures)
    }));
}

impl Task {
    async fn run(mut self) {
        let mut position = self.stream.cues.position();
        let mut status = self.stream.status.clone();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.ticks.set_state(&self.room, true);
        loop {
            let (unsent, send_at) = (!self.unsent.is_empty(), self.sent_at + self.pace());
            tokio::select! {
                message = self.mailbox.recv() => match message {
                    Some(Message::Close) | None => return,
                    Some(message) => self.take(message),
                },
                Some(done) = self.done.1.recv() => self.handle_done(done),
                changed = position.changed() => match changed {
                    Ok(()) => {
                        let position = *position.borrow_and_update();
                        self.handle_position(position);
                    }
                    Err(_) => return,
                },
                changed = status.changed() => match changed {
                    Ok(()) => {
                        let phase = status.borrow_and_update().phase;
                        self.handle_status(phase);
                    }
                    Err(_) => return,
                },
                (judged, verdict) = judged(&mut self.moderator) => {
                    self.handle_verdict(&judged.who, &judged.op, &verdict);
                }
                () = sleep_until(send_at.into()), if unsent => self.send(),
                _ = tick.tick() => self.handle_tick(),
            }
            self.commit().await;
            while let Some((who, to)) = self.leaving.pop_front() {
                self.erase(who, to).await;
            }
            self.retire().await;
        }
    }

    fn set(&mut self, settings: Settings, retention: Duration) {
        self.retention = retention;
        let moderated = self.settings.moderated;
        self.settings = Settings { moderated, ..settings };
        self.room.set_settings(self.settings.clone());
    }

    /// The least time between two frames.
    fn pace(&self) -> Duration {
        let sockets = u32::try_from(self.events.receiver_count()).unwrap_or(u32::MAX);
        PACE.max(FRAME.saturating_mul(sockets)).min(Duration::from_secs(1))
    }

    fn take(&mut self, first: Message) {
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(message) = next {
            match message {
                Message::Op { who, op, to } => self.handle_op(&who, &op, to),
                Message::Join { who, was, pos, outbox, to } => {
                    let joined = self.join(who.as_ref(), was.as_ref(), pos.as_ref(), outbox);
                    // Who has gone meanwhile is forgotten with the first answer that finds nobody.
                    to.send(joined).ok();
                }
                Message::Leave { who, outbox } => self.leave(&who, &outbox),
                Message::Look(to) => drop(to.send(self.look())),
                Message::Set(settings, retention) => self.set(*settings, retention),
                Message::Erase(who, to) => self.leaving.push_back((who, to)),
                Message::Close => self.mailbox.close(),
            }
            taken += 1;
            next = (taken < TOGETHER).then(|| self.mailbox.try_recv().ok()).flatten();
        }
    }

    /// Hands what was decided to the disk.
    async fn commit(&mut self) {
        let commits: Vec<Commit> = std::iter::from_fn(|| self.room.poll_commit()).collect();
        if commits.is_empty() {
            return;
        }
        let (first, done) = (self.next, self.done.0.clone());
        self.next += commits.len() as u64;
        let room = self.stream.name.clone();
        let generation = self.generation;
        self.unsettled += 1;
        self.store.write(Batch { room, generation, first, commits, at: now_ms(), done }).await;
    }
}

/// The next message that was judged elsewhere; never, where nobody judges.
async fn judged(moderator: &mut Option<Moderator>) -> (Judged, Verdict) {
    match moderator {
        Some(moderator) => moderator.judged().await,
        None => std::future::pending().await,
    }
}

//! The task of one room: the only one that changes it.
//!
//! Ops come in by its mailbox, what they decide goes to the disk, and what is on the disk goes out: to
//! sockets, to the media, to the ticks for caches, and as answers to those who asked.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nowcast_interact::{
    Answer, Body, Carriage, Commit, Event, Id, Media, Op, OpKey, Record, Refusal, Reply, Role,
    Room, Settings, Viewer,
};
use serde_json::{Value as Json, json};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::{MissedTickBehavior, sleep_until};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tracing::{error, warn};

use super::store::{Batch, Done, Restored, Store};
use super::ticks::Ticks;
use super::{now_ms, wire};
use crate::flow::{Phase, Position, Stream};

/// Ops and newcomers that wait for a room. Full: ops are refused with `state.busy`.
const MAILBOX: usize = 4096;
/// Messages taken before what they decided goes to the disk.
const TOGETHER: usize = 512;
/// Frames that a socket may fall behind before it is told of a gap.
const FRAMES: usize = 128;
/// Events are sent to sockets at most every so often.
const PACE: Duration = Duration::from_millis(50);
/// How often counts and timers are looked at; without media reactions and ticks keep this time.
const TICK: Duration = Duration::from_millis(250);
/// Parts whose lead is remembered.
const LEADS: usize = 15;
/// Messages of a busy chat in one frame; what is left out is in the ticks.
pub(super) const CHAT_TOGETHER: usize = 60;

/// Where answers to a person go.
pub(super) type Outbox = mpsc::Sender<Utf8Bytes>;

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
            Self::Socket(outbox) => drop(outbox.try_send(value.to_string().into())),
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
    /// Who waits for an op that is on its way to the disk.
    in_flight: HashMap<OpKey, Vec<ReplyTo>>,
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
}

/// Starts the task of a stream's room.
pub(super) fn spawn(
    stream: Arc<Stream>,
    store: Arc<Store>,
    settings: Settings,
    window: Duration,
    restored: Restored,
) -> Handle {
    let (mailbox, messages) = mpsc::channel(MAILBOX);
    let Restored { epoch, records, next } = restored;
    let ticks = Arc::new(Ticks::new(&epoch));
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
    compose_with(&stream, &carriage);
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
    };
    tokio::spawn(task.run());
    handle
}

/// Playlists reach back for a window and some segments; what has left them is served for as long again.
fn keep_ms(window: Duration) -> i64 {
    i64::try_from(2 * window.as_millis() + 30_000).unwrap_or(i64::MAX)
}

/// The parts of the stream carry what the room's carriage holds.
fn compose_with(stream: &Stream, carriage: &SharedCarriage) {
    let carriage = Arc::clone(carriage);
    stream.cues.compose_with(Box::new(move |span| {
        let mut carriage = carriage.lock().unwrap_or_else(PoisonError::into_inner);
        wire::composed(&mut carriage, span)
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
            let unsent = !self.unsent.is_empty();
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
                () = sleep_until((self.sent_at + PACE).into()), if unsent => self.send(),
                _ = tick.tick() => self.handle_tick(),
            }
            self.commit().await;
        }
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
                Message::Close => self.mailbox.close(),
            }
            taken += 1;
            next = (taken < TOGETHER).then(|| self.mailbox.try_recv().ok()).flatten();
        }
    }

    fn handle_op(&mut self, who: &Viewer, op: &Op, to: ReplyTo) {
        let key = (Arc::clone(&who.id), op.op_id.clone());
        if let Some(waiting) = self.in_flight.get_mut(&key) {
            waiting.push(to);
            return;
        }
        let now = now_ms();
        if let Some(answer) = self.store.answer(&self.stream.name, &key, now) {
            return to.answer(&wire::ack(&op.op_id, &answer));
        }
        match self.room.handle_op(who, op, now) {
            Reply::Refused(refusal) => to.answer(&wire::nack(Some(&op.op_id), &refusal)),
            Reply::Counted => {
                to.answer(&json!({"t": "ack", "op_id": op.op_id, "state": "counted"}));
            }
            Reply::Again(answer) => to.answer(&wire::ack(&op.op_id, &answer)),
            Reply::Pending => {
                self.in_flight.insert(key, vec![to]);
            }
        }
    }

    fn join(
        &mut self,
        who: Option<&Viewer>,
        was: Option<&Id>,
        pos: Option<&(String, u64)>,
        outbox: Outbox,
    ) -> Joined {
        if let (Some(who), Some(was)) = (who, was) {
            self.room.know(was, &who.id);
        }
        let seq = self.room.seq();
        let missed = match pos {
            Some((epoch, seq)) if **epoch == **self.room.epoch() => {
                self.room.events_after(*seq).map(|events| events.cloned().collect::<Vec<_>>())
            }
            _ => None,
        };
        let resume = match (pos, &missed) {
            (None, _) => "full",
            (Some(_), Some(_)) => "replay",
            (Some(_), None) => "snapshot",
        };
        let mut state = self.room.state();
        if let Some(who) = who {
            state["mine"] = self.room.mine(who);
        }
        let welcome = json!({
            "t": "welcome",
            "viewer": who.map(|who| &who.id),
            "role": who.map(|who| who.role),
            "pos": {"epoch": self.room.epoch(), "seq": seq},
            "resume": resume,
            "state": state,
            "limits": wire::limits(&self.settings),
        });
        let mut frames = vec![welcome.to_string().into()];
        frames.extend(
            missed.filter(|missed| !missed.is_empty()).map(|missed| wire::batch(&missed, 0)),
        );
        let is_staff = who.is_some_and(|who| who.role >= Role::Moderator);
        if is_staff {
            frames.extend(
                self.room
                    .held()
                    .map(|held| Utf8Bytes::from(json!({"t": "held", "message": held}).to_string())),
            );
        }
        if let Some(who) = who {
            self.people.entry(Arc::clone(&who.id)).or_default().push(outbox);
        }
        Joined {
            frames,
            seq,
            events: self.events.subscribe(),
            staff: is_staff.then(|| self.staff.subscribe()),
        }
    }

    fn leave(&mut self, who: &Id, outbox: &Outbox) {
        if let Entry::Occupied(mut entry) = self.people.entry(Arc::clone(who)) {
            entry.get_mut().retain(|one| !one.same_channel(outbox));
            if entry.get().is_empty() {
                entry.remove();
            }
        }
    }

    fn look(&self) -> Json {
        let mut state = self.room.state();
        state["epoch"] = json!(self.room.epoch());
        state["seq"] = json!(self.room.seq());
        state["held"] = json!(self.room.held().collect::<Vec<_>>());
        state["sockets"] = json!(self.events.receiver_count());
        state
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
        self.store.write(Batch { room, generation, first, commits, at: now_ms(), done }).await;
    }

    fn handle_done(&mut self, done: Done) {
        if done.generation != self.generation {
            return;
        }
        if let Some(fault) = done.fault {
            return self.start_over(&fault);
        }
        for Commit { records, answer } in done.commits {
            let mut voted = None;
            for record in records {
                match record {
                    Record::Event(event) => self.publish(event),
                    Record::Tick { tick, to, pts } => self.ticks.cut(&self.room, tick, to, pts),
                    Record::Vote { poll, .. } => voted = Some(poll),
                    Record::Held(held) => self.tell_staff(&json!({"t": "held", "message": held})),
                    Record::Reported { message, by, reason } => {
                        let reported = self.room.message(&message);
                        self.tell_staff(&json!({
                            "t": "report",
                            "message": message,
                            "by": by,
                            "reason": reason,
                            "text": reported.and_then(|event| event.body.text()),
                            "author": reported.and_then(|event| event.by.as_ref()),
                        }));
                    }
                    Record::Decided { message } => self.tell_staff(
                        &json!({"t": "held", "message": {"id": message}, "decided": true}),
                    ),
                    _ => {}
                }
            }
            if let Some((key, answer)) = answer {
                let tally = voted.and_then(|poll| self.room.tally_for_voter(&poll));
                self.answer(&key, &Answer { tally, ..answer });
            }
        }
        if self.sent_at.elapsed() >= PACE {
            self.send();
        }
    }

    fn answer(&mut self, key: &OpKey, answer: &Answer) {
        let ack = wire::ack(&key.1, answer);
        for waiting in self.in_flight.remove(key).unwrap_or_default() {
            waiting.answer(&ack);
        }
    }

    /// An event is on the disk: everybody may learn of it.
    fn publish(&mut self, event: Arc<Event>) {
        self.carriage.lock().unwrap_or_else(PoisonError::into_inner).push(&event);
        if let Body::ViewerBanned { viewer, until } = &event.body
            && *until != Some(0)
        {
            let bye = wire::bye("auth.banned", "A moderator has closed the room to you.", None);
            for outbox in self.people.remove(viewer).unwrap_or_default() {
                outbox.try_send(bye.clone()).ok();
            }
        }
        self.unsent.push(event);
    }

    /// What has gathered goes to all sockets, written once.
    fn send(&mut self) {
        let events = std::mem::take(&mut self.unsent);
        let Some(last) = events.last() else { return };
        self.sent_at = Instant::now();
        if self.events.receiver_count() == 0 {
            return;
        }
        let to = last.seq;
        let (shown, more) = wire::thinned(&events, CHAT_TOGETHER);
        // Nobody listening is not a fault.
        self.events.send(Frame { text: wire::batch_to(&shown, to, more), to }).ok();
    }

    fn tell_staff(&self, value: &Json) {
        self.staff.send(value.to_string().into()).ok();
    }

    fn handle_position(&mut self, position: Option<Position>) {
        let now = now_ms();
        let media = position.map(media);
        self.room.set_media(media);
        self.note_lead(media.as_ref());
        self.room.handle_part(now);
        self.room.cut_tick();
    }

    /// Remembers by how much dates in the media are ahead of when its pictures come in: a source that
    /// began in a rush stays ahead of the first date.
    fn note_lead(&mut self, media: Option<&Media>) {
        let Some(media) = media else { return self.leads.clear() };
        let coded = self.stream.status.borrow().encoder.as_ref().map_or(0.0, |it| it.delay_ms);
        let frame = 1000.0 / media.grid.rate.as_f64();
        // The picture before this place came in when its part was composed, but for the time it was coded in.
        #[expect(clippy::cast_possible_truncation, reason = "some hundred milliseconds")]
        let came = media.since + (frame - coded) as i64;
        if self.leads.len() == LEADS {
            self.leads.pop_front();
        }
        self.leads.push_back(media.edge().pdt - came);
    }

    fn lead_ms(&self) -> i64 {
        let mut leads: Vec<_> = self.leads.iter().copied().collect();
        leads.sort_unstable();
        leads.get(leads.len() / 2).copied().unwrap_or(0)
    }

    fn handle_status(&mut self, phase: Phase) {
        let before = std::mem::replace(&mut self.phase, phase);
        if before != phase {
            let word = match phase {
                Phase::Live => "live",
                Phase::Waiting => "waiting",
                Phase::Ended => "ended",
                Phase::Idle | Phase::Starting | Phase::Unsupported => return,
            };
            self.room.handle_phase(word, now_ms());
        }
    }

    fn handle_tick(&mut self) {
        let now = now_ms();
        self.room.handle_timeout(now);
        if self.stream.cues.position().borrow().is_none() {
            self.room.handle_part(now);
            self.room.cut_tick();
        }
        self.looked += 1;
        // Its `media` grows old even where nothing happens.
        self.ticks.set_state(&self.room, self.looked.is_multiple_of(8));
        let ingest = self.stream.status.borrow().ingest.clone();
        let delay = ingest.map_or(0.0, |ingest| f64::from(ingest.latency_ms) + ingest.rtt_ms / 2.0);
        #[expect(clippy::cast_possible_truncation, reason = "some hundred milliseconds")]
        let delay = delay as i64 + self.settings.ingest_delay_ms + self.lead_ms();
        let behind = self.stream.audience.load().latency_p95_ms;
        let grace = behind.map_or(self.settings.grace_ms, |p95| {
            i64::try_from(2 * p95).unwrap_or(i64::MAX).clamp(self.settings.grace_ms, 10_000)
        });
        self.room.set_delays(delay, grace);
    }

    /// The disk did not take what was decided, so it never was: the room is what the disk has.
    fn start_over(&mut self, fault: &str) {
        let refusal = Refusal::new(
            "state.unavailable",
            "The server cannot keep anything just now.",
            "Send it again in a moment; the operator has been told.",
        );
        let refusal = refusal.after(2000);
        for ((_, op_id), waiting) in self.in_flight.drain() {
            let nack = wire::nack(Some(&op_id), &refusal);
            waiting.into_iter().for_each(|to| to.answer(&nack));
        }
        match self.store.restore(&self.stream.name, self.room.epoch()) {
            Ok(Restored { epoch, records, next }) => {
                warn!(stream = %self.stream.name, fault, "the room starts over from what is on the disk");
                self.next = next;
                self.generation += 1;
                self.room = Room::restore(epoch, self.settings.clone(), records);
                let position = *self.stream.cues.position().borrow();
                self.room.set_media(position.map(media));
            }
            Err(again) => {
                error!(stream = %self.stream.name, fault, %again, "the room cannot be read again")
            }
        }
    }
}

fn media(position: Position) -> Media {
    let Position { index, anchor, msn, part, grid, since } = position;
    let ago = i64::try_from(since.elapsed().as_millis()).unwrap_or(0);
    Media { index, anchor, msn, part, grid, since: now_ms() - ago }
}

//! One room: ops in, records and answers out.
//!
//! The room decides at once and remembers what it decided; nothing of it may be told before its
//! [`Commit`] is on the disk. Time is an argument, in Unix milliseconds of the server's clock.

mod chat;
mod host;
mod moderation;
mod outcome;
mod polls;
mod questions;
mod verdict;
mod view;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use self::outcome::Decision;
pub use self::outcome::{Answer, Commit, OpKey, Reply, Standing};
use crate::audit::Deed;
use crate::filter::Filter;
use crate::op::{Ask, Op};
use crate::overload::Overload;
use crate::poll::{Poll, PollState};
use crate::rates::{Class, Rates};
use crate::state::State;
use crate::text;
use crate::{Bind, Body, By, Event, Id, Media, Mode, Record, Refusal, Settings, Viewer};

/// Answers that are kept here; older ones the disk still has.
const KEPT_ANSWERS: usize = 10_000;
/// How often the count of a running poll, and the ranks of questions, are told, in milliseconds.
const TALLY_MS: i64 = 500;
/// So many refused messages of one viewer in so many milliseconds are a flood, and silence them for as long.
const FLOOD: u32 = 20;
const FLOOD_MS: i64 = 60_000;
/// Different emoji counted at a time; what comes beyond is left out.
const EMOJI: usize = 64;

/// A room and what it has decided.
#[derive(Debug)]
pub struct Room {
    epoch: Arc<str>,
    settings: Settings,
    filter: Filter,
    state: State,
    media: Option<Media>,
    rates: Rates,
    answers: HashMap<OpKey, Answer>,
    answered: VecDeque<OpKey>,
    commits: VecDeque<Commit>,
    reactions: BTreeMap<String, u64>,
    /// Polls with votes that were not told, and when they last were.
    tallies: BTreeMap<Id, (bool, i64)>,
    ranks: BTreeMap<Id, ()>,
    ranked_at: i64,
    last_texts: HashMap<Id, (String, i64)>,
    overload: Overload,
    /// Refused messages of a viewer, and since when they are counted.
    floods: HashMap<Id, (u32, i64)>,
    swept_at: i64,
}

impl Room {
    /// The room whose journal holds `records`, in order.
    pub fn restore(
        epoch: impl Into<Arc<str>>,
        settings: Settings,
        records: impl IntoIterator<Item = Record>,
    ) -> Self {
        let mut state = State::default();
        for record in records {
            state.apply(&record);
        }
        // What was voted since the last count was told is told again.
        let running = |poll: &&Poll| matches!(poll.state, PollState::Open | PollState::Closing);
        let running = state.polls.values().filter(running);
        let tallies = running.map(|poll| (poll.id.clone(), (!poll.votes.is_empty(), 0))).collect();
        Self {
            epoch: epoch.into(),
            filter: Filter::new(&settings.rules),
            settings,
            state,
            media: None,
            rates: Rates::default(),
            answers: HashMap::new(),
            answered: VecDeque::new(),
            commits: VecDeque::new(),
            reactions: BTreeMap::new(),
            tallies,
            ranks: BTreeMap::new(),
            ranked_at: 0,
            last_texts: HashMap::new(),
            overload: Overload::default(),
            floods: HashMap::new(),
            swept_at: 0,
        }
    }

    /// Identifies this log: numbers of another epoch say nothing here.
    #[must_use]
    pub fn epoch(&self) -> &Arc<str> {
        &self.epoch
    }

    /// The number of the last event that was decided.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.state.seq
    }

    /// The furthest tick anything was ever bound to.
    #[must_use]
    pub fn furthest(&self) -> u64 {
        self.state.furthest.map_or(0, |bind| bind.pts)
    }

    /// Takes other settings from now on.
    pub fn set_settings(&mut self, settings: Settings) {
        self.filter = Filter::new(&settings.rules);
        self.settings = settings;
    }

    /// Where the media stands; `None` while none flows.
    pub fn set_media(&mut self, media: Option<Media>) {
        self.media = media;
    }

    /// How much later than its frame a host's press is known here, and how long viewers lag behind.
    pub fn set_delays(&mut self, ingest_delay_ms: i64, grace_ms: i64) {
        self.settings.ingest_delay_ms = ingest_delay_ms;
        self.settings.grace_ms = grace_ms;
    }

    /// Takes one op. Whether it is on its way to the disk already, or was done so long ago that only the
    /// disk knows, is for the caller to find out first.
    pub fn handle_op(&mut self, who: &Viewer, op: &Op, now: i64) -> Reply {
        let key = (Arc::clone(&who.id), op.op_id.clone());
        if let Some(answer) = self.answers.get(&key) {
            return Reply::Again(answer.clone());
        }
        if let Ask::React { emoji } = &op.ask {
            return match self.react(who, emoji, now) {
                Ok(()) => Reply::Counted,
                Err(refusal) => Reply::Refused(refusal),
            };
        }
        match self.decide(who, op, now) {
            Err(refusal) => Reply::Refused(refusal),
            Ok(Decision::Ask(text)) => Reply::Ask(text),
            Ok(Decision::Done(records, answer)) => {
                self.settle(who, op, records, answer, now);
                Reply::Pending
            }
        }
    }

    /// An anonymous viewer has signed in: what they did is the known one's.
    pub fn know(&mut self, was: &Id, is: &Id) {
        if was != is && self.state.remembers(was) {
            self.note(vec![Record::Known { was: was.clone(), is: is.clone() }]);
        }
    }

    /// The stream's phase changed.
    pub fn handle_phase(&mut self, phase: &str, now: i64) {
        let body = Body::StreamState { phase: phase.to_owned() };
        let event = self.event(self.new_id(), body, None, None, now);
        self.note(vec![event]);
    }

    /// The step of [`Mode::Overload`].
    #[must_use]
    pub fn overload(&self) -> u8 {
        self.state.modes.overload
    }

    /// Takes, a few times a second, whether more comes in than can be taken. While it does, the room gives
    /// things up in a fixed order, each announced as [`Mode::Overload`].
    pub fn handle_load(&mut self, overloaded: bool, now: i64) {
        let step = self.overload.handle(overloaded, now);
        // What was given up before a restart is forgotten by it.
        let stale = (self.state.modes.overload > 0 && self.overload.is_none()).then_some(0);
        if let Some(step) = step.or(stale).filter(|step| *step != self.state.modes.overload) {
            let body = Body::ModeChanged { mode: Mode::Overload, value: step.into() };
            let event = self.event(self.new_id(), body, None, None, now);
            self.note(vec![event]);
        }
    }

    /// A part is composed, or its time has come without media: reactions so far are told.
    pub fn handle_part(&mut self, now: i64) {
        if !self.reactions.is_empty() {
            let body = Body::Reactions { counts: std::mem::take(&mut self.reactions) };
            let event = self.event(self.new_id(), body, None, None, now);
            self.note(vec![event]);
        }
    }

    /// What is due at `now`: counts of polls and questions, polls whose time is over.
    pub fn handle_timeout(&mut self, now: i64) {
        self.settle_polls(now);
        self.tell_tallies(now);
        self.tell_ranks(now);
        if now - self.swept_at > 60_000 {
            self.swept_at = now;
            self.rates.forget(now);
            self.last_texts.retain(|_, (_, at)| now - *at < 30_000);
            self.floods.retain(|_, (_, since)| now - *since < FLOOD_MS);
        }
    }

    /// Cuts the next tick, if anything happened since the last: its events are those up to the last
    /// event decided. The number of the tick comes with its record.
    pub fn cut_tick(&mut self) {
        let (tick, to) = self.state.tick;
        if self.state.seq > to {
            let pts = self.media.map_or_else(|| self.furthest(), |media| media.edge().pts);
            self.note(vec![Record::Tick { tick: tick + 1, to: self.state.seq, pts }]);
        }
    }

    /// The next thing for the disk.
    pub fn poll_commit(&mut self) -> Option<Commit> {
        self.commits.pop_front()
    }

    /// Does what was decided.
    fn settle(&mut self, who: &Viewer, op: &Op, records: Vec<Record>, answer: Answer, now: i64) {
        for record in &records {
            self.state.apply(record);
        }
        let key = (Arc::clone(&who.id), op.op_id.clone());
        self.remember(key.clone(), answer.clone());
        let deed = Deed::of(who, op, now);
        self.commits.push_back(Commit { records, answer: Some((key, answer)), deed });
    }

    fn decide(&mut self, who: &Viewer, op: &Op, now: i64) -> Result<Decision, Refusal> {
        if who.role < op.ask.role() {
            return Err(Refusal::role(op.ask.role().as_str()));
        }
        self.admit(who, now)?;
        let done = match &op.ask {
            Ask::ChatSend { text, reply_to } => {
                return self.send_chat(who, op, text, reply_to.as_ref(), now);
            }
            Ask::QaAsk { text } => return self.ask(who, op, text, now),
            Ask::React { .. } => return Err(Refusal::unknown("op")),
            Ask::PollVote { poll, options } => self.vote(who, op, poll, options, now)?,
            Ask::QaUpvote { question } => self.upvote(who, question, now)?,
            Ask::Report { message, reason } => self.report(who, message, reason, now)?,
            Ask::Remove { .. }
            | Ask::Mute { .. }
            | Ask::Ban { .. }
            | Ask::Lift { .. }
            | Ask::Approve { .. }
            | Ask::Reject { .. }
            | Ask::SetMode { .. } => self.moderate(who, op, now)?,
            _ => self.control(who, op, now)?,
        };
        Ok(done.into())
    }

    /// Whether they take part at all.
    fn admit(&self, who: &Viewer, now: i64) -> Result<(), Refusal> {
        if let Some(&until) = self.state.banned.get(&who.id).filter(|&&until| until > now) {
            let wait = (until != i64::MAX).then(|| (until - now).unsigned_abs());
            let hint = "A moderator decided so; write to the broadcaster if you think it wrong.";
            let refusal = Refusal::new("auth.banned", "You cannot take part here.", hint);
            return Err(Refusal { retry_after_ms: wait, ..refusal });
        }
        if who.anonymous && !self.settings.anonymous {
            let hint = "Sign in, and send it again.";
            return Err(Refusal::new("auth.required", "Only known viewers take part here.", hint));
        }
        Ok(())
    }

    fn react(&mut self, who: &Viewer, emoji: &str, now: i64) -> Result<(), Refusal> {
        self.admit(who, now)?;
        if !text::is_one_emoji(emoji) {
            let hint = "Send a single emoji, like ❤ or 🎉.";
            return Err(Refusal::invalid("A reaction is one emoji.", hint));
        }
        self.take(who, Class::React, now)?;
        if self.reactions.len() < EMOJI || self.reactions.contains_key(emoji) {
            *self.reactions.entry(emoji.to_owned()).or_default() += 1;
        }
        Ok(())
    }

    fn take(&mut self, who: &Viewer, class: Class, now: i64) -> Result<(), Refusal> {
        let taken = self.rates.take(&who.id, who.role, class, now);
        if taken.is_err() && class == Class::Chat {
            self.note_flood(who, now);
        }
        taken.map_err(|wait| {
            let hint = format!("Send it again in {} s.", wait.div_ceil(1000));
            Refusal::new("rate.user", "That was too much at a time.", hint).after(wait)
        })
    }

    /// Who goes on writing although nothing of it is taken is silent for a while.
    fn note_flood(&mut self, who: &Viewer, now: i64) {
        let (refused, since) = self.floods.entry(Arc::clone(&who.id)).or_insert((0, now));
        if now - *since >= FLOOD_MS {
            (*refused, *since) = (0, now);
        }
        *refused += 1;
        if *refused >= FLOOD {
            self.floods.remove(&who.id);
            let body =
                Body::ViewerMuted { viewer: Arc::clone(&who.id), until: Some(now + FLOOD_MS) };
            let event = self.event(self.new_id(), body, None, None, now);
            self.note(vec![event]);
        }
    }

    /// The earliest place there is; without media, the last one there was.
    fn now(&self, now: i64) -> Option<Bind> {
        self.media.map(|media| media.next(now)).or(self.state.last)
    }

    /// The next event; the one of an op gets its author later.
    fn event(&self, id: Id, body: Body, bind: Option<Bind>, by: Option<By>, now: i64) -> Record {
        let bind = bind.or_else(|| self.now(now));
        let seq = self.state.seq + 1;
        Record::Event(Arc::new(Event { seq, id, body, at: now, bind, seen: None, by }))
    }

    /// An id that no other thing has, nor ever had.
    fn new_id(&self) -> Id {
        format!("{}-{}", self.epoch, self.state.seq + 1).into()
    }

    /// The answer of an op that comes to these records.
    fn confirmed(&self, records: &[Record]) -> Answer {
        let event = records.iter().find_map(|record| match record {
            Record::Event(event) => Some(event),
            _ => None,
        });
        Answer {
            state: Standing::Confirmed,
            seq: event.map_or(self.state.seq, |event| event.seq),
            id: event.map(|event| event.id.clone()),
            bind: event.and_then(|event| event.bind),
            late_ms: None,
            tally: None,
        }
    }

    /// Takes records that answer nobody.
    fn note(&mut self, records: Vec<Record>) {
        for record in &records {
            self.state.apply(record);
        }
        self.commits.push_back(Commit { records, ..Commit::default() });
    }

    fn remember(&mut self, key: OpKey, answer: Answer) {
        self.answers.insert(key.clone(), answer);
        self.answered.push_back(key);
        if self.answered.len() > KEPT_ANSWERS
            && let Some(old) = self.answered.pop_front()
        {
            self.answers.remove(&old);
        }
    }
}

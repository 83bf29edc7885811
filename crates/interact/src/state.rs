//! A room as its records made it: nothing but these changes it, so that reading them again gives the same.

mod known;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::poll::{Close, Poll, PollState};
use crate::{Bind, Body, By, Event, Id, Mode};

/// Events that are kept for those who were away, and messages that can still be removed.
pub(crate) const KEPT_EVENTS: usize = 20_000;
/// Announcements that are told to who comes in.
const KEPT_ANNOUNCEMENTS: usize = 8;

/// One entry of a room's journal.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "r", rename_all = "snake_case")]
pub enum Record {
    /// What everybody learns.
    Event(Arc<Event>),
    /// One person's choice; the newest counts.
    Vote {
        /// The poll.
        poll: Id,
        /// Who.
        voter: Id,
        /// What.
        options: Vec<Id>,
    },
    /// A poll is closing.
    Closing {
        /// The poll.
        poll: Id,
        /// When.
        close: Close,
    },
    /// A poll's counts are shown from now on.
    Revealed {
        /// The poll.
        poll: Id,
    },
    /// A poll is counted and waits for the host to reveal it.
    Sealed {
        /// The poll.
        poll: Id,
    },
    /// One person's upvote.
    Upvote {
        /// The question.
        question: Id,
        /// Who.
        voter: Id,
    },
    /// A message waits for a moderator.
    Held(Held),
    /// A message that waited was refused, or is let through by the event that follows.
    Decided {
        /// The message.
        message: Id,
    },
    /// Somebody objects to a message.
    Reported {
        /// The message.
        message: Id,
        /// Who.
        by: Id,
        /// Why.
        reason: String,
    },
    /// An anonymous viewer is known from now on.
    Known {
        /// The anonymous one.
        was: Id,
        /// The known one.
        is: Id,
    },
    /// A tick was cut for caches: it ends with this event.
    Tick {
        /// Its number, from 1.
        tick: u64,
        /// Its last event.
        to: u64,
        /// The live edge when it was cut, 90 kHz ticks.
        pts: u64,
    },
}

/// A message that waits for a moderator.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Held {
    /// Its id, also once it is let through.
    pub id: Id,
    /// What it says.
    pub text: String,
    /// What it answers.
    pub reply_to: Option<Id>,
    /// Whose it is.
    pub by: By,
    /// When it came, in Unix milliseconds.
    pub at: i64,
    /// What its author's picture showed.
    pub seen: Option<u64>,
    /// Why it waits.
    pub why: String,
}

/// Where a question stands.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum QuestionState {
    /// Asked.
    #[default]
    Asked,
    /// Shown to everybody.
    Spotlight,
    /// Answered.
    Answered,
    /// Put aside.
    Dismissed,
}

/// A question from the audience.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) text: String,
    pub(crate) by: Option<By>,
    pub(crate) voters: HashSet<Id>,
    pub(crate) state: QuestionState,
}

/// How the chat is kept.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Modes {
    /// As [`Mode::Slow`].
    pub slow: u64,
    /// As [`Mode::Locked`].
    pub locked: bool,
    /// As [`Mode::Emoji`].
    pub emoji: bool,
    /// As [`Mode::Followers`].
    pub followers: bool,
    /// As [`Mode::Hold`].
    pub hold: bool,
    /// As [`Mode::Overload`].
    #[serde(default)]
    pub overload: u8,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// Of the last event.
    pub(crate) seq: u64,
    pub(crate) events: VecDeque<Arc<Event>>,
    /// The numbers of the messages among them.
    pub(crate) messages: HashMap<Id, u64>,
    pub(crate) polls: BTreeMap<Id, Poll>,
    pub(crate) questions: BTreeMap<Id, Question>,
    pub(crate) spotlight: Option<Id>,
    pub(crate) announcements: VecDeque<Arc<Event>>,
    pub(crate) pinned: Option<Arc<Event>>,
    pub(crate) modes: Modes,
    pub(crate) held: BTreeMap<Id, Held>,
    /// Messages that ever waited.
    pub(crate) held_ever: u64,
    pub(crate) muted: BTreeMap<Id, i64>,
    pub(crate) banned: BTreeMap<Id, i64>,
    pub(crate) removed: HashSet<Id>,
    pub(crate) reports: BTreeMap<Id, HashSet<Id>>,
    /// The last tick, and the last event in it.
    pub(crate) tick: (u64, u64),
    /// The furthest place anything was bound to.
    pub(crate) furthest: Option<Bind>,
    /// The last place that was bound to because it came next, and not because a host wanted it.
    pub(crate) last: Option<Bind>,
}

impl State {
    pub(crate) fn apply(&mut self, record: &Record) {
        match record {
            Record::Event(event) => self.apply_event(event),
            Record::Vote { poll, voter, options } => {
                if let Some(poll) = self.polls.get_mut(poll) {
                    poll.votes.insert(voter.clone(), options.clone());
                }
            }
            Record::Closing { poll, close } => {
                if let Some(poll) = self.polls.get_mut(poll) {
                    poll.close = Some(*close);
                    poll.state = PollState::Closing;
                }
            }
            Record::Revealed { poll } => {
                if let Some(poll) = self.polls.get_mut(poll) {
                    poll.revealed = true;
                }
            }
            Record::Sealed { poll } => {
                if let Some(poll) = self.polls.get_mut(poll) {
                    poll.state = PollState::Closed;
                }
            }
            Record::Upvote { question, voter } => {
                if let Some(question) = self.questions.get_mut(question) {
                    question.voters.insert(voter.clone());
                }
            }
            Record::Held(held) => {
                self.held_ever += 1;
                if !held.text.is_empty() {
                    self.held.insert(held.id.clone(), held.clone());
                }
            }
            Record::Decided { message } => {
                self.held.remove(message);
            }
            Record::Reported { message, by, .. } => {
                self.reports.entry(message.clone()).or_default().insert(by.clone());
            }
            Record::Known { was, is } => self.know(was, is),
            Record::Tick { tick, to, .. } => self.tick = (*tick, *to),
        }
    }

    fn apply_event(&mut self, event: &Arc<Event>) {
        self.seq = event.seq;
        if let Some(bind) = event.bind
            && self.furthest.is_none_or(|furthest| furthest.pts < bind.pts)
        {
            self.furthest = Some(bind);
        }
        if event.body.is_bound_to_now() {
            self.last = event.bind.or(self.last);
        }
        match &event.body {
            Body::ChatRemoved { message } => {
                self.removed.insert(message.clone());
                if self.pinned.as_ref().is_some_and(|pinned| pins(pinned, message)) {
                    self.pinned = None;
                }
            }
            Body::PollOpened { question, options, multi, change_vote, results, closes_at } => {
                let close = closes_at.map(|pdt| {
                    let lasts = |bind: Bind| 90 * (pdt - bind.pdt).max(0).unsigned_abs();
                    let pts = event.bind.map_or(u64::MAX, |bind| bind.pts + lasts(bind));
                    Close { pts, pdt, at: pdt, until: pdt }
                });
                let poll = Poll {
                    id: event.id.clone(),
                    question: question.clone(),
                    options: options.clone(),
                    multi: *multi,
                    change_vote: *change_vote,
                    results: *results,
                    bind: event.bind,
                    state: PollState::Open,
                    close,
                    revealed: false,
                    rev: 0,
                    votes: Default::default(),
                    result: None,
                };
                self.polls.insert(event.id.clone(), poll);
            }
            Body::PollTally(tally) => {
                if let Some(poll) = self.polls.get_mut(&tally.poll) {
                    poll.rev = tally.rev;
                }
            }
            Body::PollResult(tally) => {
                if let Some(poll) = self.polls.get_mut(&tally.poll) {
                    poll.rev = tally.rev;
                    poll.state = PollState::Closed;
                    poll.revealed = true;
                    poll.result = Some(tally.clone());
                }
            }
            Body::PollCancelled { poll } => {
                if let Some(poll) = self.polls.get_mut(poll) {
                    poll.state = PollState::Cancelled;
                }
            }
            // What was taken out of the journal is not there any more.
            Body::QaAsked { .. } if event.body.is_erased() => {}
            Body::QaAsked { text } => {
                let question = Question {
                    text: text.clone(),
                    by: event.by.clone(),
                    voters: HashSet::new(),
                    state: QuestionState::Asked,
                };
                self.questions.insert(event.id.clone(), question);
            }
            Body::QaSpotlight { question, .. } => {
                if let Some(before) = self.spotlight.replace(question.clone())
                    && let Some(before) = self.questions.get_mut(&before)
                {
                    before.state = QuestionState::Asked;
                }
                self.set_question(question, QuestionState::Spotlight);
            }
            Body::QaAnswered { question, dismissed } => {
                if self.spotlight.as_ref() == Some(question) {
                    self.spotlight = None;
                }
                let answered = QuestionState::Answered;
                let state = if *dismissed { QuestionState::Dismissed } else { answered };
                self.set_question(question, state);
            }
            Body::Announcement { .. } => {
                self.announcements.push_back(Arc::clone(event));
                if self.announcements.len() > KEPT_ANNOUNCEMENTS {
                    self.announcements.pop_front();
                }
            }
            Body::Pinned { message, .. } => {
                self.pinned = message.as_ref().map(|_| Arc::clone(event));
            }
            Body::ViewerMuted { viewer, until } => set_until(&mut self.muted, viewer, *until),
            Body::ViewerBanned { viewer, until } => set_until(&mut self.banned, viewer, *until),
            Body::ModeChanged { mode, value } => self.set_mode(*mode, value),
            Body::ChatMessage { .. } => {
                self.messages.insert(event.id.clone(), event.seq);
                if event.body.is_erased() {
                    self.removed.insert(event.id.clone());
                }
            }
            Body::Reactions { .. }
            | Body::QaRanked { .. }
            | Body::StreamState { .. }
            | Body::Custom { .. } => {}
        }
        self.events.push_back(Arc::clone(event));
        if self.events.len() > KEPT_EVENTS
            && let Some(old) = self.events.pop_front()
        {
            // What is not kept cannot be shown again: who removed it need not be remembered.
            self.messages.remove(&old.id);
            self.removed.remove(&old.id);
            self.reports.remove(&old.id);
        }
    }

    /// The message, if it is kept and was not removed.
    pub(crate) fn message(&self, id: &Id) -> Option<&Arc<Event>> {
        let first = self.events.front()?.seq;
        let at = usize::try_from(self.messages.get(id)?.checked_sub(first)?).ok()?;
        self.events.get(at).filter(|event| !self.removed.contains(&event.id))
    }

    fn set_question(&mut self, id: &Id, state: QuestionState) {
        if let Some(question) = self.questions.get_mut(id) {
            question.state = state;
        }
    }

    fn set_mode(&mut self, mode: Mode, value: &serde_json::Value) {
        let on = value.as_bool().unwrap_or_default();
        match mode {
            Mode::Slow => self.modes.slow = value.as_u64().unwrap_or_default(),
            Mode::Locked => self.modes.locked = on,
            Mode::Emoji => self.modes.emoji = on,
            Mode::Followers => self.modes.followers = on,
            Mode::Hold => self.modes.hold = on,
            Mode::Overload => {
                self.modes.overload = value.as_u64().map_or(0, |step| step.try_into().unwrap_or(0));
            }
        }
    }
}

/// Without an end it holds for good; an end at zero lifts it.
fn set_until(list: &mut BTreeMap<Id, i64>, viewer: &Id, until: Option<i64>) {
    match until {
        Some(0) => list.remove(viewer),
        until => list.insert(viewer.clone(), until.unwrap_or(i64::MAX)),
    };
}

fn pins(event: &Event, message: &Id) -> bool {
    matches!(&event.body, Body::Pinned { message: Some(pinned), .. } if pinned == message)
}

//! What moderators do.

use std::sync::Arc;

use super::{Answer, Commit, Room};
use crate::audit::Deed;
use crate::op::{Ask, Op};
use crate::rates::Class;
use crate::{Bind, Body, By, Event, Id, Mode, Record, Refusal, Role, Viewer};

/// So many viewers have to object before a message is taken away.
const REPORTS: usize = 3;
/// The slowest that slow mode goes: an hour.
const SLOWEST_MS: u64 = 3_600_000;

impl Room {
    pub(super) fn moderate(
        &mut self,
        who: &Viewer,
        op: &Op,
        now: i64,
    ) -> Result<(Vec<Record>, Answer), Refusal> {
        self.take(who, Class::Control, now)?;
        let by = Some(By::from(who));
        let mut decided = None;
        let record = match &op.ask {
            Ask::Remove { message } => {
                self.state.message(message).ok_or_else(|| Refusal::unknown("message"))?;
                let body = Body::ChatRemoved { message: message.clone() };
                self.event(message.clone(), body, None, by, now)
            }
            Ask::Mute { viewer, duration_ms } => {
                let until = until(*duration_ms, now);
                let body = Body::ViewerMuted { viewer: self.person(viewer)?, until };
                self.event(self.new_id(), body, None, by, now)
            }
            Ask::Ban { viewer, duration_ms } => {
                let until = until(*duration_ms, now);
                let body = Body::ViewerBanned { viewer: self.person(viewer)?, until };
                self.event(self.new_id(), body, None, by, now)
            }
            Ask::Lift { viewer } => {
                let viewer = viewer.clone();
                let body = if self.state.banned.contains_key(&viewer) {
                    Body::ViewerBanned { viewer, until: Some(0) }
                } else if self.state.muted.contains_key(&viewer) {
                    Body::ViewerMuted { viewer, until: Some(0) }
                } else {
                    return Err(Refusal::unknown("viewer"));
                };
                self.event(self.new_id(), body, None, by, now)
            }
            Ask::Approve { message } => {
                let shown = self.approve(message, now)?;
                decided = Some(Record::Decided { message: message.clone() });
                shown
            }
            Ask::Reject { message } => {
                self.state.held.get(message).ok_or_else(|| Refusal::unknown("message"))?;
                Record::Decided { message: message.clone() }
            }
            Ask::SetMode { mode, value } => {
                let legal = match mode {
                    Mode::Slow => value.as_u64().is_some_and(|slow| slow <= SLOWEST_MS),
                    Mode::Overload => false,
                    _ => value.is_boolean(),
                };
                if !legal {
                    let hint =
                        "slow takes milliseconds, at most an hour; the others true or false.";
                    return Err(Refusal::invalid("The mode cannot have that value.", hint));
                }
                let body = Body::ModeChanged { mode: *mode, value: value.clone() };
                self.event(self.new_id(), body, None, by, now)
            }
            _ => return Err(Refusal::unknown("op")),
        };
        let records: Vec<_> = decided.into_iter().chain([record]).collect();
        let answer = self.confirmed(&records);
        Ok((records, answer))
    }

    /// Takes what somebody wrote off every screen; they are `alias` in what is written of it. Answers with
    /// how much that was. What the journal has of them is for [`Eraser`](crate::Eraser).
    pub fn take_out(&mut self, who: &Id, alias: &Id, now: i64) -> usize {
        let theirs = |by: &Option<By>| by.as_ref().is_some_and(|by| by.id == *who);
        let messages = self.state.events.iter().filter(|event| {
            matches!(event.body, Body::ChatMessage { .. })
                && theirs(&event.by)
                && !self.state.removed.contains(&event.id)
        });
        let messages = messages.map(|event| Body::ChatRemoved { message: Arc::clone(&event.id) });
        let questions = self.state.questions.iter().filter(|(_, asked)| theirs(&asked.by));
        let questions =
            questions.map(|(id, _)| Body::QaAnswered { question: Arc::clone(id), dismissed: true });
        let bodies: Vec<_> = messages.chain(questions).collect();
        for body in &bodies {
            let id = match body {
                Body::ChatRemoved { message } => Arc::clone(message),
                _ => self.new_id(),
            };
            let event = self.event(id, body.clone(), None, None, now);
            self.note(vec![event]);
        }
        let deed = Deed {
            who: "operator".into(),
            name: None,
            role: Role::Operator,
            kind: "erase".to_owned(),
            body: serde_json::json!({"viewer": alias}).to_string(),
            at: now,
        };
        self.commits.push_back(Commit { deed: Some(deed), ..Commit::default() });
        bodies.len()
    }

    pub(super) fn report(
        &mut self,
        who: &Viewer,
        message: &Id,
        reason: &str,
        now: i64,
    ) -> Result<(Vec<Record>, Answer), Refusal> {
        self.state.message(message).ok_or_else(|| Refusal::unknown("message"))?;
        self.take(who, Class::Report, now)?;
        let reason: String = reason.chars().filter(|c| !c.is_control()).take(200).collect();
        let by = Arc::clone(&who.id);
        let mut records = vec![Record::Reported { message: message.clone(), by, reason }];
        let before = self.state.reports.get(message);
        let others = before.map_or(0, |before| before.iter().filter(|id| **id != who.id).count());
        // Enough of them take it off the screen; a moderator can let it through again.
        if others + 1 == REPORTS && !before.is_some_and(|before| before.contains(&who.id)) {
            let body = Body::ChatRemoved { message: message.clone() };
            records.push(self.event(message.clone(), body, None, None, now));
        }
        let answer = self.confirmed(&records);
        Ok((records, answer))
    }

    pub(super) fn pin(
        &self,
        message: Option<&Id>,
        bind: Option<Bind>,
        now: i64,
    ) -> Result<Vec<Record>, Refusal> {
        let Some(id) = message else {
            let body = Body::Pinned { message: None, text: None, by: None };
            return Ok(vec![self.event(self.new_id(), body, bind, None, now)]);
        };
        let pinned = self.state.message(id).ok_or_else(|| Refusal::unknown("message"))?;
        let Body::ChatMessage { text, .. } = &pinned.body else {
            return Err(Refusal::unknown("message"));
        };
        let (text, by) = (Some(text.clone()), pinned.by.clone());
        let body = Body::Pinned { message: Some(id.clone()), text, by };
        Ok(vec![self.event(id.clone(), body, bind, None, now)])
    }

    /// A message that waited is shown, as its author's.
    fn approve(&self, message: &Id, now: i64) -> Result<Record, Refusal> {
        let held = self.state.held.get(message).ok_or_else(|| Refusal::unknown("message"))?;
        let body = Body::ChatMessage { text: held.text.clone(), reply_to: held.reply_to.clone() };
        Ok(Record::Event(Arc::new(Event {
            seq: self.state.seq + 1,
            id: held.id.clone(),
            body,
            at: now,
            bind: self.now(now),
            seen: held.seen,
            by: Some(held.by.clone()),
        })))
    }

    fn person(&self, viewer: &Id) -> Result<Id, Refusal> {
        if (1..=128).contains(&viewer.len()) {
            Ok(viewer.clone())
        } else {
            Err(Refusal::unknown("viewer"))
        }
    }
}

fn until(duration_ms: Option<u64>, now: i64) -> Option<i64> {
    duration_ms.map(|lasts| now.saturating_add(i64::try_from(lasts.max(1)).unwrap_or(i64::MAX)))
}

//! Ops that come in, and what a moderator elsewhere says of them.

use std::sync::Arc;
use std::time::Instant;

use nowcast_interact::{Op, Reply, Verdict, Viewer};
use serde_json::json;

use super::super::figures::Outcome;
use super::super::{now_ms, wire};
use super::{ReplyTo, Task, Waiting};

impl Task {
    pub(super) fn handle_op(&mut self, who: &Viewer, op: &Op, to: ReplyTo) {
        let key = (Arc::clone(&who.id), op.op_id.clone());
        if let Some(waiting) = self.in_flight.get_mut(&key) {
            waiting.to.push(to);
            return;
        }
        let now = now_ms();
        if let Some(answer) = self.store.answer(&self.stream.name, &key, now) {
            self.figures.op(op.ask.kind(), Outcome::Again);
            return to.answer(&wire::ack(&op.op_id, &answer));
        }
        let kind = op.ask.kind();
        match self.room.handle_op(who, op, now) {
            Reply::Refused(refusal) => {
                self.figures.op(kind, Outcome::Refused);
                to.answer(&wire::nack(Some(&op.op_id), &refusal));
            }
            Reply::Counted => {
                self.figures.op(kind, Outcome::Counted);
                to.answer(&json!({"t": "ack", "op_id": op.op_id, "state": "counted"}));
            }
            Reply::Again(answer) => {
                self.figures.op(kind, Outcome::Again);
                to.answer(&wire::ack(&op.op_id, &answer));
            }
            Reply::Pending => {
                self.in_flight.insert(key, Waiting { kind, since: Instant::now(), to: vec![to] });
            }
            Reply::Ask(text) => {
                self.in_flight.insert(key, Waiting { kind, since: Instant::now(), to: vec![to] });
                if let Some(moderator) = &self.moderator {
                    moderator.ask(who.clone(), op.clone(), &text, self.room.overload() == 0);
                }
            }
        }
    }

    /// A moderator elsewhere has judged. Who asked before the room started over was told to ask again.
    pub(super) fn handle_verdict(&mut self, who: &Viewer, op: &Op, verdict: &Verdict) {
        let key = (Arc::clone(&who.id), op.op_id.clone());
        if !self.in_flight.contains_key(&key) {
            return;
        }
        if let Err(refusal) = self.room.handle_verdict(who, op, verdict, now_ms())
            && let Some(waiting) = self.in_flight.remove(&key)
        {
            self.figures.op(waiting.kind, Outcome::Refused);
            let nack = wire::nack(Some(&op.op_id), &refusal);
            waiting.to.into_iter().for_each(|to| to.answer(&nack));
        }
    }
}

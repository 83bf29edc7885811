//! What is on the disk goes out: to sockets, to the media, to the ticks, and as answers.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use nowcast_interact::{Answer, Body, Commit, Event, OpKey, Record, Refusal, Room};
use serde_json::{Value as Json, json};
use tracing::{error, warn};

use super::super::figures::{Carrier, Outcome};
use super::super::store::{Done, Restored};
use super::super::wire;
use super::media::media;
use super::{CHAT_BYTES, CHAT_TOGETHER, Frame, MESSAGE_BYTES, Out, Task};

impl Task {
    pub(super) fn handle_done(&mut self, done: Done) {
        self.unsettled -= 1;
        if done.generation != self.generation {
            return;
        }
        if let Some(fault) = done.fault {
            return self.start_over(&fault);
        }
        for Commit { records, answer, .. } in done.commits {
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
        if self.sent_at.elapsed() >= self.pace() {
            self.send();
        }
    }

    fn answer(&mut self, key: &OpKey, answer: &Answer) {
        let ack = wire::ack(&key.1, answer);
        let Some(waiting) = self.in_flight.remove(key) else { return };
        self.figures.op(waiting.kind, Outcome::from(answer));
        self.figures.acked(answer, waiting.since.elapsed());
        for to in waiting.to {
            to.answer(&ack);
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
                outbox.try_send(Out { text: bye.clone(), last: true }).ok();
            }
        }
        self.unsent.push(event);
    }

    /// What has gathered goes to all sockets, written once.
    pub(super) fn send(&mut self) {
        let events = std::mem::take(&mut self.unsent);
        let Some(last) = events.last() else { return };
        let since = std::mem::replace(&mut self.sent_at, Instant::now()).elapsed();
        let sockets = self.events.receiver_count();
        if sockets == 0 {
            return;
        }
        let to = last.seq;
        let a_second = CHAT_BYTES / MESSAGE_BYTES / sockets;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small number"
        )]
        let fit = (a_second as f64 * since.as_secs_f64()).ceil() as usize;
        let (shown, more) = wire::thinned(&events, fit.clamp(1, CHAT_TOGETHER));
        let text = wire::batch_to(&shown, to, more);
        self.figures.carried(Carrier::Batch, text.len(), more as u64);
        // Nobody listening is not a fault.
        self.events.send(Frame { text, to }).ok();
    }

    fn tell_staff(&self, value: &Json) {
        self.staff.send(value.to_string().into()).ok();
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
            self.figures.op(waiting.kind, Outcome::Failed);
            waiting.to.into_iter().for_each(|to| to.answer(&nack));
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
                error!(stream = %self.stream.name, fault, %again, "the room cannot be read again");
            }
        }
    }
}

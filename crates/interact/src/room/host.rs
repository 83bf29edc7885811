//! What a host does to the show.

use std::sync::Arc;

use super::{Answer, Room};
use crate::op::{Ask, At, Op};
use crate::rates::Class;
use crate::{Bind, Body, By, Record, Refusal, Viewer, text};

impl Room {
    /// Does it, where the host wants it.
    pub(super) fn control(
        &mut self,
        who: &Viewer,
        op: &Op,
        now: i64,
    ) -> Result<(Vec<Record>, Answer), Refusal> {
        self.take(who, Class::Control, now)?;
        let (bind, late_ms) = self.wish(op.at, now);
        let mut done = match &op.ask {
            Ask::PollOpen { .. } => self.open_poll(&op.ask, bind, now)?,
            Ask::PollClose { poll } => self.close_poll(poll, bind, now)?,
            Ask::PollReveal { poll } => self.reveal_poll(poll, now)?,
            Ask::PollCancel { poll } => self.cancel_poll(poll, bind, now)?,
            Ask::QaSpotlight { question } => self.spotlight(question, bind, now)?,
            Ask::QaAnswer { question } => self.answer(question, false, bind, now)?,
            Ask::QaDismiss { question } => self.answer(question, true, bind, now)?,
            Ask::Announce { text, duration_ms } => {
                let text = text::clean(text, self.settings.text)?;
                let duration_ms = duration_ms.unwrap_or(10_000).clamp(1000, 86_400_000);
                let body = Body::Announcement { text, duration_ms };
                vec![self.event(self.new_id(), body, bind, None, now)]
            }
            Ask::Pin { message } => self.pin(message.as_ref(), bind, now)?,
            Ask::Custom { name, data } => self.custom(name, data, bind, now)?,
            _ => return Err(Refusal::unknown("op")),
        };
        for record in &mut done {
            if let Record::Event(event) = record {
                Arc::make_mut(event).by.get_or_insert_with(|| By::from(who));
            }
        }
        let mut answer = self.confirmed(&done);
        answer.late_ms = late_ms.filter(|&late| late > 0);
        Ok((done, answer))
    }

    fn custom(
        &self,
        name: &str,
        data: &serde_json::Value,
        bind: Option<Bind>,
        now: i64,
    ) -> Result<Vec<Record>, Refusal> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !(1..=64).contains(&name.len()) || !name.bytes().all(legal) {
            let hint = "Use 1 to 64 letters, digits, dots, dashes and underscores.";
            return Err(Refusal::invalid("The custom event has no proper name.", hint));
        }
        let length = data.to_string().len();
        if length > 1024 {
            let hint = "Send an address or a key instead, and have the page fetch the rest.";
            let message = format!("The custom event's data are {length} bytes long; 1024 fit.");
            return Err(Refusal::new("size.data", message, hint));
        }
        let body = Body::Custom { name: name.to_owned(), data: data.clone() };
        Ok(vec![self.event(self.new_id(), body, bind, None, now)])
    }

    fn wish(&self, at: Option<At>, now: i64) -> (Option<Bind>, Option<u64>) {
        let (Some(at), Some(media)) = (at, self.media) else { return (self.now(now), None) };
        let ticks = match at {
            At::Pts(pts) => i64::try_from(pts).unwrap_or(i64::MAX),
            At::Wall(wall) => {
                media.ticks_of_date(wall.saturating_add(self.settings.ingest_delay_ms))
            }
        };
        let (bind, late) = media.at(ticks, now);
        (Some(bind), Some(late))
    }
}

//! Messages, and what may be written when.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Answer, Decision, Room, Standing};
use crate::filter::Verdict;
use crate::op::{Ask, Op};
use crate::rates::Class;
use crate::state::Held;
use crate::{Body, By, Event, Id, Record, Refusal, Viewer, overload, text};

/// The same text again within this time is taken for a slip or a flood, in milliseconds.
const SAME_TEXT_MS: i64 = 30_000;

impl Room {
    pub(super) fn send_chat(
        &mut self,
        who: &Viewer,
        op: &Op,
        text: &str,
        reply_to: Option<&Id>,
        now: i64,
    ) -> Result<Decision, Refusal> {
        let text = text::clean(text, self.settings.text)?;
        if let Some(id) = reply_to {
            self.state.message(id).ok_or_else(|| Refusal::unknown("message"))?;
        }
        let exempt = who.is_staff();
        if !exempt {
            self.check_speech(who, &text, now)?;
        }
        self.take(who, Class::Chat, now)?;
        let modes = &self.state.modes;
        let least = if modes.overload >= 3 { overload::SLOW_MS } else { 0 };
        let slow = i64::try_from(modes.slow.max(least)).unwrap_or(i64::MAX);
        if slow > 0 && !exempt {
            self.rates.take_by(&who.id, Class::Slow, slow, 1, now).map_err(|wait| {
                let message = format!("Slow mode: one message every {} s.", slow / 1000);
                let hint = format!("Send it again in {} s.", wait.div_ceil(1000));
                Refusal::new("mode.slow", message, hint).after(wait)
            })?;
        }
        let held = self.judge(&text, exempt)?;
        self.last_texts.insert(who.id.clone(), (text.clone(), now));
        if held.is_none() && self.asks_about(who) {
            return Ok(Decision::Ask(text));
        }
        Ok(self.say(who, op, text, held, now).into())
    }

    /// What was judged is written down: to be shown, or, where there is a reason, to wait.
    pub(super) fn say(
        &self,
        who: &Viewer,
        op: &Op,
        text: String,
        held: Option<Cow<'static, str>>,
        now: i64,
    ) -> (Vec<Record>, Answer) {
        let reply_to = match &op.ask {
            Ask::ChatSend { reply_to, .. } => reply_to.clone(),
            _ => None,
        };
        let by = By::from(who);
        let waits = held.is_some();
        let id = match &held {
            // Held ones take none of the log's numbers.
            Some(_) => format!("{}-h{}", self.epoch, self.state.held_ever + 1).into(),
            None => self.new_id(),
        };
        let record = match held {
            Some(why) => Record::Held(Held {
                id: id.clone(),
                text,
                reply_to,
                by,
                at: now,
                seen: op.seen,
                why: why.into_owned(),
            }),
            None => {
                let body = Body::ChatMessage { text, reply_to };
                let bind = self.now(now);
                let seq = self.state.seq + 1;
                let seen = op.seen;
                Record::Event(Arc::new(Event {
                    seq,
                    id: id.clone(),
                    body,
                    at: now,
                    bind,
                    seen,
                    by: Some(by),
                }))
            }
        };
        let records = vec![record];
        let mut answer = self.confirmed(&records);
        if waits {
            answer = Answer { state: Standing::Held, id: Some(id), ..answer };
        }
        (records, answer)
    }

    /// Text of a question: what holds for messages, but for the modes of the chat.
    pub(super) fn judge(
        &self,
        text: &str,
        exempt: bool,
    ) -> Result<Option<Cow<'static, str>>, Refusal> {
        if exempt {
            return Ok(None);
        }
        match self.filter.judge(text) {
            Verdict::Allow if self.state.modes.hold => Ok(Some("every message waits".into())),
            Verdict::Allow if self.state.modes.overload >= 2 && text::has_link(text) => {
                Ok(Some("a link, while more is written than can be looked at".into()))
            }
            Verdict::Allow => Ok(None),
            Verdict::Hold(why) => Ok(Some(why)),
            Verdict::Block(why) => Err(blocked(&why)),
        }
    }

    pub(super) fn check_muted(&self, who: &Viewer, now: i64) -> Result<(), Refusal> {
        match self.state.muted.get(&who.id) {
            Some(&until) if until > now => {
                let hint = "A moderator decided so; you can still watch, vote and react.";
                let refusal = Refusal::new("auth.muted", "You cannot write for a while.", hint);
                let wait = (until != i64::MAX).then(|| (until - now).unsigned_abs());
                Err(Refusal { retry_after_ms: wait, ..refusal })
            }
            _ => Ok(()),
        }
    }

    fn check_speech(&self, who: &Viewer, text: &str, now: i64) -> Result<(), Refusal> {
        self.check_muted(who, now)?;
        let modes = &self.state.modes;
        if modes.locked {
            let hint = "Keep your text: moderators open the chat again.";
            return Err(Refusal::new("mode.locked", "Only moderators write just now.", hint));
        }
        if (modes.followers || modes.overload >= 4) && who.anonymous {
            let hint = "Sign in, and send it again.";
            return Err(Refusal::new("mode.followers", "Only known viewers write just now.", hint));
        }
        if modes.emoji && !text::is_emoji(text) {
            let hint = "Say it in emoji, or wait.";
            return Err(Refusal::new("mode.emoji", "Only emoji are written just now.", hint));
        }
        match self.last_texts.get(&who.id) {
            Some((last, at)) if last == text && now - at < SAME_TEXT_MS => {
                let wait = (SAME_TEXT_MS - (now - at)).unsigned_abs();
                let hint = "It is there already; write something new.";
                Err(Refusal::new("rate.duplicate", "You have just said that.", hint).after(wait))
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn blocked(why: &str) -> Refusal {
    Refusal::new("mode.filter", format!("It was not sent: {why}."), "Say it in other words.")
}

//! What a moderator elsewhere says of a text that the rules allow.

use std::sync::Arc;

use super::chat::blocked;
use super::questions::not_asked;
use super::{Room, text};
use crate::filter::Verdict;
use crate::op::{Ask, Op};
use crate::{Refusal, Viewer};

impl Room {
    /// Goes on with an op that came to [`Reply::Ask`](super::Reply::Ask). What was counted against its author
    /// then is not counted again; a viewer who was silenced meanwhile stays silent. Its answer comes with its
    /// commit.
    ///
    /// # Errors
    /// It has no effect.
    pub fn handle_verdict(
        &mut self,
        who: &Viewer,
        op: &Op,
        verdict: &Verdict,
        now: i64,
    ) -> Result<(), Refusal> {
        if self.answers.contains_key(&(Arc::clone(&who.id), op.op_id.clone())) {
            return Ok(());
        }
        self.admit(who, now)?;
        self.check_muted(who, now)?;
        let held = match verdict {
            Verdict::Allow => None,
            Verdict::Hold(why) => Some(why.clone()),
            Verdict::Block(why) => return Err(blocked(why)),
        };
        let (records, answer) = match (&op.ask, held) {
            (Ask::ChatSend { text, .. }, held) => {
                let text = text::clean(text, self.settings.text)?;
                self.say(who, op, text, held, now)
            }
            (Ask::QaAsk { text }, None) => {
                let text = text::clean(text, self.settings.text)?;
                self.put(who, op, text, now)
            }
            (Ask::QaAsk { .. }, Some(why)) => return Err(not_asked(&why)),
            _ => return Err(Refusal::unknown("op")),
        };
        self.settle(who, op, records, answer, now);
        Ok(())
    }

    /// Whether somebody else judges what they write.
    pub(super) fn asks_about(&self, who: &Viewer) -> bool {
        self.settings.moderated && !who.is_staff()
    }
}

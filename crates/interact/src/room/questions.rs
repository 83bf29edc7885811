//! Questions and answers.

use super::{Answer, Decision, Room, TALLY_MS};
use crate::op::Op;
use crate::rates::Class;
use crate::state::QuestionState;
use crate::{Bind, Body, By, Id, Ranked, Record, Refusal, Viewer, text};

/// Questions that are kept.
const KEPT: usize = 1000;

impl Room {
    pub(super) fn ask(
        &mut self,
        who: &Viewer,
        op: &Op,
        text: &str,
        now: i64,
    ) -> Result<Decision, Refusal> {
        let text = text::clean(text, self.settings.text)?;
        let exempt = who.is_staff();
        if !exempt {
            self.check_muted(who, now)?;
        }
        if let Some(why) = self.judge(&text, exempt)? {
            return Err(not_asked(&why));
        }
        if self.state.questions.len() >= KEPT {
            let hint = "Vote for one that is there, or try later.";
            return Err(Refusal::invalid("There are as many questions as may be.", hint));
        }
        self.take(who, Class::Ask, now)?;
        if self.asks_about(who) {
            return Ok(Decision::Ask(text));
        }
        Ok(self.put(who, op, text, now).into())
    }

    /// A question that was judged is put to all.
    pub(super) fn put(
        &self,
        who: &Viewer,
        op: &Op,
        text: String,
        now: i64,
    ) -> (Vec<Record>, Answer) {
        let body = Body::QaAsked { text };
        let mut record = self.event(self.new_id(), body, None, Some(By::from(who)), now);
        if let Record::Event(event) = &mut record {
            std::sync::Arc::make_mut(event).seen = op.seen;
        }
        let records = vec![record];
        let answer = self.confirmed(&records);
        (records, answer)
    }

    pub(super) fn upvote(
        &mut self,
        who: &Viewer,
        question: &Id,
        now: i64,
    ) -> Result<(Vec<Record>, Answer), Refusal> {
        self.open_question(question)?;
        self.take(who, Class::Upvote, now)?;
        self.ranks.insert(question.clone(), ());
        let record = Record::Upvote { question: question.clone(), voter: who.id.clone() };
        let mut answer = self.confirmed(&[]);
        answer.id = Some(question.clone());
        Ok((vec![record], answer))
    }

    pub(super) fn spotlight(
        &self,
        question: &Id,
        bind: Option<Bind>,
        now: i64,
    ) -> Result<Vec<Record>, Refusal> {
        self.open_question(question)?;
        let Some(asked) = self.state.questions.get(question) else {
            return Err(Refusal::unknown("question"));
        };
        let (text, by) = (asked.text.clone(), asked.by.clone());
        let body = Body::QaSpotlight { question: question.clone(), text, by };
        Ok(vec![self.event(question.clone(), body, bind, None, now)])
    }

    pub(super) fn answer(
        &self,
        question: &Id,
        dismissed: bool,
        bind: Option<Bind>,
        now: i64,
    ) -> Result<Vec<Record>, Refusal> {
        self.open_question(question)?;
        let body = Body::QaAnswered { question: question.clone(), dismissed };
        Ok(vec![self.event(question.clone(), body, bind, None, now)])
    }

    /// Tells the counts of upvotes that changed, at most twice a second.
    pub(super) fn tell_ranks(&mut self, now: i64) {
        if self.ranks.is_empty() || now - self.ranked_at < TALLY_MS {
            return;
        }
        self.ranked_at = now;
        let ranked = |(id, ()): (Id, ())| {
            let votes = self.state.questions.get(&id)?.voters.len() as u64;
            Some(Ranked { id, votes })
        };
        let questions: Vec<_> =
            std::mem::take(&mut self.ranks).into_iter().filter_map(ranked).collect();
        let told = self.event(self.new_id(), Body::QaRanked { questions }, None, None, now);
        self.note(vec![told]);
    }

    fn open_question(&self, id: &Id) -> Result<(), Refusal> {
        let question = self.state.questions.get(id).ok_or_else(|| Refusal::unknown("question"))?;
        match question.state {
            QuestionState::Asked | QuestionState::Spotlight => Ok(()),
            QuestionState::Answered | QuestionState::Dismissed => {
                let hint = "Ask a new one if something is open.";
                Err(Refusal::invalid("The question was answered or put aside.", hint))
            }
        }
    }
}

pub(super) fn not_asked(why: &str) -> Refusal {
    Refusal::new("mode.filter", format!("It was not asked: {why}."), "Ask it in other words.")
}

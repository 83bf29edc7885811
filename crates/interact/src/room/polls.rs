//! Polls: opened, voted in, closed by the picture, counted once for all.

use super::{Answer, Room, TALLY_MS};
use crate::op::{Ask, Op};
use crate::poll::{Close, Poll, PollState};
use crate::rates::Class;
use crate::text::{self, Length};
use crate::{Bind, Body, Id, PollOption, Record, Refusal, Viewer};

const OPTION: Length = Length { graphemes: 80, bytes: 240 };
/// Polls that run at a time.
const OPEN: usize = 8;
/// The shortest and the longest that a poll closes by itself after, in milliseconds.
const LASTS_MS: std::ops::RangeInclusive<u64> = 1000..=86_400_000;
/// Polls that are over and still told of.
const KEPT: usize = 32;

impl Room {
    pub(super) fn open_poll(
        &mut self,
        ask: &Ask,
        bind: Option<Bind>,
        now: i64,
    ) -> Result<Vec<Record>, Refusal> {
        let Ask::PollOpen { question, options, multi, change_vote, results, duration_ms } = ask
        else {
            return Err(Refusal::unknown("op"));
        };
        let wrong = |message: &str, hint: &str| Err(Refusal::new("poll.invalid", message, hint));
        if !(2..=10).contains(&options.len()) {
            return wrong("A poll has 2 to 10 options.", "Add options, or make two polls of it.");
        }
        if duration_ms.is_some_and(|lasts| !LASTS_MS.contains(&lasts)) {
            return wrong(
                "A poll lasts 1 s to 24 h.",
                "Leave the duration out to close it by hand.",
            );
        }
        let running = |poll: &&Poll| matches!(poll.state, PollState::Open | PollState::Closing);
        if self.state.polls.values().filter(running).count() >= OPEN {
            return wrong("As many polls run as may.", "Close one first.");
        }
        let question = text::clean(question, self.settings.text)?;
        let named = |(at, text): (usize, &String)| {
            let text = text::clean(text, OPTION)?;
            Ok(PollOption { id: (at + 1).to_string().into(), text, votes: None })
        };
        let options = options.iter().enumerate().map(named).collect::<Result<_, Refusal>>()?;
        let id = self.new_id();
        let bind = bind.or_else(|| self.now(now));
        // While no media flows the place is an old one.
        let begins = bind.filter(|_| self.media.is_some()).map_or(now, |bind| bind.pdt);
        let closes_at = duration_ms.map(|lasts| begins + i64::try_from(lasts).unwrap_or(i64::MAX));
        let body = Body::PollOpened {
            question,
            options,
            multi: *multi,
            change_vote: *change_vote,
            results: *results,
            closes_at,
        };
        self.forget_old_polls();
        self.tallies.insert(id.clone(), (false, 0));
        Ok(vec![self.event(id, body, bind, None, now)])
    }

    pub(super) fn vote(
        &mut self,
        who: &Viewer,
        op: &Op,
        poll: &Id,
        options: &[Id],
        now: i64,
    ) -> Result<(Vec<Record>, Answer), Refusal> {
        let known = self.state.polls.get(poll).ok_or_else(|| Refusal::unknown("poll"))?;
        known.check(&who.id, options, op.seen, now)?;
        self.take(who, Class::Vote, now)?;
        let record =
            Record::Vote { poll: poll.clone(), voter: who.id.clone(), options: options.to_vec() };
        self.tallies.entry(poll.clone()).or_default().0 = true;
        let mut answer = self.confirmed(&[]);
        answer.id = Some(poll.clone());
        Ok((vec![record], answer))
    }

    /// The count as somebody who has voted may see it.
    #[must_use]
    pub fn tally_for_voter(&self, poll: &Id) -> Option<crate::Tally> {
        let poll = self.state.polls.get(poll)?;
        let shown = poll.public() || poll.results == crate::Results::AfterVote;
        Some(poll.tally(poll.rev, shown))
    }

    pub(super) fn close_poll(
        &self,
        id: &Id,
        bind: Option<Bind>,
        now: i64,
    ) -> Result<Vec<Record>, Refusal> {
        let poll = self.state.polls.get(id).ok_or_else(|| Refusal::unknown("poll"))?;
        if poll.state != PollState::Open {
            let hint = "Nothing is to be done: its result follows, or is there.";
            return Err(Refusal::invalid("The poll is not open.", hint));
        }
        let bind = bind.or_else(|| self.now(now));
        let close = self.close_at(bind, now);
        let mut closing = poll.clone();
        closing.state = PollState::Closing;
        closing.close = Some(close);
        let tally = closing.tally(poll.rev + 1, poll.public());
        let told = self.event(id.clone(), Body::PollTally(tally), bind, None, now);
        Ok(vec![Record::Closing { poll: id.clone(), close }, told])
    }

    pub(super) fn reveal_poll(&self, id: &Id, now: i64) -> Result<Vec<Record>, Refusal> {
        let poll = self.state.polls.get(id).ok_or_else(|| Refusal::unknown("poll"))?;
        if poll.public() || poll.state == PollState::Cancelled {
            let hint = "Nothing is to be done.";
            return Err(Refusal::invalid("The poll's counts are shown already, or never.", hint));
        }
        let tally = poll.tally(poll.rev + 1, true);
        let body = match poll.state {
            PollState::Closed => Body::PollResult(tally),
            _ => Body::PollTally(tally),
        };
        let told = self.event(id.clone(), body, None, None, now);
        Ok(vec![Record::Revealed { poll: id.clone() }, told])
    }

    pub(super) fn cancel_poll(
        &mut self,
        id: &Id,
        bind: Option<Bind>,
        now: i64,
    ) -> Result<Vec<Record>, Refusal> {
        let poll = self.state.polls.get(id).ok_or_else(|| Refusal::unknown("poll"))?;
        if !matches!(poll.state, PollState::Open | PollState::Closing) {
            let hint = "Its result stays; announce what was wrong with it.";
            return Err(Refusal::invalid("The poll is over.", hint));
        }
        self.tallies.remove(id);
        let body = Body::PollCancelled { poll: id.clone() };
        Ok(vec![self.event(id.clone(), body, bind, None, now)])
    }

    /// Begins to close polls whose time is over, and counts those whose last vote may have come.
    pub(super) fn settle_polls(&mut self, now: i64) {
        let due = self.state.polls.values().filter_map(|poll| {
            let close = poll.close?;
            let due = match poll.state {
                PollState::Open => close.at <= now,
                PollState::Closing => close.until <= now,
                PollState::Closed | PollState::Cancelled => false,
            };
            due.then(|| poll.clone())
        });
        let due: Vec<_> = due.collect();
        for mut poll in due {
            let id = poll.id.clone();
            if let (PollState::Open, Some(close)) = (poll.state, poll.close) {
                let close = Close { until: now + self.settings.grace_ms, ..close };
                poll.close = Some(close);
                poll.state = PollState::Closing;
                let tally = poll.tally(poll.rev + 1, poll.public());
                self.note(vec![Record::Closing { poll: id.clone(), close }]);
                let told = self.event(id, Body::PollTally(tally), None, None, now);
                self.note(vec![told]);
                continue;
            }
            poll.state = PollState::Closed;
            self.tallies.remove(&id);
            if poll.public() {
                let result = Body::PollResult(poll.tally(poll.rev + 1, true));
                let told = self.event(id, result, None, None, now);
                self.note(vec![told]);
            } else {
                let tally = Body::PollTally(poll.tally(poll.rev + 1, false));
                self.note(vec![Record::Sealed { poll: id.clone() }]);
                let told = self.event(id, tally, None, None, now);
                self.note(vec![told]);
            }
        }
    }

    /// Tells the counts that changed, of each poll at most twice a second.
    pub(super) fn tell_tallies(&mut self, now: i64) {
        let due = |(id, (changed, told)): (&Id, &(bool, i64))| {
            (*changed && now - told >= TALLY_MS).then(|| id.clone())
        };
        let due: Vec<_> = self.tallies.iter().filter_map(due).collect();
        for id in due {
            self.tallies.insert(id.clone(), (false, now));
            let Some(poll) = self.state.polls.get(&id) else { continue };
            let tally = Body::PollTally(poll.tally(poll.rev + 1, poll.public()));
            let told = self.event(id, tally, None, None, now);
            self.note(vec![told]);
        }
    }

    /// A close at `bind`: those behind the live picture may vote until theirs is there.
    fn close_at(&self, bind: Option<Bind>, now: i64) -> Close {
        let edge = self.media.map(|media| media.edge());
        match (bind, edge) {
            (Some(bind), Some(edge)) => {
                let ahead = i64::try_from(bind.pts.saturating_sub(edge.pts) / 90).unwrap_or(0);
                let at = now + ahead;
                Close { pts: bind.pts, pdt: bind.pdt, at, until: at + self.settings.grace_ms }
            }
            // Without a picture there is nobody to wait for.
            (bind, _) => {
                let (pts, pdt) = bind.map_or((0, now), |bind| (bind.pts, bind.pdt));
                Close { pts, pdt, at: now, until: now }
            }
        }
    }

    fn forget_old_polls(&mut self) {
        let over = |poll: &&Poll| matches!(poll.state, PollState::Closed | PollState::Cancelled);
        while self.state.polls.values().filter(over).count() > KEPT {
            let oldest = self
                .state
                .polls
                .values()
                .filter(over)
                .min_by_key(|poll| poll.bind.map_or(0, |bind| bind.pts));
            let Some(oldest) = oldest.map(|poll| poll.id.clone()) else { return };
            self.state.polls.remove(&oldest);
        }
    }
}

//! One poll: who voted for what, what may be seen of it, and until when.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{Bind, Id, PollOption, Refusal, Results, Tally};

/// Where a poll stands.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PollState {
    /// Takes votes.
    #[default]
    Open,
    /// Takes the votes of those whose picture has not reached the close.
    Closing,
    /// Counted; takes none.
    Closed,
    /// Withdrawn.
    Cancelled,
}

/// When a poll closes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Close {
    /// The tick after which a picture is too late to vote by.
    pub pts: u64,
    /// PROGRAM-DATE-TIME of that tick, in Unix milliseconds.
    pub pdt: i64,
    /// When the live picture reaches it, in Unix milliseconds.
    pub at: i64,
    /// When the last vote may come, in Unix milliseconds.
    pub until: i64,
}

/// A poll and its votes.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Poll {
    pub(crate) id: Id,
    pub(crate) question: String,
    pub(crate) options: Vec<PollOption>,
    pub(crate) multi: bool,
    pub(crate) change_vote: bool,
    pub(crate) results: Results,
    pub(crate) bind: Option<Bind>,
    pub(crate) state: PollState,
    pub(crate) close: Option<Close>,
    pub(crate) revealed: bool,
    pub(crate) rev: u64,
    /// Each voter's choice; the only truth of the count until there is a result.
    pub(crate) votes: HashMap<Id, Vec<Id>>,
    /// What everybody was told; who voted may be forgotten since.
    pub(crate) result: Option<Tally>,
}

impl Poll {
    /// Whether the counts are to be seen by all.
    pub(crate) fn public(&self) -> bool {
        self.revealed
            || match self.results {
                Results::Always => true,
                Results::AfterVote | Results::AfterClose => self.state == PollState::Closed,
                Results::OnReveal => false,
            }
    }

    /// The count, its votes shown if asked for.
    pub(crate) fn tally(&self, rev: u64, votes: bool) -> Tally {
        if let Some(result) = &self.result {
            return result.clone();
        }
        let mut options = self.options.clone();
        if votes {
            for option in &mut options {
                option.votes = Some(0);
            }
            for choice in self.votes.values().flatten() {
                let chosen = options.iter_mut().find(|option| option.id == *choice);
                if let Some(count) = chosen.and_then(|option| option.votes.as_mut()) {
                    *count += 1;
                }
            }
        }
        let closing = self.state == PollState::Closing;
        Tally {
            poll: self.id.clone(),
            rev,
            options,
            voters: self.votes.len() as u64,
            closing,
            closes_at: self.close.filter(|_| closing).map(|close| close.pdt),
        }
    }

    /// Whether a vote counts; says why not.
    pub(crate) fn check(
        &self,
        voter: &Id,
        choice: &[Id],
        seen: Option<u64>,
        now: i64,
    ) -> Result<(), Refusal> {
        let in_time = match (self.state, self.close) {
            (PollState::Open, None) => true,
            (PollState::Open | PollState::Closing, Some(close)) => {
                let over = self.state == PollState::Closing && now >= close.until;
                !over && seen.map_or(now < close.at, |seen| seen <= close.pts)
            }
            _ => false,
        };
        if !in_time {
            let hint = "Your picture has passed its end: the result follows.";
            return Err(Refusal {
                keep_draft: false,
                ..Refusal::new("poll.closed", "The poll is closed.", hint)
            });
        }
        let known = |id: &Id| self.options.iter().any(|option| option.id == *id);
        let twice = (1..choice.len()).any(|at| choice[..at].contains(&choice[at]));
        if choice.is_empty()
            || twice
            || !choice.iter().all(known)
            || (!self.multi && choice.len() > 1)
        {
            let ids: Vec<_> = self.options.iter().map(|option| &*option.id).collect();
            let many = if self.multi { "one or more, each once" } else { "exactly one" };
            return Err(Refusal::new(
                "poll.option",
                "The vote does not name options of this poll as it should.",
                format!("Choose {many} of: {}.", ids.join(", ")),
            ));
        }
        match self.votes.get(voter) {
            Some(before) if !self.change_vote && before != choice => Err(Refusal {
                keep_draft: false,
                ..Refusal::new(
                    "poll.voted",
                    "You have voted already, and this poll's votes stay as they are.",
                    "Nothing is to be done: your first vote counts.",
                )
            }),
            _ => Ok(()),
        }
    }
}

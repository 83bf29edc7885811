//! What ops come to.

use serde::{Deserialize, Serialize};

use crate::audit::Deed;
use crate::{Bind, Id, Record, Refusal, Tally};

/// What an op comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// It has no effect.
    Refused(Refusal),
    /// A reaction: it is counted, and nothing more is promised.
    Counted,
    /// It was done before, and is on the disk.
    Again(Answer),
    /// It is decided; the answer comes with its commit.
    Pending,
    /// A moderator elsewhere has to judge this text: [`handle_verdict`](crate::Room::handle_verdict) goes on.
    Ask(String),
}

/// What an op that is not refused comes to.
pub(super) enum Decision {
    Done(Vec<Record>, Answer),
    Ask(String),
}

impl From<(Vec<Record>, Answer)> for Decision {
    fn from((records, answer): (Vec<Record>, Answer)) -> Self {
        Self::Done(records, answer)
    }
}

/// The answer to an op that is done.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Answer {
    /// `confirmed`, or `held` where a moderator looks first.
    pub state: Standing,
    /// The last event when it was done: its own, where it made one.
    pub seq: u64,
    /// The thing it made or changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Id>,
    /// Where it landed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind: Option<Bind>,
    /// By how much the frame that was asked for had passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_ms: Option<u64>,
    /// The count, for who has just voted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tally: Option<Tally>,
}

/// How far an op has come.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It is done.
    Confirmed,
    /// A moderator looks first.
    Held,
}

/// What must be on the disk before anybody hears of it: all of it, or nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Commit {
    /// In this order.
    pub records: Vec<Record>,
    /// Whose op it answers, and how.
    pub answer: Option<(OpKey, Answer)>,
    /// What a moderator, a host or the operator did by it.
    pub deed: Option<Deed>,
}

/// Whose op, and which.
pub type OpKey = (Id, String);

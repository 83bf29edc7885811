use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{Bind, By};

/// Names a thing: a message, a poll, a question. Never used for another one.
pub type Id = Arc<str>;

/// One entry of a room's log, as every carrier has it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Event {
    /// Its number; the log has no gap.
    pub seq: u64,
    /// The thing it speaks of.
    pub id: Id,
    /// What happened.
    #[serde(flatten)]
    pub body: Body,
    /// When it was accepted, in Unix milliseconds.
    pub at: i64,
    /// Where it belongs; `None` before there was a picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind: Option<Bind>,
    /// What its author's picture showed, in 90 kHz ticks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<u64>,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
}

/// What happened, by its kind.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", content = "body")]
#[expect(missing_docs, reason = "fields are those of docs/contract.md and docs/events.md")]
pub enum Body {
    #[serde(rename = "chat.message")]
    ChatMessage {
        text: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_to: Option<Id>,
    },
    #[serde(rename = "chat.removed")]
    ChatRemoved { message: Id },
    #[serde(rename = "reactions")]
    Reactions { counts: BTreeMap<String, u64> },
    #[serde(rename = "poll.opened")]
    PollOpened {
        question: String,
        options: Vec<PollOption>,
        multi: bool,
        change_vote: bool,
        results: Results,
        closes_at: Option<i64>,
    },
    #[serde(rename = "poll.tally")]
    PollTally(Tally),
    #[serde(rename = "poll.result")]
    PollResult(Tally),
    #[serde(rename = "poll.cancelled")]
    PollCancelled { poll: Id },
    #[serde(rename = "qa.asked")]
    QaAsked { text: String },
    #[serde(rename = "qa.ranked")]
    QaRanked { questions: Vec<Ranked> },
    #[serde(rename = "qa.spotlight")]
    QaSpotlight { question: Id, text: String, by: Option<By> },
    #[serde(rename = "qa.answered")]
    QaAnswered { question: Id, dismissed: bool },
    #[serde(rename = "announcement")]
    Announcement { text: String, duration_ms: u64 },
    #[serde(rename = "pinned")]
    Pinned {
        message: Option<Id>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<By>,
    },
    #[serde(rename = "viewer.muted")]
    ViewerMuted { viewer: Id, until: Option<i64> },
    #[serde(rename = "viewer.banned")]
    ViewerBanned { viewer: Id, until: Option<i64> },
    #[serde(rename = "mode.changed")]
    ModeChanged { mode: Mode, value: Json },
    #[serde(rename = "stream.state")]
    StreamState { phase: String },
    #[serde(rename = "custom")]
    Custom { name: String, data: Json },
}

/// One choice of a poll.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PollOption {
    /// `"1"`, `"2"`, …: two options may have the same text.
    pub id: Id,
    /// What it says.
    pub text: String,
    /// Its votes, where they are to be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub votes: Option<u64>,
}

/// A poll's count.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Tally {
    /// The poll.
    pub poll: Id,
    /// Rises with each; an older one never replaces a newer.
    pub rev: u64,
    /// Every option.
    pub options: Vec<PollOption>,
    /// How many have voted.
    pub voters: u64,
    /// Whose picture has passed [`Tally::closes_at`] can vote no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closing: bool,
    /// PROGRAM-DATE-TIME of the close in Unix milliseconds, while closing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes_at: Option<i64>,
}

/// A question's upvotes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Ranked {
    /// The question.
    pub id: Id,
    /// Its upvotes.
    pub votes: u64,
}

/// When a poll's counts are to be seen by all.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Results {
    /// While it runs.
    #[default]
    Always,
    /// By those who have voted; by all once it is closed.
    AfterVote,
    /// Once it is closed.
    AfterClose,
    /// Once the host reveals them.
    OnReveal,
}

/// A mode of the chat.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Milliseconds between two messages of a viewer; 0 is off.
    Slow,
    /// Only moderators and hosts write.
    Locked,
    /// Messages are emoji alone.
    Emoji,
    /// Only viewers who are known by name write.
    Followers,
    /// Messages wait for a moderator.
    Hold,
    /// What the room gives up because more comes in than it can take: a step from 0, nothing, to 4. The
    /// room alone sets it.
    Overload,
}

impl Body {
    /// What somebody wrote, where it is a message.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::ChatMessage { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Whether it was taken out of the journal.
    #[must_use]
    pub const fn is_erased(&self) -> bool {
        matches!(self, Self::ChatMessage { text, .. } | Self::QaAsked { text } if text.is_empty())
    }

    /// Whether it always belongs to the moment it came in: no host can place it elsewhere.
    pub(crate) const fn is_bound_to_now(&self) -> bool {
        matches!(
            self,
            Self::ChatMessage { .. }
                | Self::Reactions { .. }
                | Self::QaAsked { .. }
                | Self::QaRanked { .. }
                | Self::StreamState { .. }
        )
    }

    /// As the wire names it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ChatMessage { .. } => "chat.message",
            Self::ChatRemoved { .. } => "chat.removed",
            Self::Reactions { .. } => "reactions",
            Self::PollOpened { .. } => "poll.opened",
            Self::PollTally(_) => "poll.tally",
            Self::PollResult(_) => "poll.result",
            Self::PollCancelled { .. } => "poll.cancelled",
            Self::QaAsked { .. } => "qa.asked",
            Self::QaRanked { .. } => "qa.ranked",
            Self::QaSpotlight { .. } => "qa.spotlight",
            Self::QaAnswered { .. } => "qa.answered",
            Self::Announcement { .. } => "announcement",
            Self::Pinned { .. } => "pinned",
            Self::ViewerMuted { .. } => "viewer.muted",
            Self::ViewerBanned { .. } => "viewer.banned",
            Self::ModeChanged { .. } => "mode.changed",
            Self::StreamState { .. } => "stream.state",
            Self::Custom { .. } => "custom",
        }
    }
}

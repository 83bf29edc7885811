//! What viewers, moderators and hosts ask for, as it comes over the wire.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{Id, Mode, Refusal, Results, Role};

/// One op, with what its sender says around it.
#[derive(Clone, Debug, PartialEq)]
pub struct Op {
    /// The same id again has no second effect.
    pub op_id: String,
    /// What is asked for.
    pub ask: Ask,
    /// What the sender's picture showed, in 90 kHz ticks.
    pub seen: Option<u64>,
    /// Where a host wants it, if not now.
    pub at: Option<At>,
}

/// A host's wish for a place in the picture.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum At {
    /// The frame that the host was in at this moment of the server's clock, in Unix milliseconds.
    Wall(i64),
    /// The frame at these 90 kHz ticks.
    Pts(u64),
}

/// What is asked for, by its kind.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", content = "body")]
#[expect(missing_docs, reason = "fields are those of docs/contract.md")]
pub enum Ask {
    #[serde(rename = "chat.send")]
    ChatSend { text: String, reply_to: Option<Id> },
    #[serde(rename = "react")]
    React { emoji: String },
    #[serde(rename = "poll.vote")]
    PollVote { poll: Id, options: Vec<Id> },
    #[serde(rename = "qa.ask")]
    QaAsk { text: String },
    #[serde(rename = "qa.upvote")]
    QaUpvote { question: Id },
    #[serde(rename = "report")]
    Report {
        message: Id,
        #[serde(default)]
        reason: String,
    },
    #[serde(rename = "poll.open")]
    PollOpen {
        question: String,
        options: Vec<String>,
        #[serde(default)]
        multi: bool,
        #[serde(default)]
        change_vote: bool,
        #[serde(default)]
        results: Results,
        duration_ms: Option<u64>,
    },
    #[serde(rename = "poll.close")]
    PollClose { poll: Id },
    #[serde(rename = "poll.reveal")]
    PollReveal { poll: Id },
    #[serde(rename = "poll.cancel")]
    PollCancel { poll: Id },
    #[serde(rename = "qa.spotlight")]
    QaSpotlight { question: Id },
    #[serde(rename = "qa.answer")]
    QaAnswer { question: Id },
    #[serde(rename = "qa.dismiss")]
    QaDismiss { question: Id },
    #[serde(rename = "announce")]
    Announce { text: String, duration_ms: Option<u64> },
    #[serde(rename = "pin")]
    Pin { message: Option<Id> },
    #[serde(rename = "custom")]
    Custom {
        name: String,
        #[serde(default)]
        data: Json,
    },
    #[serde(rename = "mod.remove")]
    Remove { message: Id },
    #[serde(rename = "mod.mute")]
    Mute { viewer: Id, duration_ms: Option<u64> },
    #[serde(rename = "mod.ban")]
    Ban { viewer: Id, duration_ms: Option<u64> },
    #[serde(rename = "mod.lift")]
    Lift { viewer: Id },
    #[serde(rename = "mod.approve")]
    Approve { message: Id },
    #[serde(rename = "mod.reject")]
    Reject { message: Id },
    #[serde(rename = "mod.mode")]
    SetMode { mode: Mode, value: Json },
}

/// The longest op id; a UUID has 36 characters.
const OP_ID: usize = 64;

impl Op {
    /// Reads an op: `{op_id, kind, body, seen?, at?}`; `at` may stand in the body as well.
    ///
    /// # Errors
    /// It cannot be understood; the op id is answered where there is one.
    pub fn parse(value: &Json) -> Result<Self, (Option<String>, Refusal)> {
        let op_id = value["op_id"].as_str().filter(|id| (1..=OP_ID).contains(&id.len()));
        let Some(op_id) = op_id else {
            let hint = "Make a new UUID for each thing a person does; send the same one again after a lost connection.";
            return Err((
                None,
                Refusal::invalid("The op has no op_id of 1 to 64 characters.", hint),
            ));
        };
        Self::parse_rest(op_id, value).map_err(|refusal| (Some(op_id.to_owned()), refusal))
    }

    fn parse_rest(op_id: &str, value: &Json) -> Result<Self, Refusal> {
        let kind = value["kind"].as_str().unwrap_or_default();
        if !Ask::KINDS.contains(&kind) {
            let mut name = kind.to_owned();
            name.truncate(name.floor_char_boundary(40));
            return Err(Refusal::new(
                "unknown.op",
                format!("There is no op of the kind “{name}”."),
                format!("These are known: {}.", Ask::KINDS.join(", ")),
            ));
        }
        let body = match &value["body"] {
            Json::Null => Json::Object(serde_json::Map::new()),
            body => body.clone(),
        };
        let at = [&value["at"], &body["at"]].into_iter().find(|at| !at.is_null());
        let at = at.map(At::deserialize).transpose().map_err(|_| {
            let hint = "Send {\"wall\":MS} of the server's clock, or {\"pts\":TICKS} of 90 kHz.";
            Refusal::invalid("The op's “at” is neither a wall time nor a pts.", hint)
        })?;
        let seen = match &value["seen"] {
            Json::Null => None,
            seen => Some(seen.as_u64().ok_or_else(|| {
                let hint = "Send the decode time of the picture in 90 kHz ticks, or leave it out.";
                Refusal::invalid("The op's “seen” is no whole number of ticks.", hint)
            })?),
        };
        let ask = serde_json::json!({"kind": kind, "body": body});
        let ask = serde_json::from_value(ask).map_err(|error| {
            let hint = "docs/contract.md has the fields of every op.";
            Refusal::invalid(format!("The body of {kind} cannot be read: {error}."), hint)
        })?;
        Ok(Self { op_id: op_id.to_owned(), ask, seen, at })
    }
}

impl Ask {
    /// Every kind, as the wire names it.
    pub const KINDS: [&str; 23] = [
        "chat.send",
        "react",
        "poll.vote",
        "qa.ask",
        "qa.upvote",
        "report",
        "poll.open",
        "poll.close",
        "poll.reveal",
        "poll.cancel",
        "qa.spotlight",
        "qa.answer",
        "qa.dismiss",
        "announce",
        "pin",
        "custom",
        "mod.remove",
        "mod.mute",
        "mod.ban",
        "mod.lift",
        "mod.approve",
        "mod.reject",
        "mod.mode",
    ];

    /// Its kind, as the wire names it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ChatSend { .. } => "chat.send",
            Self::React { .. } => "react",
            Self::PollVote { .. } => "poll.vote",
            Self::QaAsk { .. } => "qa.ask",
            Self::QaUpvote { .. } => "qa.upvote",
            Self::Report { .. } => "report",
            Self::PollOpen { .. } => "poll.open",
            Self::PollClose { .. } => "poll.close",
            Self::PollReveal { .. } => "poll.reveal",
            Self::PollCancel { .. } => "poll.cancel",
            Self::QaSpotlight { .. } => "qa.spotlight",
            Self::QaAnswer { .. } => "qa.answer",
            Self::QaDismiss { .. } => "qa.dismiss",
            Self::Announce { .. } => "announce",
            Self::Pin { .. } => "pin",
            Self::Custom { .. } => "custom",
            Self::Remove { .. } => "mod.remove",
            Self::Mute { .. } => "mod.mute",
            Self::Ban { .. } => "mod.ban",
            Self::Lift { .. } => "mod.lift",
            Self::Approve { .. } => "mod.approve",
            Self::Reject { .. } => "mod.reject",
            Self::SetMode { .. } => "mod.mode",
        }
    }

    /// The least role that may ask for it.
    #[must_use]
    pub const fn role(&self) -> Role {
        match self {
            Self::ChatSend { .. }
            | Self::React { .. }
            | Self::PollVote { .. }
            | Self::QaAsk { .. }
            | Self::QaUpvote { .. }
            | Self::Report { .. } => Role::Viewer,
            Self::Remove { .. }
            | Self::Mute { .. }
            | Self::Ban { .. }
            | Self::Lift { .. }
            | Self::Approve { .. }
            | Self::Reject { .. }
            | Self::SetMode { .. } => Role::Moderator,
            Self::PollOpen { .. }
            | Self::PollClose { .. }
            | Self::PollReveal { .. }
            | Self::PollCancel { .. }
            | Self::QaSpotlight { .. }
            | Self::QaAnswer { .. }
            | Self::QaDismiss { .. }
            | Self::Announce { .. }
            | Self::Pin { .. }
            | Self::Custom { .. } => Role::Host,
        }
    }
}

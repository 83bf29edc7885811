//! What somebody who comes in is told.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::Room;
use crate::poll::Poll;
use crate::{Body, Event, Held, Id, Viewer};

/// Messages that a newcomer reads.
const CHAT: usize = 50;

impl Room {
    /// The state of the room (docs/events.md), without what is one person's own.
    #[must_use]
    pub fn state(&self) -> Json {
        let state = &self.state;
        let questions: Vec<_> = state
            .questions
            .iter()
            .map(|(id, asked)| {
                json!({"id": id, "text": asked.text, "by": asked.by, "votes": asked.voters.len(), "state": asked.state})
            })
            .collect();
        let is_chat = |event: &&Arc<Event>| {
            matches!(event.body, Body::ChatMessage { .. }) && !state.removed.contains(&event.id)
        };
        let mut chat: Vec<_> = state.events.iter().rev().filter(is_chat).take(CHAT).collect();
        chat.reverse();
        let media = self.media.map(|media| media.edge());
        json!({
            "media": media.map(|edge| json!({"pts": edge.pts, "pdt": edge.pdt})),
            "polls": state.polls.values().map(poll).collect::<Vec<_>>(),
            "questions": questions,
            "announcements": state.announcements,
            "pinned": state.pinned,
            "modes": state.modes,
            "chat": chat,
        })
    }

    /// What is one person's own, for `mine`.
    #[must_use]
    pub fn mine(&self, who: &Viewer) -> Json {
        let votes: serde_json::Map<_, _> = self
            .state
            .polls
            .values()
            .filter_map(|poll| Some((poll.id.to_string(), json!(poll.votes.get(&who.id)?))))
            .collect();
        let upvotes: Vec<_> = self
            .state
            .questions
            .iter()
            .filter(|(_, asked)| asked.voters.contains(&who.id))
            .map(|(id, _)| id)
            .collect();
        let tallies: serde_json::Map<_, _> = votes
            .keys()
            .filter_map(|id| Some((id.clone(), json!(self.tally_for_voter(&id.as_str().into())?))))
            .collect();
        let muted = self.state.muted.get(&who.id);
        json!({"votes": votes, "tallies": tallies, "upvotes": upvotes, "muted_until": muted})
    }

    /// Events after `seq`, the oldest first; `None` where some of them are not kept.
    #[must_use]
    pub fn events_after(&self, seq: u64) -> Option<impl Iterator<Item = &Arc<Event>>> {
        let oldest = self.state.events.front().map_or(self.state.seq + 1, |event| event.seq);
        let known = oldest <= seq + 1 && seq <= self.state.seq;
        let skip = usize::try_from((seq + 1).saturating_sub(oldest)).unwrap_or(usize::MAX);
        known.then(|| self.state.events.iter().skip(skip))
    }

    /// Messages that wait for a moderator.
    pub fn held(&self) -> impl Iterator<Item = &Held> {
        self.state.held.values()
    }

    /// A message that is kept.
    #[must_use]
    pub fn message(&self, id: &Id) -> Option<&Arc<Event>> {
        self.state.message(id)
    }

    /// The last tick that was cut, and its last event.
    #[must_use]
    pub fn tick(&self) -> (u64, u64) {
        self.state.tick
    }
}

fn poll(poll: &Poll) -> Json {
    let tally = poll.tally(poll.rev, poll.public());
    json!({
        "id": poll.id,
        "question": poll.question,
        "options": tally.options,
        "multi": poll.multi,
        "change_vote": poll.change_vote,
        "results": poll.results,
        "closes_at": poll.close.map(|close| close.pdt),
        "rev": poll.rev,
        "voters": tally.voters,
        "state": poll.state,
        "bind": poll.bind,
    })
}

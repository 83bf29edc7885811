//! Taking people out of a room's journal: what they said goes, and who they were. What was counted and told
//! as a result stays as it is.

use std::collections::HashSet;
use std::sync::Arc;

use crate::{Body, By, Event, Id, Record, Role};

/// Rewrites a journal so that it tells nothing of one person, or nothing old of the audience.
///
/// Kept are bans and mutes, for as long as they are in the journal, and what those who run the show did.
#[derive(Debug)]
pub enum Eraser {
    /// One person, wherever they are; their votes count on under another name, which nobody else may have.
    Person {
        /// Who.
        id: Id,
        /// The other name.
        alias: Id,
    },
    /// Everybody in the audience.
    Audience {
        /// Polls that have a result, or never will: who voted for what is of no use any more.
        ended: HashSet<Id>,
        /// Who anonymous viewers became is needed for votes that are still counted, and for bans.
        banned: HashSet<Id>,
        /// A poll has no result yet.
        open: bool,
    },
}

impl Eraser {
    /// An eraser for the journal's first entries, which are older than `before` (Unix milliseconds), and how
    /// many those are.
    pub fn audience<'a>(entries: impl Iterator<Item = &'a [Record]>, before: i64) -> (Self, usize) {
        let (mut ended, mut banned) = (HashSet::new(), HashSet::new());
        let (mut opened, mut old) = (0, 0);
        let is_old = |record: &Record| match record {
            Record::Event(event) => event.at < before,
            _ => true,
        };
        for records in entries.take_while(|records| records.iter().all(is_old)) {
            old += 1;
            for record in records {
                let Record::Event(event) = record else { continue };
                match &event.body {
                    Body::PollOpened { .. } => opened += 1,
                    Body::PollResult(tally) => drop(ended.insert(Arc::clone(&tally.poll))),
                    Body::PollCancelled { poll } => drop(ended.insert(Arc::clone(poll))),
                    Body::ViewerBanned { viewer, .. } | Body::ViewerMuted { viewer, .. } => {
                        banned.insert(Arc::clone(viewer));
                    }
                    _ => {}
                }
            }
        }
        let open = opened > ended.len();
        (Self::Audience { ended, banned, open }, old)
    }

    /// The record as it is from now on; `None` where nothing of it stays.
    #[must_use]
    pub fn rewrite(&self, mut record: Record) -> Option<Record> {
        match (&mut record, self) {
            (Record::Event(event), _) => self.event(Arc::make_mut(event)),
            (Record::Vote { poll, .. }, Self::Audience { ended, .. }) if ended.contains(poll) => {
                return None;
            }
            (Record::Vote { voter, .. } | Record::Upvote { voter, .. }, Self::Person { .. }) => {
                self.rename(voter);
            }
            (Record::Known { was, is }, Self::Person { .. }) => {
                self.rename(was);
                self.rename(is);
            }
            (Record::Known { was, is }, Self::Audience { banned, open, .. }) => {
                return (*open || banned.contains(was) || banned.contains(is)).then_some(record);
            }
            (Record::Reported { by, reason, .. }, Self::Person { .. }) => {
                let theirs = self.rename(by);
                if theirs {
                    reason.clear();
                }
            }
            (Record::Held(held), _) => {
                let theirs = self.author(&mut held.by);
                if theirs {
                    held.text.clear();
                    held.seen = None;
                }
            }
            (Record::Upvote { .. } | Record::Reported { .. }, Self::Audience { .. }) => {
                return None;
            }
            _ => {}
        }
        Some(record)
    }

    fn event(&self, event: &mut Event) {
        if event.by.as_mut().is_some_and(|by| self.author(by)) {
            event.seen = None;
            if let Body::ChatMessage { text, .. } | Body::QaAsked { text } = &mut event.body {
                text.clear();
            }
        }
        match &mut event.body {
            Body::Pinned { by: Some(by), text, .. } => {
                let theirs = self.author(by);
                if theirs {
                    *text = None;
                }
            }
            Body::QaSpotlight { by: Some(by), text, .. } => {
                let theirs = self.author(by);
                if theirs {
                    text.clear();
                }
            }
            Body::ViewerMuted { viewer, .. } | Body::ViewerBanned { viewer, .. } => {
                self.rename(viewer);
            }
            _ => {}
        }
    }

    /// Whether this author is taken out.
    fn author(&self, by: &mut By) -> bool {
        let theirs = match self {
            Self::Person { .. } => self.rename(&mut by.id),
            Self::Audience { .. } => {
                let viewer = by.role == Role::Viewer;
                if viewer {
                    by.id = "gone".into();
                }
                viewer
            }
        };
        if theirs {
            by.name = None;
        }
        theirs
    }

    fn rename(&self, one: &mut Id) -> bool {
        match self {
            Self::Person { id, alias } if id == one => {
                *one = Arc::clone(alias);
                true
            }
            _ => false,
        }
    }
}

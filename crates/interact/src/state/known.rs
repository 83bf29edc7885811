//! An anonymous viewer who turns out to be somebody known.

use super::State;
use crate::Id;

impl State {
    /// Whether anything is remembered of somebody that would go with them.
    pub(crate) fn remembers(&self, viewer: &Id) -> bool {
        self.polls.values().any(|poll| poll.votes.contains_key(viewer))
            || self.questions.values().any(|question| question.voters.contains(viewer))
            || self.muted.contains_key(viewer)
            || self.banned.contains_key(viewer)
    }

    /// Votes of the anonymous viewer become the known one's, whose own count before them.
    pub(super) fn know(&mut self, was: &Id, is: &Id) {
        for poll in self.polls.values_mut() {
            if let Some(choice) = poll.votes.remove(was) {
                poll.votes.entry(is.clone()).or_insert(choice);
            }
        }
        for question in self.questions.values_mut() {
            if question.voters.remove(was) {
                question.voters.insert(is.clone());
            }
        }
        for list in [&mut self.muted, &mut self.banned] {
            if let Some(&until) = list.get(was) {
                let known = list.entry(is.clone()).or_insert(until);
                *known = until.max(*known);
            }
        }
    }
}

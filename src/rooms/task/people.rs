//! Who comes, goes and looks.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use nowcast_interact::{Id, Role, Viewer};
use serde_json::{Value as Json, json};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::super::wire;
use super::{Joined, Outbox, Task};

impl Task {
    pub(super) fn join(
        &mut self,
        who: Option<&Viewer>,
        was: Option<&Id>,
        pos: Option<&(String, u64)>,
        outbox: Outbox,
    ) -> Joined {
        if let (Some(who), Some(was)) = (who, was) {
            self.room.know(was, &who.id);
        }
        let seq = self.room.seq();
        let missed = match pos {
            Some((epoch, seq)) if **epoch == **self.room.epoch() => {
                self.room.events_after(*seq).map(|events| events.cloned().collect::<Vec<_>>())
            }
            _ => None,
        };
        let resume = match (pos, &missed) {
            (None, _) => "full",
            (Some(_), Some(_)) => "replay",
            (Some(_), None) => "snapshot",
        };
        let mut state = self.room.state();
        if let Some(who) = who {
            state["mine"] = self.room.mine(who);
        }
        let welcome = json!({
            "t": "welcome",
            "viewer": who.map(|who| &who.id),
            "role": who.map(|who| who.role),
            "pos": {"epoch": self.room.epoch(), "seq": seq},
            "resume": resume,
            "state": state,
            "limits": wire::limits(&self.settings),
        });
        let mut frames = vec![welcome.to_string().into()];
        frames.extend(
            missed
                .filter(|missed| !missed.is_empty())
                .map(|missed| wire::batch(&wire::thinned(&missed, usize::MAX).0, 0)),
        );
        let is_staff = who.is_some_and(|who| who.role >= Role::Moderator);
        if is_staff {
            frames.extend(
                self.room
                    .held()
                    .map(|held| Utf8Bytes::from(json!({"t": "held", "message": held}).to_string())),
            );
        }
        if let Some(who) = who {
            self.people.entry(Arc::clone(&who.id)).or_default().push(outbox);
        }
        Joined {
            frames,
            seq,
            events: self.events.subscribe(),
            staff: is_staff.then(|| self.staff.subscribe()),
        }
    }

    pub(super) fn leave(&mut self, who: &Id, outbox: &Outbox) {
        if let Entry::Occupied(mut entry) = self.people.entry(Arc::clone(who)) {
            entry.get_mut().retain(|one| !one.same_channel(outbox));
            if entry.get().is_empty() {
                entry.remove();
            }
        }
    }

    pub(super) fn look(&self) -> Json {
        let mut state = self.room.state();
        state["epoch"] = json!(self.room.epoch());
        state["seq"] = json!(self.room.seq());
        state["held"] = json!(self.room.held().collect::<Vec<_>>());
        state["sockets"] = json!(self.events.receiver_count());
        state
    }
}

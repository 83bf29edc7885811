//! A room with its disk, in simulated time, and the people in it.

use std::sync::Arc;

use nowcast_interact::*;
use nowcast_media::{FrameRate, Grid, MediaTime};
use serde_json::{Value as Json, json};

pub(crate) const NOW: i64 = 1_795_305_600_000;

/// A room with its disk: what was committed, in order.
pub(crate) struct House {
    pub(crate) room: Room,
    pub(crate) disk: Vec<Record>,
    ops: u64,
    pub(crate) now: i64,
}

impl House {
    pub(crate) fn new() -> Self {
        let room = Room::restore("e1", Settings::default(), []);
        Self { room, disk: Vec::new(), ops: 0, now: NOW }
    }

    /// With a picture: 30 frames a second, parts of 10, from frame `index` on.
    pub(crate) fn with_picture(index: i64) -> Self {
        let mut house = Self::new();
        house.flow(index);
        house
    }

    pub(crate) fn flow(&mut self, index: i64) {
        let grid = Grid::new(
            FrameRate::new(30, 1).unwrap(),
            MediaTime::from_millis(334),
            MediaTime::from_millis(2000),
        );
        let anchor = (self.now - index * 100 / 3) * 1000;
        let (msn, part) = (index / 60, index % 60 / 10);
        let (msn, part) = (u64::try_from(msn).unwrap(), u32::try_from(part).unwrap());
        self.room.set_media(Some(Media { index, anchor, msn, part, grid, since: self.now }));
    }

    pub(crate) fn commit(&mut self) -> Option<Commit> {
        let mut last = None;
        while let Some(commit) = self.room.poll_commit() {
            self.disk.extend(commit.records.iter().cloned());
            if commit.answer.is_some() {
                last = Some(commit);
            }
        }
        last
    }

    pub(crate) fn send(&mut self, who: &Viewer, op: &Json) -> Result<Json, Refusal> {
        let op = Op::parse(op).map_err(|(_, refusal)| refusal)?;
        match self.room.handle_op(who, &op, self.now) {
            Reply::Refused(refusal) => Err(refusal),
            Reply::Counted => Ok(json!("counted")),
            Reply::Again(answer) => Ok(json!(answer)),
            Reply::Ask(text) => Ok(json!({"asked": text})),
            Reply::Pending => {
                let commit = self.commit().expect("what is pending is to be committed");
                Ok(json!(commit.answer.expect("an op is answered").1))
            }
        }
    }

    pub(crate) fn ask(
        &mut self,
        who: &Viewer,
        kind: &str,
        body: impl Into<Json>,
    ) -> Result<Json, Refusal> {
        let body: Json = body.into();
        self.ops += 1;
        let op_id = format!("op-{}", self.ops);
        self.send(who, &json!({"op_id": op_id, "kind": kind, "body": body}))
    }

    pub(crate) fn later(&mut self, millis: i64) {
        self.now += millis;
        self.room.handle_timeout(self.now);
        self.commit();
    }

    /// So long there is more to do than can be done, or there is not.
    pub(crate) fn load(&mut self, overloaded: bool, millis: i64) {
        self.room.handle_load(overloaded, self.now);
        self.later(millis);
        self.room.handle_load(overloaded, self.now);
        self.commit();
    }

    pub(crate) fn events(&self) -> Vec<Arc<Event>> {
        let event = |record: &Record| match record {
            Record::Event(event) => Some(Arc::clone(event)),
            _ => None,
        };
        self.disk.iter().filter_map(event).collect()
    }

    pub(crate) fn last(&self) -> Json {
        json!(self.events().last().expect("an event"))
    }

    pub(crate) fn restarted(&self) -> Room {
        Room::restore("e1", Settings::default(), self.disk.clone())
    }
}

pub(crate) fn viewer(id: &str) -> Viewer {
    Viewer { id: id.into(), name: None, role: Role::Viewer, anonymous: true }
}

pub(crate) fn staff(role: Role) -> Viewer {
    Viewer { id: role.as_str().into(), name: Some("Sam".into()), role, anonymous: false }
}

pub(crate) fn host() -> Viewer {
    staff(Role::Host)
}

pub(crate) fn open(house: &mut House, more: impl Into<Json>) -> Id {
    let more: Json = more.into();
    let mut body = json!({"question": "Tea?", "options": ["yes", "no", "no"]});
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    let answer = house.ask(&host(), "poll.open", body).unwrap();
    answer["id"].as_str().unwrap().into()
}

pub(crate) fn votes(tally: &Json) -> Vec<u64> {
    let options = tally["options"].as_array().unwrap();
    options.iter().filter_map(|option| option["votes"].as_u64()).collect()
}

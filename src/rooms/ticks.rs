//! The log for caches: ticks that never change, snapshots, and the present state.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use nowcast_interact::{Event, Record, Room};
use serde_json::json;
use tokio::sync::watch;

use super::figures::{Carrier, Figures};
use super::task::CHAT_TOGETHER;
use super::wire;
use crate::flow::Compressed;

/// Ticks that are served: some five minutes of a busy room.
const KEPT: usize = 1024;
/// A snapshot for every so many ticks.
const SNAPSHOT: u64 = 32;
/// Snapshots that are served.
const SNAPSHOTS: usize = 32;

/// What is served below `/live/STREAM/events/`.
#[derive(Debug)]
pub(super) struct Ticks {
    epoch: String,
    kept: Mutex<Kept>,
    last: watch::Sender<u64>,
    state: ArcSwap<(u64, Compressed)>,
    figures: Arc<Figures>,
}

#[derive(Debug, Default)]
struct Kept {
    /// By number, which has no gap.
    ticks: VecDeque<(u64, Compressed)>,
    /// By number, with the place of the live edge.
    snapshots: BTreeMap<u64, (u64, Compressed)>,
    /// The last event in them.
    to: u64,
}

impl Kept {
    fn add(&mut self, tick: u64, events: &[Arc<Event>], text: Compressed) {
        self.to = self.to.max(events.last().map_or(0, |event| event.seq));
        self.ticks.push_back((tick, text));
        if self.ticks.len() > KEPT {
            self.ticks.pop_front();
        }
    }
}

impl Ticks {
    pub(super) fn new(epoch: &str, figures: Arc<Figures>) -> Self {
        Self {
            epoch: epoch.to_owned(),
            kept: Mutex::default(),
            last: watch::Sender::new(0),
            state: ArcSwap::from_pointee((u64::MAX, Compressed::new(String::new()))),
            figures,
        }
    }

    /// The ticks of a journal, each as it was: cut where it was cut. They take the place of those that are
    /// there, and of the snapshots.
    pub(super) fn restore(&self, records: &[Record]) {
        let mut events = Vec::new();
        let mut kept = Kept::default();
        for record in records {
            match record {
                Record::Event(event) => events.push(Arc::clone(event)),
                Record::Tick { tick, to, .. } => {
                    let upto = events.partition_point(|event| event.seq <= *to);
                    let events: Vec<_> = events.drain(..upto).collect();
                    kept.add(*tick, &events, self.text(*tick, &events));
                }
                _ => {}
            }
        }
        let last = kept.ticks.back().map_or(0, |(tick, _)| *tick);
        *self.kept() = kept;
        self.last.send_replace(last);
    }

    /// A tick is on the disk: it can be asked for from now on.
    pub(super) fn cut(&self, room: &Room, tick: u64, to: u64, pts: u64) {
        let before = self.kept().to;
        let events: Vec<_> = room
            .events_after(before)
            .map(|events| events.take_while(|event| event.seq <= to).cloned().collect())
            .unwrap_or_default();
        let text = self.text(tick, &events);
        self.kept().add(tick, &events, text);
        self.last.send_replace(tick);
        if tick.is_multiple_of(SNAPSHOT) {
            let mut state = room.state();
            state["media"] = serde_json::Value::Null;
            let text = json!({"v": 1, "epoch": self.epoch, "tick": tick, "seq": room.seq(), "pts": pts, "state": state});
            let text = text.to_string();
            self.figures.carried(Carrier::Snapshot, text.len(), 0);
            let mut kept = self.kept();
            kept.snapshots.insert(tick, (pts, Compressed::new(text)));
            while kept.snapshots.len() > SNAPSHOTS {
                kept.snapshots.pop_first();
            }
        }
    }

    fn text(&self, tick: u64, events: &[Arc<Event>]) -> Compressed {
        let (shown, more) = wire::thinned(events, CHAT_TOGETHER);
        let (from, to) = (events.first().map_or(0, |e| e.seq), events.last().map_or(0, |e| e.seq));
        let text = json!({"v": 1, "epoch": self.epoch, "tick": tick, "from": from, "to": to, "more": more, "events": shown});
        let text = text.to_string();
        self.figures.carried(Carrier::Tick, text.len(), more as u64);
        Compressed::new(text)
    }

    /// The tick of this number.
    pub(super) fn tick(&self, tick: u64) -> Option<Compressed> {
        let kept = self.kept();
        let (first, _) = kept.ticks.front()?;
        let at = usize::try_from(tick.checked_sub(*first)?).ok()?;
        kept.ticks.get(at).map(|(_, text)| text.clone())
    }

    /// The snapshot after the tick of this number.
    pub(super) fn snapshot(&self, tick: u64) -> Option<Compressed> {
        self.kept().snapshots.get(&tick).map(|(_, text)| text.clone())
    }

    /// The number of the last tick, and when there is another one.
    pub(super) fn last(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// As the room stands.
    pub(super) fn state(&self) -> Compressed {
        self.state.load().1.clone()
    }

    /// Writes the state anew, if anything happened since the last time.
    pub(super) fn set_state(&self, room: &Room, live: bool) {
        if self.state.load().0 == room.seq() && !live {
            return;
        }
        let snapshots: Vec<_> = self
            .kept()
            .snapshots
            .iter()
            .map(|(tick, (pts, _))| json!({"tick": tick, "pts": pts}))
            .collect();
        let text = json!({
            "v": 1,
            "epoch": self.epoch,
            "seq": room.seq(),
            "tick": *self.last.borrow(),
            "state": room.state(),
            "snapshots": snapshots,
        });
        self.state.store(Arc::new((room.seq(), Compressed::new(text.to_string()))));
    }

    /// Names the log.
    pub(super) fn epoch(&self) -> &str {
        &self.epoch
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

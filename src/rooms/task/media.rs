//! Where the media stands, and what is due.

use nowcast_interact::Media;
use tracing::warn;

use super::super::now_ms;
use super::{LEADS, MAILBOX, Task};
use crate::flow::{Phase, Position};

impl Task {
    pub(super) fn handle_position(&mut self, position: Option<Position>) {
        let now = now_ms();
        let media = position.map(media);
        self.room.set_media(media);
        self.note_lead(media.as_ref());
        self.room.handle_part(now);
        self.room.cut_tick();
    }

    /// Remembers by how much dates in the media are ahead of when its pictures come in: a source that
    /// began in a rush stays ahead of the first date.
    fn note_lead(&mut self, media: Option<&Media>) {
        let Some(media) = media else { return self.leads.clear() };
        let coded = self.stream.status.borrow().encoder.as_ref().map_or(0.0, |it| it.delay_ms);
        let frame = 1000.0 / media.grid.rate.as_f64();
        // The picture before this place came in when its part was composed, but for the time it was coded in.
        #[expect(clippy::cast_possible_truncation, reason = "some hundred milliseconds")]
        let came = media.since + (frame - coded) as i64;
        if self.leads.len() == LEADS {
            self.leads.pop_front();
        }
        self.leads.push_back(media.edge().pdt - came);
    }

    fn lead_ms(&self) -> i64 {
        let mut leads: Vec<_> = self.leads.iter().copied().collect();
        leads.sort_unstable();
        leads.get(leads.len() / 2).copied().unwrap_or(0)
    }

    pub(super) fn handle_status(&mut self, phase: Phase) {
        let before = std::mem::replace(&mut self.phase, phase);
        if before != phase {
            let word = match phase {
                Phase::Live => "live",
                Phase::Waiting => "waiting",
                Phase::Ended => "ended",
                Phase::Idle | Phase::Starting | Phase::Unsupported => return,
            };
            self.room.handle_phase(word, now_ms());
        }
    }

    /// A mailbox that fills up shows that more comes in than the room, or the disk behind it, can take.
    fn note_load(&mut self, now: i64) {
        let before = self.room.overload();
        self.room.handle_load(self.mailbox.len() > MAILBOX / 4, now);
        let step = self.room.overload();
        if step > before {
            let stream = self.stream.name.as_str();
            warn!(stream, step, "more is written than the room can take: it gives something up");
        }
    }

    pub(super) fn handle_tick(&mut self) {
        let now = now_ms();
        self.room.handle_timeout(now);
        self.note_load(now);
        if self.stream.cues.position().borrow().is_none() {
            self.room.handle_part(now);
            self.room.cut_tick();
        }
        self.looked += 1;
        // Its `media` grows old even where nothing happens.
        self.ticks.set_state(&self.room, self.looked.is_multiple_of(8));
        let ingest = self.stream.status.borrow().ingest.clone();
        let delay = ingest.map_or(0.0, |ingest| f64::from(ingest.latency_ms) + ingest.rtt_ms / 2.0);
        #[expect(clippy::cast_possible_truncation, reason = "some hundred milliseconds")]
        let delay = delay as i64 + self.settings.ingest_delay_ms + self.lead_ms();
        let behind = self.stream.audience.load().latency_p95_ms;
        let grace = behind.map_or(self.settings.grace_ms, |p95| {
            i64::from(2 * p95).clamp(self.settings.grace_ms, 10_000)
        });
        self.room.set_delays(delay, grace);
    }
}

pub(super) fn media(position: Position) -> Media {
    let Position { index, anchor, msn, part, grid, since } = position;
    let ago = i64::try_from(since.elapsed().as_millis()).unwrap_or(0);
    Media { index, anchor, msn, part, grid, since: now_ms() - ago }
}

//! A source that stays away: the session goes on without it, and takes it back wherever it stands.
//!
//! Pictures passed through cannot be made up: there nothing goes on.

use std::time::Instant;

use nowcast_cmaf::PackageError;
use nowcast_media::{AccessUnit, MediaTime};

use super::cadence::{Cadence, Overdue};
use super::{ARRIVALS, LiveSession, Sound};
use crate::config::Mode;

impl LiveSession {
    /// Lays a source unit on the session's timeline; `None` while a key frame is awaited.
    pub(in crate::publish) fn place(
        &mut self,
        unit: AccessUnit,
        came: Instant,
    ) -> Option<AccessUnit> {
        if self.awaits_key_frame && !unit.random_access {
            return None;
        }
        self.awaits_key_frame = false;
        let mut unit = self.timeline.video(unit);
        if self.mode == Mode::Transcode {
            let by = self.cadence.picture(unit.dts, came);
            self.timeline.move_by(by);
            (unit.dts, unit.pts) = (unit.dts + by, unit.pts + by);
            if self.arrivals.len() == ARRIVALS {
                self.arrivals.pop_front();
            }
            self.arrivals.push_back((self.grid.rate.nearest_frame(unit.pts), came));
        }
        let frame = self.grid.rate.nearest_frame(unit.dts);
        self.video_end = self.video_end.max(self.grid.rate.frame_start(frame + 1));
        self.metadata.flow(frame);
        self.fill_audio(unit.dts);
        Some(unit)
    }

    /// Whether frames go on while no source is there.
    pub(in crate::publish) fn goes_on(&self) -> bool {
        self.mode == Mode::Transcode && self.cadence.runs()
    }

    /// The source is gone.
    pub(in crate::publish) fn lose_source(&mut self, now: Instant) {
        if self.mode == Mode::Transcode && self.playable() && !self.cadence.runs() {
            self.cadence.start(self.video_end, now);
        }
        if self.goes_on() {
            self.cadence.lose();
        } else {
            self.metadata.stop();
        }
    }

    /// A source is there again: whatever its timestamps, it is laid where the media's clock stands when
    /// its first picture comes.
    pub(in crate::publish) fn take_back(&mut self) {
        self.audio.iter_mut().for_each(Sound::forget_waiting);
        self.timeline.begin_epoch(self.video_end);
        self.cadence.lose();
        self.awaits_key_frame = true;
    }

    /// Goes on by what is overdue: silence here, and what is answered by the encoder.
    pub(in crate::publish) fn keep_cadence(
        &mut self,
        now: Instant,
    ) -> (Option<Overdue>, Result<(), PackageError>) {
        let overdue = if self.goes_on() { self.cadence.overdue(now) } else { None };
        let Some(due) = overdue else { return (None, Ok(())) };
        self.video_end = self.video_end.max(self.grid.rate.frame_start(due.until));
        self.metadata.flow(due.until - 1);
        self.fill_silent_audio(due.time, now);
        let released = self.release_audio();
        self.publish(None);
        (overdue, released)
    }

    /// An epoch begins: its first picture says where the clock stands, if it is not away.
    pub(super) fn restart_clock(&mut self, index: i64, begin: MediaTime) {
        let away = self.goes_on() && self.cadence.fills();
        self.cadence = Cadence::new(self.grid, index);
        if away {
            self.cadence.start(begin, Instant::now());
        }
    }
}

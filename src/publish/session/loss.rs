//! A source that stays away: what goes on without it, and how it is taken back.
//!
//! Encoded pictures go on, and the source is laid wherever the media's clock stands when it returns.
//! Pictures passed through cannot be made up: parts are listed as missing, until a discontinuity.

use std::time::Instant;

use nowcast_cmaf::PackageError;
use nowcast_media::{AccessUnit, MediaTime};

use super::cadence::{Cadence, Overdue};
use super::{ARRIVALS, LiveSession, Rendition, Sound};
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
        match self.mode {
            Mode::Transcode => {
                let by = self.cadence.picture(unit.dts, came);
                self.timeline.move_by(by);
                (unit.dts, unit.pts) = (unit.dts + by, unit.pts + by);
                if self.arrivals.len() == ARRIVALS {
                    self.arrivals.pop_front();
                }
                self.arrivals.push_back((self.grid.rate.nearest_frame(unit.pts), came));
            }
            Mode::Passthrough => self.cadence.follow(unit.dts, came),
        }
        let frame = self.grid.rate.nearest_frame(unit.dts);
        self.video_end = self.video_end.max(self.grid.rate.frame_start(frame + 1));
        self.metadata.flow(frame);
        self.fill_audio(unit.dts);
        Some(unit)
    }

    /// Whether pictures go on while no source is there.
    pub(in crate::publish) fn goes_on(&self) -> bool {
        self.mode == Mode::Transcode && self.cadence.runs()
    }

    /// The source is gone.
    pub(in crate::publish) fn lose_source(&mut self, now: Instant) {
        if self.playable() && !self.cadence.runs() {
            self.cadence.start(self.video_end, now);
        }
        self.cadence.lose();
        if !self.goes_on() {
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

    /// Whether parts are listed as missing, and this unit is the first that can be decoded after them.
    pub(in crate::publish) fn ends_gap(&self, unit: &AccessUnit) -> bool {
        self.gap && unit.random_access
    }

    /// Goes on by what is overdue: silence or missing parts here, and what is answered by the encoder.
    pub(in crate::publish) fn keep_cadence(
        &mut self,
        now: Instant,
    ) -> (Option<Overdue>, Result<(), PackageError>) {
        let Some(due) = self.cadence.overdue(now) else { return (None, Ok(())) };
        let mut released = Ok(());
        match self.mode {
            Mode::Transcode => {
                self.video_end = self.video_end.max(self.grid.rate.frame_start(due.until));
                self.metadata.flow(due.until - 1);
                self.fill_silent_audio(due.time, now);
                released = self.release_audio();
                self.publish(None);
            }
            // Pictures that are late for less than that can still be listed.
            Mode::Passthrough if due.slate && self.playable() => self.list_gaps(due.time),
            Mode::Passthrough => {}
        }
        (Some(due), released)
    }

    /// Lists what is missing before this time: whole parts, in segments of their own.
    fn list_gaps(&mut self, until: MediaTime) {
        let mut changed = !std::mem::replace(&mut self.gap, true);
        if changed {
            let pictures_end = self.video_end;
            for sound in &mut self.audio {
                sound.forget_waiting();
                sound.fill_to(pictures_end);
            }
            self.all_mut().for_each(|rendition| rendition.packager.restart());
            self.drain();
            self.metadata.stop();
            self.awaits_key_frame = true;
        }
        let (grid, anchor) = (self.grid, self.anchor);
        for rendition in self.all_mut() {
            while rendition.end_of_next_gap(&grid) <= until {
                rendition.add_gap(&grid, anchor);
                changed = true;
            }
        }
        let ends = self.video.iter().map(Rendition::end_of_gap).max();
        self.video_end = self.video_end.max(ends.unwrap_or_default());
        if changed {
            self.show(u32::MAX);
        }
    }

    /// Nothing is missing any more; the media goes on in a new segment.
    pub(super) fn end_gap(&mut self) {
        if std::mem::take(&mut self.gap) {
            self.all_mut().for_each(Rendition::end_gap);
        }
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

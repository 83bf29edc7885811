//! From a source's clock to the stream session's timeline.
//!
//! The session's timeline starts at zero with its first key frame and is shared by all renditions.
//! A source epoch (a publisher, or a jump of its timestamps) is laid onto it as a whole: one shift
//! for decode times and one for presentation times, so that the first picture of an epoch is both
//! decoded and shown where the epoch begins, whatever the depth of its reordering.

use nowcast_media::{AccessUnit, AudioFrame, MediaTime};

/// Lays source epochs onto the session's timeline.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    begins_at: MediaTime,
    shifts: Option<Shifts>,
}

#[derive(Clone, Copy, Debug)]
struct Shifts {
    decode: MediaTime,
    presentation: MediaTime,
}

impl Timeline {
    /// The next access unit belongs to a new source epoch that begins at `at`.
    pub(super) fn begin_epoch(&mut self, at: MediaTime) {
        self.begins_at = at;
        self.shifts = None;
    }

    /// What the epoch has from now on comes so much later.
    pub(super) fn move_by(&mut self, by: MediaTime) {
        if let Some(shifts) = &mut self.shifts {
            shifts.decode += by;
            shifts.presentation += by;
        }
    }

    /// The unit on the session's timeline; the first of an epoch sets the shifts.
    pub(super) fn video(&mut self, unit: AccessUnit) -> AccessUnit {
        let shifts = *self.shifts.get_or_insert(Shifts {
            decode: self.begins_at - unit.dts,
            presentation: self.begins_at - unit.pts,
        });
        AccessUnit { dts: unit.dts + shifts.decode, pts: unit.pts + shifts.presentation, ..unit }
    }

    /// The frame on the session's timeline; `None` while the epoch's first picture is awaited.
    pub(super) fn audio(&self, frame: &AudioFrame) -> Option<AudioFrame> {
        let shifts = self.shifts?;
        Some(AudioFrame { pts: frame.pts + shifts.presentation, data: frame.data.clone() })
    }
}

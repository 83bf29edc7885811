//! One clock for both tracks, out of 33-bit timestamps that wrap and jump.
//!
//! A timestamp counts 90 kHz in 33 bits and wraps after 26.5 hours (ISO 13818-1 §2.4.3.7): it is read
//! as the moment nearest to where its track's next unit is expected. When even that is far from what
//! is expected, the source's clock has jumped, and a new source epoch begins.
//!
//! Both tracks of a source jump, but their packets are interleaved, so one track still sends stamps
//! of the old clock while the other is on the new one. So every track has an *offset* from its stamps
//! to the epoch's clock. The first track to jump begins the epoch, and the other's offset takes up
//! the jump: what still comes with old stamps lands where it would have been had both jumped at once.
//! From then on each stamp of the other track is read both ways, with its own offset and with the
//! first one's, and the reading nearer to what is expected holds: so its own jump is recognised
//! as the same one, and makes no second epoch. A track that never follows (a muxer that restamps
//! video alone) stays in step by its offset.

use std::time::Duration;

use nowcast_media::MediaTime;

/// A source's clock that runs ahead of what its track promised, beyond the time that passed, has jumped.
///
/// Above the longest distance of two pictures in a source that is read faster than real time.
const JUMP_AHEAD: MediaTime = MediaTime::from_millis(1000);
/// A clock that falls back so far has jumped; less is a fault of rounding or of B-frames without DTS.
const JUMP_BACK: MediaTime = MediaTime::from_millis(500);

/// The two tracks of a timeline.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Track {
    Video,
    Audio,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    clocks: [Clock; 2],
}

#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    /// From the track's stamps to the epoch's clock.
    offset: MediaTime,
    /// When its next unit is expected, on the epoch's clock.
    expected: Option<MediaTime>,
    /// When its last stamp came.
    arrival: Duration,
    /// What was last handed on in this epoch.
    last: Option<MediaTime>,
}

/// Where a stamp stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Placed {
    /// On the epoch's clock.
    pub(crate) time: MediaTime,
    /// A new epoch begins with it.
    pub(crate) new_epoch: bool,
}

impl Timeline {
    /// Reads a 33-bit stamp of a track that came at `now`.
    pub(crate) fn place(&mut self, track: Track, stamp: u64, now: Duration) -> Placed {
        let other = self.clocks[track.other()];
        let own = &mut self.clocks[track as usize];
        let waited = now.saturating_sub(std::mem::replace(&mut own.arrival, now));
        let Some(expected) = own.expected else {
            own.offset = other.offset;
            let near = other.expected.unwrap_or_else(|| ticks(stamp));
            return Placed { time: unwrap(stamp, own.offset, near), new_epoch: false };
        };

        let stays = unwrap(stamp, own.offset, expected);
        let follows = unwrap(stamp, other.offset, expected);
        let distance = |time: MediaTime| (time - expected).ticks().abs();
        let time = if distance(follows) < distance(stays) {
            own.offset = other.offset;
            follows
        } else {
            stays
        };
        let ahead = time - expected;
        let new_epoch = ahead < MediaTime::ZERO - JUMP_BACK || ahead > JUMP_AHEAD + span(waited);
        if new_epoch {
            own.last = None;
            let other = &mut self.clocks[track.other()];
            other.last = None;
            other.offset += ahead;
            other.expected = other.expected.map(|expected| expected + ahead);
        }
        Placed { time, new_epoch }
    }

    /// Says when the track's next unit is due.
    pub(crate) fn expect(&mut self, track: Track, next: MediaTime) {
        self.clocks[track as usize].expected = Some(next);
    }

    /// The time to hand on: `time`, but later than the track's last one in this epoch.
    pub(crate) fn rising(&mut self, track: Track, time: MediaTime) -> MediaTime {
        let last = &mut self.clocks[track as usize].last;
        let rising = last.map_or(time, |last| time.max(last + MediaTime::from_ticks(1)));
        *last = Some(rising);
        rising
    }

    /// From a track's stamps to the epoch's clock.
    pub(crate) const fn offset(&self, track: Track) -> MediaTime {
        self.clocks[track as usize].offset
    }
}

impl Track {
    const fn other(self) -> usize {
        1 - self as usize
    }
}

/// `stamp + offset`, unwrapped to the moment nearest to `near`.
fn unwrap(stamp: u64, offset: MediaTime, near: MediaTime) -> MediaTime {
    near + wrapped(ticks(stamp) + offset - near)
}

/// The span nearest to zero among those that 33 bits cannot tell from this one.
pub(crate) fn wrapped(span: MediaTime) -> MediaTime {
    const HALF: i64 = 1 << 32;
    MediaTime::from_ticks((span.ticks() + HALF).rem_euclid(2 * HALF) - HALF)
}

/// A stamp as it is read first.
pub(crate) fn ticks(stamp: u64) -> MediaTime {
    MediaTime::from_ticks(i64::try_from(stamp).unwrap_or_default())
}

fn span(time: Duration) -> MediaTime {
    MediaTime::from_millis(i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 90))
}

#[cfg(test)]
mod tests;

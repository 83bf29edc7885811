//! One clock for all tracks, out of 33-bit timestamps that wrap and jump.
//!
//! A timestamp counts 90 kHz in 33 bits and wraps after 26.5 hours (ISO 13818-1 §2.4.3.7): it is read
//! as the moment nearest to where its track's next unit is expected. When even that is far from what
//! is expected, the source's clock has jumped, and a new source epoch begins.
//!
//! All tracks of a source jump, but their packets are interleaved, so some still send stamps of the
//! old clock while one is on the new one. So every track has an *offset* from its stamps to the
//! epoch's clock. The first track to jump begins the epoch, and the others' offsets take up the jump:
//! what still comes with old stamps lands where it would have been had all jumped at once. From
//! then on each stamp of another track is read with its own offset and with those of the others, and
//! the reading nearest to what is expected holds: so its own jump is recognised as the same one, and
//! makes no second epoch. A track that never follows (a muxer that restamps video alone) stays in
//! step by its offset.

use std::iter;
use std::time::Duration;

use nowcast_media::MediaTime;

/// A source's clock that runs ahead of what its track promised, beyond the time that passed, has jumped.
///
/// Above the longest distance of two pictures in a source that is read faster than real time.
const JUMP_AHEAD: MediaTime = MediaTime::from_millis(1000);
/// A clock that falls back so far has jumped; less is a fault of rounding or of B-frames without DTS.
const JUMP_BACK: MediaTime = MediaTime::from_millis(500);

/// A track of a timeline; audio by its PID.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Track {
    Video,
    Audio(u16),
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    /// Of the tracks that came so far, those gone since left out.
    clocks: Vec<(Track, Clock)>,
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
    /// The track's own stamps do not go on from the one before: it begins an epoch, or follows into one.
    pub(crate) jumped: bool,
}

impl Timeline {
    /// Reads a 33-bit stamp of a track that came at `now`.
    pub(crate) fn place(&mut self, track: Track, stamp: u64, now: Duration) -> Placed {
        let own = *self.clock(track);
        let waited = now.saturating_sub(own.arrival);
        let others = self.clocks.iter().filter(|(other, _)| *other != track);
        let Some(expected) = own.expected else {
            let started = |(_, clock): &(Track, Clock)| Some((clock.offset, clock.expected?));
            let (offset, near) =
                others.clone().find_map(started).unwrap_or_else(|| (own.offset, ticks(stamp)));
            *self.clock(track) = Clock { offset, arrival: now, ..own };
            let time = unwrap(stamp, offset, near);
            return Placed { time, new_epoch: false, jumped: true };
        };

        let read = |offset| (unwrap(stamp, offset, expected), offset);
        let readings = others.map(|(_, clock)| read(clock.offset));
        let distance = |(time, _): &(MediaTime, _)| (*time - expected).ticks().abs();
        let (time, offset) =
            iter::once(read(own.offset)).chain(readings).min_by_key(distance).unwrap_or_default();
        let ahead = time - expected;
        let new_epoch = ahead < MediaTime::ZERO - JUMP_BACK || ahead > JUMP_AHEAD + span(waited);
        if new_epoch {
            for (_, other) in &mut self.clocks {
                other.last = None;
                other.offset += ahead;
                other.expected = other.expected.map(|expected| expected + ahead);
            }
        }
        let clock = self.clock(track);
        (clock.offset, clock.arrival) = (offset, now);
        Placed { time, new_epoch, jumped: new_epoch || offset != own.offset }
    }

    /// Says when the track's next unit is due.
    pub(crate) fn expect(&mut self, track: Track, next: MediaTime) {
        self.clock(track).expected = Some(next);
    }

    /// The time to hand on: `time`, but later than the track's last one in this epoch.
    pub(crate) fn rising(&mut self, track: Track, time: MediaTime) -> MediaTime {
        let last = &mut self.clock(track).last;
        let rising = last.map_or(time, |last| time.max(last + MediaTime::from_ticks(1)));
        *last = Some(rising);
        rising
    }

    /// From a track's stamps to the epoch's clock.
    pub(crate) fn offset(&self, track: Track) -> MediaTime {
        let clock = self.clocks.iter().find(|(known, _)| *known == track);
        clock.map_or(MediaTime::ZERO, |(_, clock)| clock.offset)
    }

    /// Tracks that are gone hand their clocks to those that came, in order.
    pub(crate) fn replace(&mut self, gone: Vec<Track>, came: Vec<Track>) {
        let mut came = came.into_iter();
        for old in gone {
            let clocks = std::mem::take(&mut self.clocks).into_iter();
            let handed = |(track, clock)| match track == old {
                true => came.next().map(|new| (new, clock)),
                false => Some((track, clock)),
            };
            self.clocks = clocks.filter_map(handed).collect();
        }
    }

    fn clock(&mut self, track: Track) -> &mut Clock {
        let at = self.clocks.iter().position(|(known, _)| *known == track);
        let at = at.unwrap_or_else(|| {
            self.clocks.push((track, Clock::default()));
            self.clocks.len() - 1
        });
        &mut self.clocks[at].1
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

//! The clock of the media: where it stands, which frames are overdue, and where a source that comes
//! back is laid.
//!
//! A picture's decode time on the session's timeline and the moment it came in say where the clock
//! stands. What comes late says nothing: the earliest arrivals are the truth. A clock of the source
//! that runs up to 200 ppm slower or faster than ours is followed; while no pictures come, ours goes on.

use std::time::{Duration, Instant};

use nowcast_media::{FrameRate, Grid, MediaTime};

/// So long without a picture, and viewers are told that none comes.
const SLATE_AFTER: MediaTime = MediaTime::from_millis(1500);
/// A source that is new, or comes back, may send what it has saved up at first: for so long its earliest
/// picture says where it is laid.
const SETTLING: Duration = Duration::from_secs(2);
/// Pictures that find their frames made for so long will not catch up.
const LATE: Duration = Duration::from_millis(500);
/// What the clock gives way to pictures that come later and later, in parts per million.
const GIVES_WAY: i64 = 500;
/// Frames that may be asked of an encoder which has not made them, in seconds.
const AHEAD: MediaTime = MediaTime::from_millis(2000);
/// Who did not look at the clock for so long was not running: neither was the media.
const STOOD_STILL: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(super) struct Cadence {
    rate: FrameRate,
    /// How late a picture may be before its frame is made without it.
    patience: MediaTime,
    clock: Option<Clock>,
    /// Decode time of the last picture.
    last: MediaTime,
    /// The frames before this one are made without pictures.
    filled: i64,
    /// The frames before this one have come back from the encoder.
    made: i64,
    /// The source is gone: its next picture is another's.
    gone: bool,
    settles_until: Option<Instant>,
    late_since: Option<Instant>,
    looked: Option<Instant>,
}

/// What is overdue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::publish) struct Overdue {
    /// The frames before this one.
    pub(in crate::publish) until: i64,
    /// The media before this time.
    pub(in crate::publish) time: MediaTime,
    /// No picture has come for so long that the slate is due.
    pub(in crate::publish) slate: bool,
}

/// Nanoseconds of media since its zero, at a moment.
#[derive(Clone, Copy, Debug)]
struct Clock {
    nanos: i64,
    at: Instant,
}

impl Cadence {
    /// Of a session whose media begins at this frame; its clock stands until it is started.
    pub(super) fn new(grid: Grid, first: i64) -> Self {
        Self {
            rate: grid.rate,
            patience: grid.rate.frame_start(i64::from(grid.part_frames) + 2),
            clock: None,
            last: grid.rate.frame_start(first),
            filled: first,
            made: first,
            gone: false,
            settles_until: None,
            late_since: None,
            looked: None,
        }
    }

    /// Starts the clock at a time of the media, without a source.
    pub(super) fn start(&mut self, time: MediaTime, now: Instant) {
        self.clock = Some(Clock::new(time, now));
        self.last = time;
        self.gone = true;
    }

    /// Whether frames go on without pictures.
    pub(super) fn runs(&self) -> bool {
        self.clock.is_some()
    }

    /// The source is gone.
    pub(super) fn lose(&mut self) {
        self.gone = true;
    }

    /// Whether frames are being made without pictures.
    pub(super) fn fills(&self) -> bool {
        self.gone || self.filled > self.rate.nearest_frame(self.last) + 1
    }

    /// A frame has come back from the encoder.
    pub(super) fn made(&mut self, index: i64) {
        self.made = self.made.max(index + 1);
    }

    /// Takes the decode time of a picture and when it came; answers by how much its epoch is to be moved.
    pub(super) fn picture(&mut self, time: MediaTime, came: Instant) -> MediaTime {
        let Some(clock) = &mut self.clock else {
            self.clock = Some(Clock::new(time, came));
            self.last = time;
            return MediaTime::ZERO;
        };
        let due = clock.time(came);
        let late = self.rate.nearest_frame(time) < self.filled;
        let late_since = *self.late_since.get_or_insert(came);
        let hopeless = late && came.saturating_duration_since(late_since) >= LATE;
        let settles = self.settles_until.is_some_and(|until| came < until);
        if self.gone || due - self.last >= SLATE_AFTER || hopeless {
            self.settles_until = Some(came + SETTLING);
            self.late_since = None;
            self.gone = false;
            self.last = due;
            return due - time;
        }
        if !late {
            self.late_since = None;
        }
        if settles && time > due {
            self.last = due;
            return due - time;
        }
        clock.follow(time, came);
        self.last = self.last.max(time);
        MediaTime::ZERO
    }

    /// Takes the decode time of a picture that cannot be moved, and when it came.
    pub(super) fn follow(&mut self, time: MediaTime, came: Instant) {
        self.clock.get_or_insert_with(|| Clock::new(time, came)).follow(time, came);
        (self.last, self.gone) = (time, false);
    }

    /// What is overdue now.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<Overdue> {
        let clock = self.clock.as_mut()?;
        let looked = self.looked.replace(now).unwrap_or(now);
        let unseen = now.saturating_duration_since(looked);
        if unseen >= STOOD_STILL {
            clock.at += unseen;
        }
        let stands = clock.time(now);
        let time = stands - self.patience;
        if time <= self.last && !self.gone {
            return None;
        }
        let slate = self.gone || stands - self.last >= SLATE_AFTER;
        let until = self.frame_from(time).min(self.made + self.frame_from(AHEAD));
        self.filled = self.filled.max(until);
        Some(Overdue { until: self.filled, time, slate })
    }

    /// The first frame that begins at this time or later.
    fn frame_from(&self, time: MediaTime) -> i64 {
        let near = self.rate.nearest_frame(time);
        near + i64::from(self.rate.frame_start(near) < time)
    }
}

impl Clock {
    fn new(time: MediaTime, at: Instant) -> Self {
        Self { nanos: nanos(time), at }
    }

    fn nanos(&self, now: Instant) -> i64 {
        let passed = |span: Duration| i64::try_from(span.as_nanos()).unwrap_or(i64::MAX / 4);
        self.nanos + passed(now.saturating_duration_since(self.at))
            - passed(self.at.saturating_duration_since(now))
    }

    fn time(&self, now: Instant) -> MediaTime {
        let ticks = i128::from(self.nanos(now)) * 9 / 100_000;
        MediaTime::from_ticks(i64::try_from(ticks).unwrap_or(i64::MAX))
    }

    /// A picture of this time came: the clock never stands behind it, and gives way to it slowly.
    fn follow(&mut self, time: MediaTime, came: Instant) {
        let stands = self.nanos(came);
        let way = (stands - self.nanos).max(0) / 1_000_000 * GIVES_WAY;
        (self.nanos, self.at) = ((stands - way).max(nanos(time)), came);
    }
}

fn nanos(time: MediaTime) -> i64 {
    i64::try_from(i128::from(time.ticks()) * 100_000 / 9).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cadence of 30 frames a second in parts of ten, and the moment its first picture came.
    fn cadence() -> (Cadence, Instant) {
        let rate = FrameRate::new(30, 1).unwrap();
        let grid = Grid::new(rate, MediaTime::from_millis(334), MediaTime::from_millis(2000));
        (Cadence::new(grid, 0), Instant::now())
    }

    fn frame(index: i64) -> MediaTime {
        MediaTime::from_ticks(index * 3000)
    }

    fn after(start: Instant, millis: i64) -> Instant {
        start + Duration::from_millis(millis.unsigned_abs())
    }

    /// Looks at the clock every 50 ms, with an encoder that makes what it is asked; answers the last look.
    fn look(
        cadence: &mut Cadence,
        start: Instant,
        millis: std::ops::Range<i64>,
    ) -> Option<Overdue> {
        let mut last = None;
        for now in millis.step_by(50) {
            last = cadence.overdue(after(start, now));
            if let Some(due) = last {
                cadence.made(due.until - 1);
            }
        }
        last
    }

    #[test]
    fn nothing_is_overdue_while_pictures_come_however_they_jitter() {
        let (mut cadence, start) = cadence();
        for index in 0..3000 {
            let late = index * 7919 % 300;
            let came = after(start, index * 1000 / 30 + late);
            assert_eq!(cadence.picture(frame(index), came), MediaTime::ZERO);
            cadence.made(index);
            assert_eq!(cadence.overdue(came + Duration::from_millis(30)), None, "{index}");
        }
    }

    #[test]
    fn a_source_that_stops_is_repeated_a_part_and_two_frames_late_and_then_the_slate_is_due() {
        let (mut cadence, start) = cadence();
        for index in 0..=30 {
            cadence.picture(frame(index), after(start, index * 1000 / 30));
            cadence.made(index);
        }
        // The last picture came after a second; a part and two frames are 400 ms.
        assert_eq!(look(&mut cadence, start, 1000..1400), None);
        let due = look(&mut cadence, start, 1400..2500).unwrap();
        assert_eq!((due.until, due.slate), (62, false), "2450 ms less 400");
        let due = look(&mut cadence, start, 2520..2550).unwrap();
        assert_eq!((due.until, due.slate), (64, true), "2520 ms less 400");
        let hour = look(&mut cadence, start, 2550..3_600_000).unwrap();
        assert_eq!(hour.until, (3_599_950 - 400) * 30 / 1000 + 1);
    }

    #[test]
    fn the_slate_is_due_at_once_where_the_source_is_gone() {
        let (mut cadence, start) = cadence();
        cadence.picture(frame(0), start);
        cadence.lose();
        let due = look(&mut cadence, start, 0..450).unwrap();
        assert!(due.slate);
        assert_eq!(due.until, 0, "but not before its time");
        assert_eq!(look(&mut cadence, start, 450..501).unwrap().until, 3);
    }

    #[test]
    fn a_source_that_returns_is_laid_where_the_clock_stands_and_what_it_has_saved_up_before_that() {
        let (mut cadence, start) = cadence();
        cadence.picture(frame(0), start);
        look(&mut cadence, start, 0..10_000);
        cadence.lose();
        // Two seconds of pictures at once, then one in time after the other.
        let mut moved = MediaTime::ZERO;
        for index in 0..60 {
            moved += cadence.picture(frame(index) + moved, after(start, 10_000));
        }
        assert_eq!(frame(59) + moved, frame(300));
        for index in 60..600 {
            let by = cadence
                .picture(frame(index) + moved, after(start, 10_000 + (index - 59) * 1000 / 30));
            assert!(by.ticks().abs() < 100, "frame {index} is moved by {by:?}");
            moved += by;
        }
    }

    #[test]
    fn a_stall_that_catches_up_moves_nothing_and_one_that_does_not_is_laid_anew() {
        for catches_up in [true, false] {
            let (mut cadence, start) = cadence();
            for index in 0..30 {
                cadence.picture(frame(index), after(start, index * 1000 / 30));
                cadence.made(index);
            }
            look(&mut cadence, start, 1000..2000);
            let mut moved = MediaTime::ZERO;
            for index in 30..120 {
                let speed = if catches_up { 10 } else { 1 };
                let came = (2000 + (index - 30) * 1000 / 30 / speed).max(index * 1000 / 30);
                moved += cadence.picture(frame(index) + moved, after(start, came));
                look(&mut cadence, start, came..came + 1);
            }
            let lag = moved.ticks() / 90;
            let expected = if catches_up { 0..1 } else { 990..1010 };
            assert!(expected.contains(&lag), "moved by {lag} ms");
        }
    }

    #[test]
    fn a_clock_that_drifts_is_followed_for_a_day_in_both_directions() {
        for ppm in [-200, 200] {
            let (mut cadence, start) = cadence();
            let mut came = start;
            for second in 0..86_400_i64 {
                let micros = second * 1_000_000 + second * ppm;
                came = start + Duration::from_micros(micros.unsigned_abs());
                cadence.picture(frame(second * 30), came);
                cadence.made(second * 30);
            }
            let stands = cadence.clock.unwrap().time(came) - frame(86_399 * 30);
            assert!(stands.ticks().abs() < 90, "{ppm} ppm: {} ticks off", stands.ticks());
        }
    }

    #[test]
    fn no_more_is_asked_of_an_encoder_than_it_can_make_soon_and_nothing_of_a_time_that_was_not_lived()
     {
        let (mut cadence, start) = cadence();
        cadence.picture(frame(0), start);
        cadence.lose();
        let hung =
            (0..8000).step_by(50).filter_map(|now| cadence.overdue(after(start, now))).last();
        assert_eq!(hung.unwrap().until, 60);
        cadence.made(59);
        // The machine sleeps for an hour.
        let due = cadence.overdue(after(start, 3_607_950)).unwrap();
        assert_eq!(due.time, frame(237) - frame(12) + MediaTime::from_millis(50));
    }
}

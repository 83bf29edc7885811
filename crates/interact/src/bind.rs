//! Where in the picture something belongs.

use nowcast_media::{Grid, MediaTime};
use serde::{Deserialize, Serialize};

/// The place in the media that an event belongs to.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Bind {
    /// 90 kHz ticks of the video's decode timeline.
    pub pts: u64,
    /// PROGRAM-DATE-TIME of that tick, in Unix milliseconds.
    pub pdt: i64,
    /// Media sequence number of the segment that holds it.
    pub msn: u64,
    /// Index of the part there.
    pub part: u32,
}

/// The next part to be composed; what comes before it cannot be added to any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Media {
    /// Its first frame on the grid.
    pub index: i64,
    /// Unix time in microseconds of tick zero.
    pub anchor: i64,
    /// Media sequence number of its segment.
    pub msn: u64,
    /// Its index there.
    pub part: u32,
    /// Frame rate, frames of a part and of a segment.
    pub grid: Grid,
    /// When it began, in Unix milliseconds.
    pub since: i64,
}

/// From an op being taken to its event being on the disk and handed to the media: well above what a disk
/// takes. A part that is composed sooner than that is not aimed at.
const LEAD_MS: i64 = 100;
/// The furthest ahead that anything can be bound: an hour.
const FURTHEST: MediaTime = MediaTime::from_millis(3_600_000);

impl Media {
    /// The earliest place that can be promised at `now` (Unix milliseconds): the start of a part.
    #[must_use]
    pub fn next(&self, now: i64) -> Bind {
        let part_ms = self.ticks(i64::from(self.grid.part_frames)) / 90;
        let (mut at, mut end) = (*self, self.since + part_ms);
        // Parts that are overdue are not waited for: without media the next one is the place.
        let overdue = now > self.since + 2 * part_ms + LEAD_MS;
        while !overdue && end < now + LEAD_MS {
            at = at.following();
            end += part_ms.max(1);
        }
        at.place(at.index)
    }

    /// The place of the frame that is shown at `ticks`, and by how many milliseconds the wish came too
    /// late: then it is the earliest place there is.
    #[must_use]
    pub fn at(&self, ticks: i64, now: i64) -> (Bind, u64) {
        let earliest = self.next(now);
        let furthest = self.start(self.index) + FURTHEST.ticks();
        let ticks = ticks.min(furthest);
        let late = i64::try_from(earliest.pts).unwrap_or(i64::MAX) - ticks;
        if late > 0 {
            return (earliest, u64::try_from(late / 90).unwrap_or(0));
        }
        let mut frame = self.grid.rate.nearest_frame(MediaTime::from_ticks(ticks));
        if self.start(frame) > ticks {
            frame -= 1;
        }
        let mut part = *self;
        while part.following().index <= frame {
            part = part.following();
        }
        (part.place(frame), 0)
    }

    /// The tick whose PROGRAM-DATE-TIME is `unix_ms`.
    #[must_use]
    pub fn ticks_of_date(&self, unix_ms: i64) -> i64 {
        let micros = i128::from(unix_ms) * 1000 - i128::from(self.anchor);
        i64::try_from(micros * 9 / 100).unwrap_or(i64::MAX)
    }

    /// Where the part that comes next begins, as a place.
    #[must_use]
    pub fn edge(&self) -> Bind {
        self.place(self.index)
    }

    fn following(&self) -> Self {
        let into = self.part * self.grid.part_frames;
        let left = self.grid.segment_frames.saturating_sub(into);
        let next = self.index + i64::from(left.min(self.grid.part_frames).max(1));
        if left > self.grid.part_frames {
            Self { index: next, part: self.part + 1, ..*self }
        } else {
            Self { index: next, msn: self.msn + 1, part: 0, ..*self }
        }
    }

    fn place(&self, frame: i64) -> Bind {
        let ticks = self.start(frame);
        let pdt = (i128::from(self.anchor) + i128::from(ticks) * 100 / 9 + 500) / 1000;
        Bind {
            pts: u64::try_from(ticks).unwrap_or(0),
            pdt: i64::try_from(pdt).unwrap_or(0),
            msn: self.msn,
            part: self.part,
        }
    }

    fn start(&self, frame: i64) -> i64 {
        self.grid.rate.frame_start(frame).ticks()
    }

    fn ticks(&self, frames: i64) -> i64 {
        self.start(frames)
    }
}

#[cfg(test)]
mod tests {
    use nowcast_media::FrameRate;

    use super::*;

    fn media(index: i64, msn: u64, part: u32) -> Media {
        let rate = FrameRate::new(25, 1).unwrap();
        let millis = MediaTime::from_millis;
        // Parts of 8 frames, 320 ms; a segment of 50 frames, so its seventh part has 2.
        let grid = Grid::new(rate, millis(334), millis(2000));
        Media { index, anchor: 1_000_000_000, msn, part, grid, since: 5_000 }
    }

    #[test]
    fn what_comes_now_goes_into_the_part_that_is_not_composed_before_it_can_be_there() {
        let media = media(100, 2, 0);
        let place = |now| {
            let bind = media.next(now);
            (bind.pts / 3600, bind.msn, bind.part)
        };
        assert_eq!(place(5_000), (100, 2, 0));
        assert_eq!(place(5_220), (100, 2, 0), "100 ms are enough");
        assert_eq!(place(5_221), (108, 2, 1));
        assert_eq!(place(5_600), (116, 2, 2), "a part that is a little late is not aimed at");
        assert_eq!(place(6_000), (100, 2, 0), "no media flows: whenever it goes on");
    }

    #[test]
    fn a_frame_to_come_lies_in_the_part_that_will_hold_it() {
        let media = media(140, 2, 5);
        // Part 5 has the frames 140 to 147, part 6 has 148 and 149, the next segment begins with 150.
        for (frame, msn, part) in [(140, 2, 5), (147, 2, 5), (149, 2, 6), (150, 3, 0), (208, 4, 1)]
        {
            let (bind, late) = media.at(frame * 3600 + 3599, 5_000);
            assert_eq!((bind.pts, late), (u64::try_from(frame * 3600).unwrap(), 0));
            assert_eq!((bind.msn, bind.part), (msn, part), "frame {frame}");
            assert_eq!(bind.pdt, 1_000_000 + frame * 40);
        }
        let (bind, late) = media.at(130 * 3600, 5_000);
        assert_eq!((bind, late), (media.next(5_000), 400), "too late: the earliest place");
    }
}

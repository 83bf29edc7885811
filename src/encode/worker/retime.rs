//! Which frames of the grid a decoded picture fills.

use std::ops::{Range, RangeInclusive};

use nowcast_media::{FrameRate, MediaTime};

/// A gap longer than this is not filled: the stream's task decides what such a jump means.
const LONGEST_GAP_S: f64 = 5.0;

/// Brings pictures of any times to a constant frame rate, without holding any back.
#[derive(Debug)]
pub(super) struct Retimer {
    rate: FrameRate,
    next: i64,
    any: bool,
    /// Frames that show a picture once more.
    pub(super) repeated: u64,
    /// Pictures that found their frame taken.
    pub(super) skipped: u64,
}

impl Retimer {
    /// Frames from `first` on; pictures before it are not shown.
    pub(super) fn new(rate: FrameRate, first: i64) -> Self {
        Self { rate, next: first, any: false, repeated: 0, skipped: 0 }
    }

    /// The frames that wait for the picture of time `pts`: the last shows it, those before it are a gap, to be
    /// filled with the picture before. `None`: its frame has been made.
    pub(super) fn place(&mut self, pts: MediaTime) -> Option<RangeInclusive<i64>> {
        let frame = self.frame(pts);
        if frame < self.next {
            self.skipped += u64::from(self.any);
            return None;
        }
        let gap = frame - self.next;
        #[expect(clippy::cast_precision_loss, reason = "a gap near the limit is small")]
        let from = if gap as f64 > LONGEST_GAP_S * self.rate.as_f64() { frame } else { self.next };
        self.repeated += (frame - from).unsigned_abs();
        self.next = frame + 1;
        self.any = true;
        Some(from..=frame)
    }

    /// The frames before `until` that are not made yet: no picture is waited for.
    pub(super) fn fill(&mut self, until: i64) -> Range<i64> {
        let frames = self.next..until.max(self.next);
        self.repeated += (frames.end - frames.start).unsigned_abs();
        self.next = frames.end;
        frames
    }

    /// The frame nearest to `pts`, but the next one wherever it lies within 5/8 of a frame: a source whose times lie halfway
    /// between two frames and jitter must not have pictures skipped and repeated in turn.
    fn frame(&self, pts: MediaTime) -> i64 {
        let off = (pts - self.rate.frame_start(self.next)).ticks().unsigned_abs();
        let frame = self.rate.frame_start(1).ticks().unsigned_abs();
        if off * 8 <= frame * 5 { self.next } else { self.rate.nearest_frame(pts) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(
        rate: FrameRate,
        first: i64,
        ticks: impl IntoIterator<Item = i64>,
    ) -> (Vec<i64>, Retimer) {
        let mut retimer = Retimer::new(rate, first);
        let frames = ticks
            .into_iter()
            .filter_map(|t| retimer.place(MediaTime::from_ticks(t)))
            .flatten()
            .collect();
        (frames, retimer)
    }

    fn rate(num: u32, den: u32) -> FrameRate {
        FrameRate::new(num, den).unwrap()
    }

    #[test]
    fn a_source_at_the_grids_rate_is_shown_picture_by_picture_whatever_its_phase_and_jitter() {
        for phase in [0, 700, 1499, 1500, 1501, 2999] {
            let (frames, retimer) =
                shown(rate(30, 1), 0, (0..300).map(|n| phase + n * 3000 + (n * 7919) % 181 - 90));
            assert_eq!(
                (retimer.repeated, retimer.skipped),
                (u64::from(phase > 1875), 0),
                "phase {phase}"
            );
            assert!(frames.iter().copied().eq(0..frames.len() as i64));
        }
    }

    #[test]
    fn other_rates_are_repeated_or_skipped_evenly() {
        let (_, slow) = shown(rate(30, 1), 0, (0..50).map(|n| n * 18_000));
        assert_eq!((slow.repeated, slow.skipped), (49 * 5, 0));
        let (frames, fast) = shown(rate(30, 1), 0, (0..120).map(|n| n * 1500));
        assert_eq!((frames.len(), fast.repeated, fast.skipped), (61, 0, 59));
        let (frames, pal) = shown(rate(30_000, 1001), 0, (0..250).map(|n| n * 3600));
        assert_eq!(frames.len(), 299);
        assert_eq!((pal.repeated, pal.skipped), (49, 0));
    }

    #[test]
    fn a_gap_is_filled_but_a_jump_is_not() {
        let (frames, retimer) =
            shown(rate(30, 1), 10, [0, 27_000, 30_000, 39_000, 39_000 + 460_000]);
        assert_eq!(frames, [10, 11, 12, 13, 166]);
        assert_eq!((retimer.repeated, retimer.skipped), (2, 0));
    }

    #[test]
    fn frames_that_are_filled_are_made_once_and_pictures_go_on_behind_them() {
        let (_, mut retimer) = shown(rate(30, 1), 0, [0, 3000]);
        assert_eq!(retimer.fill(12), 2..12);
        assert_eq!(retimer.fill(5), 12..12);
        assert_eq!(retimer.place(MediaTime::from_ticks(10 * 3000)), None);
        assert_eq!(retimer.place(MediaTime::from_ticks(13 * 3000)), Some(12..=13));
        assert_eq!((retimer.repeated, retimer.skipped), (11, 1));
    }

    proptest! {
        #[test]
        fn a_frame_is_never_made_twice(times in prop::collection::vec(-1_000_000_i64..10_000_000, 0..200)) {
            let (frames, _) = shown(rate(60_000, 1001), 0, times);
            prop_assert!(frames.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(frames.first().is_none_or(|&first| first >= 0));
        }
    }
}

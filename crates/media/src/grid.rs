//! The grid: where parts and segments are cut, counted in frames.

use std::fmt;

use crate::{FrameRate, MediaTime};

/// The lengths of parts and segments, frozen for a stream's life.
///
/// Parts and segments are counted in frames, never timed, so every rendition that
/// counts the same frames cuts at the same tick (docs/contract.md, "The grid").
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Grid {
    /// Frames a second of the output.
    pub rate: FrameRate,
    /// Frames in a whole part.
    pub part_frames: u32,
    /// Frames in a whole segment.
    pub segment_frames: u32,
}

impl Grid {
    /// The grid nearest to the asked part and segment lengths; a segment holds at least one part.
    #[must_use]
    pub fn new(rate: FrameRate, part: MediaTime, segment: MediaTime) -> Self {
        let part_frames = rate.frames_in(part);
        Self { rate, part_frames, segment_frames: rate.frames_in(segment).max(part_frames) }
    }

    /// PART-TARGET: the exact length of a whole part, rounded up to 5 decimals (RFC 8216bis §4.4.3.7).
    #[must_use]
    pub fn part_target(&self) -> Seconds5 {
        let exact = u64::from(self.part_frames) * u64::from(self.rate.den()) * 100_000;
        Seconds5(exact.div_ceil(u64::from(self.rate.num())))
    }

    /// EXT-X-TARGETDURATION: a whole segment in seconds, rounded to the nearest, at least 1 (§4.4.3.1).
    #[must_use]
    pub fn target_duration(&self) -> u32 {
        let ticks = self.rate.frame_start(i64::from(self.segment_frames)).ticks();
        u32::try_from((ticks + 45_000) / 90_000).unwrap_or(u32::MAX).max(1)
    }

    /// Whether an encoder makes the frame so far into a segment a key frame: the first, and others
    /// where parts begin, about a second apart, so that who joins in the middle of a segment has at
    /// most a second to fetch and decode before the picture asked for.
    #[must_use]
    pub fn key_frame_at(&self, frame: u32) -> bool {
        let second = self.rate.frames_in(MediaTime::from_millis(1000));
        let parts = (second + self.part_frames / 2) / self.part_frames;
        let apart = parts.max(1) * self.part_frames;
        let left = self.segment_frames.saturating_sub(frame);
        frame == 0 || (frame.is_multiple_of(apart) && left > apart / 2)
    }

    /// AAC frames (1024 samples) in a whole audio part: as many as fit in PART-TARGET, at least one.
    #[must_use]
    pub fn audio_part_frames(&self, sample_rate: u32) -> u32 {
        let frames = self.part_target().0 * u64::from(sample_rate) / (100_000 * 1024);
        u32::try_from(frames).unwrap_or(u32::MAX).max(1)
    }
}

/// Seconds with exactly five decimals: how playlists write durations.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Seconds5(u64);

impl Seconds5 {
    /// So many hundred-thousandths of a second.
    #[must_use]
    pub const fn from_units(units: u64) -> Self {
        Self(units)
    }

    /// `ticks` of `timescale`, rounded to the nearest hundred-thousandth.
    #[must_use]
    pub const fn from_ticks(ticks: u64, timescale: u32) -> Self {
        let scale = timescale as u128;
        #[expect(clippy::cast_possible_truncation, reason = "durations stay within 64 bits")]
        Self(((ticks as u128 * 100_000 + scale / 2) / scale) as u64)
    }

    /// Hundred-thousandths of a second.
    #[must_use]
    pub const fn units(self) -> u64 {
        self.0
    }

    /// This span as media time.
    #[must_use]
    pub fn media_time(self) -> MediaTime {
        MediaTime::from_ticks(i64::try_from(self.0 * 9 / 10).unwrap_or(i64::MAX))
    }
}

/// Written without trailing zeros: `0.2`, `0.33334`, `2`.
impl fmt::Display for Seconds5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, mut fraction) = (self.0 / 100_000, self.0 % 100_000);
        let mut width = 5;
        while width > 0 && fraction.is_multiple_of(10) {
            fraction /= 10;
            width -= 1;
        }
        if width == 0 { write!(f, "{whole}") } else { write!(f, "{whole}.{fraction:0width$}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of docs/contract.md.
    #[test]
    fn the_grid_is_the_contracts_table() {
        let rates = [
            (24_000, 1001),
            (24, 1),
            (25, 1),
            (30_000, 1001),
            (30, 1),
            (50, 1),
            (60_000, 1001),
            (60, 1),
        ];
        let default = [
            (8, "0.33367"),
            (8, "0.33334"),
            (8, "0.32"),
            (10, "0.33367"),
            (10, "0.33334"),
            (17, "0.34"),
            (20, "0.33367"),
            (20, "0.33334"),
        ];
        let fast = [
            (5, "0.20855"),
            (5, "0.20834"),
            (5, "0.2"),
            (6, "0.2002"),
            (6, "0.2"),
            (10, "0.2"),
            (12, "0.2002"),
            (12, "0.2"),
        ];
        for (part, table) in [(334, default), (200, fast)] {
            for ((num, den), (frames, target)) in rates.into_iter().zip(table) {
                let rate = FrameRate::new(num, den).unwrap();
                let grid =
                    Grid::new(rate, MediaTime::from_millis(part), MediaTime::from_millis(2000));
                assert_eq!(grid.part_frames, frames, "{part} ms at {num}/{den}");
                assert_eq!(grid.part_target().to_string(), target, "{part} ms at {num}/{den}");
                assert_eq!(grid.target_duration(), 2);
            }
        }
    }

    #[test]
    fn key_frames_are_about_a_second_apart_and_begin_parts() {
        let keys = |num, part, segment| {
            let rate = FrameRate::new(num, 1).unwrap();
            let millis = MediaTime::from_millis;
            let grid = Grid::new(rate, millis(part), millis(segment));
            (0..grid.segment_frames).filter(|&frame| grid.key_frame_at(frame)).collect::<Vec<_>>()
        };
        assert_eq!(keys(30, 200, 2000), [0, 30]);
        assert_eq!(keys(30, 334, 2000), [0, 30]);
        assert_eq!(keys(60, 334, 4000), [0, 60, 120, 180]);
        // None that the next segment's would follow at once.
        assert_eq!(keys(25, 334, 2000), [0, 24]);
        assert_eq!(keys(50, 1000, 1000), [0]);
    }

    #[test]
    fn an_audio_part_never_exceeds_the_part_target() {
        let rate = FrameRate::new(30, 1).unwrap();
        let grid = Grid::new(rate, MediaTime::from_millis(334), MediaTime::from_millis(2000));
        assert_eq!(grid.audio_part_frames(48_000), 15);
        assert_eq!(grid.audio_part_frames(44_100), 14);
    }
}

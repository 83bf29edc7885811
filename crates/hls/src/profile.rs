use std::time::Duration;

use nowcast_media::{Grid, MediaTime, Seconds5};

/// The promises of a stream's media playlists, alike in all of them and frozen for its life.
///
/// Players hold a server to its first word: AVPlayer stops for good when PART-HOLD-BACK changes or a
/// part outlasts PART-TARGET, so every value comes from the configuration and none from what was seen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Profile {
    /// EXT-X-TARGETDURATION in seconds (§4.4.3.1); at least 1.
    pub target_duration: u32,
    /// PART-TARGET (§4.4.3.7).
    pub part_target: Seconds5,
    /// How far back a player can seek.
    pub window: MediaTime,
}

impl Profile {
    /// The profile of a stream cut on `grid` that keeps `window` of media listed.
    #[must_use]
    pub fn new(grid: &Grid, window: MediaTime) -> Self {
        Self { target_duration: grid.target_duration(), part_target: grid.part_target(), window }
    }

    /// HOLD-BACK: three target durations, the least allowed (§4.4.3.8).
    #[must_use]
    pub fn hold_back(&self) -> Seconds5 {
        self.targets(3)
    }

    /// PART-HOLD-BACK: three part targets; §4.4.3.8 demands two, Apple's authoring rule 14.3 three.
    #[must_use]
    pub fn part_hold_back(&self) -> Seconds5 {
        Seconds5::from_units(3 * self.part_target.units())
    }

    /// CAN-SKIP-UNTIL: six target durations, the least allowed (§4.4.3.8).
    #[must_use]
    pub fn skip_until(&self) -> Seconds5 {
        self.targets(6)
    }

    /// How long a blocked request may wait before it is answered 503: three target durations (§6.2.5.2).
    #[must_use]
    pub fn hold_limit(&self) -> Duration {
        Duration::from_secs(3 * u64::from(self.target_duration))
    }

    /// How many parts past the last one a request may ask for.
    ///
    /// The Advance Part Limit of §6.2.5.2 is three seconds' worth of parts, or three parts from one
    /// second up. hls.js tunes in as much as 1.5 target durations ahead of what it knows, so that
    /// much is granted where it is more: a refusal there ends in endless buffering.
    #[must_use]
    pub fn advance_parts(&self) -> u32 {
        let part = self.part_target.units().max(1);
        let limit = if part < 100_000 { 300_000_u64.div_ceil(part) } else { 3 };
        let tune_in = (150_000 * u64::from(self.target_duration)).div_ceil(part);
        u32::try_from(limit.max(tune_in)).unwrap_or(u32::MAX)
    }

    fn targets(&self, count: u64) -> Seconds5 {
        Seconds5::from_units(count * 100_000 * u64::from(self.target_duration))
    }
}

#[cfg(test)]
mod tests {
    use nowcast_media::FrameRate;

    use super::*;

    fn profile(part_ms: i64, segment_ms: i64) -> Profile {
        let rate = FrameRate::new(30, 1).unwrap();
        let grid =
            Grid::new(rate, MediaTime::from_millis(part_ms), MediaTime::from_millis(segment_ms));
        Profile::new(&grid, MediaTime::from_millis(60_000))
    }

    #[test]
    fn hold_backs_are_multiples_of_the_targets_as_printed() {
        let default = profile(334, 2000);
        assert_eq!(default.target_duration, 2);
        assert_eq!(default.part_target.to_string(), "0.33334");
        assert_eq!(default.part_hold_back().to_string(), "1.00002");
        assert_eq!(default.hold_back().to_string(), "6");
        assert_eq!(default.skip_until().to_string(), "12");
        assert_eq!(default.hold_limit(), Duration::from_secs(6));
    }

    #[test]
    fn requests_may_run_ahead_by_the_larger_of_the_two_limits() {
        assert_eq!(profile(200, 2000).advance_parts(), 15); // 3 s and 1.5 TD alike
        assert_eq!(profile(200, 4000).advance_parts(), 30); // 1.5 TD
        assert_eq!(profile(500, 1000).advance_parts(), 6); // 3 s
        assert_eq!(profile(1000, 1000).advance_parts(), 3); // three parts
        assert_eq!(profile(1000, 6000).advance_parts(), 9); // 1.5 TD
    }
}

use std::collections::VecDeque;

use nowcast_media::MediaTime;

/// The bit rates of a rendition as it was published, the way §4.1 measures them.
///
/// Bytes are those of the segments, container included, HTTP excluded.
#[derive(Clone, Debug)]
pub struct BandwidthMeter {
    shortest: MediaTime,
    longest: MediaTime,
    /// The newest segments whose lengths add up to no more than the longest run.
    recent: VecDeque<(MediaTime, u64)>,
    peak: u64,
    duration: MediaTime,
    bytes: u64,
}

impl BandwidthMeter {
    /// A meter for a rendition with this EXT-X-TARGETDURATION, in seconds.
    #[must_use]
    pub fn new(target_duration: u32) -> Self {
        let half = MediaTime::from_millis(500 * i64::from(target_duration));
        Self {
            shortest: half,
            longest: half + half + half + MediaTime::from_millis(500),
            recent: VecDeque::new(),
            peak: 0,
            duration: MediaTime::ZERO,
            bytes: 0,
        }
    }

    /// Counts one more segment. A segment without duration has no bit rate and is passed over.
    pub fn push(&mut self, duration: MediaTime, bytes: u64) {
        if duration <= MediaTime::ZERO {
            return;
        }
        self.duration += duration;
        self.bytes += bytes;
        self.recent.push_front((duration, bytes));
        let mut run = (MediaTime::ZERO, 0);
        let mut kept = 0;
        for &(duration, bytes) in &self.recent {
            run = (run.0 + duration, run.1 + bytes);
            if run.0 > self.longest {
                break;
            }
            kept += 1;
            if run.0 >= self.shortest {
                self.peak = self.peak.max(bits_per_second(run.1, run.0));
            }
        }
        self.recent.truncate(kept);
    }

    /// The highest rate of any run of whole segments that lasts between 0.5 target durations and
    /// 1.5 target durations and half a second, in bits a second; 0 before there is one.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.peak
    }

    /// The rate over everything counted, in bits a second.
    #[must_use]
    pub fn average(&self) -> u64 {
        bits_per_second(self.bytes, self.duration)
    }
}

/// Rounded up, so that what is declared is never less than what was measured.
fn bits_per_second(bytes: u64, duration: MediaTime) -> u64 {
    let ticks = u128::try_from(duration.ticks()).unwrap_or(0).max(1);
    let bits = u128::from(bytes) * 8 * u128::from(MediaTime::TIMESCALE);
    u64::try_from(bits.div_ceil(ticks)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_peak_is_that_of_the_worst_run_of_segments() {
        let mut meter = BandwidthMeter::new(2); // runs of 1 s to 3.5 s
        let second = MediaTime::from_millis(1000);
        meter.push(second + second, 250_000);
        assert_eq!((meter.peak(), meter.average()), (1_000_000, 1_000_000));
        // Too short to count by itself: 4 Mbit/s for half a second.
        meter.push(MediaTime::from_millis(500), 250_000);
        assert_eq!((meter.peak(), meter.average()), (1_600_000, 1_600_000));
        meter.push(second, 125_000);
        assert_eq!(meter.peak(), 2_000_000); // the last two: 3 Mbit in 1.5 s
        meter.push(MediaTime::ZERO, 1_000_000);
        assert_eq!(meter.average(), 1_428_572);
    }

    proptest! {
        #[test]
        fn every_run_is_measured(
            target in 1..8_u32,
            segments in prop::collection::vec((1..900_000_i64, 0..10_000_000_u64), 0..30),
        ) {
            let mut meter = BandwidthMeter::new(target);
            for &(ticks, bytes) in &segments {
                meter.push(MediaTime::from_ticks(ticks), bytes);
            }
            let (low, high) = (i64::from(target) * 45_000, i64::from(target) * 135_000 + 45_000);
            let mut worst = 0_f64;
            for from in 0..segments.len() {
                for to in from..segments.len() {
                    let ticks: i64 = segments[from..=to].iter().map(|s| s.0).sum();
                    let bytes: u64 = segments[from..=to].iter().map(|s| s.1).sum();
                    if (low..=high).contains(&ticks) {
                        worst = worst.max(bytes as f64 * 8.0 * 90_000.0 / ticks as f64);
                    }
                }
            }
            prop_assert!((meter.peak() as f64 - worst).abs() < 2.0, "{} for {worst}", meter.peak());
            prop_assert!(meter.recent.len() <= segments.len());
        }
    }
}

//! How far the source's clock runs from ours.

use std::collections::VecDeque;
use std::time::Duration;

/// Ticks of the program clock in a second (ISO 13818-1 §2.4.2.1).
const HZ: i64 = 27_000_000;
/// Where the program clock wraps.
const WRAP: i64 = 300 << 33;
/// One sample is kept of every so long, the one that came soonest: what came late says nothing of the clock.
const BUCKET: Duration = Duration::from_secs(1);
/// Samples kept: over a minute a millisecond of jitter left is 17 ppm of one sample, and 1 ppm of their median.
const WINDOW: usize = 60;
/// No drift is told from less.
const MIN_SAMPLES: usize = 10;
/// A clock that is off by so much since its last value was set anew.
const JUMP: i64 = HZ / 2;

/// The distance of two clocks over time.
#[derive(Debug, Default)]
pub(crate) struct Drift {
    /// The last value of the program clock, unwrapped, and our time.
    last: Option<(i64, i64)>,
    /// Our time in ticks, and how far the program clock was ahead of it, a sample per [`BUCKET`].
    samples: VecDeque<(i64, i64)>,
}

impl Drift {
    /// Takes a program clock reference that came at `now`.
    pub(crate) fn add(&mut self, pcr: u64, now: Duration) {
        let now = i64::try_from(now.as_nanos() * 27 / 1000).unwrap_or(i64::MAX);
        let pcr = i64::try_from(pcr).unwrap_or_default();
        let (last, last_now) = self.last.unwrap_or((pcr, now));
        let step = (pcr - last + WRAP / 2).rem_euclid(WRAP) - WRAP / 2;
        if (step - (now - last_now)).abs() > JUMP {
            *self = Self::default();
            self.last = Some((pcr, now));
            return;
        }
        let pcr = last + step;
        self.last = Some((pcr, now));

        let sample = (now, pcr - now);
        let bucket = |now: i64| now / (HZ * i64::try_from(BUCKET.as_secs()).unwrap_or(1));
        match self.samples.back_mut() {
            Some(kept) if bucket(kept.0) == bucket(now) => {
                if sample.1 > kept.1 {
                    *kept = sample;
                }
            }
            _ => self.samples.push_back(sample),
        }
        if self.samples.len() > WINDOW {
            self.samples.pop_front();
        }
    }

    /// Parts per million by which the source's clock is faster than ours, once there is enough to tell.
    ///
    /// The median of the slopes between all samples (Theil and Sen): samples that came late move it little.
    pub(crate) fn ppm(&self) -> Option<f64> {
        if self.samples.len() < MIN_SAMPLES {
            return None;
        }
        let samples = self.samples.iter().enumerate();
        #[expect(clippy::cast_precision_loss, reason = "spans of a minute are exact in 53 bits")]
        let mut slopes: Vec<f64> = samples
            .flat_map(|(index, a)| self.samples.iter().skip(index + 1).map(move |b| (a, b)))
            .map(|(a, b)| (b.1 - a.1) as f64 / (b.0 - a.0) as f64 * 1e6)
            .collect();
        let middle = slopes.len() / 2;
        Some(*slopes.select_nth_unstable_by(middle, f64::total_cmp).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock that is `ppm` fast, its references late by some of up to 30 ms.
    fn measure(ppm: i64, start: i64, seconds: i64) -> Option<f64> {
        let mut drift = Drift::default();
        for sample in 0..seconds * 25 {
            let sent = sample * 40_000;
            let clock = start + sent * (1_000_000 + ppm) / 1_000_000 * 27;
            let late = [0, 3, 0, 12, 30, 1, 0, 7][usize::try_from(sample * 7 % 8).unwrap()] * 1000;
            let now = Duration::from_micros(u64::try_from(sent + late).unwrap());
            drift.add(u64::try_from(clock.rem_euclid(WRAP)).unwrap(), now);
        }
        drift.ppm()
    }

    #[test]
    fn a_clock_that_is_off_is_measured_within_2_ppm_through_jitter_and_a_wrap() {
        for ppm in [-100, -30, 0, 15, 100] {
            let measured = measure(ppm, WRAP - 10 * HZ, 60).unwrap();
            assert!(
                (measured - f64::from(i32::try_from(ppm).unwrap())).abs() < 2.0,
                "{measured} for {ppm}"
            );
        }
    }

    #[test]
    fn too_little_time_tells_nothing() {
        assert_eq!(measure(50, 0, 9), None);
        assert!(measure(50, 0, 11).is_some());
    }
}

//! Media time in 90 kHz ticks, and frame rates as exact fractions.

use std::num::NonZeroU32;
use std::ops::{Add, AddAssign, Sub};

/// A moment or a span on a media timeline, in ticks of 90 kHz.
///
/// 90 kHz is the clock of MPEG-TS (ISO 13818-1 §2.4.2) and the timescale of every video rendition.
/// Signed, so that a span may point backwards; 64 bits outlast the 33-bit clock by three million years.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MediaTime(i64);

impl MediaTime {
    /// Ticks in a second.
    pub const TIMESCALE: u32 = 90_000;
    /// The origin of a timeline, and the empty span.
    pub const ZERO: Self = Self(0);

    /// A time of so many 90 kHz ticks.
    #[must_use]
    pub const fn from_ticks(ticks: i64) -> Self {
        Self(ticks)
    }

    /// A span of so many milliseconds.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis * 90)
    }

    /// The 90 kHz ticks.
    #[must_use]
    pub const fn ticks(self) -> i64 {
        self.0
    }

    /// This time in ticks of another timescale, rounded to the nearest.
    #[must_use]
    pub const fn to_scale(self, timescale: u32) -> i64 {
        div_round(self.0 as i128 * timescale as i128, Self::TIMESCALE as i128)
    }

    /// The time of `ticks` in another timescale, rounded to the nearest 90 kHz tick.
    #[must_use]
    pub const fn from_scale(ticks: i64, timescale: NonZeroU32) -> Self {
        Self(div_round(ticks as i128 * Self::TIMESCALE as i128, timescale.get() as i128))
    }

    /// Microseconds, rounded to the nearest.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.to_scale(1_000_000)
    }
}

impl Add for MediaTime {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for MediaTime {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sub for MediaTime {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

/// Frames per second as a fraction in lowest terms.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct FrameRate {
    num: NonZeroU32,
    den: NonZeroU32,
}

impl FrameRate {
    /// The rate `num / den`; `None` if either is zero or the rate is outside 1 to 240 frames a second.
    #[must_use]
    pub fn new(num: u32, den: u32) -> Option<Self> {
        let divisor = gcd(num, den);
        let (num, den) = (num.checked_div(divisor)?, den.checked_div(divisor)?);
        if num < den || u64::from(num) > 240 * u64::from(den) {
            return None;
        }
        Some(Self { num: NonZeroU32::new(num)?, den: NonZeroU32::new(den)? })
    }

    /// The rate a source means that shows one frame every `interval`.
    ///
    /// Snaps to a rate of broadcasting (23.976 to 120) when within 0.4 %, which also absorbs the
    /// rounding of millisecond clocks over a few frames; otherwise to whole frames a second.
    #[must_use]
    pub fn from_interval(interval: MediaTime) -> Option<Self> {
        const KNOWN: [(u32, u32); 13] = [
            (24_000, 1001),
            (24, 1),
            (25, 1),
            (30_000, 1001),
            (30, 1),
            (48, 1),
            (50, 1),
            (60_000, 1001),
            (60, 1),
            (100, 1),
            (120_000, 1001),
            (120, 1),
            (15, 1),
        ];
        let ticks = u64::try_from(interval.ticks()).ok().filter(|&ticks| ticks > 0)?;
        // Distance of n/d from 90000/ticks, as a fraction of n/d, in 1/1_000_000.
        let distance = |&(num, den): &(u32, u32)| {
            let product = u64::from(num) * ticks;
            let exact = 90_000 * u64::from(den);
            product.abs_diff(exact) * 1_000_000 / exact
        };
        let nearest = KNOWN.iter().min_by_key(|known| distance(known))?;
        if distance(nearest) <= 4_000 {
            return Self::new(nearest.0, nearest.1);
        }
        let whole = u32::try_from((90_000 + ticks / 2) / ticks).ok()?;
        Self::new(whole.clamp(1, 240), 1)
    }

    /// The numerator in lowest terms.
    #[must_use]
    pub const fn num(self) -> u32 {
        self.num.get()
    }

    /// The denominator in lowest terms.
    #[must_use]
    pub const fn den(self) -> u32 {
        self.den.get()
    }

    /// Where frame `index` begins on a timeline whose frame 0 begins at zero.
    ///
    /// Rounded once from the exact fraction, so the error never grows past half a tick.
    #[must_use]
    pub const fn frame_start(self, index: i64) -> MediaTime {
        MediaTime(div_round(
            index as i128 * MediaTime::TIMESCALE as i128 * self.den.get() as i128,
            self.num.get() as i128,
        ))
    }

    /// The frame whose start is nearest to `time`; the inverse of [`FrameRate::frame_start`].
    #[must_use]
    pub const fn nearest_frame(self, time: MediaTime) -> i64 {
        div_round(
            time.0 as i128 * self.num.get() as i128,
            MediaTime::TIMESCALE as i128 * self.den.get() as i128,
        )
    }

    /// How many frames come nearest to `span`, at least one.
    #[must_use]
    pub fn frames_in(self, span: MediaTime) -> u32 {
        u32::try_from(self.nearest_frame(span)).unwrap_or(u32::MAX).max(1)
    }

    /// Frames per second, for showing.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.num.get()) / f64::from(self.den.get())
    }
}

const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// `num / den` rounded to the nearest, halves up; `den` is positive.
#[expect(clippy::cast_possible_truncation, reason = "a quotient of times stays within 64 bits")]
const fn div_round(num: i128, den: i128) -> i64 {
    (num + den / 2).div_euclid(den) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_broadcast_rate_land_within_half_a_tick_for_a_year() {
        for (num, den) in
            [(24_000, 1001), (24, 1), (25, 1), (30_000, 1001), (60_000, 1001), (60, 1)]
        {
            let rate = FrameRate::new(num, den).unwrap();
            let year = i64::from(num) / i64::from(den) * 86_400 * 365;
            for index in [0, 1, 2, 1001, year, year + 1] {
                assert_eq!(rate.nearest_frame(rate.frame_start(index)), index);
            }
        }
    }

    #[test]
    fn an_interval_names_the_rate_it_was_meant_to_be() {
        for (ticks, expected) in [
            (3003, (30_000, 1001)),
            (3000, (30, 1)),
            (1501, (60_000, 1001)),
            (1502, (60_000, 1001)),
            (1500, (60, 1)),
            (3754, (24_000, 1001)),
            (3750, (24, 1)),
            (3600, (25, 1)),
            (18_000, (5, 1)),
        ] {
            let rate = FrameRate::from_interval(MediaTime::from_ticks(ticks)).unwrap();
            assert_eq!((rate.num(), rate.den()), expected, "{ticks} ticks");
        }
        assert_eq!(FrameRate::from_interval(MediaTime::ZERO), None);
    }
}

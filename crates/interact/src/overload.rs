//! What a room gives up, step by step, while more comes in than it can take.

/// The last step.
const MOST: u8 = 4;
/// An overload that lasts so long brings the next step, in milliseconds.
const WORSE_MS: i64 = 1000;
/// Calm that lasts so long takes a step back, in milliseconds.
const BETTER_MS: i64 = 10_000;
/// The least slow mode of the third step, in milliseconds.
pub(crate) const SLOW_MS: u64 = 10_000;

/// How much a room has given up.
///
/// | step | what viewers' messages meet from then on |
/// | --- | --- |
/// | 1 | no moderator elsewhere is asked: what is configured for its failure holds |
/// | 2 | links wait for a moderator |
/// | 3 | slow mode, 10 s at the least |
/// | 4 | only viewers who are known by name write |
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Overload {
    step: u8,
    /// Since when it has been as it is, overloaded or not.
    overloaded: bool,
    since: i64,
}

impl Overload {
    /// Whether nothing is given up.
    pub(crate) const fn is_none(self) -> bool {
        self.step == 0
    }

    /// Takes whether more comes in than can be taken; answers with the step from now on, if that is another.
    pub(crate) fn handle(&mut self, overloaded: bool, now: i64) -> Option<u8> {
        if overloaded != self.overloaded {
            (self.overloaded, self.since) = (overloaded, now);
        }
        let lasts = now - self.since;
        let step = match overloaded {
            true if lasts >= WORSE_MS && self.step < MOST => self.step + 1,
            false if lasts >= BETTER_MS && self.step > 0 => self.step - 1,
            _ => return None,
        };
        (self.step, self.since) = (step, now);
        Some(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every change over these seconds of overload and of calm, looked at four times a second.
    fn changes(seconds: &[(bool, i64)]) -> Vec<(i64, u8)> {
        let (mut overload, mut now, mut found) = (Overload::default(), 0, Vec::new());
        for &(overloaded, lasts) in seconds {
            for _ in 0..lasts * 4 {
                found.extend(overload.handle(overloaded, now).map(|step| (now, step)));
                now += 250;
            }
        }
        found
    }

    #[test]
    fn steps_are_taken_one_by_one_and_taken_back_one_by_one() {
        assert_eq!(changes(&[(true, 2)]), [(1000, 1)]);
        let up = [(1000, 1), (2000, 2), (3000, 3), (4000, 4)];
        let down = [(20_000, 3), (30_000, 2), (40_000, 1), (50_000, 0)];
        assert_eq!(changes(&[(true, 10), (false, 60)]), [up, down].concat());
    }

    #[test]
    fn what_passes_quickly_changes_nothing() {
        assert_eq!(changes(&[(true, 1), (false, 1)].repeat(100)), []);
        let flapping: Vec<_> = [&[(true, 2)][..], &[(false, 9), (true, 1)].repeat(20)].concat();
        assert_eq!(changes(&flapping), [(1000, 1)]);
    }
}

//! The access units a worker has been or will be given: kept from the last key frame on, for the next worker.

use std::collections::VecDeque;

use nowcast_media::{AccessUnit, FrameRate, MediaTime};

/// No more is kept than so many bytes …
const MAX_BYTES: usize = 64 << 20;
/// … and so much time.
const MAX_SPAN: MediaTime = MediaTime::from_millis(30_000);

/// The frames that are due, for which no picture has come since.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fill {
    pub(super) until: i64,
    pub(super) slate: bool,
    /// What the present worker was told of them.
    pub(super) told: Option<i64>,
    /// Pictures have come since: they say which frames are due.
    pub(super) over: bool,
}

/// What was received, what was sent, and which unit kills workers.
#[derive(Debug, Default)]
pub(super) struct History {
    units: VecDeque<AccessUnit>,
    bytes: usize,
    /// The number of the first unit kept; the others follow.
    first: u64,
    /// The number of the next unit to send.
    unsent: u64,
    /// The worker has been given a unit that decoding can start at.
    started: bool,
    /// The last unit a decoder was given.
    taken: Option<u64>,
    /// The unit at which the last worker died.
    suspect: Option<u64>,
}

impl History {
    /// Adds a unit; the oldest go when there are too many, and are never sent again.
    pub(super) fn push(&mut self, unit: AccessUnit) {
        self.bytes += unit.data.len();
        let newest = unit.dts;
        self.units.push_back(unit);
        while self.bytes > MAX_BYTES
            || self.units.front().is_some_and(|oldest| newest - oldest.dts > MAX_SPAN)
        {
            self.drop_first();
        }
    }

    /// The next unit a worker is to be given, with its number; from a key frame on.
    pub(super) fn next(&mut self) -> Option<(u64, &AccessUnit)> {
        self.unsent = self.unsent.max(self.first);
        loop {
            let at = usize::try_from(self.unsent - self.first).ok()?;
            let random_access = self.units.get(at)?.random_access;
            self.unsent += 1;
            if self.started || random_access {
                self.started = true;
                return Some((self.unsent - 1, &self.units[at]));
            }
        }
    }

    /// Another source begins: what came before is not needed again, nor will a decoder take it.
    pub(super) fn forget(&mut self) {
        while !self.units.is_empty() {
            self.drop_first();
        }
        (self.unsent, self.started) = (self.first, false);
    }

    /// Has the worker not been sent all there is?
    pub(super) fn has_unsent(&self) -> bool {
        let end = self.first + self.units.len() as u64;
        self.started && self.unsent.max(self.first) < end
    }

    /// A decoder is given this unit.
    pub(super) fn taken(&mut self, seq: u64) {
        self.taken = Some(seq);
    }

    /// Has the worker been sent what it has not taken?
    pub(super) fn waits(&self) -> bool {
        self.started && self.taken.is_none_or(|taken| taken + 1 < self.unsent)
    }

    /// The frames before `resume` are made: what only they need can go.
    pub(super) fn made(&mut self, rate: FrameRate, resume: i64) {
        let needed = self
            .units
            .iter()
            .rposition(|unit| unit.random_access && rate.nearest_frame(unit.pts) <= resume);
        for _ in 0..needed.unwrap_or(0) {
            self.drop_first();
        }
    }

    /// The worker is gone: the next is given everything from the oldest key frame on. The unit at which two workers
    /// died one after the other is left out; its number is returned.
    pub(super) fn worker_died(&mut self) -> Option<u64> {
        self.started = false;
        self.unsent = self.first;
        let suspect = std::mem::replace(&mut self.suspect, self.taken.take());
        let poison = self.suspect.filter(|_| self.suspect == suspect)?;
        self.suspect = None;
        let at = usize::try_from(poison.checked_sub(self.first)?).ok()?;
        let unit = self.units.get_mut(at)?;
        // It stays as an empty unit, so that the numbers of the others hold.
        self.bytes -= unit.data.len();
        unit.data = bytes::Bytes::new();
        unit.random_access = false;
        Some(poison)
    }

    fn drop_first(&mut self) {
        if let Some(unit) = self.units.pop_front() {
            self.bytes -= unit.data.len();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(number: i64, random_access: bool) -> AccessUnit {
        let time = MediaTime::from_ticks(number * 3000);
        AccessUnit {
            pts: time,
            dts: time,
            random_access,
            damaged: false,
            data: vec![1; 1000].into(),
        }
    }

    fn history(units: i64, gop: i64) -> History {
        let mut history = History::default();
        (0..units).for_each(|number| history.push(unit(number, number % gop == 0)));
        history
    }

    fn sent(history: &mut History) -> Vec<u64> {
        std::iter::from_fn(|| history.next().map(|(seq, _)| seq)).collect()
    }

    #[test]
    fn the_next_worker_starts_at_the_last_key_frame_before_what_is_missing() {
        let rate = FrameRate::new(30, 1).unwrap();
        let mut history = history(25, 10);
        assert_eq!(sent(&mut history), (0..25).collect::<Vec<_>>());
        history.made(rate, 19);
        history.worker_died();
        assert_eq!(sent(&mut history), (10..25).collect::<Vec<_>>());
        history.made(rate, 20);
        history.worker_died();
        assert_eq!(sent(&mut history), (20..25).collect::<Vec<_>>());
    }

    #[test]
    fn a_worker_is_given_nothing_before_a_key_frame() {
        let mut history = History::default();
        (1..25).for_each(|number| history.push(unit(number, number == 20)));
        assert_eq!(sent(&mut history), (19..24).collect::<Vec<_>>());
    }

    #[test]
    fn the_unit_at_which_two_workers_died_is_left_out() {
        let mut history = history(20, 10);
        for expected in [None, Some(13)] {
            sent(&mut history);
            history.taken(12);
            history.taken(13);
            assert_eq!(history.worker_died(), expected);
        }
        let left: Vec<_> =
            std::iter::from_fn(|| history.next().map(|(seq, unit)| (seq, unit.data.len())))
                .collect();
        assert_eq!(left[13], (13, 0));
        assert!(left.iter().all(|&(seq, length)| seq == 13 || length == 1000));
    }

    #[test]
    fn workers_that_die_at_different_units_accuse_none() {
        let mut history = history(20, 10);
        for taken in [3, 4, 3, 5] {
            sent(&mut history);
            history.taken(taken);
            assert_eq!(history.worker_died(), None);
        }
        assert_eq!(
            history.worker_died(),
            None,
            "one that died before it took anything accuses none"
        );
    }

    #[test]
    fn memory_is_bounded_in_time_and_in_bytes() {
        let mut long = history(10_000, i64::MAX);
        assert!(long.units.len() <= 901);
        long.worker_died();
        assert!(sent(&mut long).is_empty(), "what is left has no key frame");
        let mut fat = History::default();
        for number in 0..100 {
            fat.push(AccessUnit { data: vec![0; 1 << 20].into(), ..unit(number, true) });
        }
        assert!(fat.bytes <= MAX_BYTES);
    }
}

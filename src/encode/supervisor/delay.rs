//! How long access units take to come back as coded frames.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// What the median is taken over.
const SPAN: Duration = Duration::from_secs(1);
/// More units than this are never in a worker: 30 s at 60 fps.
const MOST: usize = 1800;

/// Measures from a unit's arrival to its frame of the slowest rung.
pub(super) struct Delay {
    waiting: VecDeque<(i64, Instant)>,
    /// The last frame of each rung.
    made: Vec<i64>,
    recent: VecDeque<(Instant, Duration)>,
}

impl Delay {
    pub(super) fn new(rungs: usize) -> Self {
        Self { waiting: VecDeque::new(), made: vec![i64::MIN; rungs], recent: VecDeque::new() }
    }

    /// A unit came whose picture belongs to frame `index`.
    pub(super) fn received(&mut self, index: i64, now: Instant) {
        if self.waiting.len() == MOST {
            self.waiting.pop_front();
        }
        self.waiting.push_back((index, now));
    }

    /// A rung's frame came back.
    pub(super) fn made(&mut self, rung: usize, index: i64, now: Instant) {
        let before = self.made.iter().min().copied();
        if let Some(last) = self.made.get_mut(rung) {
            *last = index;
        }
        let Some(slowest) =
            self.made.iter().min().copied().filter(|&slowest| Some(slowest) > before)
        else {
            return;
        };
        // Not in order of their frames: with B-pictures, a later frame comes first.
        let recent = &mut self.recent;
        self.waiting.retain(|&(index, since)| {
            if index == slowest {
                recent.push_back((now, now - since));
            }
            index > slowest
        });
        while self.recent.len() > MOST {
            self.recent.pop_front();
        }
    }

    /// The last second's median in milliseconds; 0 without any.
    pub(super) fn median_ms(&mut self, now: Instant) -> f64 {
        while self.recent.front().is_some_and(|&(at, _)| now - at > SPAN) {
            self.recent.pop_front();
        }
        let mut delays: Vec<_> = self.recent.iter().map(|&(_, delay)| delay).collect();
        delays.sort();
        delays.get(delays.len() / 2).map_or(0.0, |delay| delay.as_secs_f64() * 1000.0)
    }
}

//! What a worker really costs.

use std::time::Duration;

use tokio::time::Instant;

use crate::procfs;

/// Between two looks: ticks of 10 ms are then 1 % of it.
const EVERY: Duration = Duration::from_secs(1);
/// A worker reads its plugins and fills its queues first; that says nothing of what it costs later.
const START: Duration = Duration::from_secs(3);
/// How much of the mean a look is: a memory of ten of them.
const SHARE: f64 = 0.1;

/// The processor time of one worker, smoothed: pictures differ, and an admission must not.
#[derive(Debug, Default)]
pub(super) struct Usage {
    began: Option<Instant>,
    last: Option<(Instant, f64)>,
    cores: Option<f64>,
}

impl Usage {
    /// The cores that the process uses, once that can be told.
    pub(super) fn cores(&mut self, pid: u32, now: Instant) -> Option<f64> {
        let began = *self.began.get_or_insert(now);
        let due = self.last.is_none_or(|(then, _)| now - then >= EVERY);
        if now - began >= START && due {
            let used = procfs::cpu_seconds(pid)?;
            if let Some((then, before)) = self.last.replace((now, used)) {
                let cores = (used - before) / (now - then).as_secs_f64();
                let mean = self.cores.unwrap_or(cores);
                self.cores = Some(mean + (cores - mean) * SHARE);
            }
        }
        self.cores
    }
}

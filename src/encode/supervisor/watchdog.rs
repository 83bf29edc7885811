//! How long a worker may make nothing of what it was sent.

use std::time::Duration;

use tokio::time::Instant;

/// A worker that takes nothing for so long, although it was sent something, hangs.
const HANG: Duration = Duration::from_secs(2);
/// Until its first word a worker may read a plugin registry from a slow disk.
const START: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Watchdog {
    limit: Duration,
    since: Instant,
}

impl Default for Watchdog {
    /// Of a worker that begins now.
    fn default() -> Self {
        Self { limit: START, since: Instant::now() }
    }
}

impl Watchdog {
    /// A sign of life.
    pub(super) fn sign(&mut self) {
        self.since = Instant::now();
    }

    /// The first heartbeat: the graphs run. Later ones say nothing of the codecs.
    pub(super) fn started(&mut self) {
        if self.limit == START {
            self.limit = HANG;
            self.sign();
        }
    }

    /// Whether a worker that has something to do, or not begun yet, has been still for too long: so
    /// many seconds.
    pub(super) fn barks(&self, waits: bool) -> Option<u64> {
        let still = (waits || self.limit == START) && self.since.elapsed() > self.limit;
        still.then_some(self.limit.as_secs())
    }
}

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hdrhistogram::Histogram;
use nowcast_lint::playlist::Position;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use url::Url;

use super::client::Answer;
use super::playlist::Generation;

/// Answers that are remembered for a rendition: all viewers who wait get the same bytes, which are
/// unpacked and read once.
const GENERATIONS: usize = 8;
/// Parts whose first answer is remembered for a rendition.
const FIRSTS: usize = 64;
/// A viewer's delay is the server's only while this process gets to run: above this its own share shows.
const LAG_LIMIT_MS: f64 = 10.0;
/// Longer delays are recorded as this one.
const LONGEST_MICROS: u64 = 60_000_000;
/// How often it is looked at whether this process gets to run.
const LAG_PERIOD: Duration = Duration::from_millis(5);

/// What all viewers together have seen.
#[derive(Debug)]
pub(super) struct Figures {
    renditions: Vec<Rendition>,
    measuring: AtomicBool,
    playing: AtomicU64,
    playlists: AtomicU64,
    parts: AtomicU64,
    bytes: AtomicU64,
    early: AtomicU64,
    late: AtomicU64,
    errors: Mutex<BTreeMap<String, u64>>,
    behind: Mutex<Histogram<u64>>,
    fetch: Mutex<Histogram<u64>>,
    age: Mutex<Histogram<u64>>,
    lag: Mutex<Histogram<u64>>,
    cpu_before: Mutex<Duration>,
}

#[derive(Debug, Default)]
struct Rendition {
    firsts: Mutex<BTreeMap<Position, Instant>>,
    generations: Mutex<VecDeque<(Bytes, Arc<Generation>)>>,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Viewers that play.
    pub playing: u64,
    /// Parts fetched.
    pub parts: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Whether everybody is there and what happens counts.
    pub measuring: bool,
}

/// What a run has shown; everything is counted from when all viewers play.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Viewers asked for.
    pub viewers: usize,
    /// Of these, those who had their first part.
    pub playing: u64,
    /// Renditions of each.
    pub renditions: usize,
    /// Measured.
    pub seconds: f64,
    /// Playlists received.
    pub playlists: u64,
    /// Parts received.
    pub parts: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// Requests that failed, by what happened.
    pub errors: BTreeMap<String, u64>,
    /// Answers without the part that was asked for (a fault of the server, RFC 8216bis §6.2.5.2).
    pub early: u64,
    /// Playlists more than one part behind the first viewer's.
    pub late: u64,
    /// From the first viewer having a playlist with a part to each other viewer having it.
    pub behind_first_ms: Spread,
    /// From asking for a part that is listed to having it.
    pub part_fetch_ms: Spread,
    /// From a part's end by its PROGRAM-DATE-TIME to having it: right as far as the clocks agree.
    pub part_age_ms: Spread,
    /// Cores that the viewers took.
    pub client_cores: f64,
    /// How late this process was run when it was due.
    pub client_lag_ms: Spread,
    /// The viewers, not the server, made the delays.
    pub client_is_the_limit: bool,
}

/// Percentiles, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Spread {
    /// Half are below.
    pub p50: f64,
    /// Nine of ten.
    pub p90: f64,
    /// 99 of 100.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Figures {
    pub(super) fn new(renditions: usize) -> Self {
        let histogram = || {
            let histogram = Histogram::new_with_max(LONGEST_MICROS, 3);
            Mutex::new(histogram.unwrap_or_else(|_| unreachable!("the bounds are legal")))
        };
        Self {
            renditions: (0..renditions).map(|_| Rendition::default()).collect(),
            measuring: AtomicBool::new(false),
            playing: AtomicU64::new(0),
            playlists: AtomicU64::new(0),
            parts: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            early: AtomicU64::new(0),
            late: AtomicU64::new(0),
            errors: Mutex::default(),
            behind: histogram(),
            fetch: histogram(),
            age: histogram(),
            lag: histogram(),
            cpu_before: Mutex::default(),
        }
    }

    /// From here on it counts.
    pub(super) fn begin(&self) {
        for counter in [&self.playlists, &self.parts, &self.bytes, &self.early, &self.late] {
            counter.store(0, Relaxed);
        }
        held(&self.errors).clear();
        for histogram in [&self.behind, &self.fetch, &self.age, &self.lag] {
            held(histogram).reset();
        }
        *held(&self.cpu_before) = cpu();
        self.measuring.store(true, Relaxed);
    }

    pub(super) fn playing(&self) -> u64 {
        self.playing.load(Relaxed)
    }

    pub(super) fn progress(&self) -> Progress {
        Progress {
            playing: self.playing(),
            parts: self.parts.load(Relaxed),
            errors: held(&self.errors).values().sum(),
            measuring: self.measuring.load(Relaxed),
        }
    }

    /// The playlist in an answer; read once for all who got the same.
    pub(super) fn read(
        &self,
        rendition: usize,
        from: &Url,
        answer: &Answer,
    ) -> Option<Arc<Generation>> {
        let mut known = held(&self.renditions[rendition].generations);
        if let Some((_, generation)) = known.iter().find(|(bytes, _)| *bytes == answer.body) {
            return Some(Arc::clone(generation));
        }
        let generation = Arc::new(Generation::read(&answer.text().ok()?, from)?);
        known.push_front((answer.body.clone(), Arc::clone(&generation)));
        known.truncate(GENERATIONS);
        Some(generation)
    }

    pub(super) fn plays(&self) {
        self.playing.fetch_add(1, Relaxed);
    }

    /// A playlist that was waited for, just received.
    pub(super) fn playlist(
        &self,
        rendition: usize,
        asked: Position,
        got: &Generation,
        bytes: usize,
    ) {
        let now = Instant::now();
        self.playlists.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
        if got.end <= asked && !got.ended {
            self.early.fetch_add(1, Relaxed);
            return;
        }
        let first = {
            let mut firsts = held(&self.renditions[rendition].firsts);
            let first = *firsts.entry(asked).or_insert(now);
            if firsts.len() > FIRSTS {
                firsts.pop_first();
            }
            first
        };
        let behind = now.saturating_duration_since(first);
        if behind > got.part_target {
            self.late.fetch_add(1, Relaxed);
        }
        record(&self.behind, behind);
    }

    pub(super) fn part(&self, since: Instant, ends_at: Option<Duration>, bytes: usize) {
        self.parts.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
        record(&self.fetch, since.elapsed());
        if let Some(ends_at) = ends_at {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            record(&self.age, now.saturating_sub(ends_at));
        }
    }

    pub(super) fn error(&self, what: String) {
        *held(&self.errors).entry(what).or_default() += 1;
    }

    pub(super) fn report(&self, viewers: usize, measured: Duration) -> Report {
        let client_cores = (cpu().saturating_sub(*held(&self.cpu_before))).as_secs_f64()
            / measured.as_secs_f64().max(0.001);
        let lag = spread(&self.lag);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Report {
            viewers,
            playing: self.playing(),
            renditions: self.renditions.len(),
            seconds: measured.as_secs_f64(),
            playlists: self.playlists.load(Relaxed),
            parts: self.parts.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            errors: held(&self.errors).clone(),
            early: self.early.load(Relaxed),
            late: self.late.load(Relaxed),
            behind_first_ms: spread(&self.behind),
            part_fetch_ms: spread(&self.fetch),
            part_age_ms: spread(&self.age),
            client_cores,
            client_lag_ms: lag,
            client_is_the_limit: lag.p99 > LAG_LIMIT_MS || client_cores > 0.9 * cores as f64,
        }
    }
}

/// Looks, for as long as it is polled, at how late this process is run.
pub(super) async fn watch_scheduling(figures: Arc<Figures>) {
    loop {
        let due = Instant::now() + LAG_PERIOD;
        tokio::time::sleep_until(due.into()).await;
        record(&figures.lag, due.elapsed());
    }
}

/// A panic in another viewer leaves plain counts behind, which stay usable.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn record(histogram: &Mutex<Histogram<u64>>, span: Duration) {
    held(histogram).saturating_record(u64::try_from(span.as_micros()).unwrap_or(u64::MAX));
}

fn spread(histogram: &Mutex<Histogram<u64>>) -> Spread {
    let histogram = held(histogram);
    let at = |share| histogram.value_at_quantile(share) as f64 / 1000.0;
    Spread { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1.0) }
}

/// Processor time of this process.
fn cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

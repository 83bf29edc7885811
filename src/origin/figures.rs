use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::StatusCode;

use crate::listener::{Shed, Tally};
use crate::metrics::{self, Exposition, Histogram};

/// What a request was about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Multivariant,
    Playlist,
    Part,
    Segment,
    Init,
    Page,
    Other,
}

impl Kind {
    const NAMES: [&str; 7] =
        ["multivariant", "playlist", "part", "segment", "init", "page", "other"];
}

const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
const HELD: &[f64] = &[0.01, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.0, 5.0, 10.0];
const WOKEN: &[f64] = &[0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5];

/// What the public listener has done.
#[derive(Debug)]
pub struct Figures {
    connections: Arc<Tally>,
    requests: [[AtomicU64; STATUS_CLASSES.len()]; Kind::NAMES.len()],
    bytes: [AtomicU64; Kind::NAMES.len()],
    held: AtomicU64,
    not_held: AtomicU64,
    hold: Histogram,
    wake: Histogram,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            connections: Arc::default(),
            requests: Default::default(),
            bytes: Default::default(),
            held: AtomicU64::new(0),
            not_held: AtomicU64::new(0),
            hold: Histogram::new(HELD),
            wake: Histogram::new(WOKEN),
        }
    }
}

impl Figures {
    /// Connections, open and closed.
    #[must_use]
    pub fn connections(&self) -> &Arc<Tally> {
        &self.connections
    }

    /// Requests held now.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.load(Relaxed)
    }

    /// Writes it all.
    pub fn expose(&self, out: &mut Exposition) {
        let count = |counter: &AtomicU64| counter.load(Relaxed);
        let labels: Vec<_> = Kind::NAMES
            .iter()
            .flat_map(|kind| STATUS_CLASSES.map(|class| [("kind", *kind), ("status", class)]))
            .collect();
        let requests = labels.iter().zip(self.requests.iter().flatten());
        out.family(
            "http_requests_total",
            metrics::Kind::Counter,
            "Requests answered, by what they asked for and how it ended.",
            requests.map(|(labels, counter)| (&labels[..], count(counter))),
        );
        let labels = Kind::NAMES.map(|kind| [("kind", kind)]);
        out.family(
            "http_answer_bytes_total",
            metrics::Kind::Counter,
            "Bytes of answers' bodies.",
            labels.iter().zip(&self.bytes).map(|(labels, counter)| (&labels[..], count(counter))),
        );
        let (gauge, counter) = (metrics::Kind::Gauge, metrics::Kind::Counter);
        out.single("http_held_requests", gauge, "Requests held now.", self.held());
        let help = "Requests refused because too many were held, in all or for one client.";
        out.single("http_not_held_total", counter, help, count(&self.not_held));
        let connections = &self.connections;
        out.single("http_connections", gauge, "Connections now.", connections.open());
        let help = "Connections let in.";
        out.single("http_connections_accepted_total", counter, help, connections.accepted());
        let shed = Shed::ALL.map(|(reason, name)| ([("reason", name)], reason));
        out.family(
            "http_connections_shed_total",
            counter,
            "Connections closed by the server, by reason.",
            shed.iter().map(|(labels, reason)| (&labels[..], connections.shed_for(*reason))),
        );
        out.histogram("http_hold_seconds", "How long requests were held.", &self.hold);
        let help = "From a generation being shown to the answer of a request held for it.";
        out.histogram("http_wake_seconds", help, &self.wake);
    }

    pub(super) fn answered(&self, kind: Kind, status: StatusCode, bytes: u64) {
        let class = usize::from(status.as_u16() / 100).clamp(1, STATUS_CLASSES.len()) - 1;
        self.requests[kind as usize][class].fetch_add(1, Relaxed);
        self.bytes[kind as usize].fetch_add(bytes, Relaxed);
    }

    /// A request that was held goes on, `since_shown` after what it waited for was there.
    pub(super) fn woken(&self, held: Duration, since_shown: Duration) {
        self.hold.observe(held);
        self.wake.observe(since_shown);
    }

    /// A request was not held, as there were too many.
    pub(super) fn not_held(&self) {
        self.not_held.fetch_add(1, Relaxed);
    }

    /// A request is held, until the answer is dropped.
    pub(super) fn hold(&self) -> Held<'_> {
        self.held.fetch_add(1, Relaxed);
        Held(self)
    }
}

/// A request being held.
#[derive(Debug)]
pub(super) struct Held<'a>(&'a Figures);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Relaxed);
    }
}

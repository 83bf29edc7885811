//! What all rooms together have done, for the operator: counted without locks where it arises.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use nowcast_interact::{Answer, Ask, Standing};

use crate::metrics::{Exposition, Histogram, Kind};

/// What became of an op.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    Confirmed,
    Held,
    Counted,
    /// It was answered before.
    Again,
    Refused,
    /// The room had too much to do, or the disk did not take it.
    Failed,
}

impl Outcome {
    const NAMES: [&str; 6] = ["confirmed", "held", "counted", "again", "refused", "failed"];
}

impl From<&Answer> for Outcome {
    fn from(answer: &Answer) -> Self {
        match answer.state {
            Standing::Confirmed => Self::Confirmed,
            Standing::Held => Self::Held,
        }
    }
}

/// What carries events; each thing is written once, however many read it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Carrier {
    /// `batch`, for sockets and server-sent events.
    Batch,
    Tick,
    Snapshot,
    Emsg,
}

impl Carrier {
    const NAMES: [&str; 4] = ["batch", "tick", "snapshot", "emsg"];
}

/// By what somebody listens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Line {
    WebSocket,
    Sse,
}

impl Line {
    const NAMES: [&str; 2] = ["websocket", "sse"];
}

const ACK: &[f64] = &[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0];
const DISK: &[f64] = &[0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0];

/// What all rooms have done since the start.
#[derive(Debug)]
pub struct Figures {
    ops: [[AtomicU64; Outcome::NAMES.len()]; Ask::KINDS.len()],
    ack: Histogram,
    disk: Histogram,
    commits: AtomicU64,
    open: [AtomicU64; Line::NAMES.len()],
    bytes: [AtomicU64; Carrier::NAMES.len()],
    left_out: [AtomicU64; Carrier::NAMES.len()],
    gaps: AtomicU64,
    late_ops: AtomicU64,
    late_cues: AtomicU64,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            ops: Default::default(),
            ack: Histogram::new(ACK),
            disk: Histogram::new(DISK),
            commits: AtomicU64::new(0),
            open: Default::default(),
            bytes: Default::default(),
            left_out: Default::default(),
            gaps: AtomicU64::new(0),
            late_ops: AtomicU64::new(0),
            late_cues: AtomicU64::new(0),
        }
    }
}

impl Figures {
    /// An op of the kind `kind` (see [`Ask::KINDS`]) came to this.
    pub(super) fn op(&self, kind: &str, outcome: Outcome) {
        if let Some(at) = Ask::KINDS.iter().position(|known| *known == kind) {
            self.ops[at][outcome as usize].fetch_add(1, Relaxed);
        }
    }

    /// An op is answered, so long after it came.
    pub(super) fn acked(&self, answer: &Answer, after: Duration) {
        self.ack.observe(after);
        self.late_ops.fetch_add(u64::from(answer.late_ms.is_some()), Relaxed);
    }

    /// So many commits were made durable together.
    pub(super) fn wrote(&self, commits: usize, took: Duration) {
        self.disk.observe(took);
        self.commits.fetch_add(commits as u64, Relaxed);
    }

    /// Something was written for a carrier, which leaves so many messages out.
    pub(super) fn carried(&self, by: Carrier, bytes: usize, left_out: u64) {
        self.bytes[by as usize].fetch_add(bytes as u64, Relaxed);
        self.left_out[by as usize].fetch_add(left_out, Relaxed);
    }

    /// So many events got into a later part than the one they belong to.
    pub(super) fn late(&self, cues: u64) {
        self.late_cues.fetch_add(cues, Relaxed);
    }

    /// Somebody did not take what was sent, and has a gap now.
    pub(super) fn gap(&self) {
        self.gaps.fetch_add(1, Relaxed);
    }

    /// Somebody began to listen.
    pub(super) fn opened(&self, line: Line) {
        self.open[line as usize].fetch_add(1, Relaxed);
    }

    /// Somebody listens no more.
    pub(super) fn closed(&self, line: Line) {
        self.open[line as usize].fetch_sub(1, Relaxed);
    }

    /// Writes it all.
    pub fn expose(&self, out: &mut Exposition) {
        let count = |counter: &AtomicU64| counter.load(Relaxed);
        let labels: Vec<_> = Ask::KINDS
            .iter()
            .flat_map(|kind| Outcome::NAMES.map(|result| [("kind", *kind), ("result", result)]))
            .collect();
        // Most pairs never occur: those that did not are left out.
        let ops = labels.iter().zip(self.ops.iter().flatten()).map(|(l, c)| (&l[..], count(c)));
        let help = "Ops, by kind and what became of them.";
        out.family("events_ops_total", Kind::Counter, help, ops.filter(|(_, count)| *count > 0));
        let help = "From an op's arrival to its answer, which waits for the disk.";
        out.histogram("events_ack_seconds", help, &self.ack);
        let help = "Ops that asked for a frame which had passed.";
        out.single("events_late_ops_total", Kind::Counter, help, count(&self.late_ops));
        let help = "Time for the disk to take one transaction.";
        out.histogram("events_commit_seconds", help, &self.disk);
        let help = "Ops and timers made durable; divided by transactions, how many go together.";
        out.single("events_commits_total", Kind::Counter, help, count(&self.commits));
        let lines = Line::NAMES.map(|name| [("carrier", name)]);
        let open = lines.iter().zip(&self.open).map(|(labels, open)| (&labels[..], count(open)));
        out.family("events_connections", Kind::Gauge, "Who listens to rooms now.", open);
        let carriers = Carrier::NAMES.map(|name| [("carrier", name)]);
        let of = |counts: &[AtomicU64]| counts.iter().map(count).collect::<Vec<_>>();
        let each = |counts: Vec<u64>| carriers.iter().map(|labels| &labels[..]).zip(counts);
        let help = "Bytes written for each carrier, once for all who read them.";
        out.family("events_bytes_total", Kind::Counter, help, each(of(&self.bytes)));
        let help = "Messages of a busy chat that a carrier leaves out.";
        out.family("events_sampled_out_total", Kind::Counter, help, each(of(&self.left_out)));
        let help = "Events that got into a later part than the one they belong to.";
        out.single("events_late_cues_total", Kind::Counter, help, count(&self.late_cues));
        let help = "Times that somebody fell behind and was told of a gap.";
        out.single("events_gaps_total", Kind::Counter, help, count(&self.gaps));
    }
}

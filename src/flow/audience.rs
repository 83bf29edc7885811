//! Between who answers players and who counts them.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Whose request it is, as far as that can be known; among a request's extensions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Remote(pub IpAddr);

/// What a request of a stream asked for, as viewers are counted by it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asked {
    /// A part of video.
    Part,
    /// A segment of video.
    Segment,
    /// Anything else.
    Other,
}

/// What players ask of one stream; counted where it is answered, without a lock.
#[derive(Debug, Default)]
pub struct Demand {
    parts: AtomicU64,
    segments: AtomicU64,
    bytes: AtomicU64,
    waiting: AtomicU64,
}

impl Demand {
    /// Takes a request in hand, until what this returns is dropped.
    #[must_use]
    pub fn take(self: &Arc<Self>, asked: Asked) -> InHand {
        self.waiting.fetch_add(1, Relaxed);
        InHand { demand: Arc::clone(self), asked }
    }

    /// Parts and segments of video that were asked for.
    #[must_use]
    pub fn asked(&self) -> (u64, u64) {
        (self.parts.load(Relaxed), self.segments.load(Relaxed))
    }

    /// Bytes sent.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Requests in hand: nearly all of them held until there is what they ask for.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Relaxed)
    }
}

/// A request in hand.
#[derive(Debug)]
pub struct InHand {
    demand: Arc<Demand>,
    asked: Asked,
}

impl InHand {
    /// It was answered with so many bytes.
    pub fn answered(&self, bytes: u64) {
        match self.asked {
            Asked::Part => drop(self.demand.parts.fetch_add(1, Relaxed)),
            Asked::Segment => drop(self.demand.segments.fetch_add(1, Relaxed)),
            Asked::Other => {}
        }
        self.demand.bytes.fetch_add(bytes, Relaxed);
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.demand.waiting.fetch_sub(1, Relaxed);
    }
}

/// Who watches a stream, as far as it can be known: see [`viewers`](crate::viewers).
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Audience {
    /// Viewers: the larger of the next two.
    pub viewers: u64,
    /// Sessions that told of themselves in the last 30 s, and those they stand for.
    pub reported: u64,
    /// Players, or caches, that ask this server for media.
    pub direct: u64,
    /// There are more sessions than are kept.
    pub at_least: bool,
    /// Requests in hand.
    pub waiting: u64,
    /// Bits a second sent, over ten seconds.
    pub egress: u64,
    /// How far behind live the viewers are, in milliseconds: the median of the sessions that say so.
    pub latency_ms: Option<u32>,
    /// The same for the one in twenty that is farthest behind.
    pub latency_p95_ms: Option<u32>,
    /// What the median session has buffered, in milliseconds.
    pub buffer_ms: Option<u32>,
    /// Bits a second of what sessions play, on average.
    pub bitrate: Option<u64>,
    /// Times that viewers' buffers ran dry, since the server started.
    pub stalls: u64,
}

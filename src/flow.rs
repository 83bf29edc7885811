//! What the parts of the server hand to one another.
//!
//! The siblings `ingest`, `encode`, `publish`, `origin`, `viewers` and `ops` never import each other:
//! they share the types of this file, and `app` joins them. Every queue here is bounded; its doc
//! says what happens when it is full.

mod audience;
mod cmsd;
mod cues;
mod status;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use nowcast_media::{AccessUnit, Grid, VideoCodec};
use nowcast_mpegts as mpegts;
use tokio::sync::{mpsc, watch};

pub use self::audience::{Asked, Audience, Demand, InHand, Remote};
pub use self::cmsd::Cmsd;
pub use self::cues::{Composed, Composer, Cue, Cues, PartSpan, Position};
pub use self::status::{Phase, RenditionStatus, StreamStatus};
use crate::ladder::Rung;
pub use nowcast_hls::DateRange;
use nowcast_hls::names::Start;

/// A stream's name: `[a-z0-9_-]{1,64}`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StreamName(Arc<str>);

impl StreamName {
    /// The name, if it is one.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        ((1..=64).contains(&name.len()) && name.bytes().all(legal)).then(|| Self(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// ---------------------------------------------------------------- ingest → publish

/// A publisher that was let in: what its source says, until the channel closes.
#[derive(Debug)]
pub struct Publisher {
    /// The stream it publishes.
    pub stream: StreamName,
    /// Where it calls from.
    pub peer: SocketAddr,
    /// What the demultiplexer found. Full: the session drops TS packets and counts them in
    /// [`IngestHealth::dropped_events`], so that a slow stream never delays another's socket.
    pub events: mpsc::Receiver<mpegts::Event>,
    /// SRT statistics and the health of the source, once a second.
    pub health: watch::Receiver<IngestHealth>,
    /// Send (or drop) to close the connection.
    pub kick: tokio::sync::oneshot::Sender<()>,
}

/// Events between a publisher's session and its stream's task: about 9 s of a 60 fps source with one
/// audio track, 2 s of one with eight.
pub const SOURCE_QUEUE: usize = 1024;

/// What is known of a publisher's connection and of its source.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct IngestHealth {
    /// Bytes received since the start.
    pub bytes: u64,
    /// Received bits a second, over the last second.
    pub bitrate: u64,
    /// Round-trip time in milliseconds.
    pub rtt_ms: f64,
    /// The latency both ends agreed on, in milliseconds.
    pub latency_ms: u32,
    /// SRT packets received.
    pub packets: u64,
    /// SRT packets that were missing and asked for again.
    pub packets_lost: u64,
    /// SRT packets received again.
    pub packets_retransmitted: u64,
    /// SRT packets given up: not there in time.
    pub packets_dropped: u64,
    /// The link is encrypted with a key of so many bits; 0 for a plain link.
    pub encryption_bits: u16,
    /// Events dropped because the stream's task did not keep up.
    pub dropped_events: u64,
    /// TS continuity errors.
    pub continuity_errors: u64,
    /// TS packets flagged or found damaged.
    pub damaged_packets: u64,
    /// How far the source's clock runs from ours, in parts per million, once known.
    pub drift_ppm: Option<f64>,
}

// ---------------------------------------------------------------- publish ⇄ encode

/// What a stream asks of an encoder.
#[derive(Clone, Debug)]
pub struct EncodeJob {
    /// The stream, for logs and names.
    pub stream: StreamName,
    /// The source's codec; `None` until there is one.
    pub source: Option<VideoCodec>,
    /// Frame rate and lengths of parts and segments of the output.
    pub grid: Grid,
    /// The frame index at which a segment begins; others follow every `grid.segment_frames` frames,
    /// with key frames as [`Grid::key_frame_at`] says.
    pub first_index: i64,
    /// The rungs, highest first.
    pub rungs: Vec<Rung>,
    /// The picture laid over the last one while no source is there, in PNG; `None`: a text.
    pub slate: Option<Bytes>,
}

/// What an encoder is given, in order.
#[derive(Clone, Debug)]
pub enum Feed {
    /// An access unit, its times on the stream's timeline; these come in decode order.
    Unit(AccessUnit),
    /// No picture has come in time: what is not made yet of the frames before `until` shows the last
    /// one again, or the slate. The slate then goes on until a picture comes and a part begins.
    Fill {
        /// The frame after the last that is to be made.
        until: i64,
        /// The slate, not the last picture.
        slate: bool,
    },
    /// The units that follow are those of another source, of this codec.
    Source(VideoCodec),
}

/// A running encoder of one stream. Dropping it ends the worker.
#[derive(Debug)]
pub struct Encoder {
    /// Full: the caller waits no longer than it likes (`try_send`), drops a unit and counts it.
    pub input: mpsc::Sender<Feed>,
    /// Coded frames; per rung the index rises by one, except where a worker died.
    pub output: mpsc::Receiver<EncodedFrame>,
    /// What is to be told of the worker.
    pub status: watch::Receiver<EncoderStatus>,
}

/// Access units waiting for a worker: 2 s at 60 fps.
pub const ENCODER_INPUT_QUEUE: usize = 128;
/// Coded frames waiting for the stream's task: 1 s of three rungs at 60 fps.
pub const ENCODER_OUTPUT_QUEUE: usize = 192;

/// One coded frame of one rung.
#[derive(Clone, Debug)]
pub struct EncodedFrame {
    /// Index into [`EncodeJob::rungs`].
    pub rung: usize,
    /// The frame's number on the stream's grid; its time is `grid.rate.frame_start(index)`.
    pub index: i64,
    /// Decoding can start here.
    pub key: bool,
    /// NAL units with start codes; parameter sets in front of every key frame.
    pub data: Bytes,
}

/// The state of a stream's encoder.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct EncoderStatus {
    /// The worker's process id, while one runs.
    pub pid: Option<u32>,
    /// How often a worker was started again.
    pub restarts: u64,
    /// Why the last worker ended, in a sentence.
    pub last_error: Option<String>,
    /// What a worker that runs cannot do, in a sentence.
    pub problem: Option<String>,
    /// Frames decoded from the source.
    pub frames_in: u64,
    /// Frames repeated or invented to keep the frame rate.
    pub frames_repeated: u64,
    /// Frames left out to keep the frame rate.
    pub frames_skipped: u64,
    /// Time from an access unit to its coded frame of the slowest rung: the last second's median, in milliseconds.
    pub delay_ms: f64,
    /// Processor cores the worker uses, over the last ten seconds or so; `None` until that can be told.
    pub cores: Option<f64>,
    /// Processor cores that [`admission`](crate::admission) reckons for its rungs.
    pub cores_expected: f64,
}

// ---------------------------------------------------------------- publish → origin

/// Text in the two forms it is served in; made once, however many ask.
#[derive(Clone, Debug)]
pub struct Compressed {
    /// As it is.
    pub plain: Bytes,
    /// gzip.
    pub gzip: Bytes,
}

impl Compressed {
    /// Compresses `text` once.
    #[must_use]
    pub fn new(text: String) -> Self {
        let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 3), Compression::fast());
        // Writing to memory cannot fail; were it to, players get the text as it is.
        let gzip =
            encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).unwrap_or_default();
        Self { plain: text.into(), gzip: gzip.into() }
    }
}

/// One instant of one rendition: all an origin needs to answer, immutable.
#[derive(Clone, Debug)]
pub struct RenditionView {
    /// When it was shown, for the delay of the answers it wakes.
    pub published: Instant,
    /// The urgency of its media (RFC 9218 §4.1), 2 to 6: the higher, the sooner it can be done without.
    pub urgency: u8,
    /// What is listed, for blocking reload.
    pub edge: nowcast_hls::Edge,
    /// What `CMSD-Static` says of the playlist.
    pub cmsd: Cmsd,
    /// The media playlist.
    pub full: Compressed,
    /// The delta update, where there is something to skip.
    pub delta: Option<Compressed>,
    /// Init sections by file name: of the segments listed and of those kept beyond.
    pub inits: Vec<(Arc<str>, Bytes)>,
    /// Segments in order of their number, those kept beyond the playlist included; the last may be open.
    pub segments: Vec<Arc<SegmentView>>,
    /// The number the next part will have: the preload hint. `None` after the end.
    pub next_part: Option<u64>,
    /// Which start of the server names it.
    pub start: Start,
}

/// A segment's bytes, part by part.
#[derive(Clone, Debug)]
pub struct SegmentView {
    /// Media sequence number.
    pub msn: u64,
    /// Whether its last part is there.
    pub complete: bool,
    /// Number of its first part; the others follow without a gap.
    pub first_part: u64,
    /// Which start of the server named its parts.
    pub part_start: Start,
    /// Which one named it: the next one, where its last part was its last before a crash.
    pub start: Start,
    /// The parts: their concatenation is the segment.
    pub parts: Vec<Bytes>,
    /// What `CMSD-Static` says of each.
    pub cmsd: Vec<Cmsd>,
}

/// One life of a stream under one path prefix: from its first publisher to ENDLIST.
#[derive(Debug)]
pub struct Session {
    /// The path element below the stream's name; never used twice.
    pub prefix: String,
    /// What its playlists promise, for the lifetimes of what a cache may keep.
    pub profile: nowcast_hls::Profile,
    /// The multivariant playlist, once every rendition can be played.
    pub multivariant: watch::Receiver<Option<Compressed>>,
    /// Media playlists by rendition name (`720p`, `audio`, `source`).
    pub renditions: ArcSwap<BTreeMap<String, watch::Receiver<Arc<RenditionView>>>>,
}

/// A stream as the origin and the operator see it.
#[derive(Debug)]
pub struct Stream {
    /// Its name.
    pub name: StreamName,
    /// Sessions still served, the newest last.
    pub sessions: Arc<ArcSwap<Vec<Arc<Session>>>>,
    /// Its state, for the operator and for `/`.
    pub status: watch::Receiver<StreamStatus>,
    /// What it can be told to do.
    pub control: mpsc::Sender<Control>,
    /// What players ask of it.
    pub demand: Arc<Demand>,
    /// Who watches it.
    pub audience: ArcSwap<Audience>,
    /// What its media carries, and where it stands.
    pub cues: Arc<Cues>,
}

/// A stream as its operator and its host see it.
#[derive(Debug, serde::Serialize)]
pub struct Shown {
    /// How it stands.
    #[serde(flatten)]
    pub status: StreamStatus,
    /// Who watches.
    pub audience: Audience,
}

impl Stream {
    /// How it stands, and who watches.
    #[must_use]
    pub fn shown(&self) -> Shown {
        let status = StreamStatus { name: self.name.to_string(), ..self.status.borrow().clone() };
        Shown { status, audience: Audience::clone(&self.audience.load()) }
    }
}

/// What a stream's task can be told.
#[derive(Debug)]
pub enum Control {
    /// A publisher was let in.
    Publish(Publisher),
    /// Close the publisher's connection; answers whether there was one.
    Kick(tokio::sync::oneshot::Sender<bool>),
    /// A publisher was refused; the sentence is the stream's problem until somebody publishes it.
    Refused(String),
    /// New settings; they hold from the next session on.
    Configure(Box<crate::config::StreamConfig>),
}

/// Every stream there is; read without a lock.
#[derive(Debug, Default)]
pub struct Streams(ArcSwap<BTreeMap<StreamName, Arc<Stream>>>);

impl Streams {
    /// The stream of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Arc<Stream>> {
        let name = StreamName::new(name)?;
        self.0.load().get(&name).cloned()
    }

    /// All of them, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Stream>> {
        self.0.load().values().cloned().collect()
    }

    /// Adds a stream, or takes the place of the one with its name.
    pub fn insert(&self, stream: &Arc<Stream>) {
        self.0.rcu(|streams| {
            let mut streams = BTreeMap::clone(streams);
            streams.insert(stream.name.clone(), Arc::clone(stream));
            streams
        });
    }

    /// Takes a stream out.
    pub fn remove(&self, name: &StreamName) {
        self.0.rcu(|streams| {
            let mut streams = BTreeMap::clone(streams);
            streams.remove(name);
            streams
        });
    }
}

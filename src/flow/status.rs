//! How streams stand, for the operator, the host and the pages.

use super::{EncoderStatus, IngestHealth};

/// Where a stream stands.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Known, nothing published yet.
    #[default]
    Idle,
    /// A publisher is connected; nothing can be played yet.
    Starting,
    /// Playing.
    Live,
    /// The publisher is lost; the stream waits for it.
    Waiting,
    /// Ended: ENDLIST is written.
    Ended,
    /// What the publisher sends cannot be carried; `problem` says why and what to do.
    Unsupported,
}

/// The state of a stream, as `/api/v1/streams` shows it.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct StreamStatus {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub phase: Phase,
    /// What is wrong, who is at fault and what to do, if something is.
    pub problem: Option<String>,
    /// The publisher's address.
    pub publisher: Option<String>,
    /// The source, in words: `H.264 1280x720 30 fps, AAC 48000 Hz stereo`.
    pub source: Option<String>,
    /// The connection and the health of the source.
    pub ingest: Option<IngestHealth>,
    /// The encoder, if there is one.
    pub encoder: Option<EncoderStatus>,
    /// The renditions.
    pub renditions: Vec<RenditionStatus>,
    /// Unix time in milliseconds at which this session began.
    pub since_ms: Option<u64>,
}

/// The state of one rendition.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct RenditionStatus {
    /// Its name.
    pub name: String,
    /// RFC 6381 codec string.
    pub codecs: String,
    /// Width and height; zero for audio.
    pub width: u32,
    /// Height.
    pub height: u32,
    /// Bits a second over the playlist's window.
    pub bitrate: u64,
    /// Parts published.
    pub parts: u64,
    /// The last media sequence number.
    pub msn: u64,
    /// From a part's last picture leaving the demultiplexer to the part being listed, in milliseconds:
    /// the median of the last 300 parts.
    pub part_delay_ms: f64,
    /// The same for the slowest one in a hundred.
    pub part_delay_p99_ms: f64,
    /// Parts that took longer than a part lasts.
    pub late_parts: u64,
}

//! What the demultiplexer tells.

use nowcast_media::{AacConfig, AccessUnit, AudioFrame, ParameterSets, VideoCodec, VideoFormat};

/// What the demultiplexer found, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The program map named its tracks: the codec that will come, and whether AAC will.
    Tracks {
        /// The video's codec, if there is a video track that can be carried.
        video: Option<VideoCodec>,
        /// There is an AAC (ADTS) track.
        audio: bool,
    },
    /// New parameter sets are in force from the next [`Event::Video`] on.
    VideoFormat(ParameterSets, VideoFormat),
    /// A picture. The first one after [`Event::Tracks`] is a random access point; decode times rise
    /// strictly until the next [`Event::Epoch`].
    Video(AccessUnit),
    /// The audio's format, before its first frame and when it changes.
    AudioFormat(AacConfig),
    /// A frame of audio; times rise strictly until the next [`Event::Epoch`].
    Audio(AudioFrame),
    /// Timestamps jumped: what follows is on a new clock (a new source epoch).
    Epoch,
    /// A track that cannot be carried, and why, in a sentence with a remedy.
    Unsupported(String),
}

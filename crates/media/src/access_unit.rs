//! What the demultiplexer hands on: one picture, or one frame of audio.

use bytes::Bytes;

use crate::MediaTime;

/// One coded picture as it came: all its NAL units, in Annex B form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccessUnit {
    /// When it is shown, unwrapped.
    pub pts: MediaTime,
    /// When it is decoded, unwrapped; never after `pts` in a sane source.
    pub dts: MediaTime,
    /// Decoding can start here: an IDR picture (H.264), or an IRAP picture (HEVC).
    pub random_access: bool,
    /// Packets of it were lost or damaged.
    pub damaged: bool,
    /// NAL units with start codes.
    pub data: Bytes,
}

/// One raw AAC frame (1024 samples), without its ADTS header.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AudioFrame {
    /// When its first sample is heard, unwrapped, on the same clock as the video.
    pub pts: MediaTime,
    /// The raw data block.
    pub data: Bytes,
}

//! What can go wrong, by who is at fault and what the caller does about it.

use nowcast_media::{AacError, MediaTime};
use thiserror::Error;

/// Why a unit or a frame did not become part of the stream.
#[derive(Clone, Copy, Debug, Error, Eq, PartialEq)]
#[non_exhaustive]
pub enum PackageError {
    /// A segment can only begin with a random access point. The unit is left out; go on with the next.
    #[error(
        "the picture at {} ms cannot begin a segment: it is no key frame; wait for the next one",
        dts.as_micros() / 1000
    )]
    NotRandomAccess {
        /// Its decode time.
        dts: MediaTime,
    },
    /// More media is missing than samples may be stretched over. `restart`, mark a discontinuity,
    /// and hand in the same unit again.
    #[error(
        "nothing came between {} ms and {} ms: restart with a discontinuity",
        from.as_micros() / 1000, to.as_micros() / 1000
    )]
    Gap {
        /// Where the media so far ends.
        from: MediaTime,
        /// Where it goes on.
        to: MediaTime,
    },
    /// The segment is as long as it may get, and the key frame that the source's last ones promised has
    /// not come. `restart`, and mark a discontinuity at the next key frame.
    #[error(
        "the source's key frame is late: none for {} ms, after at most {} ms before; restart at the next one",
        gop.as_micros() / 1000, expected.as_micros() / 1000
    )]
    LateKeyFrame {
        /// How long the group of pictures is already.
        gop: MediaTime,
        /// The longest of the groups before.
        expected: MediaTime,
    },
    /// A single group of pictures is longer than a segment may be: the source cannot be carried as it is.
    /// Every later call answers the same, until `restart`.
    #[error(
        "the source sends no key frame for {} ms, a segment must stay under {} ms: \
         set the encoder's key-frame interval to 2 s or less, or transcode",
        gop.as_micros() / 1000, longest.as_micros() / 1000
    )]
    GopTooLong {
        /// How long the group of pictures is, at the least.
        gop: MediaTime,
        /// A segment must be shorter than this.
        longest: MediaTime,
    },
    /// The source broke a rule; the unit or frame is left out. Count it and go on.
    #[error("the source misbehaved: {0}; what came is left out")]
    SourceMisbehaved(#[from] Misbehaviour),
}

impl PackageError {
    /// Nothing can be packaged before `restart` is called, and a discontinuity follows.
    #[must_use]
    pub const fn needs_restart(&self) -> bool {
        matches!(self, Self::Gap { .. } | Self::LateKeyFrame { .. })
    }
}

/// What a source did that it must not do.
#[derive(Clone, Copy, Debug, Error, Eq, PartialEq)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// Decode times must rise, and no faster than the frame rate.
    #[error(
        "a picture's decode time repeats, runs backwards or comes too early for the frame rate"
    )]
    DecodeTime,
    /// A picture shown long before or after it is decoded.
    #[error("a picture's presentation time is more than {} s away from its decode time", crate::video::MAX_OFFSET.as_micros() / 1_000_000)]
    PresentationTime,
    /// No coded picture, or no audio, in it.
    #[error("there is no media in it")]
    Empty,
}

/// Why no init section could be made.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitError {
    /// A parameter set is too short, too long or missing.
    #[error("the source's {0} cannot be used: damaged or missing")]
    ParameterSet(&'static str),
    /// Wider or higher than the file format can say.
    #[error(
        "pictures of {width}x{height} do not fit the file format; send at most 65535 either way"
    )]
    Size {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The channel configuration is in-band or reserved.
    #[error(
        "AAC channel configuration {0} is not supported: send mono, stereo or up to 7.1 (1 to 7)"
    )]
    Channels(u8),
    /// Not an AAC format that can be described.
    #[error(transparent)]
    Aac(#[from] AacError),
    /// The values do not fit the boxes.
    #[error("the init section could not be written: {0}")]
    Box(String),
}

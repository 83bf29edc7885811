//! Video codecs, what a bitstream says of itself, and its parameter sets.

use std::fmt;

use bytes::Bytes;
use thiserror::Error;

use crate::bits::{BitReader, unescape};
use crate::{FrameRate, h264, hevc, nal};

/// The video codecs nowcast carries.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum VideoCodec {
    /// ITU-T H.264, carried as `avc1`.
    H264,
    /// ITU-T H.265, carried as `hvc1`.
    Hevc,
}

impl fmt::Display for VideoCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::H264 => "H.264",
            Self::Hevc => "HEVC",
        })
    }
}

/// How far brightness reaches, by the transfer characteristics.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum VideoRange {
    /// Standard dynamic range.
    #[default]
    Sdr,
    /// Hybrid log-gamma.
    Hlg,
    /// Perceptual quantizer, SMPTE ST 2084.
    Pq,
}

/// What the sequence parameter set says of the pictures.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VideoFormat {
    /// The codec.
    pub codec: VideoCodec,
    /// Width in luma samples, after cropping.
    pub width: u32,
    /// Height in luma samples, after cropping.
    pub height: u32,
    /// Sample aspect ratio; (1, 1) where the stream does not say.
    pub sample_aspect: (u32, u32),
    /// The frame rate the VUI announces, if it announces a plausible one.
    pub frame_rate: Option<FrameRate>,
    /// What the transfer characteristics mean; standard where the stream does not say.
    pub range: VideoRange,
    /// Bits per luma sample.
    pub bit_depth: u8,
    /// Bits per chroma sample.
    pub chroma_bit_depth: u8,
    /// chroma_format_idc: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format: u8,
    /// Fields may be coded on their own.
    pub interlaced: bool,
    /// How many pictures can be shown later than decoded (max_num_reorder), if the stream says.
    pub reorder_depth: Option<u8>,
    /// The codec string of RFC 6381, as in `avc1.64001F` or `hvc1.1.6.L93.B0`.
    pub codec_string: String,
}

/// The parameter sets in force, as NAL units without start codes.
///
/// Two equal values make the same init section.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParameterSets {
    /// The codec they belong to.
    pub codec: VideoCodec,
    /// Video parameter set; HEVC only.
    pub vps: Option<Bytes>,
    /// Sequence parameter set.
    pub sps: Bytes,
    /// Picture parameter sets, by their order in the stream.
    pub pps: Vec<Bytes>,
}

/// Why parameter sets could not be used.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
#[non_exhaustive]
pub enum ParameterSetsError {
    /// The bits end before the syntax does, or a value is out of its range.
    #[error("the sequence parameter set is damaged: {0}")]
    Damaged(&'static str),
}

impl ParameterSets {
    /// The parameter sets an access unit carries, if it carries a full set.
    ///
    /// Of several sets with the same identifier the last counts, as in a decoder. Only what stands
    /// before the picture is looked at, so that a picture without parameter sets costs next to nothing.
    #[must_use]
    pub fn find(codec: VideoCodec, annex_b: &Bytes) -> Option<Self> {
        let (sps_kind, pps_kind, pps_header) = match codec {
            VideoCodec::H264 => (h264::NAL_SPS, h264::NAL_PPS, 1),
            VideoCodec::Hevc => (hevc::NAL_SPS, hevc::NAL_PPS, 2),
        };
        let mut before_picture =
            nal::kinds(codec, annex_b).take_while(|&kind| !nal::is_slice(codec, kind));
        if !before_picture.any(|kind| kind == sps_kind) {
            return None;
        }

        let (mut vps, mut sps, mut pps) = (None, None, Vec::<Bytes>::new());
        let id = |unit: &[u8]| {
            let payload = unescape(unit.get(pps_header..).unwrap_or_default());
            BitReader::new(&payload).ue().ok()
        };
        for unit in nal::units(annex_b) {
            let kind = nal::kind(codec, &unit);
            if kind == sps_kind {
                sps = Some(unit);
            } else if kind == pps_kind {
                match pps.iter_mut().find(|known| id(known) == id(&unit)) {
                    Some(known) => *known = unit,
                    None => pps.push(unit),
                }
            } else if codec == VideoCodec::Hevc && kind == hevc::NAL_VPS {
                vps = Some(unit);
            } else if nal::is_slice(codec, kind) {
                break;
            }
        }
        if pps.is_empty() || (codec == VideoCodec::Hevc && vps.is_none()) {
            return None;
        }
        Some(Self { codec, vps, sps: sps?, pps })
    }

    /// Reads what the sequence parameter set says.
    ///
    /// # Errors
    /// [`ParameterSetsError::Damaged`] when the bits make no sense.
    pub fn format(&self) -> Result<VideoFormat, ParameterSetsError> {
        match self.codec {
            VideoCodec::H264 => h264::parse_sps(&self.sps),
            VideoCodec::Hevc => hevc::parse_sps(&self.sps),
        }
    }
}

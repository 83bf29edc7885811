//! H.264: NAL unit types and the sequence parameter set (ITU-T H.264 §7.3.2.1).

use crate::{ParameterSetsError, VideoFormat};

/// Coded slice of an IDR picture.
pub const NAL_IDR: u8 = 5;
/// Sequence parameter set.
pub const NAL_SPS: u8 = 7;
/// Picture parameter set.
pub const NAL_PPS: u8 = 8;
/// Access unit delimiter.
pub const NAL_AUD: u8 = 9;
/// Filler data.
pub const NAL_FILLER: u8 = 12;

/// Reads a sequence parameter set NAL unit.
///
/// # Errors
/// [`ParameterSetsError::Damaged`] when the bits make no sense.
pub fn parse_sps(_unit: &[u8]) -> Result<VideoFormat, ParameterSetsError> {
    Err(ParameterSetsError::Damaged("not read yet"))
}

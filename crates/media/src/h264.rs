//! H.264: NAL unit types and the sequence parameter set (ITU-T H.264 §7.3.2.1).

use crate::bits::{BitReader, unescape};
use crate::{FrameRate, ParameterSetsError, VideoCodec, VideoFormat, VideoRange, vui};

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

/// Is this type a coded slice of a picture?
#[must_use]
pub const fn is_slice(kind: u8) -> bool {
    matches!(kind, 1..=NAL_IDR)
}

/// Reads a sequence parameter set NAL unit.
///
/// # Errors
/// [`ParameterSetsError::Damaged`] when the bits make no sense.
pub fn parse_sps(unit: &[u8]) -> Result<VideoFormat, ParameterSetsError> {
    let payload = unescape(unit);
    let mut bits = BitReader::new(&payload);
    bits.skip(8)?;
    let (profile, constraints, level) = (bits.byte()?, bits.byte()?, bits.byte()?);
    bits.ue_to(31)?; // seq_parameter_set_id
    let chroma = if has_chroma_format(profile) { chroma(&mut bits)? } else { Chroma::default() };
    bits.ue_to(12)?; // log2_max_frame_num_minus4
    let output_is_decode_order = picture_order(&mut bits)?;
    bits.ue()?; // max_num_ref_frames
    bits.skip(1)?; // gaps_in_frame_num_value_allowed_flag
    let (width_mbs, height_units) = (bits.ue_to(0xfff)? + 1, bits.ue_to(0xfff)? + 1);
    let frames_only = bits.flag()?;
    if !frames_only {
        bits.skip(1)?; // mb_adaptive_frame_field_flag
    }
    bits.skip(1)?; // direct_8x8_inference_flag

    let field_factor = if frames_only { 1 } else { 2 };
    let (mut width, mut height) = (width_mbs * 16, height_units * 16 * field_factor);
    if bits.flag()? {
        let (x, y) = match chroma.format {
            1 => (2, 2 * field_factor),
            2 => (2, field_factor),
            _ => (1, field_factor),
        };
        let (left, right) = (bits.ue_to(0xffff)?, bits.ue_to(0xffff)?);
        let (top, bottom) = (bits.ue_to(0xffff)?, bits.ue_to(0xffff)?);
        let cropped = |length: u32, crop: u32| length.checked_sub(crop).filter(|&rest| rest > 0);
        let none_left = ParameterSetsError::Damaged("the cropping leaves no picture");
        width = cropped(width, (left + right) * x).ok_or_else(|| none_left.clone())?;
        height = cropped(height, (top + bottom) * y).ok_or(none_left)?;
    }
    let vui = if bits.flag()? { Vui::parse(&mut bits)? } else { Vui::default() };
    Ok(VideoFormat {
        codec: VideoCodec::H264,
        width,
        height,
        sample_aspect: vui.sample_aspect,
        frame_rate: vui.frame_rate,
        range: vui.range,
        bit_depth: chroma.luma_depth,
        chroma_bit_depth: chroma.chroma_depth,
        chroma_format: chroma.format,
        interlaced: !frames_only,
        reorder_depth: vui.reorder_depth.or_else(|| output_is_decode_order.then_some(0)),
        codec_string: format!("avc1.{profile:02X}{constraints:02X}{level:02X}"),
    })
}

/// Do sequence parameter sets of this profile tell their chroma format and bit depths (§7.3.2.1.1)?
///
/// `avcC` repeats them for the same profiles (ISO 14496-15 §5.3.3.1.2).
#[must_use]
pub const fn has_chroma_format(profile_idc: u8) -> bool {
    matches!(profile_idc, 44 | 83 | 86 | 100 | 110 | 118 | 122 | 128 | 134 | 135 | 138 | 139 | 244)
}

struct Chroma {
    format: u8,
    luma_depth: u8,
    chroma_depth: u8,
}

impl Default for Chroma {
    fn default() -> Self {
        Self { format: 1, luma_depth: 8, chroma_depth: 8 }
    }
}

fn chroma(bits: &mut BitReader<'_>) -> Result<Chroma, ParameterSetsError> {
    let format = bits.ue_byte(3)?;
    if format == 3 {
        bits.skip(1)?; // separate_colour_plane_flag
    }
    let chroma =
        Chroma { format, luma_depth: 8 + bits.ue_byte(6)?, chroma_depth: 8 + bits.ue_byte(6)? };
    bits.skip(1)?; // qpprime_y_zero_transform_bypass_flag
    if bits.flag()? {
        for list in 0..if format == 3 { 12 } else { 8 } {
            if bits.flag()? {
                skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Ok(chroma)
}

/// §7.3.2.1.1.1: the list ends where the next scale is 0.
fn skip_scaling_list(bits: &mut BitReader<'_>, size: usize) -> Result<(), ParameterSetsError> {
    let mut scale = 8;
    for _ in 0..size {
        scale = (scale + bits.se()?).rem_euclid(256);
        if scale == 0 {
            break;
        }
    }
    Ok(())
}

/// pic_order_cnt_type and what follows it; true where pictures are shown in the order they are decoded.
fn picture_order(bits: &mut BitReader<'_>) -> Result<bool, ParameterSetsError> {
    let kind = bits.ue_to(2)?;
    match kind {
        0 => bits.skip_ue(1)?,
        1 => {
            bits.skip(1)?;
            bits.skip_ue(2)?;
            let cycle = bits.ue_to(255)?;
            bits.skip_ue(cycle)?;
        }
        _ => {}
    }
    Ok(kind == 2)
}

struct Vui {
    sample_aspect: (u32, u32),
    range: VideoRange,
    frame_rate: Option<FrameRate>,
    reorder_depth: Option<u8>,
}

impl Default for Vui {
    fn default() -> Self {
        Self {
            sample_aspect: (1, 1),
            range: VideoRange::Sdr,
            frame_rate: None,
            reorder_depth: None,
        }
    }
}

impl Vui {
    /// §E.1.1.
    fn parse(bits: &mut BitReader<'_>) -> Result<Self, ParameterSetsError> {
        let (sample_aspect, range) = vui::front(bits)?;
        let mut vui = Self { sample_aspect, range, ..Self::default() };
        if bits.flag()? {
            // A tick is a field's time, in progressive streams too (§E.2.1).
            vui.frame_rate = vui::frame_rate(bits, 2)?;
            bits.skip(1)?; // fixed_frame_rate_flag
        }
        let nal_hrd = bits.flag()?;
        if nal_hrd {
            skip_hrd(bits)?;
        }
        let vcl_hrd = bits.flag()?;
        if vcl_hrd {
            skip_hrd(bits)?;
        }
        if nal_hrd || vcl_hrd {
            bits.skip(1)?; // low_delay_hrd_flag
        }
        bits.skip(1)?; // pic_struct_present_flag
        if bits.flag()? {
            bits.skip(1)?; // motion_vectors_over_pic_boundaries_flag
            bits.skip_ue(4)?;
            vui.reorder_depth = Some(bits.ue_byte(16)?);
        }
        Ok(vui)
    }
}

/// §E.1.2.
fn skip_hrd(bits: &mut BitReader<'_>) -> Result<(), ParameterSetsError> {
    let schedules = bits.ue_to(31)? + 1;
    bits.skip(8)?;
    for _ in 0..schedules {
        bits.skip_ue(2)?;
        bits.skip(1)?;
    }
    bits.skip(20)
}

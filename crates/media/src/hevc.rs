//! HEVC: NAL unit types and the sequence parameter set (ITU-T H.265 §7.3.2.2).

use crate::bits::{BitReader, unescape};
use crate::{FrameRate, ParameterSetsError, VideoCodec, VideoFormat, VideoRange, vui};

/// Video parameter set.
pub const NAL_VPS: u8 = 32;
/// Sequence parameter set.
pub const NAL_SPS: u8 = 33;
/// Picture parameter set.
pub const NAL_PPS: u8 = 34;
/// Access unit delimiter.
pub const NAL_AUD: u8 = 35;
/// Filler data.
pub const NAL_FILLER: u8 = 38;

/// Is this type an intra random access point picture (BLA, IDR, CRA and their reserved kin)?
#[must_use]
pub const fn is_irap(kind: u8) -> bool {
    matches!(kind, 16..=23)
}

/// Is this type a coded slice segment of a picture?
#[must_use]
pub const fn is_slice(kind: u8) -> bool {
    kind < 32
}

/// Is this type a random access skipped leading picture: one that cannot be decoded when decoding
/// starts at the IRAP picture before it?
#[must_use]
pub const fn is_rasl(kind: u8) -> bool {
    matches!(kind, 8 | 9)
}

/// What a stream asks of its decoder (§7.3.3), and its temporal layers: the fields `hvcC` repeats
/// besides those of [`VideoFormat`] (ISO 14496-15 §8.3.3.1.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ProfileTierLevel {
    /// general_profile_space: 0 to 3.
    pub profile_space: u8,
    /// general_tier_flag: high tier.
    pub high_tier: bool,
    /// general_profile_idc: 1 Main, 2 Main 10.
    pub profile_idc: u8,
    /// general_profile_compatibility_flags, the flag of profile 0 in the highest bit.
    pub compatibility_flags: u32,
    /// The 48 bits from general_progressive_source_flag to general_inbld_flag.
    pub constraint_flags: [u8; 6],
    /// general_level_idc: 30 times the level.
    pub level_idc: u8,
    /// sps_max_sub_layers_minus1 + 1.
    pub temporal_layers: u8,
    /// sps_temporal_id_nesting_flag.
    pub temporal_id_nested: bool,
}

impl ProfileTierLevel {
    /// The codec string of ISO 14496-15 §E.3, as in `hvc1.1.6.L93.B0`.
    #[must_use]
    pub fn codec_string(&self) -> String {
        let space = ["", "A", "B", "C"][usize::from(self.profile_space & 3)];
        let mut codec = format!(
            "hvc1.{space}{}.{:X}.{}{}",
            self.profile_idc,
            self.compatibility_flags.reverse_bits(),
            if self.high_tier { 'H' } else { 'L' },
            self.level_idc,
        );
        let said = self.constraint_flags.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
        for byte in &self.constraint_flags[..said] {
            codec.push_str(&format!(".{byte:X}"));
        }
        codec
    }

    /// Reads sps_max_sub_layers_minus1 to the end of profile_tier_level().
    fn parse(bits: &mut BitReader<'_>) -> Result<Self, ParameterSetsError> {
        let sub_layers = bits.bits(3)?.to_be_bytes()[3];
        if sub_layers > 6 {
            return Err(ParameterSetsError::Damaged("it has more than 7 temporal layers"));
        }
        let level = Self {
            temporal_layers: sub_layers + 1,
            temporal_id_nested: bits.flag()?,
            profile_space: bits.bits(2)?.to_be_bytes()[3],
            high_tier: bits.flag()?,
            profile_idc: bits.bits(5)?.to_be_bytes()[3],
            compatibility_flags: bits.bits(32)?,
            constraint_flags: {
                let mut flags = [0; 6];
                for byte in &mut flags {
                    *byte = bits.byte()?;
                }
                flags
            },
            level_idc: bits.byte()?,
        };
        let mut present = [(false, false); 6];
        for sub_layer in &mut present[..usize::from(sub_layers)] {
            *sub_layer = (bits.flag()?, bits.flag()?);
        }
        if sub_layers > 0 {
            bits.skip(2 * u32::from(8 - sub_layers))?;
        }
        for (profile, level) in present {
            bits.skip(if profile { 88 } else { 0 } + if level { 8 } else { 0 })?;
        }
        Ok(level)
    }
}

/// Reads the profile, tier, level and temporal layers of a sequence parameter set NAL unit.
///
/// # Errors
/// [`ParameterSetsError::Damaged`] when the bits make no sense.
pub fn profile_tier_level(sps: &[u8]) -> Result<ProfileTierLevel, ParameterSetsError> {
    let payload = unescape(sps);
    let mut bits = BitReader::new(&payload);
    bits.skip(20)?; // nal_unit_header, sps_video_parameter_set_id
    ProfileTierLevel::parse(&mut bits)
}

/// Reads a sequence parameter set NAL unit.
///
/// # Errors
/// [`ParameterSetsError::Damaged`] when the bits make no sense.
pub fn parse_sps(unit: &[u8]) -> Result<VideoFormat, ParameterSetsError> {
    let payload = unescape(unit);
    let mut bits = BitReader::new(&payload);
    bits.skip(20)?; // nal_unit_header, sps_video_parameter_set_id
    let level = ProfileTierLevel::parse(&mut bits)?;
    bits.ue_to(15)?; // sps_seq_parameter_set_id
    let chroma_format = bits.ue_byte(3)?;
    if chroma_format == 3 {
        bits.skip(1)?; // separate_colour_plane_flag
    }
    let (width, height) = size(&mut bits, chroma_format)?;
    let (bit_depth, chroma_bit_depth) = (8 + bits.ue_byte(8)?, 8 + bits.ue_byte(8)?);
    let order_bits = bits.ue_to(12)? + 4; // log2_max_pic_order_cnt_lsb_minus4
    let reorder_depth = reorder_depth(&mut bits, level.temporal_layers)?;
    skip_tools(&mut bits, order_bits)?;
    let vui = if bits.flag()? { Vui::parse(&mut bits)? } else { Vui::default() };
    Ok(VideoFormat {
        codec: VideoCodec::Hevc,
        width,
        height,
        sample_aspect: vui.sample_aspect,
        frame_rate: vui.frame_rate,
        range: vui.range,
        bit_depth,
        chroma_bit_depth,
        chroma_format,
        interlaced: vui.fields,
        reorder_depth: Some(reorder_depth),
        codec_string: level.codec_string(),
    })
}

/// Width and height in luma samples, inside the conformance window.
fn size(bits: &mut BitReader<'_>, chroma_format: u8) -> Result<(u32, u32), ParameterSetsError> {
    let (width, height) = (bits.ue_to(0xffff)?, bits.ue_to(0xffff)?);
    let (mut cropped_x, mut cropped_y) = (0, 0);
    if bits.flag()? {
        let (x, y) = match chroma_format {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        };
        cropped_x = (bits.ue_to(0xffff)? + bits.ue_to(0xffff)?) * x;
        cropped_y = (bits.ue_to(0xffff)? + bits.ue_to(0xffff)?) * y;
    }
    if width <= cropped_x || height <= cropped_y {
        return Err(ParameterSetsError::Damaged("the conformance window leaves no picture"));
    }
    Ok((width - cropped_x, height - cropped_y))
}

/// sps_max_num_reorder_pics of the highest temporal layer.
fn reorder_depth(bits: &mut BitReader<'_>, layers: u8) -> Result<u8, ParameterSetsError> {
    let told_for = if bits.flag()? { layers } else { 1 };
    let mut depth = 0;
    for _ in 0..told_for {
        bits.skip_ue(1)?;
        depth = bits.ue_byte(16)?;
        bits.skip_ue(1)?;
    }
    Ok(depth)
}

/// From log2_min_luma_coding_block_size_minus3 to strong_intra_smoothing_enabled_flag.
fn skip_tools(bits: &mut BitReader<'_>, order_bits: u32) -> Result<(), ParameterSetsError> {
    bits.skip_ue(6)?;
    // scaling_list_enabled_flag, sps_scaling_list_data_present_flag
    if bits.flag()? && bits.flag()? {
        skip_scaling_lists(bits)?;
    }
    bits.skip(2)?; // amp_enabled_flag, sample_adaptive_offset_enabled_flag
    // pcm_enabled_flag
    if bits.flag()? {
        bits.skip(8)?;
        bits.skip_ue(2)?;
        bits.skip(1)?;
    }
    let sets = bits.ue_to(64)?;
    let mut pictures = 0;
    for set in 0..sets {
        pictures = skip_reference_pictures(bits, set > 0, pictures)?;
    }
    // long_term_ref_pics_present_flag
    if bits.flag()? {
        let pictures = bits.ue_to(32)?;
        bits.skip(pictures * (order_bits + 1))?;
    }
    bits.skip(2)
}

/// §7.3.4.
fn skip_scaling_lists(bits: &mut BitReader<'_>) -> Result<(), ParameterSetsError> {
    for size in 0..4 {
        for _ in 0..if size == 3 { 2 } else { 6 } {
            let told = bits.flag()?;
            let coefficients = if told { 64.min(1 << (4 + (size << 1))) } else { 1 };
            bits.skip_ue(coefficients + u32::from(told && size > 1))?;
        }
    }
    Ok(())
}

/// st_ref_pic_set() (§7.3.7): takes and gives NumDeltaPocs, of the set before and of this one.
fn skip_reference_pictures(
    bits: &mut BitReader<'_>,
    may_predict: bool,
    before: u32,
) -> Result<u32, ParameterSetsError> {
    if may_predict && bits.flag()? {
        bits.skip(1)?; // delta_rps_sign
        bits.skip_ue(1)?; // abs_delta_rps_minus1
        let mut pictures = 0;
        for _ in 0..=before {
            // used_by_curr_pic_flag, else use_delta_flag
            pictures += u32::from(bits.flag()? || bits.flag()?);
        }
        return Ok(pictures);
    }
    let pictures = bits.ue_to(16)? + bits.ue_to(16)?;
    for _ in 0..pictures {
        bits.skip_ue(1)?;
        bits.skip(1)?;
    }
    Ok(pictures)
}

struct Vui {
    sample_aspect: (u32, u32),
    range: VideoRange,
    frame_rate: Option<FrameRate>,
    fields: bool,
}

impl Default for Vui {
    fn default() -> Self {
        Self { sample_aspect: (1, 1), range: VideoRange::Sdr, frame_rate: None, fields: false }
    }
}

impl Vui {
    /// §E.2.1, up to the timing.
    fn parse(bits: &mut BitReader<'_>) -> Result<Self, ParameterSetsError> {
        let (sample_aspect, range) = vui::front(bits)?;
        let mut vui = Self { sample_aspect, range, ..Self::default() };
        bits.skip(1)?; // neutral_chroma_indication_flag
        vui.fields = bits.flag()?;
        bits.skip(1)?; // frame_field_info_present_flag
        // default_display_window_flag
        if bits.flag()? {
            bits.skip_ue(4)?;
        }
        if bits.flag()? {
            // A tick is a picture's time: of a field where fields are coded (field_seq_flag).
            vui.frame_rate = vui::frame_rate(bits, if vui.fields { 2 } else { 1 })?;
        }
        Ok(vui)
    }
}

//! What H.264 (§E.1.1) and HEVC (§E.2.1) say alike in their video usability information.

use crate::bits::BitReader;
use crate::{FrameRate, ParameterSetsError, VideoRange};

/// The VUI's front, alike in both codecs (aspect ratio, overscan, colour, chroma location): the sample
/// aspect ratio and the range.
pub(crate) fn front(
    bits: &mut BitReader<'_>,
) -> Result<((u32, u32), VideoRange), ParameterSetsError> {
    /// Sample aspect ratios by aspect_ratio_idc (H.264 table E-1).
    const RATIOS: [(u32, u32); 17] = [
        (1, 1),
        (1, 1),
        (12, 11),
        (10, 11),
        (16, 11),
        (40, 33),
        (24, 11),
        (20, 11),
        (32, 11),
        (80, 33),
        (18, 11),
        (15, 11),
        (64, 33),
        (160, 99),
        (4, 3),
        (3, 2),
        (2, 1),
    ];
    const EXTENDED: u8 = 255;

    let mut ratio = (1, 1);
    let mut range = VideoRange::Sdr;
    if bits.flag()? {
        ratio = match bits.byte()? {
            EXTENDED => (bits.bits(16)?, bits.bits(16)?),
            index => RATIOS.get(usize::from(index)).copied().unwrap_or((1, 1)),
        };
        if ratio.0 == 0 || ratio.1 == 0 {
            ratio = (1, 1);
        }
    }
    // overscan_info_present_flag
    if bits.flag()? {
        bits.skip(1)?;
    }
    // video_signal_type_present_flag
    if bits.flag()? {
        bits.skip(4)?;
        if bits.flag()? {
            bits.skip(8)?; // colour_primaries
            range = match bits.byte()? {
                16 => VideoRange::Pq,
                18 => VideoRange::Hlg,
                _ => VideoRange::Sdr,
            };
            bits.skip(8)?; // matrix_coefficients
        }
    }
    // chroma_loc_info_present_flag
    if bits.flag()? {
        bits.skip_ue(2)?;
    }
    Ok((ratio, range))
}

/// num_units_in_tick and time_scale as a frame rate, where it is one a camera could have: 1 to 120.
///
/// `ticks_per_frame` is 2 where a tick is a field.
pub(crate) fn frame_rate(
    bits: &mut BitReader<'_>,
    ticks_per_frame: u32,
) -> Result<Option<FrameRate>, ParameterSetsError> {
    let (units, scale) = (bits.bits(32)?, bits.bits(32)?);
    let rate = units.checked_mul(ticks_per_frame).and_then(|den| FrameRate::new(scale, den));
    Ok(rate.filter(|rate| rate.as_f64() <= 120.0))
}

//! NAL units in Annex B form (start codes) and in length-prefixed form (ISO 14496-15).

use bytes::{BufMut, Bytes, BytesMut};

use crate::{VideoCodec, h264, hevc};

/// The NAL units of an Annex B byte stream, without start codes, in order; empty ones are left out.
pub fn units(annex_b: &Bytes) -> impl Iterator<Item = Bytes> + '_ {
    let mut from = next_start_code(annex_b, 0).map(|(_, after)| after);
    std::iter::from_fn(move || {
        loop {
            let start = from?;
            let end = match next_start_code(annex_b, start) {
                Some((at, after)) => {
                    from = Some(after);
                    at
                }
                None => {
                    from = None;
                    annex_b.len()
                }
            };
            // trailing_zero_8bits belong to no NAL unit (H.264 §B.1.1).
            let zeros = annex_b[start..end].iter().rev().take_while(|&&byte| byte == 0).count();
            if start < end - zeros {
                return Some(annex_b.slice(start..end - zeros));
            }
        }
    })
}

/// nal_unit_type of a NAL unit; 255 for an empty one.
#[must_use]
pub fn kind(codec: VideoCodec, unit: &[u8]) -> u8 {
    match (codec, unit.first()) {
        (_, None) => u8::MAX,
        (VideoCodec::H264, Some(first)) => first & 0x1f,
        (VideoCodec::Hevc, Some(first)) => (first >> 1) & 0x3f,
    }
}

/// Rewrites an access unit for a CMAF sample: every NAL unit behind its length in four bytes.
///
/// Parameter sets and access unit delimiters are left out: `avc1` and `hvc1` carry the former in the
/// init section, and the latter say nothing inside a sample (ISO 14496-15 §5.3.2).
#[must_use]
pub fn to_length_prefixed(codec: VideoCodec, annex_b: &Bytes) -> Bytes {
    let mut sample = BytesMut::with_capacity(annex_b.len() + 16);
    for unit in units(annex_b) {
        let kind = kind(codec, &unit);
        let dropped = match codec {
            VideoCodec::H264 => {
                matches!(kind, h264::NAL_SPS | h264::NAL_PPS | h264::NAL_AUD | h264::NAL_FILLER)
            }
            VideoCodec::Hevc => matches!(
                kind,
                hevc::NAL_VPS | hevc::NAL_SPS | hevc::NAL_PPS | hevc::NAL_AUD | hevc::NAL_FILLER
            ),
        };
        if !dropped && let Ok(length) = u32::try_from(unit.len()) {
            sample.put_u32(length);
            sample.put_slice(&unit);
        }
    }
    sample.freeze()
}

/// Is there a picture that decoding can start at?
#[must_use]
pub fn has_random_access(codec: VideoCodec, annex_b: &Bytes) -> bool {
    units(annex_b).any(|unit| match (codec, kind(codec, &unit)) {
        (VideoCodec::H264, kind) => kind == h264::NAL_IDR,
        (VideoCodec::Hevc, kind) => hevc::is_irap(kind),
    })
}

/// The next `00 00 01` at or after `from`: where it (with a leading zero, if any) starts, and where it ends.
fn next_start_code(bytes: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    loop {
        // Search for the 01: it is much rarer than 00 in coded video.
        let one = at + bytes.get(at..)?.iter().position(|&byte| byte == 1)?;
        if one >= from + 2 && bytes[one - 1] == 0 && bytes[one - 2] == 0 {
            return Some((one - 2, one + 1));
        }
        at = one + 1;
    }
}

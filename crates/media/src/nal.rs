//! NAL units in Annex B form (start codes) and in length-prefixed form (ISO 14496-15).

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memmem;

use crate::{VideoCodec, h264, hevc};

/// The NAL units of an Annex B byte stream, without start codes, in order; empty ones are left out.
pub fn units(annex_b: &Bytes) -> impl Iterator<Item = Bytes> + '_ {
    let mut starts = starts(annex_b).peekable();
    std::iter::from_fn(move || {
        loop {
            let start = starts.next()?;
            let end = starts.peek().map_or(annex_b.len(), |next| next - START_CODE.len());
            // trailing_zero_8bits belong to no NAL unit (H.264 §B.1.1).
            let zeros = annex_b[start..end].iter().rev().take_while(|&&byte| byte == 0).count();
            if start < end - zeros {
                return Some(annex_b.slice(start..end - zeros));
            }
        }
    })
}

/// The types of the NAL units of an Annex B byte stream; looks no further than the caller asks.
pub fn kinds(codec: VideoCodec, annex_b: &[u8]) -> impl Iterator<Item = u8> + '_ {
    starts(annex_b).map(move |at| kind(codec, &annex_b[at..]))
}

/// nal_unit_type of an access unit's first coded slice, which all slices of the picture share;
/// `None` where there is no picture in it.
#[must_use]
pub fn picture_kind(codec: VideoCodec, annex_b: &[u8]) -> Option<u8> {
    kinds(codec, annex_b).find(|&kind| is_slice(codec, kind))
}

/// Is this type a coded slice of a picture?
#[must_use]
pub const fn is_slice(codec: VideoCodec, kind: u8) -> bool {
    match codec {
        VideoCodec::H264 => h264::is_slice(kind),
        VideoCodec::Hevc => hevc::is_slice(kind),
    }
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
pub fn has_random_access(codec: VideoCodec, annex_b: &[u8]) -> bool {
    picture_kind(codec, annex_b).is_some_and(|kind| match codec {
        VideoCodec::H264 => kind == h264::NAL_IDR,
        VideoCodec::Hevc => hevc::is_irap(kind),
    })
}

/// What stands before every NAL unit of a byte stream; a zero more may stand before it (H.264 §B.1.1).
const START_CODE: &[u8] = &[0, 0, 1];

/// Where the NAL units start, behind their start codes.
fn starts(annex_b: &[u8]) -> impl Iterator<Item = usize> + '_ {
    memmem::find_iter(annex_b, START_CODE).map(|at| at + START_CODE.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The NAL units by the letter of H.264 §B.1.2, one byte at a time.
    fn units_by_the_letter(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut units: Vec<Vec<u8>> = Vec::new();
        let mut started = false;
        let mut at = 0;
        while at < bytes.len() {
            if bytes[at..].starts_with(&[0, 0, 1]) {
                units.push(Vec::new());
                started = true;
                at += 3;
            } else {
                if started {
                    units.last_mut().unwrap().push(bytes[at]);
                }
                at += 1;
            }
        }
        for unit in &mut units {
            while unit.last() == Some(&0) {
                unit.pop();
            }
        }
        units.retain(|unit| !unit.is_empty());
        units
    }

    proptest! {
        #[test]
        fn any_bytes_are_split_by_the_letter_of_the_standard(
            bytes in proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(3), any::<u8>()], 0..300)
        ) {
            let bytes = Bytes::from(bytes);
            let units: Vec<Vec<u8>> = units(&bytes).map(|unit| unit.to_vec()).collect();
            prop_assert_eq!(units, units_by_the_letter(&bytes));
        }
    }

    #[test]
    fn a_sample_holds_the_slices_behind_their_lengths_and_no_parameter_sets() {
        let annex_b = Bytes::from_static(&[
            0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 1, 6, 4, 0, 0, 0,
            1, 0x65, 5, 6, 0, 0, 1, 0x65, 7, 0, 0,
        ]);
        let sample = to_length_prefixed(VideoCodec::H264, &annex_b);
        assert_eq!(&sample[..], [0, 0, 0, 2, 6, 4, 0, 0, 0, 3, 0x65, 5, 6, 0, 0, 0, 2, 0x65, 7]);
        assert!(has_random_access(VideoCodec::H264, &annex_b));
        assert_eq!(picture_kind(VideoCodec::H264, &annex_b[..22]), None);
    }
}

//! Access units from outside: NAL units, parameter sets, ADTS headers.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use nowcast_media::{AdtsHeader, ParameterSets, VideoCodec, nal};

fuzz_target!(|data: &[u8]| {
    let unit = Bytes::copy_from_slice(data);
    for codec in [VideoCodec::H264, VideoCodec::Hevc] {
        if let Some(sets) = ParameterSets::find(codec, &unit) {
            if let Ok(format) = sets.format() {
                assert!(format.width > 0 && format.height > 0, "a picture has a size: {format:?}");
            }
        }
        // Three or four bytes of start code become four of length; parameter sets are left out.
        let prefixed = nal::to_length_prefixed(codec, &unit);
        assert!(prefixed.len() <= unit.len() + unit.len() / 3, "length prefixes take no more room");
        let _ = nal::has_random_access(codec, &unit);
    }
    if let Some(header) = AdtsHeader::parse(data) {
        assert!(header.frame_len >= header.header_len);
    }
});

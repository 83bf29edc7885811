//! Sequence parameter sets of real encoders, read by us and by ffprobe.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use bytes::Bytes;
use nowcast_media::{ParameterSets, VideoCodec, VideoRange, hevc, nal};
use nowcast_testkit::tools::{ffmpeg, ffprobe, run};
use proptest::prelude::*;

/// Encodes five frames.
fn encode(codec: VideoCodec, size: &str, rate: &str, options: &str) -> Bytes {
    let (encoder, container) = match codec {
        VideoCodec::H264 => ("libx264", "h264"),
        VideoCodec::Hevc => ("libx265 -x265-params log-level=none", "hevc"),
    };
    ffmpeg(&format!(
        "-f lavfi -i testsrc2=size={size}:rate={rate} -frames:v 5 -c:v {encoder} \
         -preset ultrafast {options} -f {container}"
    ))
}

#[test]
fn every_kind_of_picture_is_described_as_ffprobe_describes_it() {
    use VideoCodec::{H264, Hevc};
    let cases = [
        (H264, "1280x720", "30", "-bf 2 -x264-params b-adapt=0"),
        (H264, "1920x1080", "30000/1001", "-profile:v baseline"),
        (H264, "1920x1080", "25", "-flags +ildct+ilme -x264-params tff=1"),
        (H264, "720x576", "25", "-aspect 16:9 -x264-params cqm=jvt"),
        (H264, "638x358", "60000/1001", "-pix_fmt yuv422p10le -vf setsar=1001/997"),
        (
            H264,
            "642x358",
            "50",
            "-pix_fmt yuv444p -b:v 900k -maxrate 900k -bufsize 900k -x264-params nal-hrd=cbr",
        ),
        (H264, "320x240", "5", "-pix_fmt gray -color_range pc -colorspace bt709"),
        (H264, "426x240", "50", "-pix_fmt yuv420p10le -color_trc arib-std-b67"),
        (Hevc, "426x240", "25", "-pix_fmt yuv420p10le -color_trc smpte2084"),
        (Hevc, "1280x720", "30", "-bf 3"),
        (Hevc, "1920x1080", "60000/1001", "-pix_fmt yuv420p10le"),
        (
            Hevc,
            "720x576",
            "25",
            "-aspect 4:3 -b:v 900k -maxrate 900k -bufsize 900k -x265-params scaling-list=default:log-level=none:hrd=1",
        ),
        (
            Hevc,
            "426x240",
            "24",
            "-pix_fmt yuv422p10le -x265-params temporal-layers=2:log-level=none:high-tier=1:level-idc=41",
        ),
    ];
    for (codec, size, rate, options) in cases {
        let stream = encode(codec, size, rate, options);
        let sets = ParameterSets::find(codec, &stream).expect("the first picture carries a set");
        let format = sets.format().unwrap();
        let container = if codec == H264 { "h264" } else { "hevc" };
        let theirs = ffprobe(&format!("-f {container} -show_streams"), &stream);
        let theirs = |key: &str| &theirs.iter().find(|(found, _)| found == key).unwrap().1;
        let context = format!("{codec} {size} {rate} {options:?}: {format:?}");

        let size = (format.width.to_string(), format.height.to_string());
        assert_eq!((&size.0, &size.1), (theirs("width"), theirs("height")), "{context}");
        let (num, den) = format.sample_aspect;
        let aspect = Some(theirs("sample_aspect_ratio").replace(':', "/"));
        assert_eq!(
            aspect.filter(|ratio| ratio != "N/A").unwrap_or_else(|| "1/1".into()),
            format!("{num}/{den}"),
            "{context}"
        );
        let told = format.frame_rate.map(|rate| format!("{}/{}", rate.num(), rate.den()));
        assert_eq!(told.as_ref(), Some(theirs("r_frame_rate")), "{context}");
        assert_eq!(format.reorder_depth.unwrap().to_string(), *theirs("has_b_frames"), "{context}");
        let pixels = theirs("pix_fmt");
        // ffprobe shows monochrome as 4:2:0.
        let chroma = ["420", "420", "422", "444"][usize::from(format.chroma_format)];
        assert!(pixels.contains(chroma), "{pixels}, {context}");
        assert_eq!(format.bit_depth == 10, pixels.contains("10"), "{context}");
        assert_eq!(format.chroma_bit_depth, format.bit_depth, "{context}");
        let range = match theirs("color_transfer").as_str() {
            "smpte2084" => VideoRange::Pq,
            "arib-std-b67" => VideoRange::Hlg,
            _ => VideoRange::Sdr,
        };
        assert_eq!(format.range, range, "{context}");
        assert_eq!(format.interlaced, options.contains("+ildct+ilme"), "{context}");
    }
}

/// ffmpeg writes `hvcC` and `avcC` from the same parameter sets.
#[test]
fn profile_tier_and_level_are_those_of_ffmpegs_decoder_configuration() {
    let hevc_stream = encode(VideoCodec::Hevc, "640x360", "30", "");
    let sets = ParameterSets::find(VideoCodec::Hevc, &hevc_stream).unwrap();
    let format = sets.format().unwrap();
    let level = hevc::profile_tier_level(&sets.sps).unwrap();
    let mut ours =
        vec![level.profile_space << 6 | u8::from(level.high_tier) << 5 | level.profile_idc];
    ours.extend(level.compatibility_flags.to_be_bytes());
    ours.extend(level.constraint_flags);
    ours.push(level.level_idc);
    let theirs = configuration(&hevc_stream, b"hvcC", "hevc");
    assert_eq!(ours, theirs[1..13]);
    assert_eq!(format.chroma_format, theirs[16] & 3);
    assert_eq!(
        (format.bit_depth - 8, format.chroma_bit_depth - 8),
        (theirs[17] & 7, theirs[18] & 7)
    );
    assert_eq!(
        level.temporal_layers << 1 | u8::from(level.temporal_id_nested),
        theirs[21] >> 2 & 15
    );
    assert_eq!(format.codec_string, "hvc1.1.6.L63.90");

    let h264_stream = encode(VideoCodec::H264, "640x360", "30", "-profile:v high -bf 2");
    let format = ParameterSets::find(VideoCodec::H264, &h264_stream).unwrap().format().unwrap();
    let theirs = configuration(&h264_stream, b"avcC", "h264");
    assert_eq!(
        format.codec_string,
        format!("avc1.{:02X}{:02X}{:02X}", theirs[1], theirs[2], theirs[3])
    );
}

/// The payload of a box of the MP4 file ffmpeg makes of a stream.
fn configuration(stream: &Bytes, name: &[u8; 4], container: &str) -> Vec<u8> {
    let options = "-c copy -movflags frag_keyframe+empty_moov -f mp4";
    let file = run("ffmpeg", &format!("-v fatal -f {container} -i - {options} -"), stream);
    let at = file.windows(4).position(|bytes| bytes == name).unwrap();
    file[at + 4..].to_vec()
}

/// The example of ISO 14496-15 §E.3 that Apple's authoring specification repeats.
#[test]
fn the_codec_string_drops_zeros_at_its_end_only() {
    let level = hevc::ProfileTierLevel {
        profile_space: 0,
        high_tier: false,
        profile_idc: 1,
        compatibility_flags: 0x6000_0000,
        constraint_flags: [0xb0, 0, 0, 0, 0, 0],
        level_idc: 93,
        temporal_layers: 1,
        temporal_id_nested: true,
    };
    assert_eq!(level.codec_string(), "hvc1.1.6.L93.B0");
    let other = hevc::ProfileTierLevel {
        profile_space: 1,
        high_tier: true,
        constraint_flags: [0x90, 0, 8, 0, 0, 0],
        ..level
    };
    assert_eq!(other.codec_string(), "hvc1.A1.6.H93.90.0.8");
}

#[test]
fn the_last_picture_parameter_set_of_each_identifier_counts() {
    let stream = Bytes::from_static(&[
        0, 0, 1, 0x67, 66, 0, 30, 0x80, 0, 0, 1, 0x68, 0x80, 1, 0, 0, 1, 0x68, 0x40, 2, 0, 0, 1,
        0x68, 0x80, 3, 0, 0, 1, 0x65, 0x88, 0, 0, 1, 0x68, 0x80, 4,
    ]);
    let sets = ParameterSets::find(VideoCodec::H264, &stream).unwrap();
    assert_eq!(sets.pps, [&[0x68, 0x80, 3][..], &[0x68, 0x40, 2]]);
}

proptest! {
    #[test]
    fn damaged_parameter_sets_are_read_or_refused_without_panic(
        hevc in any::<bool>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
        at in 0_usize..60,
        keep in 0_usize..80,
    ) {
        /// x264, 1280x720 with B-frames; x265, 640x360.
        const REAL: [&[u8]; 2] = [
            &[0x67, 0x64, 0, 0x1f, 0xac, 0xd9, 0x40, 0x50, 5, 0xbb, 1, 0x10, 0, 0, 3, 0, 0x10, 0, 0, 3, 3, 0xc0, 0xf1, 0x83, 0x19, 0x60],
            &[0x42, 1, 1, 1, 0x60, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0, 3, 0, 0x3f, 0xa0, 5, 2, 1, 0x69, 0x65, 0x95, 0x9a, 0x49, 0x32, 0xbc, 0x5a, 2],
        ];
        let codec = if hevc { VideoCodec::Hevc } else { VideoCodec::H264 };
        let mut sps = REAL[usize::from(hevc)].to_vec();
        let at = at.min(sps.len());
        let end = (at + bytes.len()).min(sps.len());
        let length = end - at;
        sps[at..end].copy_from_slice(&bytes[..length]);
        sps.truncate(keep);
        for sps in [sps, bytes] {
            let sps = Bytes::from(sps);
            let sets = ParameterSets { codec, vps: None, pps: Vec::new(), sps: sps.clone() };
            if let Ok(format) = sets.format() {
                prop_assert!(format.width > 0 && format.height > 0);
            }
            let _level = hevc::profile_tier_level(&sps);
            let _units = nal::units(&sps).count();
            let _sets = ParameterSets::find(codec, &sps);
        }
    }
}

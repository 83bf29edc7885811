//! Init sections, read back by mp4-atom.

use bytes::Bytes;
use mp4_atom::{Any, Codec, Decode, Ftyp, Moov};
use nowcast_cmaf::{InitError, audio_init, video_init};
use nowcast_media::{AacConfig, AacError, ParameterSets, VideoCodec, VideoFormat};

fn read(init: &Bytes) -> (Ftyp, Moov) {
    let mut rest = init.as_ref();
    let Any::Ftyp(ftyp) = Any::decode(&mut rest).unwrap() else { panic!("ftyp first") };
    let Any::Moov(moov) = Any::decode(&mut rest).unwrap() else { panic!("moov second") };
    assert!(rest.is_empty());
    (ftyp, moov)
}

fn format(codec: VideoCodec, width: u32, height: u32, sample_aspect: (u32, u32)) -> VideoFormat {
    VideoFormat {
        codec,
        width,
        height,
        sample_aspect,
        frame_rate: None,
        bit_depth: 10,
        chroma_bit_depth: 9,
        chroma_format: 2,
        interlaced: false,
        range: nowcast_media::VideoRange::Sdr,
        reorder_depth: None,
        codec_string: String::new(),
    }
}

fn h264_sets(profile: u8) -> ParameterSets {
    ParameterSets {
        codec: VideoCodec::H264,
        vps: None,
        sps: Bytes::from(vec![0x67, profile, 0x40, 31, 0xac]),
        pps: vec![Bytes::from_static(&[0x68, 1]), Bytes::from_static(&[0x68, 2])],
    }
}

fn hevc_sets() -> ParameterSets {
    ParameterSets {
        codec: VideoCodec::Hevc,
        vps: Some(Bytes::from_static(&[0x40, 1, 0x0c])),
        // Main 10, level 4.1, with emulation prevention inside profile_tier_level.
        sps: Bytes::from_static(&[
            0x42, 1, 0x01, 0x22, 0x20, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0, 3, 0, 123, 0xa0,
        ]),
        pps: vec![Bytes::from_static(&[0x44, 1, 0xc1])],
    }
}

#[test]
fn an_h264_init_section_is_a_cmaf_track_without_media() {
    let init = video_init(&h264_sets(122), &format(VideoCodec::H264, 720, 576, (16, 11))).unwrap();
    let (ftyp, moov) = read(&init);
    let brands: Vec<_> = ftyp.compatible_brands.iter().map(ToString::to_string).collect();
    assert_eq!(brands, ["iso6", "cmfc", "cmf2"]);
    assert_eq!((moov.mvhd.timescale, moov.mvhd.duration), (90_000, 0));
    let [trak] = moov.trak.as_slice() else { panic!() };
    assert_eq!((trak.tkhd.track_id, trak.tkhd.duration), (1, 0));
    // 720 * 16 / 11
    assert_eq!((trak.tkhd.width.integer(), trak.tkhd.height.integer()), (1047, 576));
    assert!(trak.edts.is_none());
    assert_eq!((trak.mdia.mdhd.timescale, trak.mdia.mdhd.duration), (90_000, 0));
    assert_eq!(trak.mdia.mdhd.language, "und");
    let [trex] = moov.mvex.as_ref().unwrap().trex.as_slice() else { panic!() };
    assert_eq!((trex.track_id, trex.default_sample_description_index), (1, 1));
    let [Codec::Avc1(avc1)] = trak.mdia.minf.stbl.stsd.codecs.as_slice() else { panic!() };
    assert_eq!((avc1.visual.width, avc1.visual.height), (720, 576));
    let pasp = avc1.pasp.as_ref().unwrap();
    assert_eq!((pasp.h_spacing, pasp.v_spacing), (16, 11));
    assert_eq!(avc1.avcc.sequence_parameter_sets, [h264_sets(122).sps]);
    assert_eq!(avc1.avcc.picture_parameter_sets, h264_sets(122).pps);
    let ext = avc1.avcc.ext.as_ref().unwrap();
    assert_eq!((ext.chroma_format, ext.bit_depth_luma, ext.bit_depth_chroma), (2, 10, 9));
    // mvex is the last box of moov.
    let at = |kind: &[u8]| init.windows(4).position(|window| window == kind).unwrap();
    assert!(at(b"trak") < at(b"mvex"));
}

#[test]
fn main_profile_has_no_chroma_extension_and_square_pixels_no_pasp() {
    let init = video_init(&h264_sets(77), &format(VideoCodec::H264, 1280, 720, (1, 1))).unwrap();
    let (_, moov) = read(&init);
    let [Codec::Avc1(avc1)] = moov.trak[0].mdia.minf.stbl.stsd.codecs.as_slice() else { panic!() };
    assert_eq!((&avc1.avcc.ext, &avc1.pasp), (&None, &None));
    assert_eq!(moov.trak[0].tkhd.width.integer(), 1280);
}

#[test]
fn an_hevc_init_section_repeats_the_profile_without_emulation_prevention() {
    let format = format(VideoCodec::Hevc, 1920, 1080, (1, 1));
    let (_, moov) = read(&video_init(&hevc_sets(), &format).unwrap());
    let [Codec::Hvc1(hvc1)] = moov.trak[0].mdia.minf.stbl.stsd.codecs.as_slice() else { panic!() };
    let hvcc = &hvc1.hvcc;
    assert_eq!((hvcc.general_profile_space, hvcc.general_tier_flag), (0, true));
    assert_eq!((hvcc.general_profile_idc, hvcc.general_level_idc), (2, 123));
    assert_eq!(hvcc.general_profile_compatibility_flags, [0x20, 0, 0, 0]);
    assert_eq!(hvcc.general_constraint_indicator_flags, [0x90, 0, 0, 0, 0, 0]);
    assert_eq!((hvcc.num_temporal_layers, hvcc.temporal_id_nested), (1, true));
    assert_eq!((hvcc.bit_depth_luma_minus8, hvcc.bit_depth_chroma_minus8), (2, 1));
    assert_eq!(hvcc.chroma_format_idc, 2);
    let kinds: Vec<_> = hvcc.arrays.iter().map(|a| (a.nal_unit_type, a.completeness)).collect();
    assert_eq!(kinds, [(32, true), (33, true), (34, true)]);
    assert_eq!(hvcc.arrays[1].nalus, [hevc_sets().sps]);
}

#[test]
fn an_aac_init_section_has_the_sampling_rate_as_its_timescale() {
    for (sample_rate, channels, entry_rate, entry_channels) in
        [(48_000, 2, 48_000, 2), (44_100, 1, 44_100, 1), (96_000, 7, 0, 8)]
    {
        let config = AacConfig { object_type: 2, sample_rate, channels };
        let (_, moov) = read(&audio_init(&config).unwrap());
        let trak = &moov.trak[0];
        assert_eq!((trak.tkhd.track_id, trak.mdia.mdhd.timescale), (1, sample_rate));
        let [Codec::Mp4a(mp4a)] = trak.mdia.minf.stbl.stsd.codecs.as_slice() else { panic!() };
        assert_eq!(mp4a.audio.channel_count, entry_channels);
        assert_eq!(mp4a.audio.sample_rate.integer(), entry_rate);
        let specific = mp4a.esds.es_desc.dec_config.dec_specific.as_ref().unwrap();
        assert_eq!(specific.raw, config.audio_specific_config().unwrap());
        assert_eq!((specific.profile, specific.chan_conf), (2, channels));
    }
}

#[test]
fn what_cannot_be_described_is_refused() {
    let hevc = format(VideoCodec::Hevc, 1920, 1080, (1, 1));
    let h264 = format(VideoCodec::H264, 1920, 1080, (1, 1));
    let missing = |name| Err(InitError::ParameterSet(name));
    let short = ParameterSets { sps: Bytes::from_static(&[0x67, 77]), ..h264_sets(77) };
    assert_eq!(video_init(&short, &h264), missing("sequence parameter set"));
    let bare = ParameterSets { vps: None, ..hevc_sets() };
    assert_eq!(video_init(&bare, &hevc), missing("video parameter set"));
    let none = ParameterSets { pps: vec![], ..h264_sets(77) };
    assert_eq!(video_init(&none, &h264), missing("picture parameter sets"));
    let huge = ParameterSets { sps: vec![7; 70_000].into(), ..h264_sets(77) };
    assert_eq!(video_init(&huge, &h264), missing("sequence parameter set"));
    for wide in
        [format(VideoCodec::H264, 70_000, 16, (1, 1)), format(VideoCodec::H264, 65_000, 16, (2, 1))]
    {
        let size = InitError::Size { width: wide.width, height: 16 };
        assert_eq!(video_init(&h264_sets(77), &wide), Err(size));
    }
    let audio =
        |sample_rate, channels| audio_init(&AacConfig { object_type: 2, sample_rate, channels });
    assert_eq!(audio(48_000, 0), Err(InitError::Channels(0)));
    assert_eq!(audio(47_999, 2), Err(InitError::Aac(AacError::SampleRate(47_999))));
}

//! Init sections: `ftyp` and `moov` (ISO 14496-12 §8, ISO 14496-15, ISO 14496-14).

use bytes::Bytes;
use mp4_atom::{
    Audio, Avc1, Avcc, AvccExt, Codec, Dinf, Dref, DrefEntry, Encode, FourCC, Ftyp, Hdlr, Header,
    Hvc1, HvcCArray, Hvcc, Mdhd, Mdia, Minf, Mp4a, Mvex, Mvhd, Pasp, Smhd, Stbl, Stco, Stsd, Tkhd,
    Trak, Trex, Url, Visual, Vmhd, esds,
};
use nowcast_media::{AacConfig, MediaTime, ParameterSets, VideoCodec, VideoFormat, hevc};

use crate::InitError;
use crate::part::TRACK_ID;

/// The init section of a video rendition: `avc1` or `hvc1`, parameter sets out of band.
///
/// # Errors
/// [`InitError`] if the parameter sets or the picture size cannot be described.
pub fn video_init(sets: &ParameterSets, format: &VideoFormat) -> Result<Bytes, InitError> {
    let too_big = InitError::Size { width: format.width, height: format.height };
    let (Ok(width), Ok(height)) = (u16::try_from(format.width), u16::try_from(format.height))
    else {
        return Err(too_big);
    };
    let (across, down) = format.sample_aspect;
    let square = across == down || across == 0 || down == 0;
    let visual = Visual { data_reference_index: 1, width, height, ..Visual::default() };
    let pasp = (!square).then_some(Pasp { h_spacing: across, v_spacing: down });
    let codec = match sets.codec {
        VideoCodec::H264 => {
            Avc1 { visual, avcc: avcc(sets, format)?, pasp, ..Avc1::default() }.into()
        }
        VideoCodec::Hevc => {
            Hvc1 { visual, hvcc: hvcc(sets, format)?, pasp, ..Hvc1::default() }.into()
        }
    };
    // The track's size is the shown one, in 16.16 fixed point (§8.3.2.3).
    let shown = if square {
        u64::from(width) << 16
    } else {
        (u64::from(width) << 16) * u64::from(across) / u64::from(down)
    };
    let Ok(shown) = u32::try_from(shown) else { return Err(too_big) };
    let [a, b, c, d] = shown.to_be_bytes();
    init(Track {
        handler: FourCC::new(b"vide"),
        timescale: MediaTime::TIMESCALE,
        tkhd: Tkhd {
            width: mp4_atom::FixedPoint::new(
                u16::from_be_bytes([a, b]),
                u16::from_be_bytes([c, d]),
            ),
            height: height.into(),
            ..Tkhd::default()
        },
        vmhd: Some(Vmhd::default()),
        smhd: None,
        codec,
    })
}

/// The init section of an AAC rendition.
///
/// # Errors
/// [`InitError`] for a sampling frequency or channel configuration that cannot be described.
pub fn audio_init(config: &AacConfig) -> Result<Bytes, InitError> {
    let channel_count = match config.channels {
        1..=6 => u16::from(config.channels),
        7 => 8,
        other => return Err(InitError::Channels(other)),
    };
    let decoder = esds::DecoderConfig {
        object_type_indication: 0x40, // ISO 14496-3
        stream_type: 5,               // audio
        dec_specific: Some(esds::DecoderSpecific {
            raw: config.audio_specific_config()?.to_vec(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let mp4a = Mp4a {
        audio: Audio {
            data_reference_index: 1,
            channel_count,
            sample_size: 16,
            // 16 bits cannot say 88.2 and 96 kHz: readers take the rate from esds, or the timescale.
            sample_rate: u16::try_from(config.sample_rate).unwrap_or(0).into(),
        },
        esds: esds::Esds {
            es_desc: esds::EsDescriptor {
                es_id: 1,
                dec_config: decoder,
                sl_config: esds::SLConfig::default(),
                ..Default::default()
            },
        },
        btrt: None,
        taic: None,
    };
    init(Track {
        handler: FourCC::new(b"soun"),
        timescale: config.sample_rate,
        tkhd: Tkhd { volume: 1.into(), ..Tkhd::default() },
        vmhd: None,
        smhd: Some(Smhd::default()),
        codec: mp4a.into(),
    })
}

/// What the two kinds of track differ in.
struct Track {
    handler: FourCC,
    timescale: u32,
    tkhd: Tkhd,
    vmhd: Option<Vmhd>,
    smhd: Option<Smhd>,
    codec: Codec,
}

fn init(track: Track) -> Result<Bytes, InitError> {
    let ftyp = Ftyp {
        major_brand: FourCC::new(b"iso6"),
        minor_version: 0,
        compatible_brands: [b"iso6", b"cmfc", b"cmf2"].map(FourCC::new).to_vec(),
    };
    // All durations are zero: they are not known, and the media is in fragments.
    let mvhd = Mvhd {
        timescale: track.timescale,
        rate: 1.into(),
        volume: 1.into(),
        next_track_id: TRACK_ID + 1,
        ..Mvhd::default()
    };
    let trak = Trak {
        tkhd: Tkhd { track_id: TRACK_ID, enabled: true, in_movie: true, ..track.tkhd },
        mdia: Mdia {
            mdhd: Mdhd {
                timescale: track.timescale,
                language: "und".to_owned(),
                ..Mdhd::default()
            },
            hdlr: Hdlr { handler: track.handler, name: "nowcast".to_owned() },
            minf: Minf {
                vmhd: track.vmhd,
                smhd: track.smhd,
                dinf: Dinf { dref: Dref { entries: vec![DrefEntry::Url(Url::default())] } },
                stbl: Stbl {
                    stsd: Stsd { codecs: vec![track.codec] },
                    stco: Some(Stco::default()),
                    ..Stbl::default()
                },
                ..Minf::default()
            },
        },
        ..Trak::default()
    };
    // `cmf2` has every default in the fragments: only the sample description is named here.
    let trex = Trex { track_id: TRACK_ID, default_sample_description_index: 1, ..Trex::default() };
    let mvex = Mvex { mehd: None, trex: vec![trex] };

    // The order is the customary one, with `mvex` last, which the crate's own Moov has not.
    let mut moov = Vec::new();
    let mut out = Vec::new();
    mvhd.encode(&mut moov)
        .and_then(|()| trak.encode(&mut moov))
        .and_then(|()| mvex.encode(&mut moov))
        .and_then(|()| ftyp.encode(&mut out))
        .and_then(|()| {
            Header { kind: FourCC::new(b"moov"), size: Some(moov.len()) }.encode(&mut out)
        })
        .map_err(|error| InitError::Box(error.to_string()))?;
    out.extend_from_slice(&moov);
    Ok(out.into())
}

/// AVCDecoderConfigurationRecord (ISO 14496-15 §5.3.3.1).
fn avcc(sets: &ParameterSets, format: &VideoFormat) -> Result<Avcc, InitError> {
    let &[_, profile, compatibility, level, ..] = sets.sps.as_ref() else {
        return Err(InitError::ParameterSet("sequence parameter set"));
    };
    // Baseline, Main and Extended have 8-bit 4:2:0 only, and the record says no more of them.
    let has_chroma_info = !matches!(profile, 66 | 77 | 88);
    Ok(Avcc {
        configuration_version: 1,
        avc_profile_indication: profile,
        profile_compatibility: compatibility,
        avc_level_indication: level,
        length_size: 4,
        sequence_parameter_sets: vec![checked(&sets.sps, "sequence parameter set")?],
        picture_parameter_sets: picture_parameter_sets(sets, u8::MAX.into())?,
        ext: has_chroma_info.then(|| AvccExt {
            chroma_format: format.chroma_format,
            bit_depth_luma: format.bit_depth,
            bit_depth_chroma: format.chroma_bit_depth,
            sequence_parameter_sets_ext: Vec::new(),
        }),
    })
}

/// HEVCDecoderConfigurationRecord (ISO 14496-15 §8.3.3.1).
fn hvcc(sets: &ParameterSets, format: &VideoFormat) -> Result<Hvcc, InitError> {
    let damaged = InitError::ParameterSet("sequence parameter set");
    // Behind the NAL header: ids, then profile_tier_level (ITU-T H.265 §7.3.2.2.1, §7.3.3).
    let sps = without_emulation_prevention(&sets.sps, 15);
    let &[_, _, ids, profile, c0, c1, c2, c3, k0, k1, k2, k3, k4, k5, level] = sps.as_slice()
    else {
        return Err(damaged);
    };
    let (Some(luma), Some(chroma)) =
        (format.bit_depth.checked_sub(8), format.chroma_bit_depth.checked_sub(8))
    else {
        return Err(damaged);
    };
    let vps = sets.vps.as_ref().ok_or(InitError::ParameterSet("video parameter set"))?;
    let array = |nal_unit_type, nalus| HvcCArray { completeness: true, nal_unit_type, nalus };
    Ok(Hvcc {
        configuration_version: 1,
        general_profile_space: profile >> 6,
        general_tier_flag: profile & 0x20 != 0,
        general_profile_idc: profile & 0x1f,
        general_profile_compatibility_flags: [c0, c1, c2, c3],
        general_constraint_indicator_flags: [k0, k1, k2, k3, k4, k5],
        general_level_idc: level,
        chroma_format_idc: format.chroma_format,
        bit_depth_luma_minus8: luma,
        bit_depth_chroma_minus8: chroma,
        num_temporal_layers: (ids >> 1 & 7) + 1,
        temporal_id_nested: ids & 1 != 0,
        length_size_minus_one: 3,
        arrays: vec![
            array(hevc::NAL_VPS, vec![checked(vps, "video parameter set")?]),
            array(hevc::NAL_SPS, vec![checked(&sets.sps, "sequence parameter set")?]),
            array(hevc::NAL_PPS, picture_parameter_sets(sets, u16::MAX.into())?),
        ],
        ..Hvcc::default()
    })
}

fn picture_parameter_sets(sets: &ParameterSets, most: usize) -> Result<Vec<Vec<u8>>, InitError> {
    if sets.pps.is_empty() || sets.pps.len() > most {
        return Err(InitError::ParameterSet("picture parameter sets"));
    }
    sets.pps.iter().map(|pps| checked(pps, "picture parameter set")).collect()
}

/// A parameter set whose length fits its 16-bit field.
fn checked(set: &Bytes, name: &'static str) -> Result<Vec<u8>, InitError> {
    if set.is_empty() || set.len() > u16::MAX.into() {
        return Err(InitError::ParameterSet(name));
    }
    Ok(set.to_vec())
}

/// The first `most` bytes of a NAL unit without its emulation prevention bytes (ITU-T H.265 §7.3.1.1).
fn without_emulation_prevention(unit: &[u8], most: usize) -> Vec<u8> {
    let mut zeros = 0;
    let kept = unit.iter().copied().filter(|&byte| {
        let prevention = zeros >= 2 && byte == 3;
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        !prevention
    });
    kept.take(most).collect()
}

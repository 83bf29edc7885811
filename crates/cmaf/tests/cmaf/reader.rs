//! Reads parts with mp4-atom, strictly, and collects what packagers put out.

use bytes::Bytes;
use mp4_atom::{Any, Decode, Emsg, Moof, Prft};
use nowcast_cmaf::{Output, Part};

/// One sample as a player sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) dts: i64,
    pub(crate) pts: i64,
    pub(crate) duration: u64,
    pub(crate) sync: bool,
    pub(crate) data: Bytes,
}

/// The boxes of one part.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) brands: Option<Vec<String>>,
    pub(crate) prft: Option<Prft>,
    pub(crate) events: Vec<Emsg>,
    pub(crate) sequence: u32,
    pub(crate) samples: Vec<Sample>,
}

const NO_SYNC: u32 = 0x1_0000;

/// Reads a part, and checks that what it says of itself is what is in it.
pub(crate) fn read(part: &Part) -> Read {
    let bytes = &part.bytes;
    let mut rest = bytes.as_ref();
    let (mut brands, mut prft, mut events) = (None, None, Vec::new());
    let (moof, moof_at): (Moof, usize) = loop {
        let at = bytes.len() - rest.len();
        match Any::decode(&mut rest).expect("a box") {
            Any::Styp(styp) => {
                assert_eq!(at, 0);
                let names = styp.compatible_brands.iter().map(ToString::to_string);
                brands = Some(names.collect::<Vec<_>>());
            }
            Any::Prft(read) => {
                // version 1: media_time has 64 bits
                assert_eq!(bytes[at + 8], 1);
                assert!(events.is_empty(), "prft follows emsg");
                prft = Some(read);
            }
            Any::Emsg(emsg) => events.push(emsg),
            Any::Moof(moof) => break (moof, at),
            other => panic!("{other:?} does not belong into a part"),
        }
    };
    let mdat_at = bytes.len() - rest.len();
    let Any::Mdat(mdat) = Any::decode(&mut rest).expect("a box") else { panic!("no mdat") };
    assert!(rest.is_empty(), "something behind mdat");

    let [traf] = moof.traf.as_slice() else { panic!("one traf") };
    assert!(traf.tfhd.default_base_is_moof && traf.tfhd.track_id == 1);
    let [trun] = traf.trun.as_slice() else { panic!("one trun") };
    assert_eq!(trun.data_offset.unwrap() as usize, mdat_at + 8 - moof_at);
    assert_eq!(version_of(bytes, b"tfdt"), 1);
    assert_eq!(version_of(bytes, b"trun"), 1);
    let base = traf.tfdt.as_ref().unwrap().base_media_decode_time;
    assert_eq!(base, part.base_decode_time);

    let media = Bytes::from(mdat.data);
    let (mut dts, mut at) = (base as i64, 0);
    let mut samples = Vec::new();
    for entry in trun.samples.iter() {
        let duration = entry.duration.or(traf.tfhd.default_sample_duration).unwrap();
        let flags = entry.flags.or(traf.tfhd.default_sample_flags).unwrap();
        let size = entry.size.unwrap() as usize;
        samples.push(Sample {
            dts,
            pts: dts + entry.cts.unwrap_or(0),
            duration: duration.into(),
            sync: flags & NO_SYNC == 0,
            data: media.slice(at..at + size),
        });
        dts += i64::from(duration);
        at += size;
    }
    assert_eq!(at, media.len(), "samples fill mdat");
    assert_eq!(samples.len(), part.samples as usize);
    assert_eq!(dts as u64, base + part.duration);
    assert_eq!(part.independent, samples.iter().any(|sample| sample.sync));
    assert_eq!(part.starts_segment, brands.is_some());
    Read { brands, prft, events, sequence: moof.mfhd.sequence_number, samples }
}

fn version_of(bytes: &[u8], kind: &[u8; 4]) -> u8 {
    let at = bytes.windows(4).position(|window| window == kind).unwrap();
    bytes[at + 4]
}

/// The segments of an output; the last is `None`-terminated if it is still open.
pub(crate) fn segments(outputs: impl IntoIterator<Item = Output>) -> (Vec<Vec<Part>>, Vec<Part>) {
    let (mut done, mut open) = (Vec::new(), Vec::new());
    for output in outputs {
        match output {
            Output::Part(part) => {
                assert_eq!(part.starts_segment, open.is_empty());
                open.push(part);
            }
            Output::SegmentEnd => {
                assert!(!open.is_empty(), "an empty segment");
                done.push(std::mem::take(&mut open));
            }
        }
    }
    (done, open)
}

/// The length of some parts, in the track's timescale.
pub(crate) fn length(parts: &[Part]) -> u64 {
    parts.iter().map(|part| part.duration).sum()
}

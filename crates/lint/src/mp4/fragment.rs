use std::hash::{DefaultHasher, Hasher};

use super::codec::{begins_sequence, is_encrypted};
use super::{Kind, Track, boxes, child, header, u32_at, u64_at};

/// The samples of one track in a part or segment, over all its movie fragments.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TrackFragment {
    pub(crate) track: u32,
    pub(crate) kind: Kind,
    pub(crate) timescale: u32,
    /// Decode time of the first sample in ticks: `tfdt`.
    pub(crate) start: u64,
    pub(crate) samples: Vec<Sample>,
    /// Decode times at which a movie fragment does not begin where the one before it ended.
    pub(crate) jumps: Vec<(u64, u64)>,
}

/// A sample of a movie fragment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) duration: u32,
    pub(crate) composition: i64,
    /// Whether its flags call it a sync sample.
    pub(crate) sync: bool,
    /// Whether its data is a picture that decoding can begin at, where that can be told.
    pub(crate) begins_sequence: Option<bool>,
    /// Of its data.
    pub(crate) hash: u64,
}

/// What is in a part or segment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fragment {
    pub(crate) tracks: Vec<TrackFragment>,
    /// Movie fragments that do not say where their decode time begins.
    pub(crate) without_time: usize,
    /// Movie fragments whose samples lie outside of the bytes.
    pub(crate) cut_off: usize,
}

impl TrackFragment {
    /// Ticks that its samples last.
    pub(crate) fn duration(&self) -> u64 {
        self.samples.iter().map(|sample| u64::from(sample.duration)).sum()
    }

    /// Presentation time of the earliest sample in ticks.
    pub(crate) fn first_shown(&self) -> i64 {
        let mut decoded = i64::try_from(self.start).unwrap_or(i64::MAX);
        let mut first = i64::MAX;
        for sample in &self.samples {
            first = first.min(decoded.saturating_add(sample.composition));
            decoded = decoded.saturating_add(i64::from(sample.duration));
        }
        first
    }
}

impl Fragment {
    /// Reads the movie fragments in `bytes`, which belong to the tracks of an init section.
    pub(crate) fn read(bytes: &[u8], tracks: &[Track]) -> Self {
        let mut found = Self::default();
        let mut at = 0;
        while let Some((head, size)) = bytes.get(at..).and_then(header) {
            let Some(this) = bytes.get(at..at + size) else { break };
            if this.get(4..8) == Some(b"moof") {
                for (_, traf) in boxes(&this[head..]).filter(|(name, _)| *name == b"traf") {
                    found.traf(traf, &bytes[at..], tracks);
                }
            }
            at += size;
        }
        found
    }

    /// The video track, or the first there is.
    pub(crate) fn leading(&self) -> Option<&TrackFragment> {
        self.tracks.iter().find(|track| track.kind == Kind::Video).or_else(|| self.tracks.first())
    }

    /// One track fragment; offsets of samples count from the start of `moof`.
    fn traf(&mut self, traf: &[u8], from_moof: &[u8], tracks: &[Track]) -> Option<()> {
        let tfhd = child(traf, b"tfhd")?;
        let (flags, id) = (u32_at(tfhd, 0)? & 0xff_ffff, u32_at(tfhd, 4)?);
        let track = tracks.iter().find(|track| track.id == id)?;
        let mut optional = Fields { bytes: tfhd.get(8..)?, flags };
        optional.skip(0x1, 8);
        optional.skip(0x2, 4);
        let defaults = Defaults {
            duration: optional.take(0x8).unwrap_or(track.default_duration),
            size: optional.take(0x10).unwrap_or(track.default_size),
            flags: optional.take(0x20).unwrap_or(track.default_flags),
        };
        let tfdt = child(traf, b"tfdt");
        let time = tfdt.and_then(|tfdt| match tfdt.first()? {
            1 => u64_at(tfdt, 4),
            _ => u32_at(tfdt, 4).map(u64::from),
        });
        let Some(start) = time else {
            self.without_time += 1;
            return None;
        };
        let place = self.tracks.iter().position(|known| known.track == id);
        let place = place.unwrap_or_else(|| {
            let (kind, timescale) = (track.kind, track.timescale);
            self.tracks.push(TrackFragment {
                track: id,
                kind,
                timescale,
                start,
                samples: Vec::new(),
                jumps: Vec::new(),
            });
            self.tracks.len() - 1
        });
        let whole = &mut self.tracks[place];
        let expected = whole.start + whole.duration();
        if start != expected {
            whole.jumps.push((expected, start));
        }
        let mut data_at = 0;
        for (_, trun) in boxes(traf).filter(|(name, _)| *name == b"trun") {
            if run(trun, &defaults, from_moof, track, &mut data_at, &mut whole.samples).is_none() {
                self.cut_off += 1;
            }
        }
        Some(())
    }
}

struct Defaults {
    duration: u32,
    size: u32,
    flags: u32,
}

/// Fields that are there if a flag says so.
struct Fields<'a> {
    bytes: &'a [u8],
    flags: u32,
}

impl Fields<'_> {
    fn skip(&mut self, flag: u32, length: usize) {
        if self.flags & flag != 0 {
            self.bytes = self.bytes.get(length..).unwrap_or_default();
        }
    }

    fn take(&mut self, flag: u32) -> Option<u32> {
        let value = (self.flags & flag != 0).then(|| u32_at(self.bytes, 0))?;
        self.skip(flag, 4);
        value
    }
}

/// One track run; `None` where its samples are not all there.
fn run(
    trun: &[u8],
    defaults: &Defaults,
    from_moof: &[u8],
    track: &Track,
    data_at: &mut usize,
    samples: &mut Vec<Sample>,
) -> Option<()> {
    const NON_SYNC: u32 = 0x1_0000;
    let (flags, count) = (u32_at(trun, 0)?, u32_at(trun, 4)?);
    let mut fields = Fields { bytes: trun.get(8..)?, flags };
    if let Some(offset) = fields.take(0x1) {
        *data_at = offset as usize;
    }
    let first_flags = fields.take(0x4);
    for index in 0..count {
        let duration = fields.take(0x100).unwrap_or(defaults.duration);
        let size = fields.take(0x200).unwrap_or(defaults.size) as usize;
        let own = fields.take(0x400);
        let sample_flags =
            own.or_else(|| first_flags.filter(|_| index == 0)).unwrap_or(defaults.flags);
        let composition = fields.take(0x800).unwrap_or(0);
        // Version 1 is signed. In version 0 nobody writes what would need the highest bit.
        let composition = i64::from(composition.cast_signed());
        let data = from_moof.get(*data_at..data_at.checked_add(size)?)?;
        *data_at += size;
        let mut hasher = DefaultHasher::new();
        hasher.write(data);
        let video = track.kind == Kind::Video && !is_encrypted(&track.codec);
        samples.push(Sample {
            duration,
            composition,
            sync: sample_flags & NON_SYNC == 0,
            begins_sequence: video.then(|| begins_sequence(&track.codec, data)).flatten(),
            hash: hasher.finish(),
        });
    }
    Some(())
}

//! Writing one part: `styp`, `prft`, `moof`, `mdat` (ISO 14496-12 §8.8, §8.16).
//!
//! Written by hand: mp4-atom picks box versions by value (`prft` version 0 while times are small), needs
//! a copy of all media, and the layout of a part is fixed (docs/adr/0003-own-cmaf-packager.md).

use bytes::{BufMut, Bytes, BytesMut};

/// The only track of every rendition.
pub(crate) const TRACK_ID: u32 = 1;

/// A finished part.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Part {
    /// Decode time of the first sample, in the track's timescale; equal to its `tfdt`.
    pub base_decode_time: u64,
    /// Length in the track's timescale.
    pub duration: u64,
    /// It holds a sample that decoding can start at (EXT-X-PART's INDEPENDENT).
    pub independent: bool,
    /// It is the first of a segment.
    pub starts_segment: bool,
    /// How many samples are in it.
    pub samples: u32,
    /// The boxes.
    pub bytes: Bytes,
    /// Where its `moof` begins in them.
    pub(crate) moof_at: usize,
}

/// What a packager has made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Output {
    /// The next part of the open segment; it opens one if there is none.
    Part(Part),
    /// The open segment is complete: the parts since the last `SegmentEnd`, one after the other.
    SegmentEnd,
}

/// One sample on its way into a part.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) duration: u32,
    pub(crate) composition_offset: i32,
    pub(crate) sync: bool,
    pub(crate) data: Bytes,
}

impl Sample {
    /// sample_flags (§8.8.3.1): depends on no other, or depends on others and is no sync sample.
    const fn flags(&self) -> u32 {
        if self.sync { 0x0200_0000 } else { 0x0101_0000 }
    }
}

/// Writes the parts of one track.
#[derive(Debug)]
pub(crate) struct PartWriter {
    timescale: u32,
    sequence_number: u32,
    anchor: Option<i64>,
}

impl PartWriter {
    pub(crate) const fn new(timescale: u32) -> Self {
        Self { timescale, sequence_number: 0, anchor: None }
    }

    /// Unix time in microseconds of the timeline's zero; from then on every part says its wall-clock time.
    pub(crate) const fn set_anchor(&mut self, unix_micros: i64) {
        self.anchor = Some(unix_micros);
    }

    /// The part of these samples.
    pub(crate) fn write(
        &mut self,
        base_decode_time: u64,
        starts_segment: bool,
        samples: &[Sample],
    ) -> Part {
        self.sequence_number = self.sequence_number.wrapping_add(1);
        let media: usize = samples.iter().map(|sample| sample.data.len()).sum();
        let mut out = BytesMut::with_capacity(media + 16 * samples.len() + 192);
        if starts_segment {
            put_box(&mut out, b"styp", |out| {
                out.put_slice(b"cmfs");
                out.put_u32(0);
                out.put_slice(b"cmfscmffcmfliso6");
            });
        }
        if let Some(anchor) = self.anchor {
            put_full_box(&mut out, b"prft", 1, prft_flags::REAL_TIME, |out| {
                out.put_u32(TRACK_ID);
                out.put_u64(ntp_time(anchor, base_decode_time, self.timescale));
                out.put_u64(base_decode_time);
            });
        }
        let moof_at = out.len();
        put_moof(&mut out, self.sequence_number, base_decode_time, samples);
        put_box(&mut out, b"mdat", |out| {
            for sample in samples {
                out.put_slice(&sample.data);
            }
        });
        Part {
            base_decode_time,
            duration: samples.iter().map(|sample| u64::from(sample.duration)).sum(),
            independent: samples.iter().any(|sample| sample.sync),
            starts_segment,
            samples: length(samples.len()),
            bytes: out.freeze(),
            moof_at,
        }
    }
}

mod prft_flags {
    /// The offset from wall-clock time is constant (8) and meant to be zero (16) (§8.16.5).
    pub(super) const REAL_TIME: u32 = 24;
}

mod tfhd_flags {
    pub(super) const DEFAULT_DURATION: u32 = 0x8;
    pub(super) const DEFAULT_FLAGS: u32 = 0x20;
    pub(super) const DEFAULT_BASE_IS_MOOF: u32 = 0x2_0000;
}

mod trun_flags {
    pub(super) const DATA_OFFSET: u32 = 0x1;
    pub(super) const DURATION: u32 = 0x100;
    pub(super) const SIZE: u32 = 0x200;
    pub(super) const FLAGS: u32 = 0x400;
    pub(super) const COMPOSITION_OFFSET: u32 = 0x800;
}

fn put_moof(out: &mut BytesMut, sequence_number: u32, base_decode_time: u64, samples: &[Sample]) {
    // What all samples share is said once.
    let first = samples.first();
    let duration = first.map(|sample| sample.duration);
    let duration = duration.filter(|&value| samples.iter().all(|sample| sample.duration == value));
    let flags = first.map(Sample::flags);
    let flags = flags.filter(|&value| samples.iter().all(|sample| sample.flags() == value));
    let offsets = samples.iter().any(|sample| sample.composition_offset != 0);

    let mut tfhd = tfhd_flags::DEFAULT_BASE_IS_MOOF;
    let mut trun = trun_flags::DATA_OFFSET | trun_flags::SIZE;
    if duration.is_some() {
        tfhd |= tfhd_flags::DEFAULT_DURATION;
    } else {
        trun |= trun_flags::DURATION;
    }
    if flags.is_some() {
        tfhd |= tfhd_flags::DEFAULT_FLAGS;
    } else {
        trun |= trun_flags::FLAGS;
    }
    if offsets {
        trun |= trun_flags::COMPOSITION_OFFSET;
    }

    let moof_at = out.len();
    let mut data_offset_at = moof_at;
    put_box(out, b"moof", |out| {
        put_full_box(out, b"mfhd", 0, 0, |out| out.put_u32(sequence_number));
        put_box(out, b"traf", |out| {
            put_full_box(out, b"tfhd", 0, tfhd, |out| {
                out.put_u32(TRACK_ID);
                duration.into_iter().chain(flags).for_each(|value| out.put_u32(value));
            });
            put_full_box(out, b"tfdt", 1, 0, |out| out.put_u64(base_decode_time));
            put_full_box(out, b"trun", 1, trun, |out| {
                out.put_u32(length(samples.len()));
                data_offset_at = out.len();
                out.put_u32(0);
                for sample in samples {
                    if duration.is_none() {
                        out.put_u32(sample.duration);
                    }
                    out.put_u32(length(sample.data.len()));
                    if flags.is_none() {
                        out.put_u32(sample.flags());
                    }
                    if offsets {
                        out.put_i32(sample.composition_offset);
                    }
                }
            });
        });
    });
    // The media begins behind the header of the mdat that follows.
    let data_offset = length(out.len() - moof_at + 8);
    out[data_offset_at..data_offset_at + 4].copy_from_slice(&data_offset.to_be_bytes());
}

/// A box (§4.2): its length is filled in once its body is written.
fn put_box(out: &mut BytesMut, kind: &[u8; 4], body: impl FnOnce(&mut BytesMut)) {
    let at = out.len();
    out.put_u32(0);
    out.put_slice(kind);
    body(out);
    let size = length(out.len() - at);
    out[at..at + 4].copy_from_slice(&size.to_be_bytes());
}

pub(crate) fn put_full_box(
    out: &mut BytesMut,
    kind: &[u8; 4],
    version: u8,
    flags: u32,
    body: impl FnOnce(&mut BytesMut),
) {
    put_box(out, kind, |out| {
        out.put_u32(u32::from(version) << 24 | flags);
        body(out);
    });
}

/// A length for a 32-bit field. A part is at most seconds of media, each unit bounded by the
/// demultiplexer: 4 GiB are out of reach.
pub(crate) fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// The 64-bit NTP time (RFC 5905 §6) of `ticks` on a timeline whose zero is `anchor` in Unix microseconds.
fn ntp_time(anchor: i64, ticks: u64, timescale: u32) -> u64 {
    const UNIX_EPOCH_IN_NTP: i128 = 2_208_988_800;
    let scale = i128::from(timescale);
    let micros = i128::from(anchor) + (i128::from(ticks) * 1_000_000 + scale / 2) / scale;
    let seconds = micros.div_euclid(1_000_000) + UNIX_EPOCH_IN_NTP;
    let fraction = (micros.rem_euclid(1_000_000) << 32) / 1_000_000;
    // The upper half counts seconds of the current era: it wraps in 2036.
    let wrapped = (seconds << 32 | fraction).rem_euclid(1 << 64);
    u64::try_from(wrapped).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_time_counts_from_1900_and_wraps_with_its_era() {
        // 2026-11-22T00:00:00.5Z, and half a second into 2036-02-07T06:28:16Z, where era 1 begins.
        assert_eq!(ntp_time(1_795_305_600_500_000, 0, 90_000), 4_004_294_400 << 32 | 1 << 31);
        assert_eq!(ntp_time(2_085_978_496_000_000, 45_000, 90_000), 1 << 31);
    }
}

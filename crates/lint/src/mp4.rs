//! As much of ISO/IEC 14496-12 as the rules look at: tracks of an init section, samples of a fragment.

mod codec;
mod fragment;

pub(crate) use fragment::{Fragment, Sample, TrackFragment};

/// What a track holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Video,
    Audio,
    Other,
}

/// A track of an init section.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Track {
    pub(crate) id: u32,
    pub(crate) kind: Kind,
    /// Ticks per second.
    pub(crate) timescale: u32,
    /// As CODECS names it (RFC 6381); the sample entry's type where the rest is not known.
    pub(crate) codec: String,
    pub(crate) size: Option<(u16, u16)>,
    default_duration: u32,
    default_size: u32,
    default_flags: u32,
}

/// The tracks of an init section; `None` where it has no `moov` with a track.
pub(crate) fn tracks(bytes: &[u8]) -> Option<Vec<Track>> {
    let moov = child(bytes, b"moov")?;
    let mut tracks: Vec<Track> = boxes(moov)
        .filter(|(name, _)| *name == b"trak")
        .filter_map(|(_, trak)| track(trak))
        .collect();
    let mvex = child(moov, b"mvex").unwrap_or_default();
    for (_, trex) in boxes(mvex).filter(|(name, _)| *name == b"trex") {
        let Some(id) = u32_at(trex, 4) else { continue };
        for track in tracks.iter_mut().filter(|track| track.id == id) {
            track.default_duration = u32_at(trex, 12).unwrap_or(0);
            track.default_size = u32_at(trex, 16).unwrap_or(0);
            track.default_flags = u32_at(trex, 20).unwrap_or(0);
        }
    }
    Some(tracks).filter(|tracks| !tracks.is_empty())
}

fn track(trak: &[u8]) -> Option<Track> {
    let tkhd = child(trak, b"tkhd")?;
    let mdia = child(trak, b"mdia")?;
    let (mdhd, hdlr) = (child(mdia, b"mdhd")?, child(mdia, b"hdlr")?);
    let (id_at, timescale_at) = if tkhd.first() == Some(&1) { (20, 20) } else { (12, 12) };
    let kind = match hdlr.get(8..12)? {
        b"vide" => Kind::Video,
        b"soun" => Kind::Audio,
        _ => Kind::Other,
    };
    let stsd = child(child(child(mdia, b"minf")?, b"stbl")?, b"stsd")?;
    let (entry, content) = boxes(stsd.get(8..)?).next()?;
    Some(Track {
        id: u32_at(tkhd, id_at)?,
        kind,
        timescale: u32_at(mdhd, timescale_at).filter(|scale| *scale > 0)?,
        codec: codec::name(entry, content),
        size: (kind == Kind::Video).then(|| u16_at(content, 24).zip(u16_at(content, 26))).flatten(),
        default_duration: 0,
        default_size: 0,
        default_flags: 0,
    })
}

/// Whether bytes are MPEG-TS, by their sync bytes.
pub(crate) fn is_ts(bytes: &[u8]) -> bool {
    bytes.len() >= 188 && bytes.iter().step_by(188).take(5).all(|byte| *byte == 0x47)
}

/// The boxes that bytes consist of, name and content; it ends where a size makes no sense.
fn boxes(bytes: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (head, size) = header(rest)?;
        let (this, following) = rest.split_at_checked(size)?;
        rest = following;
        Some((this.get(4..8)?.try_into().ok()?, this.get(head..)?))
    })
}

/// Length of a box's header and of the box.
fn header(bytes: &[u8]) -> Option<(usize, usize)> {
    let (head, size) = match u32_at(bytes, 0)? {
        0 => (8, bytes.len()),
        1 => (16, usize::try_from(u64_at(bytes, 8)?).ok()?),
        size => (8, size as usize),
    };
    Some((head, size)).filter(|_| size >= head)
}

fn child<'a>(bytes: &'a [u8], wanted: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(bytes).find(|(name, _)| *name == wanted).map(|(_, content)| content)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

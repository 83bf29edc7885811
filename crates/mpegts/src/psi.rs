//! Program association and program maps (ISO 13818-1 §2.4.4).

use nowcast_media::{Language, VideoCodec};

use crate::packet::Packet;
use crate::{AudioKind, AudioTrack};

/// The longest section there is: twelve bits of length behind three bytes.
const MAX_SECTION: usize = 3 + 0xfff;

/// Puts the sections of one PID together.
#[derive(Debug, Default)]
pub(crate) struct Sections {
    buffer: Vec<u8>,
    /// The buffer begins with the start of a section.
    aligned: bool,
}

impl Sections {
    /// Calls `each` for every section that is whole and whose checksum is right.
    ///
    /// Packets that were lost or doubled inside a section spoil its checksum, so the continuity
    /// counter is not looked at.
    pub(crate) fn push(&mut self, packet: &Packet<'_>, mut each: impl FnMut(&[u8])) {
        let Some(payload) = packet.payload else { return };
        if !packet.start {
            self.extend(payload, &mut each);
            return;
        }
        let Some((&pointer, rest)) = payload.split_first() else { return };
        let Some((end, start)) = rest.split_at_checked(pointer.into()) else { return };
        self.extend(end, &mut each);
        self.buffer.clear();
        self.aligned = true;
        self.extend(start, &mut each);
    }

    fn extend(&mut self, bytes: &[u8], each: &mut impl FnMut(&[u8])) {
        if !self.aligned {
            return;
        }
        self.buffer.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(&[table, high, low]) = self.buffer[at..].first_chunk() {
            if table == 0xff {
                // Stuffing up to the end of the packet.
                self.aligned = false;
                break;
            }
            let length = 3 + usize::from(u16::from_be_bytes([high & 0x0f, low]));
            let Some(section) = self.buffer[at..].get(..length) else { break };
            if crc32(section) == 0 {
                each(section);
            }
            at += length;
        }
        self.buffer.drain(..at);
        debug_assert!(self.buffer.len() <= MAX_SECTION);
    }
}

/// The checksum of Annex A; 0 over a section and its own checksum.
fn crc32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| {
            crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 }
        })
    })
}

/// A program of the association table: its number, and the PID of its map.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Program {
    pub(crate) number: u16,
    pub(crate) map_pid: u16,
}

/// The programs of an association section in force.
pub(crate) fn programs(section: &[u8]) -> Option<Vec<Program>> {
    let entries = body(section, 0x00)?.1;
    let programs = entries
        .as_chunks()
        .0
        .iter()
        .map(|&[a, b, c, d]| Program { number: u16::from_be_bytes([a, b]), map_pid: pid([c, d]) });
    // Program 0 is the network information table.
    Some(programs.filter(|program| program.number != 0).collect())
}

/// What a program is made of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ProgramMap {
    pub(crate) number: u16,
    pub(crate) pcr_pid: u16,
    pub(crate) streams: Vec<Stream>,
}

/// An elementary stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Stream {
    pub(crate) pid: u16,
    pub(crate) kind: StreamKind,
}

/// What an elementary stream carries, as far as it matters here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum StreamKind {
    Video(VideoCodec),
    /// AAC with ADTS headers, and what it is for.
    Adts(Option<Language>, AudioKind),
    ForeignVideo(&'static str),
    ForeignAudio(&'static str),
    /// Subtitles, cue messages, metadata: neither carried nor missed.
    Other,
}

impl ProgramMap {
    /// Reads a program map section in force.
    pub(crate) fn parse(section: &[u8]) -> Option<Self> {
        let (number, body) = body(section, 0x02)?;
        let (&[pcr_high, pcr_low, high, low], body) = body.split_first_chunk()?;
        let mut rest = body.get(length([high, low])..)?;
        let mut streams = Vec::new();
        while let Some((&[stream_type, pid_high, pid_low, high, low], body)) =
            rest.split_first_chunk()
        {
            let (descriptors, next) = body.split_at_checked(length([high, low]))?;
            let kind = StreamKind::of(stream_type, descriptors);
            streams.push(Stream { pid: pid([pid_high, pid_low]), kind });
            rest = next;
        }
        Some(Self { number, pcr_pid: pid([pcr_high, pcr_low]), streams })
    }

    pub(crate) fn video(&self) -> Option<(u16, VideoCodec)> {
        self.streams.iter().find_map(|stream| match stream.kind {
            StreamKind::Video(codec) => Some((stream.pid, codec)),
            _ => None,
        })
    }

    /// The AAC tracks in the map's order, each PID once.
    pub(crate) fn audio(&self) -> impl Iterator<Item = AudioTrack> {
        self.streams.iter().enumerate().filter_map(|(at, &Stream { pid, kind })| match kind {
            StreamKind::Adts(language, kind)
                if self.streams[..at].iter().all(|before| before.pid != pid) =>
            {
                Some(AudioTrack { pid, language, kind })
            }
            _ => None,
        })
    }
}

impl StreamKind {
    /// stream_type (table 2-34 and the registrations in use), and descriptors for private streams.
    fn of(stream_type: u8, descriptors: &[u8]) -> Self {
        match stream_type {
            0x1b => Self::Video(VideoCodec::H264),
            0x24 => Self::Video(VideoCodec::Hevc),
            0x0f => Self::adts(descriptors),
            0x01 | 0x02 => Self::ForeignVideo("MPEG-2 video"),
            0x10 => Self::ForeignVideo("MPEG-4 part 2 video"),
            0x33 => Self::ForeignVideo("VVC"),
            0xea => Self::ForeignVideo("VC-1"),
            0x03 | 0x04 => Self::ForeignAudio("MPEG audio (MP2 or MP3)"),
            0x11 => Self::ForeignAudio("AAC in LATM"),
            0x81 => Self::ForeignAudio("AC-3"),
            0x87 => Self::ForeignAudio("E-AC-3"),
            0x06 => Self::private(descriptors),
            _ => Self::Other,
        }
    }

    /// By the first language of an ISO 639 language descriptor (§2.6.18).
    fn adts(descriptors: &[u8]) -> Self {
        let found = self::descriptors(descriptors).find_map(|descriptor| match descriptor {
            (0x0a, &[a, b, c, audio_type, ..]) => Some(([a, b, c], audio_type)),
            _ => None,
        });
        let (code, audio_type) = found.unwrap_or_default();
        Self::Adts(Language::from_iso_639_2(code), AudioKind::of(audio_type))
    }

    fn private(descriptors: &[u8]) -> Self {
        let kind = self::descriptors(descriptors).find_map(|descriptor| match descriptor {
            (0x6a, _) | (0x05, b"AC-3") => Some(Self::ForeignAudio("AC-3")),
            (0x7a, _) | (0x05, b"EAC3") => Some(Self::ForeignAudio("E-AC-3")),
            (0x05, b"Opus") => Some(Self::ForeignAudio("Opus")),
            (0x05, b"BSSD") => Some(Self::ForeignAudio("SMPTE 302M audio")),
            (0x05, b"AV01") => Some(Self::ForeignVideo("AV1")),
            _ => None,
        });
        kind.unwrap_or(Self::Other)
    }
}

/// Tags and bodies of descriptors, up to one that is cut off.
fn descriptors(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[tag, length], body) = bytes.split_first_chunk()?;
        let (body, next) = body.split_at_checked(length.into())?;
        bytes = next;
        Some((tag, body))
    })
}

/// table_id_extension and what lies between the header of a section in force and its checksum.
fn body(section: &[u8], table: u8) -> Option<(u16, &[u8])> {
    let (&[id, _, _, high, low, version, _, _], rest) = section.split_first_chunk()?;
    let current = version & 1 == 1;
    let body = rest.split_last_chunk::<4>()?.0;
    (id == table && current).then_some((u16::from_be_bytes([high, low]), body))
}

fn pid([high, low]: [u8; 2]) -> u16 {
    u16::from_be_bytes([high & 0x1f, low])
}

fn length([high, low]: [u8; 2]) -> usize {
    u16::from_be_bytes([high & 0x0f, low]).into()
}

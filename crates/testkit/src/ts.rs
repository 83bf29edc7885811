//! MPEG-TS as muxers write it: tables, PES packets, stuffing in the last packet of each.

use std::collections::BTreeMap;

/// Bytes of a transport packet.
pub const PACKET: usize = 188;
/// The PID of the program association table.
pub const PAT: u16 = 0;

/// Writes a transport stream.
#[derive(Debug, Default)]
pub struct TsWriter {
    bytes: Vec<u8>,
    continuity: BTreeMap<u16, u8>,
}

/// A PES packet to be written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pes<'a> {
    /// The PID it goes to.
    pub pid: u16,
    /// 0xe0 for video, which leaves the length open; 0xc0 for audio, which tells it.
    pub stream_id: u8,
    /// When it is shown, in 90 kHz; 33 bits of it are written.
    pub pts: Option<u64>,
    /// When it is decoded, where that differs.
    pub dts: Option<u64>,
    /// The program clock in 90 kHz, to stand in the first packet.
    pub pcr: Option<u64>,
    /// What it carries.
    pub payload: &'a [u8],
}

impl TsWriter {
    /// A writer at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was written since the last call.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Leaves out the next number of a PID's continuity counter, as a lost packet does.
    pub fn lose_packet(&mut self, pid: u16) {
        self.next_continuity(pid);
    }

    /// A program association table: numbers of programs and the PIDs of their maps.
    pub fn pat(&mut self, version: u8, programs: &[(u16, u16)]) {
        let body = programs.iter().flat_map(|(number, pid)| {
            let [high, low] = pid.to_be_bytes();
            let [a, b] = number.to_be_bytes();
            [a, b, 0xe0 | high, low]
        });
        self.section(PAT, 0x00, 1, version, &body.collect::<Vec<u8>>());
    }

    /// A program map: stream types, PIDs and descriptors; the first stream carries the clock.
    pub fn pmt(&mut self, pid: u16, number: u16, version: u8, streams: &[(u8, u16, &[u8])]) {
        let [high, low] = streams.first().map_or(0x1fff, |stream| stream.1).to_be_bytes();
        let mut body = vec![0xe0 | high, low, 0xf0, 0];
        for (stream_type, pid, descriptors) in streams {
            let [high, low] = pid.to_be_bytes();
            let length = u8::try_from(descriptors.len()).unwrap_or(u8::MAX);
            body.extend([*stream_type, 0xe0 | high, low, 0xf0, length]);
            body.extend_from_slice(descriptors);
        }
        self.section(pid, 0x02, number, version, &body);
    }

    /// A PES packet, its last transport packet filled up by the adaptation field.
    pub fn pes(&mut self, pes: Pes<'_>) {
        let mut header = Vec::new();
        if let Some(pts) = pes.pts {
            header.extend(timestamp(if pes.dts.is_some() { 3 } else { 2 }, pts));
        }
        if let Some(dts) = pes.dts {
            header.extend(timestamp(1, dts));
        }
        let flags =
            if pes.pts.is_some() { 0x80 } else { 0 } | if pes.dts.is_some() { 0x40 } else { 0 };
        let told =
            if pes.stream_id & 0xf0 == 0xe0 { 0 } else { 3 + header.len() + pes.payload.len() };
        let [high, low] = u16::try_from(told).unwrap_or(0).to_be_bytes();
        let header_len = u8::try_from(header.len()).unwrap_or(u8::MAX);
        let mut bytes = vec![0, 0, 1, pes.stream_id, high, low, 0x80, flags, header_len];
        bytes.extend(header);
        bytes.extend_from_slice(pes.payload);

        let mut rest = &bytes[..];
        let mut start = true;
        while !rest.is_empty() {
            let pcr = pes.pcr.filter(|_| start);
            let room = PACKET - 4 - if pcr.is_some() { 8 } else { 0 };
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.packet(pes.pid, start, pcr, now);
            (rest, start) = (later, false);
        }
    }

    /// One transport packet; a payload that does not fill it is preceded by stuffing.
    pub fn packet(&mut self, pid: u16, start: bool, pcr: Option<u64>, payload: &[u8]) {
        let continuity = self.next_continuity(pid);
        let [high, low] = pid.to_be_bytes();
        let spare = PACKET - 4 - payload.len();
        let control = if spare > 0 { 0x30 } else { 0x10 };
        self.bytes.extend([0x47, if start { 0x40 } else { 0 } | high, low, control | continuity]);
        if spare > 0 {
            let length = u8::try_from(spare - 1).unwrap_or(u8::MAX);
            self.bytes.push(length);
            let mut field = Vec::new();
            if let Some(pcr) = pcr {
                let [.., a, b, c, d, e] = ((pcr & 0x1_ffff_ffff) << 7 | 0x7e).to_be_bytes();
                field = vec![0x10, a, b, c, d, e, 0];
            } else if length > 0 {
                field.push(0);
            }
            field.resize(usize::from(length), 0xff);
            self.bytes.extend(field);
        }
        self.bytes.extend_from_slice(payload);
    }

    fn section(&mut self, pid: u16, table: u8, number: u16, version: u8, body: &[u8]) {
        let [high, low] = u16::try_from(5 + body.len() + 4).unwrap_or(u16::MAX).to_be_bytes();
        let [number_high, number_low] = number.to_be_bytes();
        let mut section = vec![table, 0xb0 | high, low, number_high, number_low];
        section.extend([0xc1 | version << 1, 0, 0]);
        section.extend_from_slice(body);
        section.extend(crc32(&section).to_be_bytes());
        section.insert(0, 0); // pointer_field
        for (index, chunk) in section.chunks(PACKET - 4).enumerate() {
            let mut payload = chunk.to_vec();
            payload.resize(PACKET - 4, 0xff);
            self.packet(pid, index == 0, None, &payload);
        }
    }

    fn next_continuity(&mut self, pid: u16) -> u8 {
        let next = self.continuity.entry(pid).or_default();
        let continuity = *next;
        *next = (continuity + 1) & 15;
        continuity
    }
}

fn timestamp(prefix: u8, time: u64) -> [u8; 5] {
    let group =
        |shift: u32, bits: u64| ((time >> shift & ((1 << bits) - 1)) << 1 | 1).to_be_bytes();
    let ([.., high], [.., b, c], [.., d, e]) = (group(30, 3), group(15, 15), group(0, 15));
    [prefix << 4 | high, b, c, d, e]
}

/// CRC-32/MPEG-2.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for bit in bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)) {
        let top = crc >> 31 == 1;
        crc <<= 1;
        if top != bit {
            crc ^= 0x04c1_1db7;
        }
    }
    crc
}

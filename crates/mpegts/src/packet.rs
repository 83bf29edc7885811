//! Transport packets: where they start, and their headers (ISO 13818-1 §2.4.3).

/// Bytes of a transport packet.
pub(crate) const LEN: usize = 188;
/// The first byte of every packet.
const SYNC: u8 = 0x47;
/// How many packets in a row must start with [`SYNC`] before a place is believed to be a packet's start.
const PROOF: usize = 3;

/// Cuts bytes that come in any chunks into packets.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    /// Bytes of a packet that is not whole yet.
    rest: Vec<u8>,
    synced: bool,
    /// How often a packet did not start where the one before it ended.
    pub(crate) losses: u64,
}

impl Splitter {
    /// Calls `each` for every packet that is whole now.
    pub(crate) fn push(&mut self, bytes: &[u8], each: impl FnMut(&[u8; LEN])) {
        if self.rest.is_empty() {
            let used = self.split(bytes, each);
            self.rest.extend_from_slice(&bytes[used..]);
        } else {
            let mut joined = std::mem::take(&mut self.rest);
            joined.extend_from_slice(bytes);
            let used = self.split(&joined, each);
            joined.drain(..used);
            self.rest = joined;
        }
    }

    /// Gives the packets in `bytes`, and how many bytes they and what lies between them take.
    fn split(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8; LEN])) -> usize {
        let mut at = 0;
        loop {
            if !self.synced {
                let Some(start) = bytes[at..].iter().position(|&byte| byte == SYNC) else {
                    return bytes.len();
                };
                at += start;
                if bytes.len() - at <= (PROOF - 1) * LEN {
                    return at;
                }
                self.synced = (1..PROOF).all(|packet| bytes[at + packet * LEN] == SYNC);
                if !self.synced {
                    at += 1;
                    continue;
                }
            }
            let Some(packet) = bytes[at..].first_chunk::<LEN>() else { return at };
            if packet[0] == SYNC {
                each(packet);
                at += LEN;
            } else {
                self.synced = false;
                self.losses += 1;
            }
        }
    }
}

/// What a transport packet says.
#[derive(Debug)]
pub(crate) struct Packet<'a> {
    pub(crate) pid: u16,
    /// payload_unit_start_indicator.
    pub(crate) start: bool,
    pub(crate) continuity: u8,
    /// discontinuity_indicator: the continuity counter may jump here.
    pub(crate) discontinuity: bool,
    /// The program clock, in ticks of 27 MHz.
    pub(crate) pcr: Option<u64>,
    /// Its adaptation field is longer than what it says: muxers fill up so the last packet of a PES.
    pub(crate) stuffed: bool,
    pub(crate) payload: Option<&'a [u8]>,
}

impl<'a> Packet<'a> {
    /// Reads a packet; `None` for one that is flagged as damaged, scrambled, or contradicts itself.
    pub(crate) fn parse(bytes: &'a [u8; LEN]) -> Option<Self> {
        let [_, high, low, control, body @ ..] = bytes;
        let (error, scrambled) = (high & 0x80 != 0, control & 0xc0 != 0);
        if error || scrambled {
            return None;
        }
        let mut packet = Self {
            pid: u16::from_be_bytes([high & 0x1f, *low]),
            start: high & 0x40 != 0,
            continuity: control & 0x0f,
            discontinuity: false,
            pcr: None,
            stuffed: false,
            payload: None,
        };
        let mut payload = &body[..];
        if control & 0x20 != 0 {
            let (&length, rest) = body.split_first()?;
            let (field, rest) = rest.split_at_checked(length.into())?;
            packet.read_adaptation_field(field)?;
            payload = rest;
        }
        if control & 0x10 != 0 {
            packet.payload = Some(payload).filter(|payload| !payload.is_empty());
            packet.payload?;
        }
        Some(packet)
    }

    /// §2.4.3.4; `field` is what follows adaptation_field_length.
    fn read_adaptation_field(&mut self, field: &[u8]) -> Option<()> {
        let Some((&flags, rest)) = field.split_first() else {
            self.stuffed = true;
            return Some(());
        };
        self.discontinuity = flags & 0x80 != 0;
        let mut rest = rest;
        let mut take = |count: usize| {
            let (taken, left) = rest.split_at_checked(count)?;
            rest = left;
            Some(taken)
        };
        if flags & 0x10 != 0 {
            let pcr = take(6)?;
            let base = pcr[..4].iter().fold(0, |base, &byte| base << 8 | u64::from(byte)) << 1
                | u64::from(pcr[4] >> 7);
            let extension = u64::from(pcr[4] & 1) << 8 | u64::from(pcr[5]);
            self.pcr = Some(base * 300 + extension);
        }
        if flags & 0x08 != 0 {
            take(6)?; // OPCR
        }
        if flags & 0x04 != 0 {
            take(1)?; // splice_countdown
        }
        for present in [flags & 0x02, flags & 0x01] {
            // transport_private_data, adaptation_field_extension
            if present != 0 {
                let length = take(1)?[0];
                take(length.into())?;
            }
        }
        self.stuffed = flags == 0 || !rest.is_empty();
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(filler: u8) -> [u8; LEN] {
        let mut packet = [filler; LEN];
        packet[..4].copy_from_slice(&[SYNC, 0x01, 0, 0x10]);
        packet
    }

    #[test]
    fn packets_are_found_again_behind_rubbish_that_looks_like_a_start() {
        let mut bytes = vec![SYNC; 40];
        bytes.extend((0..4).flat_map(|_| packet(1)));
        bytes.extend([9; 17]);
        bytes.extend((0..4).flat_map(|_| packet(2)));
        for chunk in [1, 17, 188, 1316, bytes.len()] {
            let (mut splitter, mut found) = (Splitter::default(), Vec::new());
            for chunk in bytes.chunks(chunk) {
                splitter.push(chunk, |packet| found.push(packet[187]));
            }
            assert_eq!(found, [1, 1, 1, 1, 2, 2, 2, 2], "in chunks of {chunk}");
            assert_eq!(splitter.losses, 1);
        }
    }

    #[test]
    fn an_adaptation_field_without_a_spare_byte_is_no_stuffing() {
        let stuffed = |field: &[u8]| {
            let mut bytes = packet(0xff);
            bytes[3] = 0x30;
            bytes[4..4 + field.len()].copy_from_slice(field);
            Packet::parse(&bytes).map(|packet| (packet.stuffed, packet.pcr))
        };
        assert_eq!(stuffed(&[0]), Some((true, None)));
        assert_eq!(stuffed(&[1, 0x00]), Some((true, None)));
        assert_eq!(stuffed(&[1, 0x40]), Some((false, None)));
        assert_eq!(stuffed(&[7, 0x50, 0, 0, 0, 1, 0x80, 7]), Some((false, Some(3 * 300 + 7))));
        assert_eq!(stuffed(&[8, 0x50, 0, 0, 0, 1, 0x80, 7]), Some((true, Some(3 * 300 + 7))));
        assert_eq!(stuffed(&[4, 0x02, 2, 9, 9]), Some((false, None)));
        assert_eq!(stuffed(&[4, 0x02, 3, 9, 9]), None, "private data runs past the field");
        assert_eq!(stuffed(&[183]), None, "no room for the payload it announces");
    }
}

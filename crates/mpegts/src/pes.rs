//! PES packets: put together from transport packets, and ended as early as can be (ISO 13818-1 §2.4.3.6).

use bytes::{Bytes, BytesMut};

use crate::demuxer::Health;
use crate::packet::Packet;

/// The longest PES that is put together: above any picture of 4K; 200 Mbit/s at 24 fps is 1 MiB a picture.
const MAX_LEN: usize = 8 << 20;
/// What a new buffer holds: a picture of 4 Mbit/s at 30 fps.
const FIRST_CAPACITY: usize = 16 << 10;

/// A whole PES packet.
#[derive(Debug, PartialEq)]
pub(crate) struct Pes {
    /// 33 bits.
    pub(crate) pts: Option<u64>,
    /// 33 bits; absent where it equals `pts`.
    pub(crate) dts: Option<u64>,
    pub(crate) payload: Bytes,
    /// Where packets are missing from the payload, the first time.
    pub(crate) gap: Option<usize>,
    /// Packets are missing between the PES before and this one.
    pub(crate) after_loss: bool,
}

/// Puts the PES packets of one PID together.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    continuity: Option<u8>,
    /// The last payload, to know it again when the packet is sent twice.
    last: Vec<u8>,
    doubled: bool,
    pending: Option<Pending>,
    /// The last packet was filled up by its adaptation field.
    stuffed: bool,
    early_end: EarlyEnd,
    /// Packets were missing since the last start of a PES.
    lost: bool,
}

#[derive(Debug)]
struct Pending {
    data: BytesMut,
    gap: Option<usize>,
    after_loss: bool,
}

/// Whether a stuffed packet ends a PES of unknown length on this PID.
///
/// Most muxers fill up the last packet of a PES and no other, but none is bound to. So it is
/// believed after three PES that ended so, and no longer once one went on behind its stuffing.
#[derive(Debug, PartialEq)]
enum EarlyEnd {
    Seen(u8),
    Refuted,
}

impl Default for EarlyEnd {
    fn default() -> Self {
        Self::Seen(0)
    }
}

impl EarlyEnd {
    const PROOF: u8 = 3;

    fn learn(&mut self, pes_ended: bool) {
        match self {
            Self::Seen(times) if pes_ended => *times = times.saturating_add(1),
            Self::Seen(_) => *self = Self::Refuted,
            Self::Refuted => {}
        }
    }

    fn is_believed(&self) -> bool {
        matches!(self, Self::Seen(times) if *times >= Self::PROOF)
    }
}

impl Assembler {
    /// Takes a packet and calls `each` for the PES it ends: none, one, or two where a whole one
    /// follows one that could not be known to be over.
    pub(crate) fn push(
        &mut self,
        packet: &Packet<'_>,
        health: &mut Health,
        each: &mut impl FnMut(Pes),
    ) {
        let Some(payload) = packet.payload else { return };
        match self.check_continuity(packet, payload) {
            Continuity::Doubled => return,
            Continuity::Lost => {
                health.continuity_errors += u64::from(!packet.discontinuity);
                self.lost = true;
                if let Some(pending) = &mut self.pending {
                    pending.gap.get_or_insert(pending.data.len());
                }
            }
            Continuity::Whole if self.stuffed => self.early_end.learn(packet.start),
            Continuity::Whole => {}
        }
        self.stuffed = packet.stuffed;

        if packet.start {
            self.finish(health, each);
            let data = BytesMut::with_capacity(FIRST_CAPACITY);
            let after_loss = std::mem::take(&mut self.lost);
            self.pending = Some(Pending { data, gap: None, after_loss });
        }
        let Some(pending) = &mut self.pending else { return };
        pending.data.extend_from_slice(payload);

        let mut is_over = match declared_len(&pending.data) {
            Some(Some(length)) => pending.data.len() >= length,
            Some(None) => packet.stuffed && self.early_end.is_believed(),
            None => false,
        };
        if pending.data.len() > MAX_LEN {
            pending.gap.get_or_insert(MAX_LEN);
            is_over = true;
        }
        if is_over {
            self.finish(health, each);
        }
    }

    /// Gives the PES that is not known to be over.
    pub(crate) fn finish(&mut self, health: &mut Health, each: &mut impl FnMut(Pes)) {
        let Some(mut pending) = self.pending.take() else { return };
        if let Some(Some(length)) = declared_len(&pending.data) {
            if pending.data.len() < length {
                pending.gap.get_or_insert(pending.data.len());
            }
            pending.data.truncate(length);
        }
        if let Some(pes) = Pes::parse(pending) {
            each(pes);
        } else {
            health.damaged_packets += 1;
            self.lost = true;
        }
    }

    fn check_continuity(&mut self, packet: &Packet<'_>, payload: &[u8]) -> Continuity {
        let last = self.continuity.replace(packet.continuity);
        if last == Some(packet.continuity) && !self.doubled && self.last == payload {
            self.doubled = true;
            return Continuity::Doubled;
        }
        self.doubled = false;
        self.last.clear();
        self.last.extend_from_slice(payload);
        if last.is_none_or(|last| (last + 1) & 15 == packet.continuity) {
            return Continuity::Whole;
        }
        Continuity::Lost
    }
}

enum Continuity {
    Whole,
    Lost,
    /// A packet may be sent twice (§2.4.3.3).
    Doubled,
}

/// The bytes of a PES by its header: `None` before that is there, `Some(None)` for one of unknown length.
fn declared_len(data: &[u8]) -> Option<Option<usize>> {
    let &[_, _, _, _, high, low] = data.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    Some((length > 0).then_some(6 + length))
}

impl Pes {
    /// Reads the header; `None` for what is none.
    fn parse(Pending { data, gap, after_loss }: Pending) -> Option<Self> {
        let data = data.freeze();
        let (&[0, 0, 1, _, _, _, marker, flags, header_len], rest) = data.split_first_chunk()?
        else {
            return None;
        };
        if marker & 0xc0 != 0x80 {
            return None;
        }
        let header = rest.get(..header_len.into())?;
        let has_pts = flags & 0x80 != 0;
        let has_dts = has_pts && flags & 0x40 != 0;
        let pts = if has_pts { Some(timestamp(header)?) } else { None };
        let dts = if has_dts { Some(timestamp(header.get(5..)?)?) } else { None };
        let start = 9 + header.len();
        Some(Self {
            pts,
            dts,
            gap: gap.map(|at| at.saturating_sub(start)),
            after_loss,
            payload: data.slice(start..),
        })
    }
}

/// 33 bits in five bytes, a marker bit behind each group.
fn timestamp(header: &[u8]) -> Option<u64> {
    let bytes: [u64; 5] = header.first_chunk::<5>()?.map(u64::from);
    if bytes[0] & bytes[2] & bytes[4] & 1 != 1 {
        return None;
    }
    let [high, middle, low] =
        [bytes[0] >> 1 & 7, bytes[1] << 7 | bytes[2] >> 1, bytes[3] << 7 | bytes[4] >> 1];
    Some(high << 30 | middle << 15 | low)
}

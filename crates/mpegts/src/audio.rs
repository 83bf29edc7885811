//! AAC frames out of PES packets: a PES holds many, and a frame may go on in the next PES.

use std::num::NonZeroU32;

use bytes::{Bytes, BytesMut};
use nowcast_media::{AacConfig, AdtsHeader, AudioFrame, MediaTime};

use crate::demuxer::Output;
use crate::pes::{Assembler, Pes};
use crate::timeline::Track;
use crate::{AudioTrack, Event};

/// The longest ADTS frame: 13 bits of length.
const MAX_FRAME: usize = 0x1fff;

/// An audio track.
#[derive(Debug)]
pub(crate) struct Audio {
    pub(crate) track: AudioTrack,
    pub(crate) assembler: Assembler,
    /// What the last PES left over: the front of a frame.
    carry: BytesMut,
    /// The carry, or else the next PES, begins with a header.
    synced: bool,
    config: Option<AacConfig>,
    anchor: Option<Anchor>,
}

/// A moment that frames are counted from, so that roundings do not add up.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    /// By the track's own stamps: what another track's jump does to the epoch's clock comes on top.
    stamp: MediaTime,
    frames: i64,
    sample_rate: u32,
}

impl Anchor {
    fn next(&self) -> MediaTime {
        let samples = self.frames * i64::from(AacConfig::FRAME_SAMPLES);
        let rate = NonZeroU32::new(self.sample_rate).unwrap_or(NonZeroU32::MIN);
        self.stamp + MediaTime::from_scale(samples, rate)
    }
}

impl Audio {
    pub(crate) fn new(track: AudioTrack) -> Self {
        Self {
            track,
            assembler: Assembler::default(),
            carry: BytesMut::new(),
            synced: false,
            config: None,
            anchor: None,
        }
    }

    /// Hands on the frames that end in a PES.
    ///
    /// What stands behind a gap is left out: how many frames are missing, and so when the rest is
    /// heard, only the next PES tells.
    pub(crate) fn take(&mut self, pes: &Pes, output: &mut Output) {
        if pes.after_loss {
            self.lose();
        }
        let track = Track::Audio(self.track.pid);
        let carried = self.carry.len();
        let usable = pes.gap.unwrap_or(pes.payload.len()).min(pes.payload.len());
        self.carry.extend_from_slice(&pes.payload[..usable]);
        let data = self.carry.split().freeze();
        let mut stamp = pes.pts;
        let mut at = 0;
        while let Some(header) = self.find(&data, &mut at, output) {
            // A stamp is that of the first frame that begins in its PES (ISO 13818-1 §2.4.3.7).
            if at >= carried
                && let Some(stamp) = stamp.take()
            {
                let time = output.place(track, stamp).time;
                let stamp = time - output.timeline.offset(track);
                let sample_rate = header.config.sample_rate;
                self.anchor = Some(Anchor { stamp, frames: 0, sample_rate });
            }
            let end = at + header.frame_len;
            if end > data.len() {
                break;
            }
            self.hand_on(header.config, data.slice(at + header.header_len..end), output);
            at = end;
        }
        self.carry.extend_from_slice(&data[at..]);
        if pes.gap.is_some() {
            self.lose();
        }
        if let Some(anchor) = self.anchor {
            let next = anchor.next() + output.timeline.offset(track);
            output.timeline.expect(track, next);
        }
    }

    fn lose(&mut self) {
        self.carry.clear();
        self.synced = false;
        self.anchor = None;
    }

    /// The header at `at`, or once that is lost, at the next place where another header follows the
    /// frame. Moves `at` there, or to what is to be looked at again with the next PES.
    fn find(&mut self, data: &[u8], at: &mut usize, output: &mut Output) -> Option<AdtsHeader> {
        if self.synced {
            let rest = &data[*at..];
            if rest.len() < AdtsHeader::MIN_LEN {
                return None;
            }
            if let Some(header) = AdtsHeader::parse(rest)
                && followed_by(rest, header.frame_len).unwrap_or(true)
            {
                return Some(header);
            }
            self.synced = false;
            output.health.damaged_packets += 1;
        }
        for start in *at..data.len() {
            let rest = &data[start..];
            if let Some(header) = AdtsHeader::parse(rest)
                && (followed_by(rest, header.frame_len) == Some(true)
                    || rest.len() == header.frame_len)
            {
                *at = start;
                self.synced = true;
                return Some(header);
            }
        }
        *at = (*at).max(data.len().saturating_sub(MAX_FRAME));
        None
    }

    fn hand_on(&mut self, config: AacConfig, data: Bytes, output: &mut Output) {
        if self.config != Some(config) {
            self.config = Some(config);
            output.events.push_back(match config.channels {
                0 => Event::Unsupported(format!(
                    "AAC on PID {} tells its channels inside the stream and cannot be carried; \
                     set the encoder's audio to mono, stereo or 5.1",
                    self.track.pid
                )),
                _ => Event::AudioFormat(self.track.pid, config),
            });
        }
        let Some(anchor) = &mut self.anchor else { return };
        if anchor.sample_rate != config.sample_rate {
            let (stamp, sample_rate) = (anchor.next(), config.sample_rate);
            *anchor = Anchor { stamp, frames: 0, sample_rate };
        }
        let track = Track::Audio(self.track.pid);
        let time = anchor.next() + output.timeline.offset(track);
        anchor.frames += 1;
        if config.channels > 0 {
            let pts = output.timeline.rising(track, time);
            output.events.push_back(Event::Audio(self.track.pid, AudioFrame { pts, data }));
        }
    }
}

/// Is there a header behind the frame? `None` where that is not there to be seen.
fn followed_by(frame: &[u8], length: usize) -> Option<bool> {
    let next = frame.get(length..)?;
    (next.len() >= AdtsHeader::MIN_LEN).then(|| AdtsHeader::parse(next).is_some())
}

//! What the supervisor and its worker say to each other, over a Unix socket pair.
//!
//! A message is its length in four bytes (big-endian, without these four), one byte that says what it is, and
//! its body. Numbers are big-endian.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use thiserror::Error;

/// No message is longer: ten times the largest key frame of 4K at 100 Mbit/s.
pub(super) const MAX_MESSAGE: usize = 16 << 20;

/// What a worker is to do.
#[derive(Clone, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
pub(super) struct Job {
    /// The launch text of the decoder: appsrc `units`, appsink `pictures`. Without a source there is none.
    pub(super) decode: Option<String>,
    /// The launch text of scalers and encoders: appsrc `raw`, appsinks `rung0`, `rung1`, ….
    pub(super) encode: String,
    /// How many rungs.
    pub(super) rungs: u8,
    /// Width and height of the highest rung: the shape every picture is brought to.
    pub(super) shape: (u32, u32),
    /// Frames a second, as a fraction.
    pub(super) rate: (u32, u32),
    /// Frames in a part and in a segment: they decide where key frames are …
    pub(super) part_frames: u32,
    pub(super) segment_frames: u32,
    /// … counted from here, where a segment begins.
    pub(super) first_index: i64,
    /// The first frame to encode.
    pub(super) resume_index: i64,
}

/// From the supervisor to the worker.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum ToWorker {
    /// The first message.
    Job(Box<Job>),
    /// An access unit; `seq` names it in [`FromWorker::Taken`].
    Unit { seq: u64, pts: i64, dts: i64, data: Bytes },
    /// The frames before `until` are due, whether pictures came or not.
    Fill { until: i64, slate: bool },
    /// The launch text of the decoder of the units that follow.
    Decode(String),
    /// The picture of the slate, in PNG.
    Slate(Bytes),
}

/// From the worker to the supervisor.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum FromWorker {
    /// A coded frame.
    Coded { rung: u8, key: bool, index: i64, data: Bytes },
    /// The decoder is given this access unit now: if the worker dies, it is the suspect.
    Taken { seq: u64 },
    /// Four times a second; the first says that the graphs run.
    Stats(Stats),
    /// Why the worker is about to end.
    Error(String),
    /// What the worker cannot do, although it goes on.
    Problem(String),
}

/// What a worker counts, since it started.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Stats {
    pub(super) pictures: u64,
    pub(super) repeated: u64,
    pub(super) skipped: u64,
}

/// The other end does not speak this protocol.
#[derive(Debug, Error, Eq, PartialEq)]
pub(super) enum WireError {
    #[error("a message of {0} bytes")]
    Long(usize),
    #[error("a message of kind {0} that makes no sense")]
    Senseless(u8),
}

/// Room for what a message needs beyond its data.
const OVERHEAD: usize = 64;

impl ToWorker {
    /// Whether an access unit fits into a message.
    pub(super) const fn fits(data: &Bytes) -> bool {
        data.len() <= MAX_MESSAGE - OVERHEAD
    }

    /// Appends this message.
    pub(super) fn write(&self, out: &mut BytesMut) {
        match self {
            Self::Job(job) => message(out, 0, |out| {
                let text = serde_json::to_vec(job).unwrap_or_default();
                out.put_slice(&text);
            }),
            Self::Unit { seq, pts, dts, data } => message(out, 1, |out| {
                out.put_u64(*seq);
                out.put_i64(*pts);
                out.put_i64(*dts);
                out.put_slice(data);
            }),
            Self::Fill { until, slate } => message(out, 2, |out| {
                out.put_i64(*until);
                out.put_u8(u8::from(*slate));
            }),
            Self::Decode(text) => message(out, 3, |out| out.put_slice(text.as_bytes())),
            Self::Slate(image) => message(out, 4, |out| out.put_slice(image)),
        }
    }

    /// Takes the first whole message from what was received.
    pub(super) fn take(received: &mut BytesMut) -> Result<Option<Self>, WireError> {
        let Some((kind, mut body)) = split(received)? else { return Ok(None) };
        let message = match kind {
            0 => serde_json::from_slice(&body).ok().map(Self::Job),
            1 if body.len() >= 24 => Some(Self::Unit {
                seq: body.get_u64(),
                pts: body.get_i64(),
                dts: body.get_i64(),
                data: body,
            }),
            2 if body.len() == 9 => {
                Some(Self::Fill { until: body.get_i64(), slate: body.get_u8() != 0 })
            }
            3 => Some(Self::Decode(String::from_utf8_lossy(&body).into_owned())),
            4 => Some(Self::Slate(body)),
            _ => None,
        };
        message.map(Some).ok_or(WireError::Senseless(kind))
    }
}

impl FromWorker {
    /// Appends this message.
    pub(super) fn write(&self, out: &mut BytesMut) {
        match self {
            Self::Coded { rung, key, index, data } => message(out, 0, |out| {
                out.put_u8(*rung);
                out.put_u8(u8::from(*key));
                out.put_i64(*index);
                out.put_slice(data);
            }),
            Self::Taken { seq } => message(out, 1, |out| out.put_u64(*seq)),
            Self::Stats(stats) => message(out, 2, |out| {
                out.put_u64(stats.pictures);
                out.put_u64(stats.repeated);
                out.put_u64(stats.skipped);
            }),
            Self::Error(text) => message(out, 3, |out| out.put_slice(text.as_bytes())),
            Self::Problem(text) => message(out, 4, |out| out.put_slice(text.as_bytes())),
        }
    }

    /// Takes the first whole message from what was received.
    pub(super) fn take(received: &mut BytesMut) -> Result<Option<Self>, WireError> {
        let Some((kind, mut body)) = split(received)? else { return Ok(None) };
        let message = match kind {
            0 if body.len() >= 10 => Self::Coded {
                rung: body.get_u8(),
                key: body.get_u8() != 0,
                index: body.get_i64(),
                data: body,
            },
            1 if body.len() == 8 => Self::Taken { seq: body.get_u64() },
            2 if body.len() == 24 => Self::Stats(Stats {
                pictures: body.get_u64(),
                repeated: body.get_u64(),
                skipped: body.get_u64(),
            }),
            3 => Self::Error(String::from_utf8_lossy(&body).into_owned()),
            4 => Self::Problem(String::from_utf8_lossy(&body).into_owned()),
            _ => return Err(WireError::Senseless(kind)),
        };
        Ok(Some(message))
    }
}

fn message(out: &mut BytesMut, kind: u8, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    out.put_u8(kind);
    body(out);
    let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

fn split(received: &mut BytesMut) -> Result<Option<(u8, Bytes)>, WireError> {
    let Some((length, _)) = received.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if length == 0 || length > MAX_MESSAGE {
        return Err(WireError::Long(length));
    }
    if received.len() < 4 + length {
        received.reserve(4 + length - received.len());
        return Ok(None);
    }
    received.advance(4);
    let mut body = received.split_to(length).freeze();
    Ok(Some((body.get_u8(), body)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_survive_the_socket_in_pieces_of_any_size() {
        let sent = [
            FromWorker::Stats(Stats { pictures: 1, repeated: 2, skipped: 3 }),
            FromWorker::Taken { seq: u64::MAX },
            FromWorker::Coded { rung: 2, key: true, index: -7, data: Bytes::from_static(b"frame") },
            FromWorker::Error("x264enc is missing".into()),
        ];
        let mut bytes = BytesMut::new();
        sent.iter().for_each(|message| message.write(&mut bytes));
        let mut received = BytesMut::new();
        let mut got = Vec::new();
        for piece in bytes.chunks(3) {
            received.put_slice(piece);
            got.extend(std::iter::from_fn(|| FromWorker::take(&mut received).unwrap()));
        }
        assert_eq!(got, sent);
    }

    proptest! {
        #[test]
        fn noise_is_an_error_or_incomplete_and_never_a_panic(noise in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut received = BytesMut::from(&noise[..]);
            while let Ok(Some(_)) = ToWorker::take(&mut received) {}
            let mut received = BytesMut::from(&noise[..]);
            while let Ok(Some(_)) = FromWorker::take(&mut received) {}
        }

        #[test]
        fn units_and_fills_arrive_as_they_were_sent(seq: u64, pts: i64, dts: i64, data: Vec<u8>) {
            let fill = ToWorker::Fill { until: pts, slate: seq % 2 == 0 };
            for sent in [ToWorker::Unit { seq, pts, dts, data: data.into() }, fill] {
                let mut bytes = BytesMut::new();
                sent.write(&mut bytes);
                prop_assert_eq!(ToWorker::take(&mut bytes), Ok(Some(sent)));
            }
        }
    }
}

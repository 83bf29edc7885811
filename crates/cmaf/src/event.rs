//! Timed metadata as boxes in front of a part's `moof`: ID3 in `emsg`
//! (ISO 23009-1 §5.10.3.3.4; AOM, "Carriage of ID3 Timed Metadata in CMAF").

use bytes::{BufMut, Bytes, BytesMut};

use crate::part::{Part, length, put_full_box};

/// What the payload is, as players know it: an ID3v2 tag.
const SCHEME: &[u8] = b"https://aomedia.org/emsg/ID3\0";
/// Names the server's messages: `value` of the box, description of the tag's frame.
const NAME: &[u8] = b"nowcast\0";
const TIMESCALE: u32 = 90_000;

/// A piece of timed metadata.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Event<'a> {
    /// When it happens, in 90 kHz ticks of the presentation timeline, which is that of `tfdt`.
    pub presentation_time: u64,
    /// How long it lasts, in ticks; hls.js takes a millisecond and less, and 2³² − 1, for endless.
    pub duration: u32,
    /// Names it among those of its time.
    pub id: u32,
    /// What it says. A NUL cannot be told from the end of a text: it is left out.
    pub text: &'a str,
}

/// The events as boxes for [`Part::with_events`]; empty if there are none.
#[must_use]
pub fn events<'a>(events: impl IntoIterator<Item = Event<'a>>) -> Bytes {
    let mut out = BytesMut::new();
    for event in events {
        put_full_box(&mut out, b"emsg", 1, 0, |out| {
            out.put_u32(TIMESCALE);
            out.put_u64(event.presentation_time);
            out.put_u32(event.duration);
            out.put_u32(event.id);
            out.put_slice(SCHEME);
            out.put_slice(NAME);
            put_tag(out, &event.text.replace('\0', ""));
        });
    }
    out.freeze()
}

/// An ID3v2.4 tag with one user-defined text frame (id3v2.4.0-structure §3, §4; -frames §4.2.6).
fn put_tag(out: &mut BytesMut, text: &str) {
    const HEADER: usize = 10;
    const UTF_8: u8 = 3;
    let content = 1 + NAME.len() + text.len();
    out.put_slice(b"ID3");
    out.put_slice(&[4, 0, 0]); // version 2.4.0, no flags
    out.put_u32(syncsafe(length(HEADER + content)));
    out.put_slice(b"TXXX");
    out.put_u32(syncsafe(length(content)));
    out.put_u16(0); // no flags
    out.put_u8(UTF_8);
    out.put_slice(NAME);
    out.put_slice(text.as_bytes());
}

/// Seven bits to a byte (id3v2.4.0-structure §6.2): 256 MiB at the most, which no event comes near.
const fn syncsafe(length: u32) -> u32 {
    length & 0x7f | (length & 0x3f80) << 1 | (length & 0x1f_c000) << 2 | (length & 0xfe0_0000) << 3
}

impl Part {
    /// The part with boxes of [`events`] in front of its `moof`; without any it is not copied.
    #[must_use]
    pub fn with_events(mut self, events: &[u8]) -> Self {
        if !events.is_empty() {
            let moof = self.moof_at;
            let mut out = BytesMut::with_capacity(self.bytes.len() + events.len());
            for piece in [&self.bytes[..moof], events, &self.bytes[moof..]] {
                out.put_slice(piece);
            }
            self.bytes = out.freeze();
        }
        self
    }
}

//! Timed metadata, read back byte by byte: ISO 23009-1 §5.10.3.3.4, id3v2.4.0-structure §3 and §4.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nowcast_cmaf::{Event, events};

fuzz_target!(|pieces: Vec<(u64, u32, u32, &str)>| {
    let written = events(pieces.iter().map(|&(presentation_time, duration, id, text)| Event {
        presentation_time,
        duration,
        id,
        text,
    }));
    let mut rest = &written[..];
    for (time, duration, id, text) in pieces {
        let size = number(&rest[..4], 8);
        let (mut one, following) = rest.split_at(size);
        rest = following;
        let mut take = |count: usize| {
            let (taken, left) = one.split_at(count);
            one = left;
            taken
        };
        assert_eq!(take(12)[4..], *b"emsg\x01\0\0\0");
        assert_eq!(number(take(4), 8), 90_000);
        assert_eq!(take(8), time.to_be_bytes());
        assert_eq!((take(4), take(4)), (&duration.to_be_bytes()[..], &id.to_be_bytes()[..]));
        assert_eq!(take(29), b"https://aomedia.org/emsg/ID3\0");
        assert_eq!(take(8), b"nowcast\0");
        assert_eq!(take(6), b"ID3\x04\0\0");
        let tag = number(take(4), 7);
        assert_eq!(take(4), b"TXXX");
        let frame = number(take(4), 7);
        assert_eq!(tag, 10 + frame, "the tag is its frame");
        assert_eq!(take(3), [0, 0, 3]);
        assert_eq!(take(8), b"nowcast\0");
        let value = take(frame - 9);
        assert_eq!(value, text.replace('\0', "").as_bytes());
        assert!(take(0).is_empty() && one.is_empty(), "nothing is left over");
    }
    assert!(rest.is_empty());
});

fn number(bytes: &[u8], bits: u32) -> usize {
    bytes.iter().fold(0, |number, byte| number << bits | usize::from(*byte))
}

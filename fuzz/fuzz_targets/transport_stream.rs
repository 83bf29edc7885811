//! A transport stream from outside: what is found does not depend on how the bytes were cut, and
//! decode times rise.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use nowcast_mpegts::{Demuxer, Event};

fuzz_target!(|data: &[u8]| {
    let whole = events(data, data.len().max(1));
    // A prime: no packet begins where a chunk does for long.
    assert_eq!(whole, events(data, 101), "the same bytes in other chunks");

    let mut last = None;
    for event in whole {
        match event {
            Event::Epoch | Event::Tracks { .. } => last = None,
            Event::Video(unit) => {
                assert!(last.is_none_or(|last| unit.dts > last), "{:?} after {last:?}", unit.dts);
                last = Some(unit.dts);
            }
            _ => {}
        }
    }
});

fn events(data: &[u8], chunk: usize) -> Vec<Event> {
    let mut demuxer = Demuxer::new();
    let mut events = Vec::new();
    for chunk in data.chunks(chunk) {
        demuxer.push(chunk, Duration::ZERO);
        events.extend(std::iter::from_fn(|| demuxer.poll_event()));
    }
    demuxer.finish();
    events.extend(std::iter::from_fn(|| demuxer.poll_event()));
    events
}

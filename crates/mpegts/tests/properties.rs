//! Laws that hold for every input.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use nowcast_mpegts::{Demuxer, Event};
use nowcast_testkit::tools::ffmpeg;
use nowcast_testkit::ts::PACKET;
use proptest::prelude::*;

/// Two seconds of pictures of many packets, with audio.
static STREAM: LazyLock<Vec<u8>> = LazyLock::new(|| {
    ffmpeg(
        "-f lavfi -i testsrc2=size=640x360:rate=30 -f lavfi -i sine=sample_rate=48000 -t 2 \
         -c:v libx264 -preset ultrafast -bf 2 -g 10 -c:a aac -f mpegts",
    )
    .to_vec()
});

fn demux(chunks: impl IntoIterator<Item = impl AsRef<[u8]>>) -> (Vec<Event>, Demuxer) {
    let mut demuxer = Demuxer::new();
    let mut events = Vec::new();
    for chunk in chunks {
        demuxer.push(chunk.as_ref(), Duration::ZERO);
        events.extend(std::iter::from_fn(|| demuxer.poll_event()));
    }
    demuxer.finish();
    events.extend(std::iter::from_fn(|| demuxer.poll_event()));
    (events, demuxer)
}

/// What no consumer may ever see.
fn check_order(events: &[Event]) {
    let (mut dts, mut pts, mut format, mut started) = (None, BTreeMap::new(), false, false);
    for event in events {
        match event {
            Event::Epoch => {
                dts = None;
                pts.clear();
            }
            Event::Tracks { .. } => (format, started) = (false, false),
            Event::VideoFormat(..) => format = true,
            Event::Video(unit) => {
                assert!(format && (started || unit.random_access), "{event:?}");
                assert!(dts < Some(unit.dts), "{event:?} after {dts:?}");
                (dts, started) = (Some(unit.dts), true);
            }
            Event::Audio(pid, frame) => {
                let last = pts.insert(pid, frame.pts);
                assert!(last < Some(frame.pts), "{event:?} after {last:?}");
            }
            Event::AudioFormat(..) | Event::Unsupported(_) => {}
        }
    }
}

/// Bytes that get past the first checks: packets of a few PIDs, with tables and PES headers in them.
fn likely_packets() -> impl Strategy<Value = Vec<u8>> {
    let packet = (any::<[u8; 4]>(), 0_u16..3, proptest::collection::vec(any::<u8>(), PACKET - 4));
    let packet = packet.prop_map(|([high, control, field, kind], pid, body)| {
        let mut packet =
            vec![0x47, high & 0x60 | u8::from(pid == 2), u8::from(pid == 1) * 16, control & 0x3f];
        packet.extend([field % 4].iter().take(usize::from(control >> 5 & 1)));
        packet.extend(match kind % 4 {
            0 => &[0, 0, 1, 0xe0, 0, 0, 0x80, 0xc0, 10, 0x31, 0, 1, 0, 1, 0x11, 0, 1, 0, 1][..],
            1 => &[0, 0, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xf0, 0],
            2 => &[0xff, 0xf1, 0x4c, 0x80, 2, 0x1f, 0xfc],
            _ => &[],
        });
        packet.extend(body);
        packet.truncate(PACKET);
        packet
    });
    proptest::collection::vec(packet, 0..40).prop_map(|packets| packets.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop_oneof![likely_packets(), proptest::collection::vec(any::<u8>(), 0..4000)], chunk in 1_usize..700) {
        check_order(&demux(bytes.chunks(chunk)).0);
    }

    #[test]
    fn a_damaged_stream_is_the_same_in_any_chunks_and_in_order(
        faults in proptest::collection::vec((0_usize..4, any::<proptest::sample::Index>(), any::<u8>()), 0..30),
        chunk in 1_usize..3000,
    ) {
        let mut bytes = STREAM.clone();
        for (kind, at, value) in faults {
            let at = at.index(bytes.len());
            let packet = at / PACKET * PACKET;
            match kind {
                0 => bytes[at] = value,
                1 => bytes[packet + 1] |= 0x80,
                2 => drop(bytes.drain(at..(at + usize::from(value)).min(bytes.len()))),
                _ => {
                    let copy = bytes[packet..(packet + PACKET).min(bytes.len())].to_vec();
                    drop(bytes.splice(packet..packet, copy));
                }
            }
        }
        let (whole, _) = demux([&bytes]);
        check_order(&whole);
        prop_assert_eq!(whole, demux(bytes.chunks(chunk)).0);
    }

    /// Lost packets are always noticed: what is not flagged as damaged is as it was sent, at its time.
    #[test]
    fn what_lost_packets_leave_whole_is_what_was_sent(
        lost in proptest::collection::vec(any::<proptest::sample::Index>(), 1..25)
    ) {
        let packets = STREAM.len() / PACKET;
        // The tables at the start stay, and the last picture, whose end nothing else tells.
        let lost: BTreeSet<usize> = lost.iter().map(|at| 10 + at.index(packets - 100)).collect();
        let kept = STREAM.chunks(PACKET).enumerate().filter(|(at, _)| !lost.contains(at)).map(|(_, packet)| packet);
        let (events, demuxer) = demux(kept);
        check_order(&events);
        prop_assert!(demuxer.health().damaged_packets <= 2 * lost.len() as u64);

        let (sent, _) = demux([&STREAM[..]]);
        let sent: BTreeMap<Bytes, i64> = sent.iter().filter_map(frame).collect();
        for event in events.iter().filter(|event| !matches!(event, Event::Video(unit) if unit.damaged)) {
            if let Some((data, time)) = frame(event) {
                prop_assert_eq!(sent.get(&data), Some(&time));
            }
        }
    }
}

fn frame(event: &Event) -> Option<(Bytes, i64)> {
    match event {
        Event::Video(unit) => Some((unit.data.clone(), unit.dts.ticks())),
        Event::Audio(_, frame) => Some((frame.data.clone(), frame.pts.ticks())),
        _ => None,
    }
}

#[test]
fn packets_sent_twice_change_nothing() {
    let doubled = STREAM.chunks(PACKET).flat_map(|packet| [packet, packet]);
    let (events, demuxer) = demux(doubled);
    assert_eq!(events, demux([&STREAM[..]]).0);
    assert_eq!(demuxer.health().continuity_errors, 0);
}

#[test]
fn whoever_joins_in_the_middle_gets_a_random_access_point_first() {
    let (events, demuxer) = demux([&STREAM[STREAM.len() / 3..]]);
    check_order(&events);
    let first = events.iter().find_map(|event| match event {
        Event::Video(unit) => Some(unit),
        _ => None,
    });
    assert!(first.unwrap().random_access);
    assert!(demuxer.health().skipped_pictures > 0);
}

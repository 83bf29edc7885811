//! Events in parts: the box as mp4-atom reads it, the tag in it as the `id3` crate does.

use std::io::Cursor;

use id3::{Tag, Version};
use mp4_atom::EmsgTimestamp;
use nowcast_cmaf::{Cut, Event, Part, VideoPackager, events};
use nowcast_media::VideoCodec;
use proptest::prelude::*;

use crate::reader::read;
use crate::video::{drain, grid, unit};

/// The first part of a stream, with `styp` and `prft`.
fn part() -> Part {
    let grid = grid((30, 1), 200);
    let mut packager = VideoPackager::new(VideoCodec::H264, grid, Cut::Counted);
    packager.set_anchor(1_795_305_600_000_000);
    for index in 0..6 {
        let time = grid.rate.frame_start(index);
        packager.handle_unit(&unit(index, time, time, index == 0)).unwrap();
    }
    let nowcast_cmaf::Output::Part(part) = drain(&mut packager).remove(0) else {
        panic!("no part")
    };
    part
}

/// The one text of a tag, by the name it has there.
fn text_of(tag: &[u8]) -> (String, String) {
    let mut reader = Cursor::new(tag);
    let read = Tag::read_from2(&mut reader).expect("a tag");
    assert_eq!(reader.position(), tag.len() as u64, "nothing behind the tag");
    assert_eq!((read.version(), tag[5]), (Version::Id3v24, 0), "2.4, no flags");
    assert_eq!((&tag[10..14], &tag[18..21]), (b"TXXX".as_slice(), [0, 0, 3].as_slice()));
    assert_eq!(read.frames().count(), 1);
    let text = read.extended_texts().next().expect("a TXXX frame");
    (text.description.clone(), text.value.clone())
}

/// JSON as it comes: any text, of any length around where sizes need another byte.
fn texts() -> impl Strategy<Value = String> {
    let long = (100..20_000_usize, "[a-z❤é漢🎉]").prop_map(|(count, c)| c.repeat(count));
    prop_oneof!["[^\\x00]{0,80}", "[ -~❤é漢🎉]{90,140}", long]
}

proptest! {
    #[test]
    fn events_are_read_as_they_were_written(
        told in prop::collection::vec((any::<u64>(), any::<u32>(), any::<u32>(), texts()), 0..4),
    ) {
        let plain = part();
        let before = read(&plain);
        let boxes = events(told.iter().map(|(presentation_time, duration, id, text)| Event {
            presentation_time: *presentation_time,
            duration: *duration,
            id: *id,
            text,
        }));
        let carried = plain.clone().with_events(&boxes);
        prop_assert_eq!(carried.bytes.len(), plain.bytes.len() + boxes.len());
        let after = read(&carried);
        prop_assert_eq!((&after.prft, after.samples), (&before.prft, before.samples));
        prop_assert_eq!(after.events.len(), told.len());
        for (emsg, (time, duration, id, text)) in after.events.iter().zip(&told) {
            prop_assert_eq!(&emsg.scheme_id_uri, "https://aomedia.org/emsg/ID3");
            prop_assert_eq!(&emsg.value, "nowcast");
            prop_assert_eq!((emsg.timescale, emsg.event_duration, emsg.id), (90_000, *duration, *id));
            // Only version 1 has an absolute time.
            prop_assert_eq!(&emsg.presentation_time, &EmsgTimestamp::Absolute(*time));
            prop_assert_eq!(text_of(&emsg.message_data), ("nowcast".to_owned(), text.clone()));
        }
    }
}

#[test]
fn a_part_without_events_is_not_copied() {
    let part = part();
    let same = part.clone().with_events(&events([]));
    assert_eq!(same.bytes.as_ptr(), part.bytes.as_ptr());
}

//! What muxers do, packet by packet.

use std::time::Duration;

use nowcast_media::{AccessUnit, Language, VideoCodec, hevc, nal};
use nowcast_mpegts::{AudioKind, AudioTrack, Demuxer, Event, Health, MAX_AUDIO};
use nowcast_testkit::tools::ffmpeg;
use nowcast_testkit::ts::{PACKET, Pes, TsWriter};

const MAP: u16 = 0x1000;
const VIDEO: u16 = 0x100;
const AUDIO: u16 = 0x101;

/// x264's parameter sets for 1280x720, and the front of an IDR picture.
const IDR: &[u8] = &[
    0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x67, 0x64, 0, 0x1f, 0xac, 0xd9, 0x40, 0x50, 5, 0xbb, 1, 0x10,
    0, 0, 3, 0, 0x10, 0, 0, 3, 3, 0xc0, 0xf1, 0x83, 0x19, 0x60, 0, 0, 0, 1, 0x68, 0xeb, 0xe3, 0xcb,
    0x22, 0xc0, 0, 0, 1, 0x65, 0x88, 0x84,
];

/// A muxer and the demultiplexer it writes to.
struct Link {
    writer: TsWriter,
    demuxer: Demuxer,
    pictures: u64,
}

impl Link {
    fn new() -> Self {
        let mut link = Self { writer: TsWriter::new(), demuxer: Demuxer::new(), pictures: 0 };
        link.writer.pat(0, &[(1, MAP)]);
        link.writer.pmt(MAP, 1, 0, &[(0x1b, VIDEO, &[]), (0x0f, AUDIO, &[])]);
        let tracks = link.send();
        // The first packets wait until there are enough to be sure where they start.
        assert_eq!(tracks, []);
        link
    }

    fn send(&mut self) -> Vec<Event> {
        self.demuxer.push(&self.writer.take(), Duration::ZERO);
        std::iter::from_fn(|| self.demuxer.poll_event()).collect()
    }

    /// Sends a picture whose PES fills `packets` packets but for `spare` bytes.
    fn picture(&mut self, packets: usize, spare: usize) -> Vec<Event> {
        let mut payload = IDR.to_vec();
        let header = 14;
        payload.resize(packets * (PACKET - 4) - header - spare, 0xaa);
        self.pictures += 1;
        let pts = Some(90_000 + self.pictures * 3000);
        self.writer.pes(Pes {
            pid: VIDEO,
            stream_id: 0xe0,
            pts,
            payload: &payload,
            ..Pes::default()
        });
        self.send()
    }

    fn health(&self) -> Health {
        self.demuxer.health()
    }
}

fn tracks(audio: &[(u16, Option<&[u8; 3]>)]) -> Event {
    let track = |&(pid, code): &(u16, Option<&[u8; 3]>)| {
        let language = code.and_then(|code| Language::from_iso_639_2(*code));
        AudioTrack { pid, language, kind: AudioKind::Undefined }
    };
    Event::Tracks { video: Some(VideoCodec::H264), audio: audio.iter().map(track).collect() }
}

fn pictures(events: &[Event]) -> Vec<&AccessUnit> {
    let units = events.iter().filter_map(|event| match event {
        Event::Video(unit) => Some(unit),
        _ => None,
    });
    units.collect()
}

#[test]
fn a_picture_is_handed_on_with_its_last_packet_once_the_muxer_is_known() {
    let mut link = Link::new();
    let known: usize = (0..4).map(|_| pictures(&link.picture(3, 20)).len()).sum();
    assert_eq!(
        known, 4,
        "the third picture's end is the proof; it comes with the fourth, and that one by itself"
    );
    for spare in [1, 2, 20, 183] {
        assert_eq!(pictures(&link.picture(2, spare)).len(), 1, "{spare} bytes of stuffing");
    }
    assert_eq!(
        pictures(&link.picture(2, 0)).len(),
        0,
        "nothing tells the end of a PES that fills its packets"
    );
    assert_eq!(pictures(&link.picture(2, 20)).len(), 2);
}

#[test]
fn a_muxer_that_stuffs_in_the_middle_costs_one_picture() {
    let mut link = Link::new();
    for _ in 0..5 {
        link.picture(2, 20);
    }
    for _ in 0..3 {
        // A packet that is stuffed, and one that goes on behind it.
        let mut header = vec![0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5, 0x21, 0, 0x2b, 0xf2, 1];
        link.pictures += 1;
        header[12..14]
            .copy_from_slice(&u16::try_from((link.pictures * 6000) | 1).unwrap().to_be_bytes());
        let mut payload = header;
        payload.extend_from_slice(IDR);
        link.writer.packet(VIDEO, true, None, &payload);
        link.writer.packet(VIDEO, false, None, &[0xbb; 184]);
    }
    let events = link.send();
    let lengths: Vec<usize> = pictures(&events).iter().map(|unit| unit.data.len()).collect();
    assert_eq!(lengths, [IDR.len(), IDR.len() + 184], "the last one is not known to be over");
}

#[test]
fn a_lost_packet_damages_its_picture_and_no_other() {
    let mut link = Link::new();
    for _ in 0..5 {
        link.picture(3, 20);
    }
    let before = link.picture(4, 20);
    assert!(pictures(&before).iter().all(|unit| !unit.damaged));
    link.writer.pes(Pes {
        pid: VIDEO,
        stream_id: 0xe0,
        pts: Some(200_000),
        payload: &[IDR, &[1; 700]].concat(),
        ..Pes::default()
    });
    let mut bytes = link.writer.take();
    bytes.drain(2 * PACKET..3 * PACKET);
    link.demuxer.push(&bytes, Duration::ZERO);
    let events: Vec<Event> = std::iter::from_fn(|| link.demuxer.poll_event()).collect();
    let units = pictures(&events);
    assert_eq!(units.iter().map(|unit| unit.damaged).collect::<Vec<_>>(), [true]);
    assert_eq!(link.health().continuity_errors, 1);
    link.pictures = 50;
    assert!(!pictures(&link.picture(3, 20))[0].damaged);
}

#[test]
fn a_new_version_of_the_map_changes_the_tracks_and_names_what_cannot_be_carried() {
    let mut link = Link::new();
    let events = link.picture(3, 20);
    assert_eq!(events[0], tracks(&[(AUDIO, None)]));
    link.writer.pmt(MAP, 1, 0, &[(0x1b, VIDEO, &[]), (0x0f, AUDIO, &[])]);
    let same = link.send();
    assert!(
        !same.iter().any(|event| matches!(event, Event::Tracks { .. } | Event::Unsupported(_)))
    );

    let streams: &[(u8, u16, &[u8])] =
        &[(0x1b, 0x200, &[]), (0x06, AUDIO, &[5, 4, b'O', b'p', b'u', b's'])];
    for _ in 0..2 {
        link.writer.pmt(MAP, 1, 1, streams);
    }
    let message = "Opus on PID 257 cannot be carried; set the encoder's audio to AAC in ADTS";
    assert_eq!(link.send(), [tracks(&[]), Event::Unsupported(message.to_owned()),]);
}

#[test]
fn audio_tracks_are_taken_in_the_maps_order_each_once_and_eight_at_the_most() {
    let mut link = Link::new();
    link.picture(3, 20);
    let english = [0x52, 1, 7, 0x0a, 4, b'e', b'n', b'g', 0];
    let mut streams: Vec<(u8, u16, &[u8])> = vec![(0x1b, VIDEO, &[])];
    // A language descriptor behind another, one that is cut off, and a PID twice.
    streams.extend([(0x0f, 0x120, &english[..]), (0x0f, AUDIO, &[0x0a, 4, b'd'])]);
    streams.extend([(0x0f, AUDIO, &english[..]), (0x0f, 0x130, &[0x0a, 4, b'F', b'R', b'A', 9])]);
    link.writer.pmt(MAP, 1, 1, &streams);
    link.writer.pmt(MAP, 1, 1, &streams);
    let expected = [(0x120, Some(b"eng")), (AUDIO, None), (0x130, Some(b"fra"))];
    assert_eq!(link.send(), [tracks(&expected)]);

    streams.extend((0x140..0x150).map(|pid| (0x0f, pid, &[][..])));
    link.writer.pmt(MAP, 1, 2, &streams);
    link.writer.pmt(MAP, 1, 2, &streams);
    let events = link.send();
    let Event::Tracks { audio, .. } = &events[0] else { panic!("{events:?}") };
    assert_eq!(audio.len(), MAX_AUDIO);
    assert!(matches!(&events[1], Event::Unsupported(why) if why.contains("first 8 audio")));
    assert_eq!(events.len(), 2);
}

/// An encoder that is set up anew while it stays connected: other PIDs and another clock at once.
#[test]
fn a_track_on_a_new_pid_takes_the_clock_over_from_the_one_that_has_gone() {
    let mut link = Link::new();
    // Silence of two samples a frame: a header, and nothing.
    let frame = [0xff, 0xf1, 0x4c, 0x80, 1, 0x1f, 0xfc, 0x21];
    let audio = |link: &mut Link, pid, pts| {
        let payload = frame.repeat(4);
        let pes = Pes { pid, stream_id: 0xc0, pts: Some(pts), payload: &payload, ..Pes::default() };
        link.writer.pes(pes);
    };
    for at in 0..10 {
        link.picture(3, 20);
        audio(&mut link, AUDIO, 90_000 + at * 7680);
    }
    for version in [1, 1] {
        link.writer.pmt(MAP, 1, version, &[(0x1b, VIDEO, &[]), (0x0f, 0x140, &[])]);
    }
    link.pictures += 1_000_000;
    let jumped = 90_000 + link.pictures * 3000;
    for at in 0..4 {
        audio(&mut link, 0x140, jumped + at * 7680);
    }
    let mut events = link.send();
    for _ in 0..4 {
        events.extend(link.picture(3, 20));
    }
    assert_eq!(events.iter().filter(|event| **event == Event::Epoch).count(), 1);
    let first_sound = events.iter().rev().find_map(|event| match event {
        Event::Audio(0x140, frame) => Some(frame.pts),
        _ => None,
    });
    let apart = pictures(&events).last().unwrap().dts - first_sound.unwrap();
    assert!(apart.ticks().abs() < 90_000, "{apart:?} between picture and sound");
}

#[test]
fn a_pes_without_end_is_cut_off() {
    let mut link = Link::new();
    let mut units = 0;
    for packet in 0..100_000 {
        link.writer.packet(
            VIDEO,
            packet == 0,
            None,
            &[[0, 0, 1, 0xe0, 0, 0, 0x80, 0, 0, 0].as_slice(), &[7; 174]].concat(),
        );
        units += link.send().len();
    }
    assert_eq!(units, 1, "the tracks");
    assert_eq!(link.health().damaged_packets, 1);
}

/// Two runs of an encoder on one connection: the second starts its clock again.
#[test]
fn a_restarted_source_makes_one_epoch_and_its_tracks_stay_together() {
    let source = "-f lavfi -i testsrc2=size=320x240:rate=30 -f lavfi -i sine=sample_rate=48000 -t 2 \
                  -c:v libx264 -preset ultrafast -g 30 -c:a aac";
    let first = ffmpeg(&format!("{source} -output_ts_offset 5000 -f mpegts"));
    let second = ffmpeg(&format!("{source} -output_ts_offset 20 -f mpegts"));
    let mut demuxer = Demuxer::new();
    demuxer.push(&first, Duration::ZERO);
    demuxer.push(&second, Duration::from_secs(2));
    demuxer.finish();
    let events: Vec<Event> = std::iter::from_fn(|| demuxer.poll_event()).collect();
    let epochs: Vec<usize> = (0..events.len()).filter(|&at| events[at] == Event::Epoch).collect();
    assert_eq!(epochs.len(), 1);
    let (before, after) = events.split_at(epochs[0]);
    for (name, events) in [("before", before), ("after", after)] {
        let times: Vec<i64> = events
            .iter()
            .filter_map(|event| match event {
                Event::Video(unit) => Some(unit.dts.ticks()),
                Event::Audio(_, frame) => Some(frame.pts.ticks()),
                _ => None,
            })
            .collect();
        let span = times.iter().max().unwrap() - times.iter().min().unwrap();
        assert!((160_000..200_000).contains(&span), "{name}: {span} ticks for two seconds");
    }
    assert!(pictures(after).len() >= 59, "{}", pictures(after).len());
}

#[test]
fn pictures_that_refer_to_what_was_before_the_first_random_access_point_are_left_out() {
    let stream = ffmpeg(
        "-f lavfi -i testsrc2=size=320x240:rate=30 -t 2 -c:v libx265 -preset ultrafast \
         -x265-params open-gop=1:keyint=20:min-keyint=20:bframes=4:b-adapt=0:scenecut=0:log-level=none -f mpegts",
    );
    let kinds = |stream: &[u8]| {
        let mut demuxer = Demuxer::new();
        demuxer.push(stream, Duration::ZERO);
        let events: Vec<Event> = std::iter::from_fn(|| demuxer.poll_event()).collect();
        let kinds = pictures(&events)
            .into_iter()
            .map(|unit| nal::picture_kind(VideoCodec::Hevc, &unit.data).unwrap());
        (kinds.collect::<Vec<u8>>(), demuxer.health().skipped_pictures)
    };
    let (all, none) = kinds(&stream);
    assert!(
        all.iter().any(|&kind| hevc::is_rasl(kind)),
        "the encoder makes what this test is about: {all:?}"
    );
    assert_eq!(none, 0);
    // Join between the first and the second random access point.
    let (joined, skipped) = kinds(&stream[stream.len() / 3..]);
    assert!(hevc::is_irap(joined[0]));
    let next = joined
        .iter()
        .skip(1)
        .position(|&kind| hevc::is_irap(kind))
        .map_or(joined.len(), |at| at + 1);
    assert!(!joined[..next].iter().any(|&kind| hevc::is_rasl(kind)), "{joined:?}");
    assert!(skipped > 0);
}

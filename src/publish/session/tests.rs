//! Hours of a stream in seconds: time is only what the pictures say.

mod loss;
mod metadata;
mod restart;
mod tracks;

use std::collections::BTreeMap;

use bytes::Bytes;
use nowcast_media::{AacConfig, AudioFrame, FrameRate, Language};
use nowcast_mpegts::{AudioKind, AudioTrack};
use nowcast_testkit::m3u8::MediaPlaylist;

use super::*;
use crate::config::StreamConfig;
use crate::flow::{Cues, RenditionView, StreamName};

/// Parameter sets of 1280x720 at 30 fps, and an IDR slice of nothing.
const KEY: &[u8] = &[
    0, 0, 1, 0x67, 0x64, 0, 0x1f, 0xac, 0xd9, 0x40, 0x50, 5, 0xbb, 1, 0x10, 0, 0, 3, 0, 0x10, 0, 0,
    3, 3, 0xc0, 0xf1, 0x83, 0x19, 0x60, 0, 0, 1, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0, 0, 0, 1, 0x65,
    0x88,
];
const OTHER: &[u8] = &[0, 0, 1, 0x41, 0x9a];
const START: i64 = 1_700_000_000_000_000;

/// PID of the only audio track.
const SOUND: u16 = 0x101;

fn track(pid: u16, code: Option<&[u8; 3]>, sample_rate: u32) -> SourceAudio {
    let language = code.and_then(|code| Language::from_iso_639_2(*code));
    let track = AudioTrack { pid, language, kind: AudioKind::Undefined };
    SourceAudio { track, config: Some(AacConfig { object_type: 2, sample_rate, channels: 2 }) }
}

fn source(rate: FrameRate) -> Source {
    let sets = ParameterSets::find(VideoCodec::H264, &Bytes::from_static(KEY)).unwrap();
    let format = sets.format().unwrap();
    let audio = vec![track(SOUND, None, 48_000)];
    Source { sets, format, rate, audio, held: Vec::new(), began: START }
}

fn session(mode: Mode, rate: (u32, u32), rungs: usize) -> LiveSession {
    session_of(mode, &source(FrameRate::new(rate.0, rate.1).unwrap()), rungs)
}

fn session_of(mode: Mode, source: &Source, rungs: usize) -> LiveSession {
    session_with_cues(mode, source, rungs, Arc::default())
}

fn session_with_cues(mode: Mode, source: &Source, rungs: usize, cues: Arc<Cues>) -> LiveSession {
    let config = StreamConfig { mode, ..StreamConfig::standard(StreamName::new("sim").unwrap()) };
    let rungs = ladder(rungs);
    LiveSession::new("1-1".to_owned(), &config, source, rungs, cues, START)
}

fn ladder(rungs: usize) -> Vec<Rung> {
    let rung = |at| Rung {
        name: format!("{at}p"),
        width: 1280,
        height: 720,
        bitrate: 100_000,
        encoder: "h264-x264".to_owned(),
        preset: "superfast".to_owned(),
    };
    (0..rungs).map(rung).collect()
}

fn unit(time: MediaTime, key: bool) -> AccessUnit {
    let data = Bytes::from_static(if key { KEY } else { OTHER });
    AccessUnit { pts: time, dts: time, random_access: key, damaged: false, data }
}

/// The newest view of a rendition, its playlist read strictly.
fn look(session: &LiveSession, name: &str) -> (RenditionView, MediaPlaylist) {
    let view = session.shared.renditions.load()[name].borrow().clone();
    let text = std::str::from_utf8(&view.full.plain).unwrap();
    let playlist = MediaPlaylist::read(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    playlist.check().unwrap_or_else(|error| panic!("{error}\n{text}"));
    (RenditionView::clone(&view), playlist)
}

/// Feeds audio as a muxer interleaves it: everything before `until`.
fn feed_audio(session: &mut LiveSession, sent: &mut i64, until: MediaTime) {
    loop {
        let pts = MediaTime::from_ticks(*sent * 1920);
        if pts >= until {
            return;
        }
        session
            .audio(SOUND, AudioFrame { pts, data: Bytes::from_static(&[0x21, 0, 0x49]) })
            .unwrap();
        *sent += 1;
    }
}

#[test]
fn hours_of_a_ladder_stay_exact_and_bounded() {
    let mut session = session(Mode::Transcode, (30_000, 1001), 2);
    let (mut audio, mut before) = (0, Vec::<(String, MediaPlaylist)>::new());
    let frames = 30 * 3600 * 2;
    for index in 0..frames {
        let time = session.grid.rate.frame_start(index);
        // The source begins somewhere on its own clock.
        let offset = MediaTime::from_ticks(123_456);
        session.place(unit(time + offset, index == 0), Instant::now()).unwrap();
        let mut sent = audio;
        feed_audio_at(&mut session, &mut sent, time, offset);
        audio = sent;
        for rung in 0..2 {
            let key = index % 60 == 0;
            let data = Bytes::from_static(if key { KEY } else { OTHER });
            session.encoded(&EncodedFrame { rung, index, key, data }).unwrap();
        }
        if index % 15_013 == 15_012 {
            for name in ["0p", "1p", "audio"] {
                let (view, playlist) = look(&session, name);
                assert!(
                    view.segments.len() <= 2 * playlist.segments.len() + 5,
                    "memory is bounded"
                );
                assert!(playlist.segments.len() <= 33, "{} segments", playlist.segments.len());
                let msn = u64::try_from(index / 60).unwrap();
                assert!(playlist.media_sequence + playlist.segments.len() as u64 >= msn, "{name}");
                if let Some((_, old)) = before.iter().find(|(known, _)| known == name)
                    && old.media_sequence + old.segments.len() as u64 > playlist.media_sequence
                {
                    playlist.follows(old).unwrap();
                }
                before.retain(|(known, _)| known != name);
                before.push((name.to_owned(), playlist));
            }
        }
    }
    let (view, playlist) = look(&session, "0p");
    let last = playlist.segments.last().unwrap();
    // Two hours at 30000/1001: segment k begins at k * 60 * 1001/30000 s.
    let exact = i64::try_from(last.msn).unwrap() * 60 * 1_001_000_000 / 30_000;
    let text = std::str::from_utf8(&view.full.plain).unwrap();
    let line = text.lines().rfind(|line| line.starts_with("#EXT-X-PROGRAM-DATE-TIME")).unwrap();
    let open = i64::from(playlist.open.is_some());
    let expected = START + exact + open * 60 * 1_001_000_000 / 30_000;
    assert!(line.contains(&millis(expected)), "{line} should be {}", millis(expected));
    assert_eq!(session.statuses()[0].parts, u64::try_from(frames / 10).unwrap());
    assert!(session.playable());
}

fn feed_audio_at(session: &mut LiveSession, sent: &mut i64, until: MediaTime, offset: MediaTime) {
    loop {
        let pts = MediaTime::from_ticks(*sent * 1920);
        if pts > until {
            return;
        }
        let data = Bytes::from_static(&[0x21, 0, 0x49]);
        session.audio(SOUND, AudioFrame { pts: pts + offset, data }).unwrap();
        *sent += 1;
    }
}

/// The seconds and milliseconds within the minute, as a PROGRAM-DATE-TIME ends.
fn millis(unix_micros: i64) -> String {
    let millis = (unix_micros + 500) / 1000;
    format!(":{:02}.{:03}Z", millis / 1000 % 60, millis % 1000)
}

#[test]
fn passed_through_audio_is_cut_with_the_pictures_wherever_the_key_frames_fall() {
    let mut session = session(Mode::Passthrough, (25, 1), 0);
    let mut audio = 0;
    for index in 0_i64..25 * 120 {
        let time = session.grid.rate.frame_start(index);
        // Audio comes up to 300 ms ahead of the pictures.
        feed_audio(&mut session, &mut audio, time + MediaTime::from_millis(300));
        // Groups of 1.6 s and 2 s in turn.
        let key = [0, 40].contains(&(index % 90));
        if let Some(unit) = session.place(unit(time, key), Instant::now()) {
            session.pass_through(&unit).unwrap();
        }
    }
    let (video, pictures) = look(&session, "source");
    let (_, sound) = look(&session, "audio");
    assert_eq!(pictures.media_sequence, sound.media_sequence);
    assert!(video.segments.len() > 30);
    for (picture, sound) in pictures.segments.iter().zip(&sound.segments) {
        let apart = picture.duration.abs_diff(sound.duration);
        assert!(apart <= 2134, "{} differs by {apart}e-5 s", picture.msn);
        assert!([160_000, 200_000].contains(&picture.duration), "{}", picture.duration);
    }
}

#[test]
fn silence_takes_the_place_of_audio_that_stops_and_is_cut_as_audio_is() {
    let mut session = session(Mode::Transcode, (30, 1), 1);
    let mut audio = 0;
    for index in 0_i64..30 * 60 {
        let time = session.grid.rate.frame_start(index);
        session.place(unit(time, index == 0), Instant::now()).unwrap();
        if index < 300 {
            feed_audio(&mut session, &mut audio, time);
        }
        let key = index % 60 == 0;
        let data = Bytes::from_static(if key { KEY } else { OTHER });
        session.encoded(&EncodedFrame { rung: 0, index, key, data }).unwrap();
    }
    let ((_, video), (_, audio)) = (look(&session, "0p"), look(&session, "audio"));
    let behind = video.segments.last().unwrap().msn - audio.segments.last().unwrap().msn;
    assert!(behind <= 1, "the audio is {behind} segments behind");
    assert!(audio.segments.iter().all(|one| one.duration.abs_diff(200_000) <= 2134));
}

#[test]
fn a_stream_of_long_segments_plays_before_the_first_is_whole() {
    let rate = FrameRate::new(30, 1).unwrap();
    let config = StreamConfig {
        mode: Mode::Passthrough,
        segment: std::time::Duration::from_secs(8),
        ..StreamConfig::standard(StreamName::new("sim").unwrap())
    };
    let mut session = LiveSession::new(
        "1-1".to_owned(),
        &config,
        &source(rate),
        Vec::new(),
        Arc::default(),
        START,
    );
    let mut audio = 0;
    for index in 0_i64..30 * 4 {
        let time = session.grid.rate.frame_start(index);
        feed_audio(&mut session, &mut audio, time);
        let unit = session.place(unit(time, index % 60 == 0), Instant::now()).unwrap();
        session.pass_through(&unit).unwrap();
        assert!(index >= 89 || !session.playable(), "frame {index}");
    }
    assert!(session.playable());
    let declared = session.shared.multivariant.borrow().clone().unwrap();
    assert!(!std::str::from_utf8(&declared.plain).unwrap().contains("BANDWIDTH=0"));
}

#[test]
fn sound_is_the_most_urgent_and_a_higher_rung_never_more_than_a_lower_one() {
    let session = session(Mode::Transcode, (30, 1), 6);
    session.show(u32::MAX);
    let urgency = |name: &str| look_at(&session, name).urgency;
    // The highest rung comes first.
    let rungs = ["0p", "1p", "2p", "3p", "4p", "5p"].map(urgency);
    assert_eq!((urgency("audio"), rungs), (2, [6, 6, 6, 5, 4, 3]));
}

fn look_at(session: &LiveSession, name: &str) -> Arc<RenditionView> {
    session.shared.renditions.load()[name].borrow().clone()
}

#[test]
fn new_parameter_sets_make_a_new_init_section_that_is_hinted_and_a_discontinuity() {
    let mut session = session(Mode::Passthrough, (30, 1), 0);
    let pass = |session: &mut LiveSession, frames: std::ops::Range<i64>| {
        for index in frames {
            let time = session.grid.rate.frame_start(index);
            let unit = session.place(unit(time, index % 60 == 0), Instant::now()).unwrap();
            session.pass_through(&unit).unwrap();
        }
    };
    pass(&mut session, 0..150);
    let (_, before) = look(&session, "source");
    // Another picture parameter set.
    let mut sets = session.source_sets.clone();
    sets.pps = vec![Bytes::from_static(&[0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc1])];
    session.source_format(&sets, START + 5_000_000);
    let (view, hinted) = look(&session, "source");
    let init = hinted.map_hint.clone().unwrap();
    assert!(view.inits.iter().any(|(name, _)| **name == *init));
    hinted.follows(&before).unwrap();
    pass(&mut session, 180..210);
    let (_, after) = look(&session, "source");
    after.follows(&hinted).unwrap();
    let new = after.all().find(|segment| segment.discontinuity).unwrap();
    assert_eq!(new.init.as_ref(), Some(&init));
    assert_eq!(after.map_hint, None);
    assert_ne!(after.segments[0].init, Some(init));
}

#[test]
fn what_leaves_the_playlist_is_served_as_long_as_the_longest_one_that_listed_it() {
    let mut session = session(Mode::Passthrough, (30, 1), 0);
    // By segment: its duration, the longest playlist that listed it, and when it was listed no more.
    let mut seen = BTreeMap::<u64, (u64, u64, Option<u64>)>::new();
    for index in 0_i64..30 * 420 {
        // Short segments for three minutes, then long ones, so that counting them tells little.
        if index % 20 == 0 && index < 30 * 180 {
            session.epoch(START + index * 1_000_000 / 30);
        }
        let time = session.grid.rate.frame_start(index);
        let Some(unit) = session.place(unit(time, index % 20 == 0), Instant::now()) else {
            continue;
        };
        session.pass_through(&unit).unwrap();
        if index % 20 != 1 || index < 100 {
            continue;
        }
        let (view, playlist) = look(&session, "source");
        let length: u64 = playlist.segments.iter().map(|segment| segment.duration).sum();
        for segment in &playlist.segments {
            let (_, longest, _) = seen.entry(segment.msn).or_insert((segment.duration, 0, None));
            *longest = length.max(*longest);
        }
        let now = u64::try_from(index).unwrap() * 100_000 / 30;
        for (msn, (duration, longest, gone)) in &mut seen {
            if *msn < playlist.media_sequence {
                let gone = *gone.get_or_insert(now);
                let served = view.segments.iter().any(|segment| segment.msn == *msn);
                // A look apart.
                assert!(served || now + 70_000 >= gone + *duration + *longest, "{msn} at {now}");
            }
        }
        assert!(view.segments.len() <= 2 * 95, "{} are kept", view.segments.len());
    }
    assert!(seen.values().filter(|(_, _, gone)| gone.is_some()).count() > 200);
}

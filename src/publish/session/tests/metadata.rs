//! Timed metadata: what is composed for a part is in it, in every rung, once.

use std::sync::Mutex;

use mp4_atom::{Any, Decode, EmsgTimestamp};
use nowcast_hls::DateRange;

use super::*;
use crate::flow::{Composed, Cue, PartSpan, Position};

/// A part as a player finds it.
#[derive(Debug, Eq, PartialEq)]
struct Found {
    base: u64,
    /// Time and text of each event.
    events: Vec<(u64, String)>,
}

fn found(part: &Bytes) -> Found {
    let (mut rest, mut events) = (part.as_ref(), Vec::new());
    loop {
        match Any::decode(&mut rest).unwrap() {
            Any::Emsg(emsg) => {
                let EmsgTimestamp::Absolute(at) = emsg.presentation_time else {
                    panic!("relative")
                };
                let text = String::from_utf8_lossy(&emsg.message_data);
                events.push((at, text.rsplit('\0').next().unwrap().to_owned()));
            }
            Any::Moof(moof) => {
                let time = moof.traf[0].tfdt.as_ref().unwrap();
                return Found { base: time.base_media_decode_time, events };
            }
            _ => {}
        }
    }
}

/// The parts of a rendition by segment and index.
fn parts(session: &LiveSession, name: &str) -> BTreeMap<(u64, u32), Found> {
    let view = look_at(session, name);
    let numbered = |segment: &Arc<crate::flow::SegmentView>| {
        let msn = segment.msn;
        let parts = segment.parts.iter().zip(0..);
        parts.map(|(part, index)| ((msn, index), found(part))).collect::<Vec<_>>()
    };
    view.segments.iter().flat_map(numbered).collect()
}

/// What was asked of the room, and where the media was said to stand then.
type Asked = Arc<Mutex<Vec<(PartSpan, Option<Position>)>>>;

/// A room that has something to say in the middle of each part.
fn talkative() -> (Arc<Cues>, Asked) {
    let cues = Arc::<Cues>::default();
    let (asked, position) = (Asked::default(), cues.position());
    let answers = Arc::clone(&asked);
    cues.compose_with(Box::new(move |span| {
        answers.lock().unwrap().push((*span, *position.borrow()));
        let cue = Cue {
            pts: span.pts + u64::from(span.duration) / 2,
            duration: span.duration,
            id: 1,
            text: format!("{{\"part\":\"{}/{}\"}}", span.msn, span.part),
        };
        let range = |number: u64| DateRange {
            id: number.to_string(),
            class: "live.nowcast.poll".into(),
            start_unix_ms: START / 1000 + i64::try_from(number).unwrap() * 2000,
            duration_ms: None,
            planned_duration_ms: None,
            attributes: Vec::new(),
        };
        Composed { cues: vec![cue], date_ranges: (0..=span.msn).map(range).collect() }
    }));
    (cues, asked)
}

/// Sends a picture, and codes each rung up to so many frames behind it.
fn picture(session: &mut LiveSession, first: i64, index: i64, lags: &[i64], coded: &mut [i64]) {
    let time = session.grid.rate.frame_start(index);
    session.place(unit(time, index == first), Instant::now()).unwrap();
    for (rung, (lag, next)) in lags.iter().zip(coded).enumerate() {
        while *next <= index - lag {
            code(session, rung, *next, (*next - first) % 60 == 0).unwrap();
            *next += 1;
        }
    }
}

fn code(session: &mut LiveSession, rung: usize, index: i64, key: bool) -> Result<(), PackageError> {
    let data = Bytes::from_static(if key { KEY } else { OTHER });
    session.encoded(&EncodedFrame { rung, index, key, data })
}

/// Each span begins where the media was said to stand.
fn assert_positions_were_right(asked: &Asked, grid: Grid) {
    for (span, position) in asked.lock().unwrap().iter() {
        let position = position.expect("media flows");
        let begins = u64::try_from(grid.rate.frame_start(position.index).ticks()).unwrap();
        assert_eq!((begins, position.msn, position.part), (span.pts, span.msn, span.part));
        assert_eq!(position.grid, grid);
    }
}

#[test]
fn a_part_is_composed_once_and_carries_the_same_in_every_rung_whichever_is_first() {
    let (cues, asked) = talkative();
    let source = source(FrameRate::new(30_000, 1001).unwrap());
    let mut session = session_with_cues(Mode::Transcode, &source, 3, cues);
    let (mut sent, mut coded) = (0, [0; 3]);
    for index in 0..900 {
        let time = session.grid.rate.frame_start(index);
        feed_audio(&mut session, &mut sent, time);
        // Now one rung is the first, now another.
        let lags = if index < 450 { [7, 0, 12] } else { [25, 5, 2] };
        picture(&mut session, 0, index, &lags, &mut coded);
    }
    assert_positions_were_right(&asked, session.grid);
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 89, "898 frames");
    let end = |span: &PartSpan| span.pts + u64::from(span.duration);
    assert!(asked.windows(2).all(|pair| end(&pair[0].0) == pair[1].0.pts));
    assert!(asked.iter().all(|(span, _)| span.budget == 1024), "3 % of 100 kbit/s are less");
    let rungs = ["0p", "1p", "2p"].map(|name| parts(&session, name));
    assert_eq!(rungs.each_ref().map(BTreeMap::len), [87, 89, 89]);
    for (span, _) in asked.iter() {
        for part in rungs.iter().filter_map(|rung| rung.get(&(span.msn, span.part))) {
            let at = span.pts + u64::from(span.duration) / 2;
            let text = format!("{{\"part\":\"{}/{}\"}}", span.msn, span.part);
            assert_eq!(*part, Found { base: span.pts, events: vec![(at, text)] });
        }
    }
    assert!(parts(&session, "audio").values().all(|part| part.events.is_empty()));
    // What the last part said is in all playlists, that of the sound included.
    session.show(u32::MAX);
    for name in ["0p", "1p", "2p", "audio"] {
        let (_, playlist) = look(&session, name);
        assert_eq!(playlist.date_ranges.len(), 15, "{name}");
    }
}

/// What a rendition carried, part by part.
fn events(session: &LiveSession, name: &str) -> Vec<(u64, String)> {
    parts(session, name).into_values().flat_map(|part| part.events).collect()
}

#[test]
fn no_event_is_lost_and_none_doubled_when_a_worker_dies_whatever_its_rungs_had_made() {
    // How far the second rung is behind when the worker dies, in a part of ten frames.
    for behind in [0, 3, 8, 14, 31] {
        let (cues, asked) = talkative();
        let source = source(FrameRate::new(30, 1).unwrap());
        let mut session = session_with_cues(Mode::Transcode, &source, 2, cues);
        let mut coded = [0; 2];
        for index in 0..145 {
            picture(&mut session, 0, index, &[0, behind], &mut coded);
        }
        // The next worker goes on where the furthest rung was, with a key frame.
        let mut first = 0;
        for rung in 0..2 {
            let result = code(&mut session, rung, 145, true);
            if result.is_err_and(|error| error.needs_restart()) {
                session.restart(START + 5_000_000);
                first = 146;
            }
        }
        assert_eq!(first != 0, behind == 31, "it is further behind than a part is long");
        coded = [146; 2];
        for index in 146..276 {
            picture(&mut session, first, index, &[0, 2], &mut coded);
        }
        session.end();
        let composed = asked.lock().unwrap().len();
        for name in ["0p", "1p"] {
            let events = events(&session, name);
            assert!(events.is_sorted_by(|a, b| a.0 < b.0), "{name}, {behind} behind: {events:?}");
            assert_eq!(events.len(), composed, "{name}, {behind} behind");
        }
    }
}

#[test]
fn passed_through_parts_are_numbered_as_listed_and_the_next_one_is_guessed_from_the_last_segment() {
    let (cues, asked) = talkative();
    let source = source(FrameRate::new(25, 1).unwrap());
    let mut session = session_with_cues(Mode::Passthrough, &source, 0, cues);
    for index in 0_i64..25 * 20 {
        let time = session.grid.rate.frame_start(index);
        let unit = session.place(unit(time, index % 50 == 0), Instant::now()).unwrap();
        session.pass_through(&unit).unwrap();
    }
    assert_positions_were_right(&asked, session.grid);
    let listed = parts(&session, "source");
    let asked = asked.lock().unwrap();
    assert!(listed.len() > 60 && asked.len() == listed.len());
    for (span, _) in asked.iter() {
        let part = &listed[&(span.msn, span.part)];
        assert_eq!((part.base, part.events.len()), (span.pts, 1));
    }
}

#[test]
fn nothing_is_open_while_no_source_is_there_and_nothing_goes_on_without_it() {
    let (cues, _) = talkative();
    let mut position = cues.position();
    let source = source(FrameRate::new(30, 1).unwrap());
    let mut session = session_with_cues(Mode::Passthrough, &source, 0, cues);
    let at = |position: Option<Position>| position.map(|it| (it.index, it.anchor, it.msn, it.part));
    let pass = |session: &mut LiveSession, index: i64| {
        let time = session.grid.rate.frame_start(index);
        let unit = session.place(unit(time, index % 60 == 0), Instant::now()).unwrap();
        session.pass_through(&unit).unwrap();
    };
    assert_eq!(at(*position.borrow_and_update()), None);
    pass(&mut session, 0);
    assert_eq!(at(*position.borrow_and_update()), Some((0, START, 0, 0)));
    for index in 1..100 {
        pass(&mut session, index);
    }
    assert_eq!(at(*position.borrow_and_update()), Some((100, START, 1, 4)));
    session.lose_source(Instant::now());
    assert_eq!(at(*position.borrow_and_update()), None);
    session.restart(START + 9_000_000);
    let first = session.next_index();
    pass(&mut session, 0);
    let anchor = START + 9_000_000 - session.grid.rate.frame_start(first).as_micros();
    assert_eq!(at(*position.borrow_and_update()), Some((first, anchor, 2, 0)));
    session.end();
    assert_eq!(at(*position.borrow_and_update()), None);
}

#[test]
fn each_session_of_a_stream_begins_where_the_one_before_it_ended_or_later() {
    let cues = Arc::<Cues>::default();
    let source = source(FrameRate::new(30_000, 1001).unwrap());
    let mut end = 0;
    for round in 0..4 {
        let mode = if round % 2 == 0 { Mode::Transcode } else { Mode::Passthrough };
        let mut session = session_with_cues(mode, &source, 1, Arc::clone(&cues));
        let (first, grid) = (session.next_index(), session.grid);
        let begin = grid.rate.frame_start(first);
        assert_eq!((begin == MediaTime::ZERO, cues.floor()), (round == 0, end));
        assert!(begin.ticks().unsigned_abs() >= end);
        // The source has a clock of its own.
        let mut sent = 0;
        for index in 0..400 {
            let time = grid.rate.frame_start(index);
            feed_audio(&mut session, &mut sent, time);
            let unit = session.place(unit(time, index % 60 == 0), Instant::now()).unwrap();
            match mode {
                Mode::Passthrough => session.pass_through(&unit).unwrap(),
                Mode::Transcode => code(&mut session, 0, first + index, index % 60 == 0).unwrap(),
            }
        }
        let running = cues.floor();
        assert!(running > end, "the floor rises with the parts");
        session.end();
        end = cues.floor();
        assert!(end >= running);
        let video = if mode == Mode::Transcode { "0p" } else { "source" };
        let (pictures, sound) = (parts(&session, video), parts(&session, "audio"));
        assert_eq!(pictures[&(0, 0)].base, begin.ticks().unsigned_abs());
        let apart = sound[&(0, 0)].base.abs_diff(begin.to_scale(48_000).unsigned_abs());
        assert!(apart <= 1024, "the sound begins {apart} samples off");
        let last = pictures.last_key_value().unwrap().1.base;
        assert!(last < end, "{last} is not before {end}");
        let ((_, pictures), (_, sound)) = (look(&session, video), look(&session, "audio"));
        let dates = |playlist: &MediaPlaylist| playlist.segments[0].program_date_time.unwrap();
        assert_eq!(dates(&pictures), START / 1000);
        assert!(dates(&sound).abs_diff(START / 1000) <= 22);
        for (picture, sound) in pictures.segments.iter().zip(&sound.segments) {
            assert!(picture.duration.abs_diff(sound.duration) <= 2134 * 2, "{}", picture.msn);
        }
    }
}

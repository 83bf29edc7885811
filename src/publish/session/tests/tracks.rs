//! Several audio tracks: each a rendition of its own, all cut with the pictures.

use super::*;

const ENGLISH: u16 = 0x101;
const GERMAN: u16 = 0x102;
const OTHER: u16 = 0x103;

fn bilingual() -> Vec<SourceAudio> {
    vec![
        track(ENGLISH, Some(b"eng"), 48_000),
        track(GERMAN, Some(b"ger"), 44_100),
        track(OTHER, None, 48_000),
    ]
}

fn session_with(mode: Mode, audio: Vec<SourceAudio>) -> LiveSession {
    let rate = FrameRate::new(30, 1).unwrap();
    session_of(mode, &Source { audio, ..source(rate) }, 2)
}

/// Sends the pictures from `from` to `to`, and between them what each track says: its first byte.
fn run(session: &mut LiveSession, from: i64, to: i64, tracks: &[(u16, u32, u8)]) {
    let mut sent = vec![None; tracks.len()];
    let mut witness = Witness::default();
    for index in from..to {
        let time = session.grid.rate.frame_start(index - from);
        if let Some(unit) = session.place(unit(time, (index - from) % 60 == 0), Instant::now()) {
            match session.mode {
                Mode::Passthrough => {
                    session.pass_through(&unit).unwrap();
                    witness.look(session);
                }
                Mode::Transcode => {
                    for rung in 0..2 {
                        let key = (index - from) % 60 == 0;
                        let data = Bytes::from_static(if key { KEY } else { super::OTHER });
                        session.encoded(&EncodedFrame { rung, index, key, data }).unwrap();
                        witness.look(session);
                    }
                }
            }
        }
        for ((pid, rate, says), sent) in tracks.iter().zip(&mut sent) {
            let samples = sent.get_or_insert(0_i64);
            while MediaTime::from_scale(*samples, (*rate).try_into().unwrap()) <= time {
                let pts = MediaTime::from_scale(*samples, (*rate).try_into().unwrap());
                let data = Bytes::from(vec![*says; 90]);
                session.audio(*pid, AudioFrame { pts, data }).unwrap();
                witness.look(session);
                *samples += 1024;
            }
        }
    }
}

/// Sees every generation of every rendition.
#[derive(Default)]
struct Witness(BTreeMap<String, MediaPlaylist>);

impl Witness {
    /// What is new is legal after what was; it names no init section that is not there, and says of
    /// each other rendition where that stands at this moment.
    fn look(&mut self, session: &LiveSession) {
        let views = session.shared.renditions.load();
        for (name, view) in
            views.iter().filter(|(_, view)| view.borrow().edge.report_position().is_some())
        {
            let view = view.borrow();
            let text = std::str::from_utf8(&view.full.plain).unwrap();
            let now = MediaPlaylist::read(text).unwrap();
            let Some(old) = self.0.insert(name.clone(), now.clone()) else { continue };
            if old == now {
                continue;
            }
            now.check().and_then(|()| now.follows(&old)).unwrap_or_else(|e| panic!("{e}\n{text}"));
            let mut inits = now.all().filter_map(|it| it.init.as_ref()).chain(&now.map_hint);
            assert!(inits.all(|init| view.inits.iter().any(|(known, _)| **known == **init)));
            for report in &now.reports {
                let other = &views[report.uri.split('/').nth(1).unwrap()];
                let (msn, part) = other.borrow().edge.report_position().unwrap();
                let told = (report.last_msn, report.last_part);
                assert_eq!(told, (msn, part.into()), "{name} of {}", report.uri);
            }
        }
    }
}

/// What is heard in a segment of a rendition: the first byte of its last frame.
fn heard(session: &LiveSession, name: &str, msn: u64) -> u8 {
    let (view, _) = look(session, name);
    let segment = view.segments.iter().find(|segment| segment.msn == msn).unwrap();
    *segment.parts.last().unwrap().last().unwrap()
}

#[test]
fn every_track_is_a_rendition_that_is_cut_with_the_pictures_and_reported_in_all_others() {
    for (mode, video) in [(Mode::Transcode, "0p"), (Mode::Passthrough, "source")] {
        let mut session = session_with(mode, bilingual());
        let tracks = [(ENGLISH, 48_000, 1), (GERMAN, 44_100, 2), (OTHER, 48_000, 3)];
        run(&mut session, 0, 30 * 20, &tracks);
        let (_, pictures) = look(&session, video);
        let names: Vec<_> = session.shared.renditions.load().keys().cloned().collect();
        for (name, says) in [("audio", 1), ("audio-2", 2), ("audio-3", 3)] {
            let (_, sound) = look(&session, name);
            assert_eq!(heard(&session, name, 3), says, "{name}");
            assert!(pictures.segments.len().abs_diff(sound.segments.len()) <= 1, "{name}");
            let mut ends = (0, 0);
            for (picture, sound) in pictures.segments.iter().zip(&sound.segments) {
                ends = (ends.0 + picture.duration, ends.1 + sound.duration);
                // An AAC frame at 44.1 kHz, and decimals.
                assert!(ends.0.abs_diff(ends.1) <= 2322 + 2, "{name} {}: {ends:?}", picture.msn);
            }
        }
        let listed = |playlist: &MediaPlaylist| {
            let open = playlist.open.iter().flat_map(|open| &open.parts);
            let complete = playlist.segments.iter().map(|segment| segment.duration);
            complete.chain(open.map(|part| part.duration)).sum::<u64>()
        };
        for name in &names {
            let (_, playlist) = look(&session, name);
            // A part, and a frame of audio.
            let apart = listed(&playlist).abs_diff(listed(&pictures));
            assert!(apart <= playlist.head.part_target + 2322, "{name}: {apart}e-5 s apart");
            let reported: Vec<_> = playlist.reports.iter().map(|it| it.uri.as_str()).collect();
            let others: Vec<_> = names
                .iter()
                .filter(|it| *it != name)
                .map(|it| format!("../{it}/index.m3u8"))
                .collect();
            assert!(
                others.iter().all(|it| reported.contains(&it.as_str())),
                "{name}: {reported:?}"
            );
            assert_eq!(reported.len(), others.len(), "{name}");
        }
    }
}

#[test]
fn one_group_holds_every_track_and_the_variant_without_a_picture_comes_last() {
    let mut audio = bilingual();
    audio.push(track(0x104, Some(b"deu"), 48_000));
    audio.push(track(0x105, None, 48_000));
    audio.push(SourceAudio { config: None, ..track(0x106, Some(b"fra"), 48_000) });
    audio[3].track.kind = AudioKind::VisualImpairedCommentary;
    let mut session = session_with(Mode::Transcode, audio);
    run(&mut session, 0, 30 * 5, &[(ENGLISH, 48_000, 1)]);
    let text = session.shared.multivariant.borrow().clone().unwrap();
    let text = std::str::from_utf8(&text.plain).unwrap();
    let groups: Vec<_> = text.lines().filter(|line| line.contains("TYPE=AUDIO")).collect();
    for (line, (name, language, chosen)) in groups.iter().zip([
        ("English", Some("en"), "DEFAULT=YES,AUTOSELECT=YES,"),
        ("German", Some("de"), "AUTOSELECT=YES,"),
        ("Audio", None, "AUTOSELECT=YES,"),
        (
            "German (described)",
            Some("de"),
            "AUTOSELECT=YES,CHARACTERISTICS=\"public.accessibility.describes-video\",",
        ),
        // Nothing tells it from the third.
        ("Audio 5", None, ""),
    ]) {
        let language = language.map_or_else(String::new, |tag| format!("LANGUAGE=\"{tag}\","));
        let expected = format!("GROUP-ID=\"audio\",NAME=\"{name}\",{language}{chosen}CHANNELS=");
        assert!(line.contains(&expected), "{line}, not {expected}");
    }
    assert_eq!(groups.len(), 5, "a track without a format is left out: {text}");
    let variants: Vec<_> = text.lines().filter(|line| line.contains("STREAM-INF")).collect();
    assert_eq!(variants.len(), 3);
    assert!(variants.iter().all(|line| line.contains("AUDIO=\"audio\"")));
    assert!(variants[..2].iter().all(|line| line.contains("RESOLUTION")));
    assert!(variants[2].contains("CODECS=\"mp4a.40.2\"") && !variants[2].contains("RESOLUTION"));
    assert!(text.ends_with("\n1-1/audio/index.m3u8\n"), "{text}");
}

#[test]
fn a_variants_bandwidth_counts_the_largest_track() {
    let bandwidths = |sizes: [usize; 2]| {
        let mut session = session_with(Mode::Passthrough, bilingual()[..2].to_vec());
        for index in 0..30 * 5 {
            let time = session.grid.rate.frame_start(index);
            let unit = session.place(unit(time, index % 60 == 0), Instant::now()).unwrap();
            session.pass_through(&unit).unwrap();
            for (pid, size) in [ENGLISH, GERMAN].into_iter().zip(sizes) {
                let frame = AudioFrame { pts: time, data: Bytes::from(vec![1; size]) };
                session.audio(pid, frame).unwrap();
            }
        }
        let text = session.shared.multivariant.borrow().clone().unwrap();
        let text = std::str::from_utf8(&text.plain).unwrap().to_owned();
        let rates =
            text.split("INF:BANDWIDTH=").skip(1).map(|rest| rest.split_once(',').unwrap().0);
        rates.map(|rate| rate.parse::<u64>().unwrap()).collect::<Vec<_>>()
    };
    let (small, large) = (bandwidths([50, 50]), bandwidths([50, 400]));
    // 350 bytes more, thirty times a second, and a tenth of room.
    for (small, large) in small.iter().zip(&large) {
        assert!((84_000..100_000).contains(&(large - small)), "{small}, {large}");
    }
    assert_eq!(large.len(), 2);
}

#[test]
fn a_returning_source_finds_its_tracks_by_their_language() {
    let mut session = session_with(Mode::Transcode, bilingual()[..2].to_vec());
    let both = [(ENGLISH, 48_000, 1), (GERMAN, 44_100, 2)];
    run(&mut session, 0, 300, &both);
    // Other PIDs in another order, and a track that is new.
    let returns = [
        track(0x200, Some(b"fra"), 48_000),
        track(0x201, Some(b"deu"), 44_100),
        track(0x202, Some(b"eng"), 48_000),
    ];
    session.audio_tracks(&returns.map(|one| one.track));
    session.restart(START + 20_000_000);
    let first = session.next_index();
    let carried = returns.map(|one| session.audio_format(one.track.pid, one.config.unwrap()));
    assert_eq!(carried, [Carried::NotInThisSession, Carried::Yes, Carried::Yes]);
    run(
        &mut session,
        first,
        first + 300,
        &[(0x200, 48_000, 9), (0x201, 44_100, 2), (0x202, 48_000, 1)],
    );
    assert_eq!((heard(&session, "audio", 7), heard(&session, "audio-2", 7)), (1, 2));

    // What viewers hear unasked takes what there is; a track whose language has gone falls silent.
    session.audio_tracks(&[track(0x300, None, 48_000).track]);
    session.restart(START + 40_000_000);
    let first = session.next_index();
    let format = track(0x300, None, 48_000).config.unwrap();
    assert_eq!(session.audio_format(0x300, format), Carried::Yes);
    let mono = AacConfig { channels: 1, ..format };
    assert_eq!(session.audio_format(0x300, mono), Carried::NotInThisFormat);
    session.audio_format(0x300, format);
    run(&mut session, first, first + 300, &[(0x300, 48_000, 5)]);
    assert_eq!(heard(&session, "audio", 12), 5);
    let (_, silent) = look(&session, "audio-2");
    assert!(silent.segments.last().unwrap().msn >= 12, "{:?}", silent.last_part());
    assert_ne!(heard(&session, "audio-2", 12), 2);
}

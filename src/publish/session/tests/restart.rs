//! What a session is after the server died, whatever the disk has of it.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::flow::{Composed, DateRange};
use crate::publish::store::{Store, Tail};

const STREAM: &str = "sim";

/// How the server goes, and what the disk has afterwards.
#[derive(Clone, Copy, Debug)]
enum End {
    /// Everything that was handed over is there.
    Killed,
    /// So is this: some file ends earlier, at this share of it.
    Torn(prop::sample::Index, prop::sample::Index),
    /// What is in memory is gone as well.
    PowerCut(prop::sample::Index, prop::sample::Index),
}

/// A stream over many lives of its server, and all that was ever told of it.
struct World {
    dir: tempfile::TempDir,
    mode: Mode,
    start: u64,
    boot: u64,
    /// What each name and each number ever meant.
    media: BTreeMap<String, Bytes>,
    multivariant: Option<Bytes>,
    /// The clock, in Unix microseconds.
    now: i64,
}

impl World {
    fn store(&mut self) -> Store {
        self.start += 1;
        Store::open_in(self.dir.path(), &format!("boot {}", self.boot)).unwrap()
    }

    fn begin(&self, store: &Store) -> LiveSession {
        let config = StreamConfig {
            mode: self.mode,
            window: std::time::Duration::from_secs(20),
            ..StreamConfig::standard(StreamName::new(STREAM).unwrap())
        };
        let rungs = if self.mode == Mode::Transcode { ladder(2) } else { Vec::new() };
        let source = source(FrameRate::new(30_000, 1001).unwrap());
        let prefix = format!("{}-1", self.start);
        let copy = store.copy(&config.name, &prefix);
        let mut session = LiveSession::new(prefix, &config, &source, rungs, polls(), self.now);
        session.keep_in(copy);
        session
    }

    /// The session as the disk has it, if anybody could play it.
    fn restore(&self, store: &Store) -> Option<(LiveSession, Tail)> {
        let name = StreamName::new(STREAM).unwrap();
        let stored = store.load(&name).pop()?;
        let (tail, prefix) = (stored.tail, stored.facts.prefix.clone());
        let copy = store.copy(&name, &prefix);
        if stored.facts.declared.is_empty() {
            copy.discard();
            return None;
        }
        let session = LiveSession::restore(stored, polls(), copy, self.start, None)?;
        Some((session, tail))
    }

    /// Sends `frames` pictures, with a key frame every 2 s, and their sound.
    fn run(&mut self, session: &mut LiveSession, frames: i64) {
        let (first, mut audio) = (session.next_index(), 0);
        for index in 0..frames {
            let time = session.grid.rate.frame_start(index);
            feed_audio(session, &mut audio, time);
            let Some(unit) = session.place(unit(time, index % 60 == 0), Instant::now()) else {
                continue;
            };
            if self.mode == Mode::Passthrough {
                session.pass_through(&unit).unwrap();
                continue;
            }
            for rung in 0..2 {
                let key = index % 60 == 0;
                let data = Bytes::from_static(if key { KEY } else { OTHER });
                session.encoded(&EncodedFrame { rung, index: first + index, key, data }).unwrap();
            }
        }
        self.now += frames * 33_367;
    }

    /// Everything that is listed and served means what it meant before.
    fn look(&mut self, session: &LiveSession) -> BTreeMap<String, MediaPlaylist> {
        let mut playlists = BTreeMap::new();
        let names: Vec<_> = session.all().map(|one| one.status.name.clone()).collect();
        let prefix = &session.shared.prefix;
        for name in names {
            if look_at(session, &name).full.plain.is_empty() {
                continue;
            }
            let (view, playlist) = look(session, &name);
            for segment in &view.segments {
                let parts = (segment.first_part..).zip(&segment.parts);
                for (number, bytes) in parts {
                    let part = nowcast_hls::names::part(segment.part_start, number);
                    self.means(&format!("{prefix}/{name}/{part}"), bytes);
                }
                if segment.complete {
                    let whole = nowcast_hls::names::segment(segment.start, segment.msn);
                    let bytes = Bytes::from(segment.parts.concat());
                    self.means(&format!("{prefix}/{name}/{whole}"), &bytes);
                    self.means(&format!("{prefix}/{name} {}", segment.msn), &bytes);
                }
            }
            for (init, bytes) in &view.inits {
                self.means(&format!("{prefix}/{name}/{init}"), bytes);
            }
            for segment in playlist.all() {
                let init = segment.init.as_deref().unwrap();
                let parts = segment.parts.iter().map(|part| &*part.uri);
                for uri in parts.chain(segment.uri.as_deref()).chain([init]) {
                    assert!(
                        self.media.contains_key(&format!("{prefix}/{name}/{uri}")),
                        "{uri} is listed"
                    );
                }
            }
            playlists.insert(name, playlist);
        }
        playlists
    }

    fn means(&mut self, name: &str, bytes: &Bytes) {
        let before = self.media.entry(name.to_owned()).or_insert_with(|| bytes.clone());
        assert!(before == bytes, "{name} means two things");
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        collect(&self.dir.path().join("streams"), &mut files);
        files.sort_unstable();
        files
    }
}

/// A poll that opens with the stream and stays open.
fn polls() -> Arc<Cues> {
    let cues = Arc::<Cues>::default();
    cues.compose_with(Box::new(|_| {
        let poll = DateRange {
            id: "poll".to_owned(),
            class: "live.nowcast.poll".into(),
            start_unix_ms: START / 1000,
            duration_ms: None,
            planned_duration_ms: Some(60_000),
            attributes: vec![("X-NOWCAST-EVENT".into(), "eyJ9".to_owned())],
        };
        Composed { cues: Vec::new(), date_ranges: vec![poll].into() }
    }));
    cues
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}

fn end() -> impl Strategy<Value = End> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        2 => Just(End::Killed),
        1 => (index(), index()).prop_map(|(file, at)| End::Torn(file, at)),
        1 => (index(), index()).prop_map(|(file, at)| End::PowerCut(file, at)),
    ]
}

/// The highest media sequence number of each rendition, as listed.
fn numbers(playlists: &BTreeMap<String, MediaPlaylist>) -> Vec<u64> {
    playlists.values().filter_map(|one| one.all().last().map(|last| last.msn)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn no_name_ever_means_two_things_and_no_byte_is_another_after_any_number_of_restarts(
        mode in prop::sample::select(vec![Mode::Transcode, Mode::Passthrough]),
        lives in prop::collection::vec((20..500_i64, 0..6_u64, end()), 2..5),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut world = World {
            dir, mode, start: 0, boot: 0, media: BTreeMap::new(), multivariant: None, now: START,
        };
        let mut before: Option<(BTreeMap<String, MediaPlaylist>, End, String)> = None;
        for (frames, away, end) in lives {
            let store = world.store();
            let mut session = match world.restore(&store) {
                Some((mut session, tail)) => {
                    let restored = world.look(&session);
                    let text = session.shared.multivariant.borrow().clone();
                    prop_assert_eq!(text.map(|text| text.plain), world.multivariant.clone());
                    if let Some((before, End::Killed, _)) = &before {
                        let listed = before.values().all(|one| one.all().next().is_some());
                        prop_assert_eq!(tail == Tail::Whole, listed && before.len() == session.all().count());
                        for (name, playlist) in &restored {
                            playlist.follows(&before[name]).unwrap();
                            // With its last segment complete, one more may go.
                            let gone = playlist.media_sequence - before[name].media_sequence;
                            let last = |one: &MediaPlaylist| one.all().last().map(|it| it.msn);
                            prop_assert!(gone <= 1 && last(playlist) == last(&before[name]));
                        }
                    }
                    if mode == Mode::Passthrough {
                        // Parts are missing until the publisher is back.
                        let now = Instant::now();
                        session.go_on_without_source(world.now, now);
                        session.keep_cadence(now + std::time::Duration::from_secs(away)).1.unwrap();
                    }
                    session.restart(world.now);
                    session
                }
                None => world.begin(&store),
            };
            world.run(&mut session, frames);
            let playlists = world.look(&session);
            if let Some((old, end, prefix)) = &before
                && *prefix == session.shared.prefix
                && let Some(first) = playlists.values().next()
            {
                match end {
                    End::Killed if frames > 120 && !old.is_empty() => {
                        prop_assert!(first.all().any(|it| it.discontinuity));
                        for (name, playlist) in &playlists {
                            let first = playlist.all().next().map_or(0, |first| first.msn);
                            let slid = old.get(name).is_none_or(|old| first > old.all().last().map_or(0, |it| it.msn));
                            if !slid {
                                playlist.follows(&old[name]).unwrap();
                            }
                        }
                    }
                    End::PowerCut(..) if playlists.len() == old.len() => {
                        for (new, old) in numbers(&playlists).iter().zip(numbers(old)) {
                            prop_assert!(*new > old, "{} after {}", new, old);
                        }
                    }
                    _ => {}
                }
            }
            world.multivariant = session.shared.multivariant.borrow().clone().map(|text| text.plain);
            store.finish();
            let files = world.files();
            if let End::Torn(file, at) | End::PowerCut(file, at) = end {
                world.boot += u64::from(matches!(end, End::PowerCut(..)));
                let file = file.get(&files);
                let length = fs::metadata(file).unwrap().len();
                let cut = at.index(usize::try_from(length).unwrap() + 1) as u64;
                fs::OpenOptions::new().write(true).open(file).unwrap().set_len(cut).unwrap();
            }
            before = Some((playlists, end, session.shared.prefix.clone()));
        }
    }
}

#[test]
fn a_restored_timeline_goes_on_behind_all_that_was_ever_bound_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mode, media) = (Mode::Passthrough, BTreeMap::new());
    let mut world = World { dir, mode, start: 0, boot: 0, media, multivariant: None, now: START };
    let store = world.store();
    let mut session = world.begin(&store);
    world.run(&mut session, 300);
    store.finish();
    let (store, cues) = (world.store(), Arc::<Cues>::default());
    let stored = store.load(&StreamName::new(STREAM).unwrap()).pop().unwrap();
    let restored = LiveSession::restore(stored, Arc::clone(&cues), Copy::default(), 2, None);
    let mut restored = restored.unwrap();
    assert!(restored.end_of_media() > MediaTime::from_millis(9_000));
    // The room remembers an event of a part that was never listed.
    cues.raise_floor(20 * 90_000);
    restored.restart(world.now);
    let begin = restored.grid.rate.frame_start(restored.next_index());
    assert!(begin >= MediaTime::from_millis(20_000), "{begin:?}");
}

//! What a restart of the server leaves of its streams: everything.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::thread;

use nowcast_testkit::m3u8::MediaPlaylist;
use serde_json::Value;

use super::harness::{Server, nowcast, open_stream, try_get, try_until, until};
use super::lint::TIMED;
use super::player::{Master, Variant};
use super::source::{Sender, usual};

const STREAMS: [(&str, &str); 2] = [("a", ""), ("p", "mode = \"passthrough\"")];

fn msn(server: &Server, stream: &str) -> u64 {
    server.status(stream)["renditions"][0]["msn"].as_u64().unwrap_or(0)
}

/// All that a stream's playlists say, and all that they list.
struct Seen {
    multivariant: Vec<u8>,
    playlists: BTreeMap<String, MediaPlaylist>,
    media: BTreeMap<String, Vec<u8>>,
}

impl Seen {
    fn of(server: &Server, stream: &str, master: &Master) -> Self {
        let multivariant = server.get(&format!("/live/{stream}/index.m3u8"));
        assert_eq!(multivariant.status, 200);
        let (mut playlists, mut media) = (BTreeMap::new(), BTreeMap::new());
        for Variant { path, .. } in master.variants.iter().chain(&master.audio) {
            let answer = server.get(path);
            assert_eq!(answer.status, 200, "{path}");
            let playlist = MediaPlaylist::read(answer.text()).unwrap();
            playlist.check().unwrap_or_else(|fault| panic!("{path}: {fault}\n{}", answer.text()));
            let folder = path.strip_suffix("index.m3u8").unwrap();
            for segment in playlist.all() {
                let parts = segment.parts.iter().filter(|part| !part.gap).map(|part| &part.uri);
                let whole = segment.uri.iter().filter(|_| !segment.gap);
                for uri in parts.chain(whole).chain(&segment.init) {
                    let uri = format!("{folder}{uri}");
                    let bytes = server.get(&uri);
                    assert_eq!(bytes.status, 200, "{uri}");
                    media.insert(uri, bytes.body);
                }
            }
            playlists.insert(path.clone(), playlist);
        }
        Self { multivariant: multivariant.body, playlists, media }
    }

    /// This is what was there before, as it may have gone on.
    fn assert_follows(&self, before: &Self) {
        assert_eq!(self.multivariant, before.multivariant);
        for (path, playlist) in &self.playlists {
            playlist
                .follows(&before.playlists[path])
                .unwrap_or_else(|fault| panic!("{path}: {fault}"));
        }
        let mut both = 0;
        for (uri, bytes) in &self.media {
            if let Some(old) = before.media.get(uri) {
                assert!(old == bytes, "{uri} is another");
                both += 1;
            }
        }
        assert!(both > 8, "{both} names are there still");
    }
}

#[test]
fn a_stream_goes_on_after_a_crash_of_the_server_and_an_upgrade() {
    let mut server = Server::start(&STREAMS.map(|(name, more)| open_stream(name, more)).concat());
    let send = |server: &Server| STREAMS.map(|(name, _)| Sender::ffmpeg(server, name, &usual()));
    let mut senders = send(&server);
    let masters = STREAMS.map(|(name, _)| Master::of(&server, name, 20));
    let await_segments = |server: &Server, more: u64| {
        for (name, _) in STREAMS {
            let reached = msn(server, name) + more;
            until("segments", 20, || (msn(server, name) >= reached).then_some(()));
        }
    };
    // It watches from before the crash.
    let watched = format!("http://{}/live/p/index.m3u8", server.http);
    let lint = thread::spawn(move || nowcast(&["lint", &watched, "--for", "20s", "--json"]));
    let see = |server: &Server| [0, 1].map(|at| Seen::of(server, STREAMS[at].0, &masters[at]));
    for round in 1..=2 {
        await_segments(&server, 2);
        let before = see(&server);
        if round == 1 {
            server.kill();
        } else {
            assert!(server.stop().success());
        }
        drop(senders);
        server = server.start_again_in_place();
        // Ready means that all of it is there.
        let restored = see(&server);
        for ((restored, before), (name, _)) in restored.iter().zip(&before).zip(STREAMS) {
            restored.assert_follows(before);
            assert_eq!(server.status(name)["phase"], "waiting");
        }
        // With the slate, and with parts that are missing.
        await_segments(&server, 1);
        senders = send(&server);
        for (name, _) in STREAMS {
            server.await_phase(name, "live", 15);
        }
        await_segments(&server, 2);
        for ((after, restored), (name, _)) in see(&server).iter().zip(&restored).zip(STREAMS) {
            after.assert_follows(restored);
            for (path, playlist) in &after.playlists {
                let breaks = playlist.all().filter(|segment| segment.discontinuity).count();
                assert_eq!(breaks, round, "{path}");
            }
            assert_eq!(server.status(name)["problem"], Value::Null);
        }
    }
    let (_, out, err) = lint.join().unwrap();
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
    let findings = report["findings"].as_array().unwrap().iter();
    // Connections break with the server; how fast it is back is the machine's.
    let lasting = |finding: &&Value| {
        let rule = finding["rule"].as_str().unwrap();
        rule != "answer-broken" && !TIMED.contains(&rule)
    };
    let faults: Vec<_> = findings.filter(lasting).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(report["answers"].as_u64().unwrap() > 100, "{out}");
}

#[test]
fn a_stream_whose_grace_is_over_when_the_server_is_back_has_ended() {
    let stream = open_stream("p", "mode = \"passthrough\"\ngrace = \"1s\"\nwindow = \"12s\"");
    let mut server = Server::start(&stream);
    let sender = Sender::ffmpeg(&server, "p", &usual());
    let playlist = Master::of(&server, "p", 20).variants[0].path.clone();
    server.kill();
    drop(sender);
    thread::sleep(std::time::Duration::from_millis(1100)); // The grace.
    let server = server.start_again();
    let ended = server.get(&playlist);
    assert!(ended.status == 200 && ended.text().ends_with("#EXT-X-ENDLIST\n"), "{}", ended.text());
    assert_eq!(server.status("p")["phase"], "ended");
    let gone = try_until(25, || (server.get(&playlist).status == 404).then_some(()));
    assert!(gone.is_some(), "what has ended is served for the length of the window");
    assert!(!server.state_dir().join("streams/p").exists(), "nor does the disk keep it longer");
}

#[test]
fn a_full_disk_is_told_and_costs_no_viewer_anything() {
    let mut server = Server::start(&open_stream("p", "mode = \"passthrough\""));
    // The first segment's file, on a device that is full.
    let media = server.state_dir().join("streams/p/1-1/source");
    fs::create_dir_all(&media).unwrap();
    symlink("/dev/full", media.join("0")).unwrap();
    let _sender = Sender::ffmpeg(&server, "p", &usual());
    let told = server.await_status("p", 20, |status| status["problem"] != Value::Null);
    let problem = told["problem"].as_str().unwrap();
    assert!(problem.contains("No space left on device"), "{problem}");
    let master = Master::of(&server, "p", 20);
    let followed = master.follow(&server, |it| it.segments.len() >= 3);
    assert!(followed.iter().all(|it| it.segments.iter().all(|segment| !segment.discontinuity)));
    drop(followed);
    let metrics = try_get(server.ops, "/metrics").unwrap();
    assert!(metrics.text().contains("\nnowcast_state_given_up_total 1\n"), "{}", metrics.text());
    // There is room again.
    server.await_status("p", 25, |status| status["problem"] == Value::Null);
    until("the disk has the stream again", 10, || {
        let begun = |rendition: &str| media.parent().unwrap().join(rendition).exists();
        (begun("source") && begun("audio")).then_some(())
    });
    server.kill();
    let server = server.start_again();
    let again = Master::of(&server, "p", 1);
    assert_eq!(again.session(), master.session());
    assert_eq!(server.get(&again.variants[0].path).status, 200);
}

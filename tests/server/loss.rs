//! Publishers that fail: what viewers see and what the operator is told until they are back.

use std::thread;
use std::time::Duration;

use super::harness::{Server, nowcast, open_stream, until};
use super::life::discontinuities;
use super::lint::TIMED;
use super::media;
use super::player::Master;
use super::source::{AAC, H264, Sender, clip, usual};

#[test]
fn a_publisher_killed_and_started_again_whatever_it_sends_then_leaves_no_seam_and_no_late_part() {
    let server = Server::start(&open_stream("a", "window = \"20s\""));
    let hevc = clip(
        "loss-hevc",
        "size=426x240:rate=25",
        "sample_rate=48000",
        40,
        &format!(
            "-c:v libx265 -preset ultrafast -x265-params log-level=error:keyint=25 {AAC} -ac 2"
        ),
    );
    let fast = clip(
        "loss-60",
        "size=320x240:rate=60",
        "sample_rate=48000",
        40,
        &format!("{H264} {AAC} -ac 2"),
    );
    let first = Sender::ffmpeg(&server, "a", &usual());
    let master = Master::of(&server, "a", 20);
    let url = format!("http://{}/live/a/index.m3u8", server.http);
    let (followed, report, _last) = thread::scope(|scope| {
        let lint = scope.spawn(|| nowcast(&["lint", &url, "--for", "24s", "--json"]));
        let players = scope.spawn(|| master.follow(&server, |it| it.segments.len() >= 15));
        let mut sender = first;
        // Noticed only by its silence, and replaced before that; then by one that comes late.
        for (clip, patient) in [(&hevc, false), (&fast, true), (&usual(), false)] {
            thread::sleep(Duration::from_secs(4));
            sender.kill();
            if patient {
                let waiting = server.await_phase("a", "waiting", 5);
                let problem = waiting["problem"].as_str().unwrap();
                assert!(
                    problem.contains("viewers see the slate, and the stream ends at"),
                    "{problem}"
                );
                thread::sleep(Duration::from_secs(2));
            } else {
                thread::sleep(Duration::from_millis(700));
            }
            sender = Sender::ffmpeg(&server, "a", clip);
            server.await_status("a", 10, |status| {
                let restarts = status["encoder"]["restarts"] == 0;
                assert!(restarts, "the encoder goes on: {status:#}");
                status["phase"] == "live" && !status["publisher"].is_null()
            });
        }
        (players.join().expect("clean playlists"), lint.join().expect("a report"), sender)
    });
    for rendition in &followed {
        let name = rendition.name();
        assert_eq!(discontinuities(rendition), 0, "{name}");
        let numbers: Vec<_> = rendition.segments.iter().map(|segment| segment.msn).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{name}: {numbers:?}");
        println!("{name}: the latest part was listed {} ms behind the clock", rendition.latest);
        // Players hold back three parts: they do not notice what is not later than that.
        assert!(rendition.latest < 1000, "{name}: {} ms", rendition.latest);
    }
    media::assert_whole(&master, &followed);
    assert_legal(&report);
}

/// What lint said of the stream, but for what depends on how busy the machine is.
fn assert_legal((_, report, _): &(i32, String, String)) {
    let report: serde_json::Value = serde_json::from_str(report).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let faults: Vec<_> =
        findings.iter().filter(|it| !TIMED.contains(&it["rule"].as_str().unwrap())).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn what_is_passed_through_is_listed_as_missing_while_its_publisher_is_away() {
    let server = Server::start(&open_stream("p", "mode = \"passthrough\"\nwindow = \"20s\""));
    let first = Sender::ffmpeg(&server, "p", &usual());
    let master = Master::of(&server, "p", 20);
    let url = format!("http://{}/live/p/index.m3u8", server.http);
    let (followed, report, _last) = thread::scope(|scope| {
        let lint = scope.spawn(|| nowcast(&["lint", &url, "--for", "16s", "--json"]));
        let players = scope.spawn(|| master.follow(&server, |it| it.segments.len() >= 8));
        thread::sleep(Duration::from_secs(4));
        first.kill();
        let waiting = server.await_phase("p", "waiting", 5);
        let problem = waiting["problem"].as_str().unwrap();
        assert!(problem.contains("players are told that the media is missing"), "{problem}");
        thread::sleep(Duration::from_secs(4));
        let last = Sender::ffmpeg(&server, "p", &usual());
        (players.join().expect("clean playlists"), lint.join().expect("a report"), last)
    });
    for rendition in &followed {
        let name = rendition.name();
        assert_eq!(discontinuities(rendition), 1, "{name}");
        assert!(rendition.gaps.len() >= 2, "{name}: {:?} are missing", rendition.gaps);
        let mut numbers: Vec<_> = rendition.segments.iter().map(|segment| segment.msn).collect();
        numbers.extend(&rendition.gaps);
        numbers.sort_unstable();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{name}: {numbers:?}");
        // Until its silence is taken for a failure, pictures may still come.
        assert!(rendition.latest < 2500, "{name}: {} ms", rendition.latest);
    }
    media::assert_whole(&master, &followed);
    assert_legal(&report);
}

#[test]
fn after_its_grace_a_stream_ends_or_stays_on_the_slate_until_somebody_publishes_it() {
    let keys = |after| format!("grace = \"3s\"\nafter_grace = \"{after}\"");
    let names = ["end", "slate"];
    let server = Server::start(&names.map(|name| open_stream(name, &keys(name))).concat());
    let senders = names.map(|name| Sender::ffmpeg(&server, name, &usual()));
    let masters = names.map(|name| Master::of(&server, name, 20));
    let msn = || server.status("slate")["renditions"][0]["msn"].as_u64().unwrap();
    let (ended, stays) = thread::scope(|scope| {
        let [ended, stays] = &masters;
        let ended = scope.spawn(|| ended.follow(&server, |_| false));
        let stays = scope.spawn(|| stays.follow(&server, |it| it.segments.len() >= 8));
        senders.into_iter().for_each(Sender::kill);
        server.await_phase("end", "ended", 10);
        let waiting = server.status("slate");
        assert_eq!(waiting["phase"], "waiting");
        let problem = waiting["problem"].as_str().unwrap();
        assert!(problem.contains("viewers see the slate, until somebody publishes"), "{problem}");
        let reached = msn() + 2;
        until("the slate goes on", 10, || (msn() >= reached).then_some(()));
        assert_eq!(server.status("slate")["phase"], "waiting");
        let sender = Sender::ffmpeg(&server, "slate", &usual());
        let live = server.await_phase("slate", "live", 10);
        assert!(live["problem"].is_null(), "{live:#}");
        let followed = (ended.join().expect("clean"), stays.join().expect("clean"));
        drop(sender);
        followed
    });
    for rendition in ended.iter().chain(&stays) {
        assert_eq!(discontinuities(rendition), 0, "{}", rendition.name());
    }
    assert!(ended.iter().all(|rendition| rendition.playlist.ended));
    media::assert_whole(&masters[1], &stays);
    assert_eq!(Master::of(&server, "slate", 1).session(), masters[1].session());
}

#[test]
fn a_publisher_that_is_connected_and_sends_nothing_is_told_to_the_operator_while_the_slate_runs() {
    let server = Server::start(&open_stream("a", ""));
    let sender = Sender::ffmpeg(&server, "a", &usual());
    let _playable = Master::of(&server, "a", 20);
    sender.stand_still(true);
    // Until [srt] idle ends it, after two seconds.
    let silent = server.await_status("a", 5, |status| !status["problem"].is_null());
    assert_eq!(silent["phase"], "live", "{silent:#}");
    assert!(silent["problem"].as_str().unwrap().contains("sends no pictures"), "{silent:#}");
    sender.stand_still(false);
    let live = server.await_status("a", 5, |status| status["problem"].is_null());
    assert_eq!(live["phase"], "live", "{live:#}");
}

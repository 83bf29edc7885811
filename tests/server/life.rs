//! What a stream outlives: its worker, its publisher, a new configuration; and what outlives nothing.

use std::thread;
use std::time::{Duration, Instant};

use super::harness::{Server, open_stream, runs, signal, try_get, until};
use super::media;
use super::player::{Followed, Master};
use super::source::{Sender, usual};

const PASSTHROUGH: &str = "mode = \"passthrough\"";

fn worker(server: &Server, stream: &str) -> u32 {
    until("a worker runs", 10, || {
        server.status(stream)["encoder"]["pid"].as_u64().and_then(|pid| pid.try_into().ok())
    })
}

fn msn(server: &Server, stream: &str) -> u64 {
    server.status(stream)["renditions"][0]["msn"].as_u64().unwrap_or(0)
}

pub(super) fn discontinuities(followed: &Followed<'_>) -> usize {
    followed.segments.iter().filter(|segment| segment.discontinuity).count()
}

#[test]
fn a_killed_worker_costs_its_stream_two_seconds_of_media_and_no_other_anything() {
    let server = Server::start(&(open_stream("a", "") + &open_stream("b", PASSTHROUGH)));
    let _a = Sender::ffmpeg(&server, "a", &usual());
    let _b = Sender::ffmpeg(&server, "b", &usual());
    let (a, b) = (Master::of(&server, "a", 20), Master::of(&server, "b", 20));
    let (mut a, b) = thread::scope(|scope| {
        let a = scope.spawn(|| a.follow(&server, |it| it.segments.len() >= 5));
        let b = scope.spawn(|| b.follow(&server, |it| it.segments.len() >= 6));
        let first = worker(&server, "a");
        let reached = msn(&server, "a") + 1;
        until("another segment", 10, || (msn(&server, "a") >= reached).then_some(()));
        signal(first, "KILL");
        until("another worker runs", 10, || (worker(&server, "a") != first).then_some(()));
        (a.join().expect("a goes on"), b.join().expect("b goes on"))
    });
    assert_eq!(server.status("a")["encoder"]["restarts"], 1);
    let video = a.remove(0);
    assert!(video.longest_wait < Duration::from_millis(3000), "{:?}", video.longest_wait);
    let lost = media::longest_gap(&video);
    assert!(lost <= 2.0, "{lost} s of media are lost");
    for rendition in &b {
        let wait = rendition.longest_wait;
        assert!(wait < Duration::from_millis(1500), "{} of b: {wait:?}", rendition.name());
        assert_eq!(discontinuities(rendition), 0);
    }
    media::assert_whole(&Master::of(&server, "b", 1), &b);
}

#[test]
fn no_worker_is_left_a_second_after_the_server_is_killed() {
    let mut server = Server::start(&open_stream("a", ""));
    let _sender = Sender::ffmpeg(&server, "a", &usual());
    let worker = worker(&server, "a");
    assert!(runs(worker));
    server.kill();
    let killed = Instant::now();
    until("the worker is gone", 10, || (!runs(worker)).then_some(()));
    assert!(killed.elapsed() <= Duration::from_secs(1), "after {:?}", killed.elapsed());
}

#[test]
fn a_publisher_that_comes_back_in_time_goes_on_and_one_too_late_begins_anew() {
    let modes = [("a", ""), ("p", PASSTHROUGH)];
    let keys = |mode: &str| format!("{mode}\ngrace = \"5s\"\nwindow = \"20s\"");
    let server = Server::start(&modes.map(|(name, mode)| open_stream(name, &keys(mode))).concat());
    let send = |name| Sender::ffmpeg(&server, name, &usual());
    let senders = modes.map(|(name, _)| send(name));
    let masters = modes.map(|(name, _)| Master::of(&server, name, 20));
    let wait = |more: u64| {
        for (name, _) in modes {
            let reached = msn(&server, name) + more;
            until("segments", 20, || (msn(&server, name) >= reached).then_some(()));
        }
    };
    let await_phase = |phase, seconds| {
        for (name, _) in modes {
            server.await_phase(name, phase, seconds);
        }
    };
    let followed = thread::scope(|scope| {
        let players = masters.each_ref().map(|it| scope.spawn(|| it.follow(&server, |_| false)));
        wait(1);
        senders.into_iter().for_each(Sender::kill);
        await_phase("waiting", 5);
        let senders = modes.map(|(name, _)| send(name));
        await_phase("live", 10);
        for ((name, _), master) in modes.iter().zip(&masters) {
            assert_eq!(Master::of(&server, name, 1).session(), master.session());
        }
        wait(2);
        senders.into_iter().for_each(Sender::kill);
        // Held requests are answered: each player gets the end of its playlist.
        let followed = players.map(|it| it.join().expect("a clean end"));
        await_phase("ended", 2);
        followed
    });
    // What is encoded goes on without the publisher, what is passed through cannot.
    for (followed, seams) in followed.iter().zip([0, 1]) {
        for rendition in followed {
            assert!(rendition.playlist.ended, "{}", rendition.name());
            assert_eq!(discontinuities(rendition), seams, "{}", rendition.name());
        }
    }
    let _senders = modes.map(|(name, _)| send(name));
    for (((name, _), old), watched) in modes.iter().zip(&masters).zip(&followed) {
        let new = until("a new session", 20, || {
            Some(Master::of(&server, name, 1)).filter(|it| it.session() != old.session())
        });
        let begun = new.follow(&server, |it| !it.segments.is_empty());
        let (first, last) = (media::span(&begun[0]).0, media::span(&watched[0]).1);
        assert!(first >= last, "media time goes on over sessions: {first} after {last}");
        // What ended is still there for those who watch it.
        let ended = server.get(&old.variants[0].path);
        assert!(ended.status == 200 && ended.text().ends_with("#EXT-X-ENDLIST\n"));
    }
}

#[test]
fn a_new_configuration_is_taken_without_dropping_a_publisher_and_a_broken_one_not_at_all() {
    let keyed = |key| format!("[[stream]]\nname = \"a\"\nkey = \"{key}\"\n{PASSTHROUGH}\n");
    let server = Server::start(&keyed("one"));
    let sender = Sender::ffmpeg(&server, "a:one", &usual());
    let master = Master::of(&server, "a", 20);
    let publisher = server.status("a")["publisher"].clone();
    assert_eq!(server.get("/live/b/index.m3u8").status, 404);

    server.reconfigure(&(keyed("two") + &open_stream("b", "")));
    until("b is known", 10, || (server.get("/live/b/index.m3u8").status == 503).then_some(()));
    let followed = master.follow(&server, |it| it.segments.len() >= 2);
    assert!(followed.iter().all(|it| discontinuities(it) == 0));
    assert_eq!(server.status("a")["publisher"], publisher);

    server.reconfigure("[[stream]]\nname = \"c\"\nopen = true\nmod = \"passthrough\"\n");
    server.await_log("nowcast.toml:", "the new configuration is not taken");
    assert_eq!(server.get("/live/b/index.m3u8").status, 503);
    assert_eq!(server.get("/live/c/index.m3u8").status, 404);
    assert_eq!(server.status("a")["publisher"], publisher);

    sender.kill();
    server.await_phase("a", "waiting", 5);
    Sender::ffmpeg(&server, "a:one", &usual()).assert_refused();
    let _sender = Sender::ffmpeg(&server, "a:two", &usual());
    server.await_phase("a", "live", 10);
}

#[test]
fn a_server_told_to_stop_answers_who_waits_and_ends_well() {
    let mut server = Server::start(&open_stream("a", PASSTHROUGH));
    let sender = Sender::ffmpeg(&server, "a", &usual());
    let playlist = Master::of(&server, "a", 20).variants[0].path.clone();
    sender.kill();
    server.await_phase("a", "waiting", 5);
    let (http, ops) = (server.http, server.ops);
    let next = format!("{playlist}?_HLS_msn={}", msn(&server, "a") + 2);
    let waiting = thread::spawn(move || try_get(http, &next));
    until("the request is held", 5, || {
        let metrics = try_get(ops, "/metrics")?;
        metrics.text().lines().any(|line| line == "nowcast_http_held_requests 1").then_some(())
    });
    assert!(server.stop().success());
    let answer = waiting.join().unwrap().expect("a whole answer");
    assert!(matches!(answer.status, 200 | 503), "{}", answer.status);
}

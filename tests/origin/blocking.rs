//! Blocking reload: what is answered at once, what waits, and for how long.

use tokio::time::Instant;

use crate::publisher::{PARTS, Publisher};
use crate::{Server, assert_refused, at, published, until};

#[tokio::test]
async fn what_is_there_is_answered_at_once() {
    let publisher = published();
    let server = Server::start(&publisher).await;
    let mut player = server.connect().await;
    for (query, cached) in [
        ("", "public, max-age=0"),
        ("_HLS_msn=0", "public, max-age=6"),
        ("_HLS_msn=9", "public, max-age=6"),
        ("_HLS_msn=3&_HLS_part=2", "public, max-age=6"),
        ("_HLS_part=1&x=y&_HLS_msn=10", "public, max-age=6"),
        ("_HLS_skip=foo&_HLS_msn=10&_HLS_part=0", "public, max-age=6"),
    ] {
        let reply = player.get(&at(query)).await;
        assert_eq!((reply.status, reply.text()), (200, &*publisher.video.text()), "{query}");
        assert_eq!(reply.header("cache-control"), Some(cached), "{query}");
        assert_eq!(reply.header("content-type"), Some("application/vnd.apple.mpegurl"));
        assert_eq!(reply.header("vary"), Some("Accept-Encoding"));
        assert!(reply.header("date").is_some());
        assert_eq!((reply.header("age"), reply.header("set-cookie")), (None, None));
    }
    let delta = publisher.video.delta().expect("there is enough to skip");
    assert_eq!(player.get(&at("_HLS_skip=YES")).await.text(), delta);
    assert_eq!(player.get(&at("_HLS_msn=9&_HLS_skip=v2")).await.text(), delta);
    assert_eq!(server.figures.held(), 0);
}

#[tokio::test]
async fn a_part_to_come_is_waited_for() {
    let mut publisher = published();
    let server = Server::start(&publisher).await;
    let mut next = server.held(&at("_HLS_msn=10&_HLS_part=2")).await;
    let mut after = server.held(&at("_HLS_msn=10&_HLS_part=3&_HLS_skip=YES")).await;
    publisher.video.parts(1);
    let reply = next.receive(true).await.unwrap();
    assert_eq!(reply.text(), publisher.video.text());
    assert!(reply.text().contains("\"p52.m4s\""));
    assert_eq!(reply.header("cache-control"), Some("public, max-age=6"));
    assert_eq!(server.figures.held(), 1);
    publisher.video.parts(1);
    assert_eq!(after.receive(true).await.unwrap().text(), publisher.video.delta().unwrap());
}

#[tokio::test]
async fn a_segment_is_waited_for_until_it_is_complete() {
    let mut publisher = published();
    let server = Server::start(&publisher).await;
    let mut player = server.held(&at("_HLS_msn=10")).await;
    publisher.video.parts(PARTS - 3);
    tokio::task::yield_now().await;
    assert_eq!(server.figures.held(), 1);
    publisher.video.parts(1);
    assert!(player.receive(true).await.unwrap().text().contains("\ns10.m4s\n"));
}

#[tokio::test]
async fn a_part_past_the_end_of_a_segment_is_the_first_of_the_next() {
    let mut publisher = published();
    let server = Server::start(&publisher).await;
    publisher.video.parts(PARTS - 2);
    let mut player = server.held(&at("_HLS_msn=10&_HLS_part=5")).await;
    publisher.video.parts(1);
    assert!(player.receive(true).await.unwrap().text().contains("\"p55.m4s\""));
    let reply = server.get(&at("_HLS_msn=10&_HLS_part=5")).await;
    assert!(reply.text().contains("\"p55.m4s\""));
}

#[tokio::test]
async fn directives_that_cannot_be_obeyed_are_bad_requests() {
    let publisher = published();
    let server = Server::start(&publisher).await;
    let mut player = server.connect().await;
    for query in [
        "_HLS_part=1",
        "_HLS_msn=",
        "_HLS_msn=-1",
        "_HLS_msn=x",
        "_HLS_msn=99999999999999999999",
        "_HLS_msn=10&_HLS_msn=10",
        "_HLS_msn=12",
        "_HLS_msn=18446744073709551615",
        "_HLS_msn=10&_HLS_part=17",
    ] {
        assert_refused(&player.get(&at(query)).await, 400, "no-store");
    }
    assert_eq!(server.figures.held(), 0);
}

#[tokio::test]
async fn the_end_answers_everybody_and_ends_blocking() {
    let mut publisher = published();
    let server = Server::start(&publisher).await;
    let mut player = server.held(&at("_HLS_msn=11")).await;
    let mut hint = server.held("/live/live/1/720p/p52.m4s").await;
    publisher.video.end();
    assert!(player.receive(true).await.unwrap().text().ends_with("#EXT-X-ENDLIST\n"));
    assert_refused(&hint.receive(true).await.unwrap(), 404, "public, max-age=1");
    for query in ["_HLS_msn=11", "_HLS_msn=99", "_HLS_part=x", "_HLS_skip=YES"] {
        let reply = server.get(&at(query)).await;
        assert_eq!((reply.status, reply.text()), (200, &*publisher.video.text()), "{query}");
    }
}

#[tokio::test]
async fn a_stream_that_is_torn_down_keeps_nobody_waiting() {
    let publisher = published();
    let server = Server::start(&publisher).await;
    let mut player = server.held(&at("_HLS_msn=10")).await;
    drop(publisher);
    assert_refused(&player.receive(true).await.unwrap(), 404, "public, max-age=1");
}

/// Paused time runs on only when nothing else can happen, which here is until the limit.
#[tokio::test(start_paused = true)]
async fn nobody_is_held_longer_than_three_target_durations() {
    let publisher = published();
    let server = Server::start(&publisher).await;
    for target in [&*at("_HLS_msn=10"), "/live/live/1/720p/p52.m4s"] {
        let since = Instant::now();
        let mut player = server.held(target).await;
        let reply = player.receive(true).await.unwrap();
        let held = since.elapsed();
        assert!((3.0..3.2).contains(&held.as_secs_f64()), "{held:?}");
        assert_refused(&reply, 503, "no-store");
        assert_eq!(reply.header("retry-after"), Some("1"));
    }
}

#[tokio::test]
async fn what_is_not_published_yet_is_unavailable_and_what_is_unknown_is_not_found() {
    let publisher = Publisher::new();
    let server = Server::start(&publisher).await;
    let mut player = server.connect().await;
    for target in ["/live/idle/index.m3u8", "/live/live/index.m3u8"] {
        let reply = player.get(target).await;
        assert_refused(&reply, 503, "no-store");
        assert_eq!(reply.header("retry-after"), Some("1"));
    }
    for target in [
        "/live/nobody/index.m3u8",
        "/live/LIVE/index.m3u8",
        "/live/live/2/720p/index.m3u8",
        "/live/live/1/480p/index.m3u8",
        "/live/live/1/720p/other.m3u8",
        "/live/live/1/720p/init-0.mp4",
        "/live/live/1/720p/../720p/index.m3u8",
        "/live/../live/live/index.m3u8",
        "/live/%6Cive/index.m3u8",
        "/live/live%2Findex.m3u8",
        "/live//live/index.m3u8",
        "/live/live/index.m3u8/",
        "/live/%00/index.m3u8",
        "/live/%/index.m3u8",
        "/live/",
        "/etc/passwd",
        "/assets/../index.html",
        "/watch/a%2Fb",
        "/%2e%2e/%2e%2e/etc/passwd",
    ] {
        assert_refused(&player.get(target).await, 404, "public, max-age=1");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_who_wait_get_the_same_bytes() {
    let mut publisher = published();
    let server = Server::start(&publisher).await;
    let mut players = Vec::new();
    for _ in 0..1000 {
        let mut player = server.connect().await;
        player.send("GET", &at("_HLS_msn=10&_HLS_part=2"), &["Accept-Encoding: gzip"]).await;
        players.push(player);
    }
    server.until_held(1000).await;
    publisher.video.parts(1);
    let first = players[0].receive(true).await.unwrap();
    assert_eq!((first.status, first.header("content-encoding")), (200, Some("gzip")));
    for player in &mut players[1..] {
        assert_eq!(player.receive(true).await.unwrap().body, first.body);
    }
    assert_eq!(server.figures.held(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_who_leave_are_forgotten() {
    let publisher = published();
    let server = Server::start(&publisher).await;
    for round in 1..=10 {
        let mut players = Vec::new();
        for _ in 0..1000 {
            let mut player = server.connect().await;
            player.send("GET", &at("_HLS_msn=10&_HLS_part=2"), &[]).await;
            players.push(player);
        }
        until(|| server.figures.connections().accepted() == round * 1000).await;
        server.until_held(1000).await;
        drop(players);
        server.until_held(0).await;
    }
    until(|| server.figures.connections().open() == 0).await;
}

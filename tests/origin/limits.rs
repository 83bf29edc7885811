//! What connections may cost, and how they end.

use std::time::Duration;

use nowcast::listener::{Limits, Shed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::publisher::{Publisher, part};
use crate::{PLAYLIST, Server, assert_refused, at, published, until};

#[tokio::test]
async fn heads_that_are_too_long_or_no_http_are_refused() {
    let publisher = published();
    let server = Server::start(&publisher).await;
    let long = format!("/live/{}/index.m3u8", "a".repeat(5000));
    assert_refused(&server.get(&long).await, 414, "no-store");
    let header = format!("X: {}", "a".repeat(20_000));
    let too_long = server.connect().await.ask("GET", PLAYLIST, &[&header]).await;
    assert_refused(&too_long, 431, "no-store");
    let too_many = server.connect().await.ask("GET", PLAYLIST, &["X: y"; 80]).await;
    assert_refused(&too_many, 431, "no-store");
    // Beyond that hyper answers, with the status alone.
    let header = format!("X: {}", "a".repeat(40_000));
    assert_eq!(server.connect().await.ask("GET", PLAYLIST, &[&header]).await.status, 431);
    let many = vec!["X: y"; 200];
    assert_eq!(server.connect().await.ask("GET", PLAYLIST, &many).await.status, 431);
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET /live\r\n\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\r\n\r\n",
        b"GET /live/\xff HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage that is no frame at all....",
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // Reset or closed: either way it ends.
        timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.unwrap().ok();
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
    assert_eq!(server.get(PLAYLIST).await.status, 200);
    until(|| server.figures.connections().open() == 0).await;
}

#[tokio::test]
async fn stopping_answers_those_who_wait_and_lets_bodies_arrive() {
    // Larger than the sockets' buffers: it is still on its way when the order comes.
    let mut publisher = Publisher::with_parts_of(8 << 20);
    publisher.video.parts(2);
    let server = Server::start(&publisher).await;
    let mut waiting = server.held(&at("_HLS_msn=0&_HLS_part=2")).await;
    let mut idle = server.connect().await;
    assert_eq!(idle.get(PLAYLIST).await.status, 200);
    let mut reading = server.connect().await;
    reading.send("GET", "/live/live/1/720p/p1.m4s", &[]).await;
    reading.stream.readable().await.unwrap();
    server.stop.send_replace(true);
    let reply = waiting.receive(true).await.unwrap();
    assert_refused(&reply, 503, "no-store");
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert_eq!(reply.header("connection"), Some("close"));
    assert!(idle.receive(true).await.is_none());
    assert_eq!(reading.receive(true).await.unwrap().body, part(1, 8 << 20));
    timeout(Duration::from_secs(5), server.task).await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

/// Time is paused: the limits of the default hold, and nobody waits for them.
#[tokio::test(start_paused = true)]
async fn who_never_finishes_a_head_or_comes_back_is_let_go() {
    let publisher = published();
    let server = Server::start(&publisher).await;
    let shed = |reason| server.figures.connections().shed_for(reason);
    let since = Instant::now();
    let mut silent = server.connect().await;
    assert!(silent.receive(true).await.is_none());
    assert!((10.0..13.0).contains(&since.elapsed().as_secs_f64()));
    assert_eq!(shed(Shed::SlowHead), 1);

    let mut dripping = server.connect().await;
    let since = Instant::now();
    while dripping.stream.write_all(b"G").await.is_ok() && since.elapsed().as_secs() < 20 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!((9..14).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());
    assert_eq!(shed(Shed::SlowHead), 2);

    let mut idle = server.connect().await;
    assert_eq!(idle.get(PLAYLIST).await.status, 200);
    let since = Instant::now();
    assert!(idle.receive(true).await.is_none());
    assert!((75.0..78.0).contains(&since.elapsed().as_secs_f64()));
    assert_eq!(shed(Shed::Idle), 1);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_let_go() {
    let mut publisher = Publisher::with_parts_of(16 << 20);
    publisher.video.parts(1);
    let server = Server::start(&publisher).await;
    let mut lazy = server.connect().await;
    lazy.send("GET", "/live/live/1/720p/p0.m4s", &[]).await;
    let since = Instant::now();
    while server.figures.connections().shed_for(Shed::SlowReader) == 0 {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!((15.0..18.0).contains(&since.elapsed().as_secs_f64()));
    assert!(lazy.receive(true).await.is_none(), "the body must not be whole");
}

#[tokio::test]
async fn the_newest_beyond_the_limit_are_turned_away() {
    let publisher = published();
    let limits = Limits { connections: 2, ..Limits::default() };
    let server = Server::limited(&publisher, limits).await;
    let mut first = server.connect().await;
    let mut second = server.connect().await;
    assert_eq!((first.get(PLAYLIST).await.status, second.get(PLAYLIST).await.status), (200, 200));
    let turned_away = server.connect().await.receive(true).await.unwrap();
    assert_eq!((turned_away.status, turned_away.body.len()), (503, 58));
    assert_eq!(turned_away.header("retry-after"), Some("1"));
    assert_eq!(first.get(PLAYLIST).await.status, 200);
    drop(second);
    until(|| server.figures.connections().open() == 1).await;
    assert_eq!(server.get(PLAYLIST).await.status, 200);
}

#[tokio::test]
async fn only_so_many_requests_are_held_in_all_and_for_each_client() {
    let mut publisher = published();
    let limits = Limits { held: 4, held_per_client: 2, ..Limits::default() };
    let server = Server::limited(&publisher, limits).await;
    let (hint, next) = ("/live/live/1/720p/p52.m4s", at("_HLS_msn=10&_HLS_part=2"));
    // The test's proxy: what it says of its clients is believed.
    let ask = async |target: &str, client: Option<&str>| {
        let header = client.map(|client| format!("X-Forwarded-For: {client}"));
        let headers: Vec<_> = header.as_deref().into_iter().collect();
        let mut connection = server.connect().await;
        connection.send("GET", target, &headers).await;
        connection
    };
    let mut held = Vec::new();
    for (count, target) in [(1, hint), (2, &*next)] {
        held.push(ask(target, Some("192.0.2.1")).await);
        server.until_held(count).await;
    }
    let one_more = ask(&next, Some("192.0.2.1")).await.receive(true).await.unwrap();
    assert_refused(&one_more, 429, "no-store");
    assert_eq!(one_more.header("retry-after"), Some("1"));
    // Only what waits is counted.
    let at_once = ask(PLAYLIST, Some("192.0.2.1")).await.receive(true).await.unwrap();
    assert_eq!(at_once.status, 200);

    held.push(ask(&next, Some("192.0.2.2")).await);
    held.push(ask(&next, None).await);
    server.until_held(4).await;
    for client in [Some("192.0.2.3"), None] {
        let one_more = ask(&next, client).await.receive(true).await.unwrap();
        assert_refused(&one_more, 503, "no-store");
        assert_eq!(one_more.header("retry-after"), Some("1"));
    }
    publisher.video.parts(1);
    for player in &mut held {
        assert_eq!(player.receive(true).await.unwrap().status, 200);
    }
    let mut again = ask(&at("_HLS_msn=10&_HLS_part=3"), Some("192.0.2.1")).await;
    server.until_held(1).await;
    publisher.video.parts(1);
    assert_eq!(again.receive(true).await.unwrap().status, 200);
}

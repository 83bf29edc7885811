//! The public listener over real sockets, fed by a publisher that is driven by hand.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at once")]

#[path = "origin/client.rs"]
mod client;
#[path = "origin/publisher.rs"]
mod publisher;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use nowcast::flow::Compressed;
use nowcast::listener::{Limits, Shed, serve};
use nowcast::metrics::Exposition;
use nowcast::origin::{Figures, Origin, pages};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use self::client::{Connection, Reply};
use self::publisher::{INIT, PARTS, Publisher, part};

const PLAYLIST: &str = "/live/live/1/720p/index.m3u8";

struct Server {
    address: SocketAddr,
    figures: Arc<Figures>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(publisher: &Publisher) -> Self {
        Self::limited(publisher, Limits::default()).await
    }

    async fn limited(publisher: &Publisher, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let pages = pages::handler(Arc::clone(&publisher.streams));
        let origin = Origin::new(Arc::clone(&publisher.streams), pages, limits);
        let (stop, stopped) = watch::channel(false);
        let figures = origin.figures();
        let task = tokio::spawn(serve(listener, Arc::new(origin), stopped));
        Self { address, figures, stop, task }
    }

    async fn connect(&self) -> Connection {
        Connection::open(self.address).await
    }

    async fn get(&self, target: &str) -> Reply {
        self.connect().await.get(target).await
    }

    /// Sends a request that is held, and comes back once it is.
    async fn held(&self, target: &str) -> Connection {
        let before = self.figures.held();
        let mut connection = self.connect().await;
        connection.send("GET", target, &[]).await;
        self.until_held(before + 1).await;
        connection
    }

    async fn until_held(&self, count: u64) {
        until(|| self.figures.held() == count).await;
    }
}

/// Waits for a condition that other tasks bring about.
async fn until(mut condition: impl FnMut() -> bool) {
    let patience = std::time::Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(std::time::Instant::now() < patience, "never came true");
        tokio::task::yield_now().await;
    }
}

fn at(query: &str) -> String {
    format!("{PLAYLIST}?{query}")
}

/// A stream with ten segments complete and two parts of the eleventh (number 10).
fn published() -> Publisher {
    let mut publisher = Publisher::new();
    publisher.video.parts(10 * PARTS + 2);
    publisher.multivariant.send_replace(Some(Compressed::new("#EXTM3U\n#one\n".to_owned())));
    publisher
}

fn assert_refused(reply: &Reply, status: u16, cached: &str) {
    assert_eq!(reply.status, status, "{}", reply.head);
    assert_eq!(reply.header("cache-control"), Some(cached), "{}", reply.head);
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(reply.text().ends_with(".\n"), "{}", reply.text());
}

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

#[tokio::test]
async fn a_hint_is_held_and_then_answered_whole() {
    let mut publisher = published();
    let server = Server::start(&publisher).await;
    let mut first = server.held("/live/live/1/720p/p52.m4s").await;
    let mut ranged = server.connect().await;
    ranged.send("GET", "/live/live/1/720p/p52.m4s", &["Range: bytes=10-9007199254740991"]).await;
    server.until_held(2).await;
    publisher.video.parts(1);
    let reply = first.receive(true).await.unwrap();
    assert_eq!((reply.status, &*reply.body), (200, &*part(52, 1000)));
    assert_eq!(reply.header("content-length"), Some("1003"));
    assert_eq!(reply.header("cache-control"), Some("public, max-age=6, immutable"));
    let reply = ranged.receive(true).await.unwrap();
    assert_eq!((reply.status, &*reply.body), (206, &part(52, 1000)[10..]));

    let mut promised = server.held("/live/live/1/720p/p53.m4s").await;
    publisher.video.skip_hint();
    assert_refused(&promised.receive(true).await.unwrap(), 404, "public, max-age=1");
    assert_refused(&server.get("/live/live/1/720p/p53.m4s").await, 404, "public, max-age=1");
    assert_refused(&server.get("/live/live/1/720p/p55.m4s").await, 404, "no-store");
    assert_refused(&server.get("/live/live/1/720p/s10.m4s").await, 404, "no-store");
    assert_refused(&server.get("/live/live/1/720p/s11.m4s").await, 404, "no-store");
    assert_refused(&server.get("/live/live/1/720p/p052.m4s").await, 404, "public, max-age=1");
}

#[tokio::test]
async fn a_segment_is_its_parts_and_goes_out_in_any_range() {
    let publisher = published();
    let server = Server::start(&publisher).await;
    let mut player = server.connect().await;
    let whole: Vec<u8> = (15..20).flat_map(|number| part(number, 1000)).collect();
    let target = "/live/live/1/720p/s3.m4s";
    let reply = player.get(target).await;
    assert_eq!((reply.status, &reply.body), (200, &whole));
    assert_eq!(reply.header("content-type"), Some("video/iso.segment"));
    assert_eq!(reply.header("cache-control"), Some("public, max-age=30, immutable"));
    assert_eq!(reply.header("accept-ranges"), Some("bytes"));
    let tag = reply.header("etag").unwrap().to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag} is not strong");

    let length = whole.len();
    for (range, expected) in [
        ("bytes=0-0", 0..1),
        ("bytes=900-2100", 900..2101),
        ("bytes=1001-", 1001..length),
        ("bytes=-1500", length - 1500..length),
        ("bytes=0-99999", 0..length),
    ] {
        let reply = player.ask("GET", target, &[&format!("Range: {range}")]).await;
        let content = format!("bytes {}-{}/{length}", expected.start, expected.end - 1);
        assert_eq!((reply.status, &*reply.body), (206, &whole[expected]), "{range}");
        assert_eq!(reply.header("content-range"), Some(&*content));
        assert_eq!(reply.header("etag"), Some(&*tag));
    }
    let past = player.ask("GET", target, &[&format!("Range: bytes={length}-")]).await;
    assert_refused(&past, 416, "no-store");
    assert_eq!(past.header("content-range"), Some(&*format!("bytes */{length}")));
    for headers in [
        &["Range: bytes=0-1,4-5"][..],
        &["Range: lines=0-1"],
        &["Range: bytes=5-1"],
        &["Range: bytes=0-1", "If-Range: \"other\""],
    ] {
        assert_eq!(player.ask("GET", target, headers).await.status, 200, "{headers:?}");
    }
    let same = ["Range: bytes=0-1", &format!("If-Range: {tag}")];
    assert_eq!(player.ask("GET", target, &same).await.status, 206);

    for condition in [&*tag, "*", &format!("\"x\", W/{tag}")] {
        let headers = [&*format!("If-None-Match: {condition}")];
        let reply = player.ask("GET", target, &headers).await;
        assert_eq!((reply.status, reply.body.len()), (304, 0), "{condition}");
        assert_eq!(reply.header("etag"), Some(&*tag));
        assert_eq!(reply.header("cache-control"), Some("public, max-age=30, immutable"));
    }
    let init = player.get(&format!("/live/live/1/720p/{INIT}")).await;
    assert_eq!((init.status, init.text()), (200, "init section"));
    assert_eq!(init.header("content-type"), Some("video/mp4"));
    assert_eq!(init.header("cache-control"), Some("public, max-age=31536000, immutable"));
}

#[tokio::test]
async fn playlists_are_compressed_for_those_who_take_it() {
    let publisher = published();
    let server = Server::start(&publisher).await;
    let mut player = server.connect().await;
    for target in [PLAYLIST, "/live/live/index.m3u8"] {
        let plain = player.ask("GET", target, &["Accept-Encoding: br, gzip;q=0"]).await;
        assert_eq!(plain.header("content-encoding"), None);
        let packed = player.ask("GET", target, &["Accept-Encoding: gzip, deflate, br"]).await;
        assert_eq!(packed.header("content-encoding"), Some("gzip"));
        assert_eq!(packed.header("vary"), Some("Accept-Encoding"));
        let mut text = String::new();
        let mut decoder = flate2::read::GzDecoder::new(&*packed.body);
        std::io::Read::read_to_string(&mut decoder, &mut text).unwrap();
        assert_eq!(text, plain.text());
    }
    let media = "/live/live/1/720p/p3.m4s";
    let part = player.ask("GET", media, &["Accept-Encoding: gzip"]).await;
    assert_eq!((part.header("content-encoding"), part.header("vary")), (None, None));
}

#[tokio::test]
async fn head_says_what_get_would_and_never_waits() {
    let publisher = published();
    let server = Server::start(&publisher).await;
    let mut player = server.connect().await;
    for target in
        [PLAYLIST, "/live/live/index.m3u8", "/live/live/1/720p/s3.m4s", "/live/x/index.m3u8"]
    {
        let get = player.get(target).await;
        let head = player.ask("HEAD", target, &[]).await;
        let without_date = |head: &str| {
            head.lines().filter(|line| !line.starts_with("date:")).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(without_date(&head.head), without_date(&get.head), "{target}");
        assert!(get.header("content-length").is_some_and(|length| length != "0"));
    }
    let early = player.ask("HEAD", &at("_HLS_msn=10&_HLS_part=2"), &[]).await;
    assert_eq!((early.status, early.header("cache-control")), (200, Some("public, max-age=0")));
    assert_eq!(player.ask("HEAD", "/live/live/1/720p/p52.m4s", &[]).await.status, 404);
    let whole = player.ask("HEAD", "/live/live/1/720p/p3.m4s", &["Range: bytes=0-1"]).await;
    assert_eq!(whole.status, 200);
}

#[tokio::test]
async fn other_methods_are_refused_and_preflights_are_answered() {
    let publisher = published();
    let server = Server::start(&publisher).await;
    let mut player = server.connect().await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
        let reply = player.ask(method, PLAYLIST, &["Content-Length: 0"]).await;
        assert_refused(&reply, 405, "no-store");
        assert_eq!(reply.header("allow"), Some("GET, HEAD, OPTIONS"));
    }
    let headers = ["Origin: https://player.example", "Access-Control-Request-Method: GET"];
    let reply = player.ask("OPTIONS", "/live/live/1/720p/p3.m4s", &headers).await;
    assert_eq!(reply.status, 204);
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(reply.header("access-control-max-age"), Some("86400"));
    let allowed = reply.header("access-control-allow-headers").unwrap();
    assert!(allowed.contains("Range") && allowed.contains("CMCD-Request"), "{allowed}");
    let exposed = player.get(PLAYLIST).await;
    let exposed = exposed.header("access-control-expose-headers").unwrap();
    assert!(exposed.contains("Age") && exposed.contains("Date"), "{exposed}");
}

#[tokio::test]
async fn heads_that_are_too_long_or_no_http_are_refused() {
    let publisher = published();
    let server = Server::start(&publisher).await;
    let long = format!("/live/{}/index.m3u8", "a".repeat(5000));
    assert_refused(&server.get(&long).await, 414, "no-store");
    let header = format!("X: {}", "a".repeat(20_000));
    assert_eq!(server.connect().await.ask("GET", PLAYLIST, &[&header]).await.status, 431);
    let many = vec!["X: y"; 100];
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
async fn over_http_2_those_who_wait_hold_up_nobody() {
    let mut publisher = published();
    let server = Server::start(&publisher).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (mut player, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut ask = |target: &str| {
        let uri = format!("http://{}{target}", server.address);
        player.send_request(Request::get(uri).body(Empty::<Bytes>::new()).unwrap())
    };
    let mut waiting: Vec<_> = (0..100).map(|_| tokio::spawn(ask(&at("_HLS_msn=10")))).collect();
    server.until_held(100).await;
    assert_eq!(ask(PLAYLIST).await.unwrap().status(), 200);

    // A stream that is reset waits no longer; the connection lives on.
    for given_up in waiting.drain(50..) {
        given_up.abort();
    }
    server.until_held(50).await;
    publisher.video.parts(PARTS - 2);
    let expected = publisher.video.text();
    for player in waiting {
        let body = player.await.unwrap().unwrap().into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), expected);
    }

    let waiting = tokio::spawn(ask(&at("_HLS_msn=11")));
    server.until_held(1).await;
    server.stop.send_replace(true);
    assert_eq!(waiting.await.unwrap().unwrap().status(), 503);
    timeout(Duration::from_secs(5), server.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn figures_tell_what_was_done() {
    let mut publisher = published();
    let server = Server::start(&publisher).await;
    server.get(PLAYLIST).await;
    server.get("/live/live/1/720p/p999.m4s").await;
    let mut held = server.held(&at("_HLS_msn=10&_HLS_part=2")).await;
    publisher.video.parts(1);
    held.receive(true).await.unwrap();
    let mut out = Exposition::default();
    server.figures.expose(&mut out);
    let text = out.into_text();
    for line in [
        "nowcast_http_requests_total{kind=\"playlist\",status=\"2xx\"} 2",
        "nowcast_http_requests_total{kind=\"part\",status=\"4xx\"} 1",
        "nowcast_http_held_requests 0",
        "nowcast_http_hold_seconds_count 1",
        "nowcast_http_wake_seconds_count 1",
        "nowcast_http_connections_accepted_total 3",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
}

#[tokio::test]
async fn pages_learn_which_streams_there_are() {
    let publisher = published();
    let server = Server::start(&publisher).await;
    let mut page = server.connect().await;
    let list: serde_json::Value =
        serde_json::from_slice(&page.get("/api/v1/streams").await.body).unwrap();
    assert_eq!(list[0]["playlist"], "/live/live/index.m3u8");
    assert_eq!(list[0]["phase"], "live");
    assert!(
        !list.to_string().contains("192.0.2.7"),
        "the publisher's address is nobody's business"
    );
    let one: serde_json::Value =
        serde_json::from_slice(&page.get("/api/v1/streams/idle").await.body).unwrap();
    assert_eq!(one["name"], "idle");
    assert_refused(&page.get("/api/v1/streams/nobody").await, 404, "public, max-age=1");
    let time = page.get("/api/v1/time").await;
    assert_eq!(time.header("cache-control"), Some("no-store"));
    assert!(time.text().starts_with("{\"now\":1"), "{}", time.text());
    for path in ["/", "/watch/live"] {
        let reply = page.get(path).await;
        match reply.status {
            200 => assert!(reply.header("content-security-policy").is_some()),
            503 => assert!(reply.text().contains("./x build")),
            status => panic!("{path}: {status}"),
        }
    }
}

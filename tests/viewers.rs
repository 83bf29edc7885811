//! Who watches: what players say of themselves, and what CMSD says to them, over real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at once")]

#[path = "origin/client.rs"]
mod client;
#[path = "origin/publisher.rs"]
mod publisher;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nowcast::flow::Audience;
use nowcast::listener::{Limits, serve};
use nowcast::origin::{Note, Origin, Rest};
use nowcast::viewers::Viewers;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use self::client::{Connection, Reply};
use self::publisher::{PARTS, Publisher};

const PLAYLIST: &str = "/live/live/1/720p/index.m3u8";

struct Server {
    address: SocketAddr,
    publisher: Publisher,
    _stop: watch::Sender<bool>,
}

impl Server {
    async fn start() -> Self {
        let mut publisher = Publisher::new();
        publisher.video.parts(3 * PARTS + 2);
        publisher.tell_status();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let viewers = Arc::new(Viewers::new(Arc::clone(&publisher.streams)));
        let (collector, noted) = (Arc::clone(&viewers), Arc::clone(&viewers));
        let rest: Rest = Box::new(move |request| {
            let collector = Arc::clone(&collector);
            Box::pin(async move { collector.collect(request).await })
        });
        let note: Note = Box::new(move |stream, query, head| noted.note(stream, query, head));
        let streams = Arc::clone(&publisher.streams);
        let origin = Origin::new(streams, rest, Limits::default()).noting(note);
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(viewers.run(stopped.clone()));
        tokio::spawn(serve(listener, Arc::new(origin), stopped));
        Self { address, publisher, _stop: stop }
    }

    async fn connect(&self) -> Connection {
        Connection::open(self.address).await
    }

    /// Posts a body to `/cmcd`.
    async fn report(&self, body: &[u8]) -> Reply {
        let mut connection = self.connect().await;
        let length = format!("Content-Length: {}", body.len());
        let headers = [length.as_str(), "Content-Type: application/cmcd"];
        connection.send("POST", "/cmcd", &headers).await;
        // Who refuses a long body need not read it to its end.
        connection.stream.write_all(body).await.ok();
        connection.receive(true).await.expect("an answer")
    }

    /// The audience of `live`, once it is as wanted.
    async fn audience(&self, wanted: impl Fn(&Audience) -> bool) -> Audience {
        let stream = self.publisher.streams.find("live").unwrap();
        let found = timeout(Duration::from_secs(20), async {
            loop {
                let audience = Audience::clone(&stream.audience.load());
                if wanted(&audience) {
                    return audience;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        found.await.unwrap_or_else(|_| panic!("it is {:?}", stream.audience.load()))
    }
}

#[tokio::test]
async fn reports_are_counted_by_session_whatever_way_they_take() {
    let server = Server::start().await;
    let mut player = server.connect().await;
    // With requests: in the query and in headers. It is no part of what is answered.
    let plain = player.get(PLAYLIST).await;
    let query = "CMCD=bl%3D2100%2Cbs%2Csid%3D%22in-query%22";
    let told = player.get(&format!("{PLAYLIST}?{query}")).await;
    let cmcd = ["CMCD-Session: sid=\"in-headers\"", "CMCD-Request: bl=1900", "CMCD-Status: bs"];
    let in_headers = player.ask("GET", PLAYLIST, &cmcd).await;
    assert_eq!((&told.body, &in_headers.body), (&plain.body, &plain.body));
    assert_eq!(told.header("cache-control"), plain.header("cache-control"));
    assert_eq!(told.header("vary"), Some("Accept-Encoding"));
    // Damaged, it changes nothing at all.
    assert_eq!(player.get(&format!("{PLAYLIST}?CMCD=sid%3D%22")).await.status, 200);

    // In reports, as text and as JSON, named by content id or by what was asked for.
    let lines = "cid=\"live\",e=t,ltc=700,sid=\"a\",v=2\nbsa=(1),e=ps,ltc=800,sid=\"a\",sta=r,v=2";
    let reply = server.report(lines.as_bytes()).await;
    assert_eq!((reply.status, reply.header("nowcast-sample")), (204, Some("1")), "{}", reply.head);
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    let json = "{\"sid\":\"b\",\"ltc\":900,\"url\":\"https://cdn.example/live/live/1/720p/p4.m4s\"}\n[{\"sid\":\"c\",\"cid\":\"live\",\"ltc\":9000}]";
    assert_eq!(server.report(json.as_bytes()).await.status, 204);
    // Of no stream that there is.
    assert_eq!(server.report(b"cid=\"other\",sid=\"x\"").await.status, 204);

    let audience = server.audience(|audience| audience.reported == 5).await;
    assert_eq!(audience.viewers, 5);
    assert_eq!((audience.latency_ms, audience.latency_p95_ms), (Some(900), Some(9000)));
    assert_eq!((audience.buffer_ms, audience.stalls), (Some(2100), 3));
    assert_eq!(server.report(b"sid=\"a\",sta=q").await.status, 204);
    server.audience(|audience| audience.reported == 4).await;
}

#[tokio::test]
async fn what_is_no_report_is_refused_with_a_sentence() {
    let server = Server::start().await;
    for (body, status, words) in [
        (&b"\n"[..], 400, "is empty"),
        (b"sid=\"a\",cid=\"live\"\n<html>", 400, "Record 2 is no CMCD"),
        (b"\xff\xfe", 400, "UTF-8"),
        (b"{\"sid\":", 400, "no JSON"),
        (b"[1]", 400, "an object"),
        (b"[]", 400, "is empty"),
        (&vec![b'a'; 70_000], 413, "64 KiB"),
    ] {
        let reply = server.report(body).await;
        assert_eq!(reply.status, status, "{}", reply.text());
        assert!(reply.text().contains(words) && reply.text().ends_with(".\n"), "{}", reply.text());
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    }
    let mut page = server.connect().await;
    assert_eq!(page.get("/cmcd").await.status, 405);
    let preflight = page.ask("OPTIONS", "/cmcd", &[]).await;
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-headers"), Some("Content-Type"));
    assert_eq!(server.audience(|_| true).await.reported, 0, "a body is taken whole or not at all");
}

#[tokio::test]
async fn players_that_say_nothing_are_counted_by_what_they_ask_for() {
    let mut server = Server::start().await;
    let mut players = Vec::new();
    for _ in 0..3 {
        players.push(server.connect().await);
    }
    let stream = server.publisher.streams.find("live").unwrap();
    let follow = async {
        loop {
            let number = server.publisher.video.next_part;
            for player in &mut players {
                player.send("GET", &format!("/live/live/1/720p/p{number}.m4s"), &[]).await;
            }
            while stream.demand.waiting() < 3 {
                tokio::task::yield_now().await;
            }
            server.publisher.video.parts(1);
            for player in &mut players {
                assert_eq!(player.receive(true).await.unwrap().status, 200);
            }
            server.publisher.tell_status();
            let audience = Audience::clone(&stream.audience.load());
            if audience.direct == 3 {
                return audience;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let audience = timeout(Duration::from_secs(20), follow).await.expect("three are counted");
    assert_eq!((audience.viewers, audience.reported, audience.latency_ms), (3, 0, None));
    assert!(audience.egress > 0);
    server.audience(|audience| audience.waiting == 0).await;
}

#[tokio::test]
async fn cmsd_tells_when_it_was_made_and_for_how_long_it_was_held() {
    let mut server = Server::start().await;
    let (playlist, part) = (format!("{PLAYLIST}?_HLS_msn=3&_HLS_part=2"), 3 * PARTS + 2);
    let part = format!("/live/live/1/720p/p{part}.m4s");
    let mut held = Vec::new();
    for target in [&playlist, &part] {
        let mut connection = server.connect().await;
        connection.send("GET", target, &[]).await;
        held.push(connection);
    }
    let stream = server.publisher.streams.find("live").unwrap();
    while stream.demand.waiting() < 2 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(30)).await;
    server.publisher.video.parts(1);
    let made_and_held = |reply: &Reply| {
        let value = reply.header("cmsd-static").unwrap().to_owned();
        let key = |name: &str| {
            let value =
                value.split(',').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            value.map(|value| value.parse::<u64>().unwrap())
        };
        (key("at").unwrap(), key("ht"))
    };
    for (connection, target) in held.iter_mut().zip([&playlist, &part]) {
        let (made, held) = made_and_held(&connection.receive(true).await.unwrap());
        assert!(held.unwrap() >= 30, "{target}: {held:?}");
        // The next one waits for nothing; it was made at the same time.
        let reply = server.connect().await.get(target).await;
        assert_eq!(made_and_held(&reply), (made, None), "{target}");
        let exposed = reply.header("access-control-expose-headers").unwrap();
        assert!(exposed.contains("CMSD-Static"));
    }
}

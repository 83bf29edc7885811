//! The operator's listener over real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at once")]

#[path = "origin/client.rs"]
mod client;
#[path = "origin/publisher.rs"]
mod publisher;

use std::net::SocketAddr;
use std::sync::Arc;

use nowcast::flow::Control;
use nowcast::metrics::Kind;
use nowcast::ops::{Ops, serve};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::client::Connection;
use self::publisher::Publisher;

struct Desk {
    address: SocketAddr,
    ready: watch::Sender<bool>,
    _stop: watch::Sender<bool>,
}

impl Desk {
    async fn start(publisher: &Publisher, token: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ready, is_ready) = watch::channel(false);
        let (stop, stopped) = watch::channel(false);
        let ops = Ops::new(
            Arc::clone(&publisher.streams),
            is_ready,
            token.map(Into::into),
            vec![Box::new(|out| out.single("extra", Kind::Gauge, "Of another part.", 7))],
        );
        tokio::spawn(serve(listener, Arc::new(ops), stopped));
        Self { address, ready, _stop: stop }
    }

    async fn connect(&self) -> Connection {
        Connection::open(self.address).await
    }
}

#[tokio::test]
async fn health_says_when_the_server_is_ready() {
    let desk = Desk::start(&Publisher::new(), Some("secret")).await;
    let mut probe = desk.connect().await;
    assert_eq!(probe.get("/livez").await.status, 200);
    assert_eq!(probe.get("/readyz").await.status, 503);
    desk.ready.send_replace(true);
    assert_eq!(probe.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn a_token_is_needed_where_there_is_one() {
    let publisher = Publisher::new();
    let desk = Desk::start(&publisher, Some("secret")).await;
    let mut operator = desk.connect().await;
    for target in ["/metrics", "/api/v1/streams", "/api/v1/streams/live", "/x"] {
        for header in [
            "X: y",
            "Authorization: Bearer secre",
            "Authorization: Bearer secreT",
            "Authorization: Bearer secrets",
            "Authorization: secret",
            "Authorization: Bearer ",
        ] {
            let reply = operator.ask("GET", target, &[header]).await;
            assert_eq!(reply.status, 401, "{target} {header}");
            assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
        }
    }
    let reply = operator.ask("GET", "/metrics", &["Authorization: Bearer secret"]).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn pages_get_nothing() {
    let publisher = Publisher::new();
    let desk = Desk::start(&publisher, None).await;
    let mut page = desk.connect().await;
    for (method, target) in
        [("GET", "/livez"), ("GET", "/api/v1/streams"), ("POST", "/api/v1/streams/live/kick")]
    {
        let reply =
            page.ask(method, target, &["Origin: https://evil.example", "Content-Length: 0"]).await;
        assert_eq!((reply.status, reply.header("access-control-allow-origin")), (403, None));
    }
}

#[tokio::test]
async fn streams_are_shown_and_counted() {
    let publisher = Publisher::new();
    let desk = Desk::start(&publisher, None).await;
    let mut operator = desk.connect().await;
    let all: Value = serde_json::from_slice(&operator.get("/api/v1/streams").await.body).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 2);
    let one: Value =
        serde_json::from_slice(&operator.get("/api/v1/streams/live").await.body).unwrap();
    assert_eq!((&one["name"], &one["publisher"]), (&"live".into(), &"192.0.2.7:1234".into()));
    assert_eq!(operator.get("/api/v1/streams/nobody").await.status, 404);
    assert_eq!(operator.get("/api/v1/streams/live/kick").await.status, 405);
    let metrics = operator.get("/metrics").await;
    for line in [
        "nowcast_extra 7",
        "# TYPE nowcast_process_open_fds gauge",
        "nowcast_stream_phase{stream=\"live\",phase=\"live\"} 1",
        "# TYPE nowcast_ingest_packets_lost_total counter",
        "# TYPE nowcast_rendition_late_parts_total counter",
        "nowcast_viewers{stream=\"live\"} 0",
        "# TYPE nowcast_viewer_latency_seconds gauge",
    ] {
        assert!(metrics.text().lines().any(|found| found == line), "{line}\n{}", metrics.text());
    }
}

#[tokio::test]
async fn a_publisher_is_kicked_or_there_was_none() {
    let mut publisher = Publisher::new();
    let desk = Desk::start(&publisher, None).await;
    let mut operator = desk.connect().await;
    for (there_was_one, status) in [(true, 200), (false, 409)] {
        operator.send("POST", "/api/v1/streams/live/kick", &["Content-Length: 0"]).await;
        match publisher.control.recv().await {
            Some(Control::Kick(answer)) => answer.send(there_was_one).unwrap(),
            other => panic!("{other:?}"),
        }
        assert_eq!(operator.receive(true).await.unwrap().status, status);
    }
    drop(publisher.control);
    let reply = operator.ask("POST", "/api/v1/streams/live/kick", &["Content-Length: 0"]).await;
    assert_eq!(reply.status, 503);
}

//! Codings, methods, versions, and what else is told.

use std::time::Duration;

use ::http::Request;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use nowcast::metrics::Exposition;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::publisher::PARTS;
use crate::{PLAYLIST, Server, assert_refused, at, published};

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

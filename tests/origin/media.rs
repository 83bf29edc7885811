//! Parts and segments: hints, ranges, validators.

use crate::publisher::{INIT, part};
use crate::{Server, assert_refused, published};

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

//! What reaches the player: fresh playlists, and the origin's own headers.

use std::net::SocketAddr;

use crate::cache::Cache;
use crate::publisher::part as bytes_of;
use crate::{FOLDER, House, NEXT, part, playlist_with, text};

/// What was asked for by position has that position, now and from the store; what was asked for without is
/// no older than `max-age` says, here 0 s.
pub(crate) async fn playlists(cache: fn(SocketAddr) -> Cache) {
    let mut house = House::open(cache).await;
    for number in NEXT..NEXT + 12 {
        let mut waiting = house.waiting(&playlist_with(number), 1).await;
        house.publisher.video.parts(1);
        let listed = format!("\"p{number}.m4s\"");
        let first = waiting.receive(true).await.unwrap();
        let again = house.get(&playlist_with(number)).await;
        assert!(text(&first).contains(&listed) && text(&again) == text(&first));
        let plain = house.get(&format!("{FOLDER}/index.m3u8")).await;
        assert_eq!(text(&plain), house.publisher.video.text());
        assert_eq!(house.times(&playlist_with(number)), 1);
    }
    house.publisher.video.end();
    let ended = house.get(&playlist_with(NEXT + 12)).await;
    assert!(text(&ended).ends_with("#EXT-X-ENDLIST\n"));
}

pub(crate) async fn headers(cache: fn(SocketAddr) -> Cache) {
    let house = House::open(cache).await;
    let mut player = house.connect().await;
    // The first comes from the origin, the second from the store.
    for _ in 0..2 {
        let reply = player.ask("GET", &playlist_with(NEXT - 1), &["Accept-Encoding: gzip"]).await;
        assert_eq!(reply.header("content-encoding"), Some("gzip"));
        assert_eq!(reply.header("content-type"), Some("application/vnd.apple.mpegurl"));
        assert_eq!(reply.header("cache-control"), Some("public, max-age=6"));
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        let exposed = reply.header("access-control-expose-headers").unwrap();
        assert!(exposed.contains("Age") && exposed.contains("Date"), "{exposed}");
        assert!(reply.header("vary").is_some_and(|vary| vary.contains("Accept-Encoding")));
        let age: u64 = reply.header("age").expect("a cache tells the age").parse().unwrap();
        assert!(age <= 2 && reply.header("date").is_some());
        let packed = text(&reply);
        for coding in ["Accept-Encoding: identity", "Accept-Encoding: gzip;q=0", "X: no coding"] {
            let plain = player.ask("GET", &playlist_with(NEXT - 1), &[coding]).await;
            assert_eq!(plain.header("content-encoding"), None, "{coding}");
            assert_eq!(plain.text(), packed);
        }
    }
    assert_eq!(house.times(&playlist_with(NEXT - 1)), 1);

    let whole = bytes_of(3, 1000);
    let reply = player.ask("GET", &part(3), &["Accept-Encoding: gzip"]).await;
    assert_eq!((reply.status, &*reply.body), (200, &*whole));
    assert_eq!(reply.header("content-encoding"), None);
    assert_eq!(reply.header("cache-control"), Some("public, max-age=6, immutable"));
    let tag = reply.header("etag").expect("a validator").to_owned();
    for (range, expected) in [("bytes=10-99", &whole[10..100]), ("bytes=900-", &whole[900..])] {
        let reply = player.ask("GET", &part(3), &[&format!("Range: {range}")]).await;
        assert_eq!((reply.status, &*reply.body), (206, expected), "{range}");
        assert_eq!(reply.header("etag"), Some(&*tag));
    }
    let reply = player.ask("GET", &part(3), &[&format!("If-None-Match: {tag}")]).await;
    assert_eq!((reply.status, reply.body.len()), (304, 0));
    let reply = player.ask("HEAD", &part(3), &[]).await;
    assert_eq!((reply.status, reply.body.len()), (200, 0));
    assert_eq!(house.times(&part(3)), 1, "all of it from one fetch");
    let reply = player.ask("GET", &part(4), &["Range: bytes=0-99"]).await;
    assert_eq!((reply.status, &*reply.body), (206, &bytes_of(4, 1000)[..100]));

    let reply = player.ask("OPTIONS", &part(3), &["Origin: https://example.org"]).await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (204, Some("*")));
    assert_eq!(player.get("/api/v1/time").await.status, 200);
    let reply = player.ask("POST", &part(3), &["Content-Length: 0"]).await;
    assert_eq!(reply.status, 405);
}

pub(crate) async fn queries(cache: fn(SocketAddr) -> Cache) {
    let house = House::open(cache).await;
    let mut player = house.connect().await;
    for query in [
        "_HLS_msn=9&_HLS_part=2",
        "_HLS_part=2&_HLS_msn=9",
        "CMCD=a%3D1&_HLS_msn=9&_HLS_part=2",
        "_HLS_part=2&x&_HLS_msn=9&CMCD=b",
        "&_HLS_msn=9&&_HLS_part=2&_HLS_skip=foo&",
    ] {
        assert_eq!(player.get(&format!("{FOLDER}/index.m3u8?{query}")).await.status, 200);
    }
    for query in
        ["_HLS_msn=9&_HLS_part=2&_HLS_skip=YES", "_HLS_skip=YES&_HLS_part=2&a=b&_HLS_msn=9"]
    {
        let reply = player.get(&format!("{FOLDER}/index.m3u8?{query}")).await;
        assert!(text(&reply).contains("#EXT-X-SKIP:"), "{query}");
    }
    for query in ["", "?", "?CMCD=bl%3D1", "?_HLS_msn=3"] {
        assert_eq!(player.get(&format!("{}{query}", part(3))).await.status, 200);
    }
    // A room's ticks are one object each, whoever asks; this origin has no rooms.
    let next = "/live/live/events/0a1b2c3d/next.json?_t=";
    for query in ["7", "7&CMCD=a%3D1", "8"] {
        assert_eq!(player.get(&format!("{next}{query}")).await.status, 404);
    }
    let asked = house.asked.lock().unwrap().clone();
    let expected = [
        (format!("{next}7"), 1),
        (format!("{next}8"), 1),
        (format!("{FOLDER}/index.m3u8?_HLS_msn=9&_HLS_part=2"), 1),
        (format!("{FOLDER}/index.m3u8?_HLS_msn=9&_HLS_part=2&_HLS_skip=YES"), 1),
        (part(3), 1),
    ];
    assert_eq!(asked, expected.into());
    // What the origin refuses, it is to refuse behind a cache too.
    for query in ["_HLS_part=1", "_HLS_msn=", "_HLS_msn=x", "_HLS_msn=99"] {
        let reply = player.get(&format!("{FOLDER}/index.m3u8?{query}")).await;
        assert_eq!(reply.status, 400, "{query}");
    }
}

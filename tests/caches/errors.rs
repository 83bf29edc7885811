//! Errors are true when they are told, and for no longer.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::cache::Cache;
use crate::publisher::PARTS;
use crate::{House, NEXT, part, playlist_with, text, until};

/// A part not yet hinted (404) and a playlist too far ahead (400) are good a moment later.
pub(crate) async fn too_early(cache: fn(SocketAddr) -> Cache) {
    let mut house = House::open(cache).await;
    let far = playlist_with(NEXT + 2 * PARTS);
    for _ in 0..3 {
        assert_eq!(house.get(&part(NEXT + 3)).await.status, 404);
        assert_eq!(house.get(&far).await.status, 400);
    }
    house.publisher.video.parts(4);
    assert_eq!(house.get(&part(NEXT + 3)).await.status, 200);
    house.publisher.video.parts(2 * PARTS - 3);
    let reply = house.get(&far).await;
    assert_eq!(reply.status, 200);
    assert!(text(&reply).contains(&format!("\"p{}.m4s\"", NEXT + 2 * PARTS)));
    // And the requests of a crowd for it are joined as if nothing had been.
    let next = NEXT + 2 * PARTS + 4;
    assert_eq!(house.get(&part(next)).await.status, 404);
    house.publisher.video.parts(3);
    let before = house.times(&part(next));
    let mut players = vec![house.waiting(&part(next), 1).await];
    for _ in 0..30 {
        let mut player = house.connect().await;
        player.send("GET", &part(next), &[]).await;
        players.push(player);
    }
    // All of them are in the cache's queue when the answer to a request that came after theirs is there.
    assert_eq!(house.get(&part(NEXT)).await.status, 200);
    house.publisher.video.parts(1);
    for player in &mut players {
        assert_eq!(player.receive(true).await.unwrap().status, 200);
    }
    assert_eq!(house.times(&part(next)), before + 1);
}

/// Nothing comes for three target durations: 503 for all, by one request; then the stream goes on.
pub(crate) async fn held_in_vain(cache: fn(SocketAddr) -> Cache) {
    let mut house = House::open(cache).await;
    let target = playlist_with(NEXT);
    let mut players = vec![house.waiting(&target, 1).await];
    for _ in 0..30 {
        let mut player = house.connect().await;
        player.send("GET", &target, &[]).await;
        players.push(player);
    }
    for player in &mut players {
        let reply = player.receive(true).await.unwrap();
        assert_eq!(reply.status, 503, "{}", reply.head);
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("retry-after"), Some("1"));
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    }
    assert_eq!(house.times(&target), 1);
    // Who asks now waits anew, and is answered by the part.
    let mut next = house.waiting(&target, 1).await;
    house.publisher.video.parts(1);
    let reply = next.receive(true).await.unwrap();
    assert!(reply.status == 200 && text(&reply).contains(&format!("\"p{NEXT}.m4s\"")));
}

/// 503 before the first publisher is gone with the first picture; 404 of an unknown name lasts a second.
pub(crate) async fn nothing_yet(cache: fn(SocketAddr) -> Cache) {
    let mut house = House::empty(cache).await;
    for _ in 0..3 {
        let reply = house.get("/live/live/index.m3u8").await;
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
        assert_eq!(house.get("/live/live/1/480p/index.m3u8").await.status, 404);
    }
    assert!(house.times("/live/live/1/480p/index.m3u8") <= 2, "404 may be kept for a second");
    house.publisher.video.parts(1);
    house.publish_multivariant();
    assert_eq!(house.get("/live/live/index.m3u8").await.status, 200);
    let before = house.times("/live/live/1/480p/index.m3u8");
    sleep(Duration::from_millis(2100)).await;
    assert_eq!(house.get("/live/live/1/480p/index.m3u8").await.status, 404);
    assert_eq!(house.times("/live/live/1/480p/index.m3u8"), before + 1);
}

/// While nothing listens at the origin's address, what is in store is served and the rest is refused.
pub(crate) async fn origin_away(cache: fn(SocketAddr) -> Cache) {
    let mut house = House::open(cache).await;
    assert_eq!(house.get(&part(NEXT - 1)).await.status, 200);
    house.stop.send_replace(true);
    until(|| TcpStream::connect(house.origin).is_err()).await;
    assert_eq!(house.get(&part(NEXT - 1)).await.status, 200);
    for target in [playlist_with(NEXT - 1), part(NEXT - 2)] {
        let reply = house.get(&target).await;
        assert!(reply.status >= 500, "{}", reply.head);
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    }
    house.restart().await;
    // Varnish does not call again for a quarter of a second.
    let since = Instant::now();
    while house.get(&part(NEXT - 3)).await.status != 200 {
        assert!(since.elapsed() < Duration::from_secs(2), "the origin is back, and not asked");
    }
    for target in [playlist_with(NEXT - 1), part(NEXT - 2)] {
        assert_eq!(house.get(&target).await.status, 200);
    }
}

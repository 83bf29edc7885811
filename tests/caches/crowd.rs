//! Many players behind one cache.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::cache::Cache;
use crate::client::{Connection, Reply};
use crate::publisher::{PARTS, part as bytes_of};
use crate::{House, NEXT, part, playlist_with, text, until};

const PERIOD: Duration = Duration::from_millis(200);
const ROUNDS: u64 = 25;

fn players() -> usize {
    std::env::var("NOWCAST_PLAYERS").map_or(200, |count| count.parse().unwrap())
}

/// What a player got: a playlist or a part, of which number, and when.
struct Arrival {
    number: u64,
    playlist: bool,
    at: Instant,
}

/// Players of all manners ask for the same: orders of directives, codings and CMCD differ, every third takes the
/// hinted part ahead of the playlist that lists it.
pub(crate) async fn one_request_per_object(cache: fn(SocketAddr) -> Cache) {
    let mut house = House::open(cache).await;
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    for id in 0..players() {
        tokio::spawn(play(id, house.cache.address, arrived.clone()));
    }
    drop(arrived);
    let mut shown = Vec::new();
    for _ in 0..ROUNDS {
        tokio::time::sleep(PERIOD).await;
        shown.push(Instant::now());
        house.publisher.video.parts(1);
    }
    let (mut playlists, mut parts) = (Vec::new(), Vec::new());
    while let Some(Arrival { number, playlist, at }) = arrivals.recv().await {
        let round = usize::try_from(number - NEXT).unwrap();
        // The first rounds are those in which everybody connects.
        if round >= 5 {
            let delays = if playlist { &mut playlists } else { &mut parts };
            delays.push(at.duration_since(shown[round]));
        }
    }
    println!("{} players; ms from a part being shown to its arrival", players());
    let median = told("playlists", &mut playlists);
    told("parts", &mut parts);
    assert_eq!(playlists.len(), players() * usize::try_from(ROUNDS - 5).unwrap());
    let asked = house.asked.lock().unwrap();
    println!(
        "  the origin was asked {} times for {} objects",
        asked.values().sum::<u32>(),
        asked.len()
    );
    for number in NEXT..NEXT + ROUNDS {
        for target in [playlist_with(number), part(number)] {
            assert_eq!(asked.get(&target), Some(&1), "{target}: one request for all players");
        }
    }
    assert_eq!(asked.len(), 2 * usize::try_from(ROUNDS).unwrap(), "{asked:?}");
    // By polling it would be a quarter of a second and more.
    assert!(median < PERIOD, "the median player waits {median:?} longer than it need");
}

/// Writes the percentiles; gives the median.
fn told(what: &str, delays: &mut [Duration]) -> Duration {
    delays.sort_unstable();
    let at = |share: usize| delays[(delays.len() - 1) * share / 1000];
    let ms = |share| at(share).as_secs_f64() * 1e3;
    let [p50, p90, p99, max] = [500, 900, 990, 1000].map(ms);
    println!("  {what:9} p50 {p50:.1}  p90 {p90:.1}  p99 {p99:.1}  max {max:.1}");
    at(500)
}

async fn play(id: usize, address: SocketAddr, arrived: mpsc::UnboundedSender<Arrival>) {
    let coding = ["gzip", "gzip, deflate, br, zstd", "identity", "br, gzip;q=0.5"][id % 4];
    let coding = format!("Accept-Encoding: {coding}");
    let (mut playlists, mut media) =
        (Connection::open(address).await, Connection::open(address).await);
    for number in NEXT..NEXT + ROUNDS {
        let tell = |playlist| {
            arrived.send(Arrival { number, playlist, at: Instant::now() }).unwrap();
        };
        let ahead = id.is_multiple_of(3);
        if ahead {
            media.send("GET", &part(number), &[]).await;
        }
        let (msn, part_of) = (number / PARTS, number % PARTS);
        let query = match id % 3 {
            0 => format!("_HLS_msn={msn}&_HLS_part={part_of}"),
            1 => format!("_HLS_part={part_of}&_HLS_msn={msn}&CMCD=sid%3D%22{id}%22"),
            _ => format!("CMCD=bl%3D{id}&_HLS_msn={msn}&_HLS_part={part_of}"),
        };
        let target = format!("{}/index.m3u8?{query}", crate::FOLDER);
        let reply = playlists.ask("GET", &target, &[&coding]).await;
        tell(true);
        let uri = format!("\"p{number}.m4s\"");
        assert!(reply.status == 200 && text(&reply).contains(&uri), "{target}: {}", reply.head);
        let reply = if ahead {
            media.receive(true).await.expect("the hinted part")
        } else {
            media.get(&part(number)).await
        };
        tell(false);
        assert_part(&reply, number);
    }
}

fn assert_part(reply: &Reply, number: u64) {
    assert_eq!(reply.status, 200, "part {number}: {}", reply.head);
    assert!(reply.body == bytes_of(number, 1000), "part {number} is another");
}

/// Who asked first, and so fetches for all, goes away, as half of the others do.
pub(crate) async fn leaving(cache: fn(SocketAddr) -> Cache) {
    let mut house = House::open(cache).await;
    for number in NEXT..NEXT + 5 {
        for target in [playlist_with(number), part(number)] {
            let before = house.figures.held();
            let first = house.waiting(&target, before + 1).await;
            let mut others = Vec::new();
            for _ in 0..20 {
                let mut player = house.connect().await;
                player.send("GET", &target, &[]).await;
                others.push(player);
            }
            drop(first);
            others.truncate(10);
            // They stay in the cache's queue, and the origin learns nothing of them.
            tokio::spawn(async move {
                for player in &mut others {
                    assert_eq!(player.receive(true).await.expect("an answer").status, 200);
                }
            });
        }
        let waiting = house.figures.held();
        assert!((1..=2).contains(&waiting), "{waiting} requests held");
        house.publisher.video.parts(1);
        until(|| house.figures.held() == 0).await;
        let late = house.get(&part(number)).await;
        assert_part(&late, number);
        for target in [playlist_with(number), part(number)] {
            let times = house.times(&target);
            assert!((1..=2).contains(&times), "{target} was asked for {times} times");
        }
    }
}

/// Hundreds of requests of a few players at a time, on a few connections.
pub(crate) async fn connections(cache: fn(SocketAddr) -> Cache) {
    let house = Arc::new(House::open(cache).await);
    let before = house.figures.connections().accepted();
    let mut players = Vec::new();
    for id in 0..4 {
        let house = Arc::clone(&house);
        players.push(tokio::spawn(async move {
            let mut player = house.connect().await;
            for number in (id..NEXT).step_by(4) {
                for target in [playlist_with(number), part(number)] {
                    assert_eq!(player.get(&target).await.status, 200);
                }
            }
        }));
    }
    for player in players {
        player.await.unwrap();
    }
    assert_eq!(house.asked.lock().unwrap().len(), 2 * usize::try_from(NEXT).unwrap());
    let opened = house.figures.connections().accepted() - before;
    assert!(opened <= 8, "{opened} connections to the origin");
}

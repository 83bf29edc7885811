//! Many at once, and what they cost the others: nothing.

use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use nowcast::listener::{Limits, Shed};
use nowcast_testkit::m3u8::MediaPlaylist;
use rustix::process::{Resource, getrlimit};

use crate::client::Connection;
use crate::publisher::{PARTS, Publisher, part};
use crate::wire::{Answer, Player, Wire};
use crate::{PLAYLIST, Server, at, published, until};

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// What somebody may write behind the question mark.
    fn query(&mut self) -> String {
        const PIECES: [&str; 20] = [
            "_HLS_msn=",
            "_HLS_part=",
            "_HLS_skip=",
            "&",
            "=",
            "1",
            "10",
            "-1",
            "0",
            "18446744073709551616",
            "%00",
            "%",
            "x",
            "YES",
            "v2",
            ".5",
            "+",
            "_HLS_",
            "?",
            "/",
        ];
        (0..self.below(8)).map(|_| PIECES[usize::try_from(self.below(20)).unwrap()]).collect()
    }
}

/// What a random player asks, and what it may not be told too early.
enum Question {
    Anything(String),
    Playlist { msn: u64, part: Option<u64>, skip: bool },
    Part(u64),
}

impl Question {
    fn near(edge: u64, random: &mut Random) -> Self {
        let (msn, wild) = (edge / PARTS, random.below(4));
        match wild {
            0 => Self::Anything(random.query()),
            1 => Self::Part((edge + random.below(8)).saturating_sub(4)),
            _ => Self::Playlist {
                msn: (msn + random.below(6)).saturating_sub(2),
                part: (random.below(4) > 0).then(|| random.below(12)),
                skip: random.below(2) > 0,
            },
        }
    }

    fn target(&self) -> String {
        match self {
            Self::Anything(query) => at(query),
            Self::Part(number) => format!("/live/live/1/720p/p{number}.m4s"),
            Self::Playlist { msn, part, skip } => {
                let part = part.map_or_else(String::new, |part| format!("&_HLS_part={part}"));
                at(&format!("_HLS_msn={msn}{part}{}", if *skip { "&_HLS_skip=YES" } else { "" }))
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_asked_is_answered_by_one_of_four_statuses_and_never_early() {
    let mut publisher = published();
    let server = Server::start(&publisher).await;
    let mut asking = Vec::new();
    for (seed, wire) in (1..).zip(Wire::ALL.into_iter().cycle().take(32)) {
        let mut player = Player::open(&server, wire).await;
        asking.push(tokio::spawn(async move {
            let (mut random, mut edge, mut held) = (Random(0x9e37_79b9_7f4a_7c15 ^ seed), 52, 0);
            for _ in 0..500 {
                let question = Question::near(edge, &mut random);
                let target = question.target();
                let answer = player.get(&target).await;
                let about = format!("{wire:?} {target}: {}", answer.status);
                assert!([200, 400, 404, 503].contains(&answer.status), "{about}");
                if answer.status != 200 {
                    continue;
                }
                if let Question::Part(number) = question {
                    assert_eq!(answer.body, part(number, 1000), "{about}");
                    edge = edge.max(number);
                    continue;
                }
                let playlist = MediaPlaylist::read(answer.text()).unwrap();
                let (last, index) = playlist.last_part().unwrap();
                edge = last * PARTS + index as u64;
                if let Question::Playlist { msn, part, .. } = question {
                    assert!(playlist.reaches(msn, part), "{about} is early:\n{}", answer.text());
                    held += 1;
                }
            }
            held
        }));
    }
    let mut compared = 0;
    for player in &mut asking {
        while !player.is_finished() {
            publisher.video.parts(1);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        compared += player.await.unwrap();
    }
    assert!(compared > 2000, "only {compared} playlists could be compared with what was asked");
    until(|| server.figures.held() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_parked_requests_are_woken_and_a_hundred_thousand_cancelled_leave_nothing() {
    const PARKED: u64 = 10_000;
    let mut publisher = published();
    let server = Server::start(&publisher).await;
    let mut players = Player::crowd(&server, Wire::Http2, 10_000).await;
    // A hundred streams in each connection. A connection is counted before its task is there, so
    // that all tasks are there is told by an answer over the last one.
    assert_eq!(players.last_mut().unwrap().get(PLAYLIST).await.status, 200);
    assert_eq!(server.figures.connections().open(), PARKED / 100);
    let mut park = |target: &str| -> Vec<_> {
        players.iter_mut().map(|player| tokio::spawn(player.send("GET", target, &[]))).collect()
    };
    let runtime = tokio::runtime::Handle::current().metrics();
    let tasks = runtime.num_alive_tasks();
    for _ in 0..10 {
        let waiting = park(&at("_HLS_msn=10&_HLS_part=2"));
        server.until_held(PARKED).await;
        for player in &waiting {
            player.abort();
        }
        server.until_held(0).await;
        drop(waiting);
        until(|| runtime.num_alive_tasks() <= tasks).await;
    }

    let waiting = park(&at("_HLS_msn=10&_HLS_part=2"));
    server.until_held(PARKED).await;
    publisher.video.parts(1);
    let expected = publisher.video.text();
    for answer in waiting {
        let answer = Answer::whole(answer.await.unwrap().unwrap()).await;
        assert_eq!((answer.status, answer.text()), (200, &*expected));
    }
    assert_eq!(server.figures.held(), 0);
}

/// The median time from a part being published to a player of each wire having its playlist.
async fn follow(server: &Server, publisher: &mut Publisher) -> Duration {
    let mut times = Vec::new();
    for wire in Wire::ALL {
        let mut player = Player::open(server, wire).await;
        for _ in 0..30 {
            let next = publisher.video.next_part;
            let target = at(&format!("_HLS_msn={}&_HLS_part={}", next / PARTS, next % PARTS));
            let answer = tokio::spawn(player.send("GET", &target, &[]));
            server.until_held(1).await;
            let published = Instant::now();
            publisher.video.parts(1);
            let answer = Answer::whole(answer.await.unwrap().unwrap()).await;
            times.push(published.elapsed());
            assert_eq!((answer.status, answer.text()), (200, &*publisher.video.text()));
            if let Player::One(sender) = &mut player {
                sender.ready().await.unwrap();
            }
        }
    }
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_idle_connections_leave_players_undisturbed() {
    // Both ends of each connection are in this process; fewer where it may not have as many.
    let connections = Limits::of_this_process().connections;
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let room = usize::try_from(files.saturating_sub(6000) / 2).unwrap();
    let count = room.min(connections).clamp(200, 10_000);
    let mut publisher = published();
    let server = Server::start(&publisher).await;
    let alone = follow(&server, &mut publisher).await;
    let mut idle = Vec::with_capacity(count);
    for _ in 0..count {
        let mut connection = server.connect().await;
        assert_eq!(connection.ask("HEAD", PLAYLIST, &[]).await.status, 200);
        idle.push(connection);
    }
    let beside_them = follow(&server, &mut publisher).await;
    // Room for a busy machine: what grew with the idle would be hundreds of times as long.
    let allowed = alone * 5 + Duration::from_millis(5);
    assert!(beside_them < allowed, "{beside_them:?} beside {count} idle, {alone:?} alone");
    let shed: u64 =
        Shed::ALL.iter().map(|(why, _)| server.figures.connections().shed_for(*why)).sum();
    assert_eq!(shed, 0);
    let again: &mut Connection = idle.last_mut().unwrap();
    assert_eq!(again.get(PLAYLIST).await.status, 200);
    drop(idle);
    until(|| server.figures.connections().open() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_an_answer_delays_nobody_and_no_other_answer_of_his_own() {
    for wire in Wire::ALL {
        // Larger than the buffers of sockets and the windows of streams.
        let mut publisher = Publisher::with_parts_of(24 << 20);
        publisher.video.parts(1);
        let server = Server::start(&publisher).await;
        let mut lazy = Player::open(&server, wire).await;
        let unread = lazy.send("GET", "/live/live/1/720p/p0.m4s", &[]).await.unwrap();
        let mut other = Player::open(&server, wire).await;
        for _ in 0..20 {
            assert_eq!(other.get(PLAYLIST).await.status, 200, "{wire:?}");
            if wire.multiplexes() {
                assert_eq!(lazy.get(PLAYLIST).await.status, 200, "{wire:?}");
            }
        }
        let late = Answer::whole(unread).await;
        assert_eq!(late.body.len(), part(0, 24 << 20).len(), "{wire:?}: who reads late has it all");
    }
}

/// Time is paused, and runs on by the sleeps.
#[tokio::test(start_paused = true)]
async fn who_leaves_one_answer_unread_beside_others_is_let_go_in_two_minutes() {
    let mut publisher = Publisher::with_parts_of(24 << 20);
    publisher.video.parts(1);
    let server = Server::start(&publisher).await;
    let mut player = Player::open(&server, Wire::Http2).await;
    let unread = player.send("GET", "/live/live/1/720p/p0.m4s", &[]).await.unwrap();
    let since = tokio::time::Instant::now();
    let shed = || server.figures.connections().shed_for(Shed::SlowReader);
    while since.elapsed() < Duration::from_secs(200) {
        let Ok(answer) = player.send("GET", PLAYLIST, &[]).await else { break };
        if answer.into_body().collect().await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(shed(), 1);
    assert!((60..=122).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());
    drop(unread);
}

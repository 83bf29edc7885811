//! How long players wait for what was published: N of them, keep-alive, held at the same part, five
//! parts a second, on the machine that serves them.
//!
//! `cargo bench --bench origin [-- N…]` prints for each N the delay from a part being shown to its
//! playlist having arrived, and what the server's threads cost.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, stops at once, and counts nothing large"
)]

#[path = "../tests/origin/publisher.rs"]
mod publisher;

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nowcast::listener::{Limits, serve};
use nowcast::origin::{Figures, Origin, pages};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};

use self::publisher::{PARTS, Publisher};

const PERIOD: Duration = Duration::from_millis(200);
const ROUNDS: usize = 50;

fn main() {
    let counts: Vec<usize> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let counts = if counts.is_empty() { vec![1, 200, 1000] } else { counts };
    println!(
        "players   p50 ms   p99 ms   max ms   behind the first p99 ms   server CPU %   server us/answer   kB/player"
    );
    for count in counts {
        run(count);
    }
}

fn runtime(name: &str, threads: usize) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name(name)
        .enable_all()
        .build()
        .unwrap()
}

fn run(count: usize) {
    let (server, players) = (runtime("origin", 2), runtime("players", 1));
    let mut publisher = Publisher::new();
    publisher.video.parts(30 * PARTS);
    let (address, figures, _stop) = start(&server, &publisher);
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let first = publisher.video.next_part;
    let (before_players, mut grown) = (resident(), 0);
    for _ in 0..count {
        players.spawn(play(address, first, arrived.clone()));
    }
    let (mut delays, mut behind) = (Vec::new(), Vec::new());
    let mut cpu = Duration::ZERO;
    for round in 0..ROUNDS {
        wait_until_held(&figures, count);
        // Once buffers have been used; their sockets' memory is the kernel's.
        if round == 5 {
            grown = resident().saturating_sub(before_players);
        }
        std::thread::sleep(PERIOD / 4);
        let (before, shown) = (cpu_of("origin"), Instant::now());
        publisher.video.parts(1);
        let instants: Vec<Instant> =
            (0..count).map(|_| arrivals.blocking_recv().unwrap()).collect();
        wait_until_held(&figures, count);
        std::thread::sleep((shown + PERIOD).saturating_duration_since(Instant::now()));
        // The first rounds fill caches and buffers.
        if round >= 5 {
            cpu += cpu_of("origin") - before;
            let earliest = instants.iter().min().copied().unwrap_or(shown);
            delays.extend(instants.iter().map(|at| at.duration_since(shown)));
            behind.extend(instants.iter().map(|at| at.duration_since(earliest)));
        }
    }
    // The players go first: without their publisher they would be told so.
    drop(players);
    delays.sort_unstable();
    behind.sort_unstable();
    let millis = |sorted: &[Duration], share: f64| {
        sorted[((sorted.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3
    };
    let rounds = (ROUNDS - 5) as u32;
    println!(
        "{count:7} {:8.2} {:8.2} {:8.2} {:25.2} {:14.1} {:18.1} {:11.1}",
        millis(&delays, 0.5),
        millis(&delays, 0.99),
        millis(&delays, 1.0),
        millis(&behind, 0.99),
        100.0 * cpu.as_secs_f64() / (PERIOD * rounds).as_secs_f64(),
        1e6 * cpu.as_secs_f64() / f64::from(rounds) / count as f64,
        grown as f64 / count as f64,
    );
}

fn start(
    runtime: &Runtime,
    publisher: &Publisher,
) -> (SocketAddr, Arc<Figures>, watch::Sender<bool>) {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let pages = pages::handler(Arc::clone(&publisher.streams));
    let limits = Limits::of_this_process();
    let origin = Origin::new(Arc::clone(&publisher.streams), pages, limits);
    let figures = origin.figures();
    let (stop, stopped) = watch::channel(false);
    runtime.spawn(serve(listener, Arc::new(origin), stopped));
    (address, figures, stop)
}

fn wait_until_held(figures: &Figures, count: usize) {
    while figures.held() != count as u64 {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Asks for one part after the other, and says when each playlist was there.
async fn play(address: SocketAddr, mut part: u64, arrived: mpsc::UnboundedSender<Instant>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = Vec::with_capacity(16 << 10);
    loop {
        let (msn, index) = (part / PARTS, part % PARTS);
        let request = format!(
            "GET /live/live/1/720p/index.m3u8?_HLS_msn={msn}&_HLS_part={index} HTTP/1.1\r\n\
             Host: origin\r\nAccept-Encoding: gzip\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        buffer.clear();
        while !is_whole(&buffer) {
            if stream.read_buf(&mut buffer).await.unwrap() == 0 {
                return;
            }
        }
        assert!(buffer.starts_with(b"HTTP/1.1 200"));
        if arrived.send(Instant::now()).is_err() {
            return;
        }
        part += 1;
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = std::str::from_utf8(&answer[..end]).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    answer.len() == end + 4 + length.parse::<usize>().unwrap()
}

/// Memory of this process, in kB; the players, in it too, take a fraction of what the server does.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Processor time of the threads of this name.
fn cpu_of(name: &str) -> Duration {
    let mut nanos = 0;
    for task in fs::read_dir("/proc/self/task").unwrap().flatten() {
        let read = |file| fs::read_to_string(task.path().join(file)).unwrap_or_default();
        if read("comm").trim() == name {
            let schedstat = read("schedstat");
            nanos += schedstat.split(' ').next().unwrap().parse::<u64>().unwrap_or(0);
        }
    }
    Duration::from_nanos(nanos)
}

//! What an audience costs: a server of its own, and so many sockets of viewers from this process.
//!
//!   cargo bench --bench audience [-- SOCKETS [MESSAGES_A_SECOND [CHATTERS [THEIR_MESSAGES_A_SECOND]]]]
//!
//! First all are idle (memory for each), then an announcement ten times a second goes to all of them
//! (deliveries a second, delay from being accepted to being read), then they write (delay to the answer). At
//! last chatters without a socket post messages, over some connections that stay open.
//! Server and viewers share the machine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt, StreamExt};
use hdrhistogram::Histogram;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio::sync::{Barrier, watch};
use tokio::time::{interval, sleep, timeout};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

const PHASE: Duration = Duration::from_secs(10);

/// What the viewers are to do.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Idle,
    Read,
    Write,
    Stop,
}

struct Server {
    child: Child,
    _dir: tempfile::TempDir,
    http: String,
    ops: String,
}

impl Server {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port =
            || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (http, ops) = (port(), port());
        let config = dir.path().join("nowcast.toml");
        let text = format!(
            "[srt]\nlisten=\"127.0.0.1:0\"\n[http]\nlisten=\"127.0.0.1:{http}\"\n[ops]\nlisten=\"127.0.0.1:{ops}\"\n[state]\ndir={:?}\n[[stream]]\nname=\"a\"\nopen=true\n",
            dir.path().join("state")
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_nowcast"))
            .arg("--config")
            .arg(config)
            .arg("serve")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self {
            child,
            _dir: dir,
            http: format!("127.0.0.1:{http}"),
            ops: format!("127.0.0.1:{ops}"),
        };
        while tokio::net::TcpStream::connect(&server.ops).await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
        server
    }

    /// Kilobytes that are its own, and processor seconds.
    fn cost(&self) -> (u64, f64) {
        let pid = self.child.id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        let kilobytes = line.trim().trim_end_matches(" kB").parse().unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        (kilobytes, ticks as f64 / 100.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|word| !word.starts_with("--"));
    let sockets: usize =
        arguments.next().map_or(1000, |word| word.parse().expect("a number of sockets"));
    let messages: usize =
        arguments.next().map_or(500, |word| word.parse().expect("messages a second"));
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let all = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, all).ok();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut number = || arguments.next().map(|word| word.parse::<usize>().expect("a number"));
    let (chatters, their_messages) = (number().unwrap_or(0), number().unwrap_or(1000));
    runtime.block_on(async {
        if sockets > 0 {
            run(sockets, messages).await;
        }
        if chatters > 0 {
            chat(chatters, their_messages).await;
        }
    });
}

async fn run(sockets: usize, messages: usize) {
    let server = Server::start().await;
    let client: Client<HttpConnector, Full<bytes::Bytes>> =
        Client::builder(TokioExecutor::new()).build_http();
    let mut tokens = Vec::with_capacity(sockets);
    for _ in 0..sockets {
        tokens.push(token(&client, &server.ops).await);
    }
    let (before, _) = server.cost();
    let (phase, phases) = watch::channel(Phase::Idle);
    let figures = Arc::new(Figures {
        read: histogram(),
        answered: histogram(),
        frames: AtomicU64::new(0),
        confirmed: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        lost: AtomicU64::new(0),
    });
    let ready = Arc::new(Barrier::new(sockets + 1));
    let began = Instant::now();
    for (at, token) in tokens.into_iter().enumerate() {
        let viewer = Viewer {
            at,
            every: Duration::from_secs_f64(sockets as f64 / messages as f64),
            phases: phases.clone(),
            figures: Arc::clone(&figures),
        };
        let (http, ready) = (server.http.parse().unwrap(), Arc::clone(&ready));
        tokio::spawn(viewer.run(http, token, ready));
        if at % 500 == 499 {
            sleep(Duration::from_millis(250)).await;
        }
    }
    timeout(Duration::from_secs(120), ready.wait()).await.expect("all sockets open");
    sleep(Duration::from_secs(2)).await;
    let (now, _) = server.cost();
    println!(
        "{sockets} idle sockets, opened in {:.1} s: {:.1} kB each in the server",
        began.elapsed().as_secs_f64() - 2.0,
        (now - before) as f64 / sockets as f64
    );

    phase.send(Phase::Read).unwrap();
    let (_, cpu) = server.cost();
    let began = Instant::now();
    let mut tick = interval(Duration::from_millis(100));
    while began.elapsed() < PHASE {
        tick.tick().await;
        let op = json!({"kind": "custom", "body": {"name": "tick", "data": {"filler": "x".repeat(100)}}});
        post(&client, &format!("http://{}/api/v1/streams/a/ops", server.ops), &op).await;
    }
    sleep(Duration::from_secs(1)).await;
    let seconds = began.elapsed().as_secs_f64();
    report("frames read", &figures.frames, seconds, &figures.read, server.cost().1 - cpu);

    phase.send(Phase::Write).unwrap();
    let (_, cpu) = server.cost();
    let began = Instant::now();
    sleep(PHASE).await;
    let seconds = began.elapsed().as_secs_f64();
    report(
        "messages confirmed",
        &figures.confirmed,
        seconds,
        &figures.answered,
        server.cost().1 - cpu,
    );
    println!(
        "refused {}, sockets lost {}, memory {} MB",
        figures.refused.load(Relaxed),
        figures.lost.load(Relaxed),
        server.cost().0 / 1024
    );
    phase.send(Phase::Stop).unwrap();
}

/// Each message of another chatter, sent when it is due; delays count from there.
async fn chat(chatters: usize, messages: usize) {
    const CONNECTIONS: usize = 64;
    let server = Server::start().await;
    let mut tokens = Vec::with_capacity(chatters);
    let mints: Vec<_> = (0..8)
        .map(|_| {
            let (ops, share) = (server.ops.clone(), chatters.div_ceil(8));
            tokio::spawn(async move {
                let client = Client::builder(TokioExecutor::new()).build_http();
                let mut tokens = Vec::with_capacity(share);
                for _ in 0..share {
                    tokens.push(token(&client, &ops).await);
                }
                tokens
            })
        })
        .collect();
    for mint in mints {
        tokens.extend(mint.await.unwrap());
    }
    let tokens = Arc::new(tokens);
    let answered = Arc::new(histogram());
    let (confirmed, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (_, cpu) = server.cost();
    let began = Instant::now();
    let every = Duration::from_secs_f64(CONNECTIONS as f64 / messages as f64);
    let senders: Vec<_> = (0..CONNECTIONS)
        .map(|at| {
            let (tokens, answered) = (Arc::clone(&tokens), Arc::clone(&answered));
            let (confirmed, refused) = (Arc::clone(&confirmed), Arc::clone(&refused));
            let url = format!("http://{}/api/v1/streams/a/ops", server.http);
            tokio::spawn(async move {
                let client: Client<HttpConnector, Full<bytes::Bytes>> =
                    Client::builder(TokioExecutor::new()).build_http();
                let mut due = Instant::now() + every.mul_f64(at as f64 / CONNECTIONS as f64);
                let mut number = at;
                while began.elapsed() < PHASE {
                    sleep(due.saturating_duration_since(Instant::now())).await;
                    let op = json!({"op_id": format!("c-{number}"), "kind": "chat.send", "body": {"text": format!("message {number}, hello everybody, see example.org")}});
                    let request = http::Request::post(&url)
                        .header("authorization", format!("Bearer {}", tokens[number % tokens.len()]))
                        .body(Full::from(op.to_string()))
                        .unwrap();
                    let response = client.request(request).await.unwrap();
                    let count = if response.status() == 200 { &confirmed } else { &refused };
                    response.into_body().collect().await.unwrap();
                    count.fetch_add(1, Relaxed);
                    let delay = u64::try_from(due.elapsed().as_micros()).unwrap();
                    answered.lock().unwrap().record(delay.max(1)).ok();
                    number += CONNECTIONS;
                    due += every;
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
    let seconds = began.elapsed().as_secs_f64();
    let what = format!("{chatters} chatters without sockets, messages confirmed");
    report(&what, &confirmed, seconds, &answered, server.cost().1 - cpu);
    println!("refused {}, memory {} MB", refused.load(Relaxed), server.cost().0 / 1024);
}

struct Figures {
    read: Mutex<Histogram<u64>>,
    answered: Mutex<Histogram<u64>>,
    frames: AtomicU64,
    confirmed: AtomicU64,
    refused: AtomicU64,
    lost: AtomicU64,
}

fn histogram() -> Mutex<Histogram<u64>> {
    Mutex::new(Histogram::new_with_bounds(1, 60_000_000, 3).unwrap())
}

fn report(what: &str, count: &AtomicU64, seconds: f64, delays: &Mutex<Histogram<u64>>, cpu: f64) {
    let delays = delays.lock().unwrap();
    let at = |share| delays.value_at_quantile(share) as f64 / 1000.0;
    println!(
        "{what}: {:.0} a second, delay p50 {:.1} ms, p99 {:.1} ms, server {:.2} cores",
        count.swap(0, Relaxed) as f64 / seconds,
        at(0.5),
        at(0.99),
        cpu / seconds
    );
}

/// From the operator's listener: sessions of one address are limited.
async fn token(client: &Client<HttpConnector, Full<bytes::Bytes>>, ops: &str) -> String {
    let asked = json!({"role": "viewer", "stream": "a", "expires": 3600});
    let answer = post(client, &format!("http://{ops}/api/v1/tokens"), &asked).await;
    answer["token"].as_str().expect("a token").to_owned()
}

async fn post(
    client: &Client<HttpConnector, Full<bytes::Bytes>>,
    url: &str,
    body: &Value,
) -> Value {
    let request = http::Request::post(url).body(Full::from(body.to_string())).unwrap();
    let response = client.request(request).await.unwrap();
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes())
        .unwrap_or_default()
}

struct Viewer {
    at: usize,
    every: Duration,
    phases: watch::Receiver<Phase>,
    figures: Arc<Figures>,
}

impl Viewer {
    async fn run(mut self, server: SocketAddr, token: String, ready: Arc<Barrier>) {
        // Ports of one address do not suffice for all.
        let from = SocketAddr::from(([127, 0, 0, 1 + u8::try_from(self.at / 4000).unwrap()], 0));
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(from).unwrap();
        let stream = socket.connect(server).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut request =
            format!("ws://{server}/api/v1/streams/a/ws").into_client_request().unwrap();
        request
            .headers_mut()
            .insert("sec-websocket-protocol", HeaderValue::from_static("nowcast.v1"));
        let (mut socket, _) = client_async(request, stream).await.unwrap();
        socket
            .send(Message::text(json!({"t": "hello", "token": token}).to_string()))
            .await
            .unwrap();
        socket.next().await.unwrap().unwrap();
        ready.wait().await;
        let mut writes = interval(self.every);
        let (mut sent, mut number) = (None, 0);
        loop {
            let phase = *self.phases.borrow();
            tokio::select! {
                frame = socket.next() => match frame {
                    Some(Ok(Message::Text(text))) => self.hear(&text, phase, &mut sent),
                    Some(Ok(_)) => {}
                    _ => {
                        self.figures.lost.fetch_add(1, Relaxed);
                        return;
                    }
                },
                _ = writes.tick(), if phase == Phase::Write => {
                    number += 1;
                    sent = Some(Instant::now());
                    let op = json!({"t": "op", "op_id": format!("{}-{number}", self.at), "kind": "chat.send", "body": {"text": format!("message {number} of {}, hello everybody", self.at)}});
                    socket.send(Message::text(op.to_string())).await.ok();
                }
                _ = self.phases.changed() => {
                    if *self.phases.borrow() == Phase::Stop {
                        return;
                    }
                    // Not all at once.
                    let share = self.at as f64 * 0.618_033_988;
                    writes.reset_after(self.every.mul_f64(share.fract()));
                }
            }
        }
    }

    fn hear(&self, text: &str, phase: Phase, sent: &mut Option<Instant>) {
        if text.contains("\"t\":\"batch\"") {
            self.figures.frames.fetch_add(1, Relaxed);
            if phase == Phase::Read
                && let Some(at) = text
                    .split("\"at\":")
                    .nth(1)
                    .and_then(|rest| rest.split([',', '}']).next()?.parse::<u64>().ok())
            {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
                let delay = u64::try_from(now).unwrap().saturating_sub(at * 1000);
                self.figures.read.lock().unwrap().record(delay.max(1)).ok();
            }
        } else if text.contains("\"confirmed\"") {
            self.figures.confirmed.fetch_add(1, Relaxed);
            if let Some(sent) = sent.take() {
                self.figures
                    .answered
                    .lock()
                    .unwrap()
                    .record(u64::try_from(sent.elapsed().as_micros()).unwrap().max(1))
                    .ok();
            }
        } else if text.contains("\"nack\"") {
            self.figures.refused.fetch_add(1, Relaxed);
        }
    }
}

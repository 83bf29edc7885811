//! The listener against ffmpeg's libsrt, byte by byte.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may panic"
)]

use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use nowcast_libsrt::{
    CloseReason, Connection, Decision, Gate, Listener, Options, RejectCode, Request, Sink,
};

const PATIENCE: Duration = Duration::from_secs(20);
const OPTIONS: Options =
    Options { latency: Duration::from_millis(200), peer_idle: Duration::from_secs(5) };

enum Event {
    Accepted(Connection),
    Data(Vec<u8>, Bytes),
    Closed(Vec<u8>, CloseReason),
}

/// Lets in whoever names itself; `secret…` needs a passphrase, `no` is unknown, `panic` panics.
struct Door(mpsc::Sender<Event>);

struct Tape(Vec<u8>, mpsc::Sender<Event>);

impl Gate for Door {
    type Sink = Tape;

    fn decide(&self, request: &Request<'_>) -> Decision {
        match request.stream_id {
            b"no" => Decision::Reject(RejectCode::NOT_FOUND),
            b"panic" => panic!("a decision that fails"),
            name if name.starts_with(b"secret") => {
                Decision::Accept { passphrase: Some("correcthorse".to_owned()) }
            }
            _ => Decision::Accept { passphrase: None },
        }
    }

    fn accept(&self, connection: Connection) -> Option<Tape> {
        let name = connection.stream_id().to_vec();
        self.0.send(Event::Accepted(connection)).unwrap();
        Some(Tape(name, self.0.clone()))
    }
}

impl Sink for Tape {
    fn data(&mut self, payload: Bytes) {
        self.1.send(Event::Data(self.0.clone(), payload)).unwrap();
    }

    fn closed(self, reason: CloseReason) {
        // The test may be over.
        self.1.send(Event::Closed(self.0, reason)).ok();
    }
}

fn listen(address: &str) -> (Listener, mpsc::Receiver<Event>) {
    let (events, inbox) = mpsc::channel();
    let listener =
        Listener::bind(address.parse().unwrap(), OPTIONS, Arc::new(Door(events))).unwrap();
    (listener, inbox)
}

/// ffmpeg's libsrt: sends a test picture, and writes the same bytes into a file.
struct Sender {
    child: Child,
    sent: PathBuf,
}

impl Sender {
    fn call(address: SocketAddr, query: &str, seconds: u32) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let sent = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("sent-{number}.ts"));
        // With linger it sends what it has before it closes.
        let srt = format!("[f=mpegts]srt://{address}?pkt_size=1316&linger=5&{query}");
        let outputs = format!("{srt}|[f=mpegts]{}", sent.display());
        Self { child: ffmpeg(seconds, &["-f", "tee", &outputs]), sent }
    }

    /// What it has sent, once it has ended by itself.
    fn sent(mut self) -> Vec<u8> {
        assert!(self.child.wait().unwrap().success(), "the sender failed");
        std::fs::read(&self.sent).unwrap()
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        std::fs::remove_file(&self.sent).ok();
    }
}

/// Sends a test picture to `output`.
fn ffmpeg(seconds: u32, output: &[&str]) -> Child {
    Command::new("ffmpeg")
        .args(["-nostdin", "-y", "-loglevel", "error", "-re", "-f", "lavfi"])
        .args(["-i", "testsrc2=size=640x360:rate=25", "-t", &seconds.to_string()])
        .args(["-c:v", "mpeg2video", "-q:v", "4", "-map", "0:v"])
        .args(output)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("ffmpeg is there: apt-get install ffmpeg")
}

/// Whether a caller could send all of a short picture.
fn send(address: SocketAddr, query: &str, seconds: u32) -> JoinHandle<bool> {
    let url = format!("srt://{address}?pkt_size=1316&{query}");
    let mut child = ffmpeg(seconds, &["-f", "mpegts", &url]);
    thread::spawn(move || child.wait().unwrap().success())
}

fn accepted(inbox: &mpsc::Receiver<Event>) -> Connection {
    match inbox.recv_timeout(PATIENCE) {
        Ok(Event::Accepted(connection)) => connection,
        _ => panic!("no caller was accepted"),
    }
}

/// All that a connection sends until it is closed.
fn record(inbox: &mpsc::Receiver<Event>, name: &[u8]) -> (Vec<u8>, CloseReason) {
    let mut bytes = Vec::new();
    loop {
        match inbox.recv_timeout(PATIENCE).expect("the connection goes on or ends") {
            Event::Data(of, data) if of == name => bytes.extend_from_slice(&data),
            Event::Closed(of, reason) if of == name => return (bytes, reason),
            _ => {}
        }
    }
}

fn assert_same(received: &[u8], sent: &[u8]) {
    assert_eq!(received.len(), sent.len(), "bytes are missing or too many");
    assert!(received == sent, "bytes differ");
}

#[test]
fn every_byte_arrives_and_the_last_ones_too_when_the_sender_closes() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let (listener, inbox) = listen(address);
        let sender = Sender::call(listener.local_addr(), "streamid=a", 2);
        let connection = accepted(&inbox);
        assert_eq!(connection.peer().ip(), listener.local_addr().ip());
        let (received, reason) = record(&inbox, b"a");
        assert_same(&received, &sender.sent());
        assert_eq!(reason, CloseReason::PeerGone);
        assert!(!connection.is_open());
    }
}

#[test]
fn a_wildcard_ipv6_listener_takes_ipv4_callers() {
    let (listener, inbox) = listen("[::]:0");
    let address = SocketAddr::from(([127, 0, 0, 1], listener.local_addr().port()));
    let _sender = Sender::call(address, "streamid=a", 5);
    assert!(accepted(&inbox).peer().is_ipv4());
}

#[test]
fn keys_of_every_length_decrypt_and_statistics_tell_them_and_the_latency() {
    let (listener, inbox) = listen("127.0.0.1:0");
    for (length, bits) in
        [("&pbkeylen=16", 128), ("&pbkeylen=24", 192), ("&pbkeylen=32", 256), ("", 128)]
    {
        let query = format!("streamid=secret&passphrase=correcthorse&latency=300000{length}");
        let sender = Sender::call(listener.local_addr(), &query, 1);
        let connection = accepted(&inbox);
        let Ok(Event::Data(_, first)) = inbox.recv_timeout(PATIENCE) else {
            panic!("no data with {query}");
        };
        let stats = connection.stats().expect("it is connected");
        assert_eq!(stats.key_bits, bits, "{query}");
        assert_eq!(stats.latency, Duration::from_millis(300));
        assert!(stats.packets > 0 && stats.rtt_ms > 0.0, "{stats:?}");
        let (rest, _) = record(&inbox, b"secret");
        assert_same(&[&first, &rest[..]].concat(), &sender.sent());
        assert_eq!(connection.stats(), None);
    }
}

#[test]
fn who_is_refused_or_lacks_the_passphrase_never_connects() {
    let (listener, inbox) = listen("127.0.0.1:0");
    for query in [
        "streamid=no",
        "streamid=panic",
        "streamid=secret",
        "streamid=secret&passphrase=wrongpassphrase",
        "streamid=plain&passphrase=nobodyasked",
    ] {
        assert!(!send(listener.local_addr(), query, 5).join().unwrap(), "{query}");
    }
    assert!(inbox.try_recv().is_err(), "nobody was accepted");
}

#[test]
fn a_closed_connection_ends_for_its_peer_and_the_others_go_on() {
    let (listener, inbox) = listen("127.0.0.1:0");
    let first = send(listener.local_addr(), "streamid=first", 60);
    let connection = accepted(&inbox);
    let second = Sender::call(listener.local_addr(), "streamid=second", 2);
    connection.close();
    assert_eq!(record(&inbox, b"first").1, CloseReason::Requested);
    assert!(!first.join().unwrap(), "its sender noticed");
    assert_same(&record(&inbox, b"second").0, &second.sent());
}

#[test]
fn a_port_is_taken_once_and_a_listener_that_stops_closes_its_connections() {
    let (listener, inbox) = listen("127.0.0.1:0");
    let address = listener.local_addr();
    let _sender = Sender::call(address, "streamid=a", 60);
    accepted(&inbox);
    let taken = Listener::bind(address, OPTIONS, Arc::new(Door(mpsc::channel().0)));
    assert!(taken.unwrap_err().is_address_in_use());
    drop(listener);
    assert_eq!(record(&inbox, b"a").1, CloseReason::ListenerStopped);
}

/// Numbers that look random and are the same in every run (xorshift).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next().to_be_bytes()[0]).collect()
    }
}

#[test]
fn garbage_and_floods_of_handshakes_do_not_touch_a_running_stream() {
    let (listener, inbox) = listen("127.0.0.1:0");
    let address = listener.local_addr();
    let sender = Sender::call(address, "streamid=a", 4);
    accepted(&inbox);

    let attacker = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    for round in 0..3000_u32 {
        let len = 16 + usize::try_from(noise.next() % 200).unwrap();
        let random = noise.bytes(len);
        // Control packets of every type, to no socket and to random ones.
        let mut control = noise.bytes(len);
        control[..2].copy_from_slice(&(0x8000 | u16::try_from(round % 16).unwrap()).to_be_bytes());
        if round % 2 == 0 {
            control[12..16].fill(0);
        }
        for datagram in [
            &random[..],
            &control,
            &induction(round),
            &hex("ffff0008 00000000 00000000 00000000"),
            &hex("ffff0006 c5117d11 70000000 00000000"),
        ] {
            // A full socket buffer of our own is no matter.
            attacker.send_to(datagram, address).ok();
        }
        if round % 100 == 0 {
            // A port never seen before, once in a while.
            let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
            stranger.send_to(&induction(round), address).ok();
            thread::sleep(Duration::from_millis(50));
        }
    }

    assert_same(&record(&inbox, b"a").0, &sender.sent());
    let _sender = Sender::call(address, "streamid=after", 5);
    assert_eq!(accepted(&inbox).stream_id(), b"after");
}

/// The first packet of a handshake, from socket `id`.
fn induction(id: u32) -> Vec<u8> {
    let mut packet = hex("80000000 00000000 00000000 00000000");
    packet.extend(hex("00000004 00000002 12345678 000005dc 00002000 00000001"));
    packet.extend((id + 1).to_be_bytes());
    packet.extend([0; 20]);
    packet
}

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

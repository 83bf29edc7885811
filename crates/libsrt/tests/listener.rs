//! The listener against Debian's `srt-live-transmit`, byte by byte.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may panic"
)]

use std::io::Write;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use nowcast_libsrt::{
    CloseReason, Connection, Decision, Gate, Listener, Options, RejectCode, Request, Sink,
};

const PATIENCE: Duration = Duration::from_secs(20);
/// Seven TS packets, as every sender packs them.
const PAYLOAD: usize = 1316;

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
                Decision::Accept { passphrase: Some("correct horse".to_owned()) }
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
    let options =
        Options { latency: Duration::from_millis(200), peer_idle: Duration::from_secs(5) };
    let listener =
        Listener::bind(address.parse().unwrap(), options, Arc::new(Door(events))).unwrap();
    (listener, inbox)
}

/// A sender that ends with the test.
struct Sender(Child);

impl Sender {
    fn call(address: SocketAddr, query: &str) -> (Self, ChildStdin) {
        let mut child = Command::new("srt-live-transmit")
            .args(["-a:no", "-chunk:1316", "file://con", &format!("srt://{address}?{query}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("srt-live-transmit is there: apt-get install srt-tools");
        let input = child.stdin.take().unwrap();
        (Self(child), input)
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The nth payload of a sender's stream.
fn payload(seed: u8, number: usize) -> Vec<u8> {
    let mut bytes = vec![seed; PAYLOAD];
    bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
    bytes
}

/// Writes `count` payloads at about 5 Mbit/s, then ends the input, upon which the sender closes.
fn feed(mut input: ChildStdin, seed: u8, count: usize) {
    let start = Instant::now();
    for number in 0..count {
        let due = Duration::from_millis(2) * u32::try_from(number).unwrap();
        thread::sleep(due.saturating_sub(start.elapsed()));
        input.write_all(&payload(seed, number)).unwrap();
    }
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

fn assert_complete(bytes: &[u8], seed: u8, count: usize) {
    let expected: Vec<u8> = (0..count).flat_map(|number| payload(seed, number)).collect();
    assert_eq!(bytes.len(), expected.len(), "bytes are missing or too many");
    assert!(bytes == expected, "bytes differ");
}

#[test]
fn every_byte_arrives_and_the_last_ones_too_when_the_sender_closes() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let (listener, inbox) = listen(address);
        let (_sender, input) = Sender::call(listener.local_addr(), "streamid=a");
        let connection = accepted(&inbox);
        assert_eq!(connection.peer().ip(), listener.local_addr().ip());
        assert!(connection.is_open());
        let feeder = thread::spawn(|| feed(input, 1, 500));
        let (bytes, reason) = record(&inbox, b"a");
        feeder.join().unwrap();
        assert_complete(&bytes, 1, 500);
        assert_eq!(reason, CloseReason::PeerGone);
        assert!(!connection.is_open());
    }
}

#[test]
fn a_wildcard_ipv6_listener_takes_ipv4_callers() {
    let (listener, inbox) = listen("[::]:0");
    let address = SocketAddr::from(([127, 0, 0, 1], listener.local_addr().port()));
    let (_sender, _input) = Sender::call(address, "streamid=a");
    assert!(accepted(&inbox).peer().is_ipv4());
}

#[test]
fn statistics_tell_the_latency_agreed_on_and_the_length_of_the_key() {
    let (listener, inbox) = listen("127.0.0.1:0");
    let secret = "streamid=secret&passphrase=correct%20horse";
    let secret = secret.replace("%20", " ");
    for (query, bits) in
        [("&pbkeylen=16", 128), ("&pbkeylen=24", 192), ("&pbkeylen=32", 256), ("", 128)]
    {
        let query = format!("{secret}{query}&latency=300");
        let (_sender, input) = Sender::call(listener.local_addr(), &query);
        let connection = accepted(&inbox);
        let feeder = thread::spawn(|| feed(input, 7, 100));
        let Ok(Event::Data(_, first)) = inbox.recv_timeout(PATIENCE) else {
            panic!("no data with {query}");
        };
        assert_eq!(&first[..], payload(7, 0), "decrypted wrongly with {query}");
        let stats = connection.stats().expect("it is connected");
        assert_eq!(stats.key_bits, bits, "{query}");
        assert_eq!(stats.latency, Duration::from_millis(300));
        assert!(stats.packets > 0 && stats.rtt_ms > 0.0, "{stats:?}");
        let (rest, _) = record(&inbox, b"secret");
        feeder.join().unwrap();
        assert_complete(&[&first, &rest[..]].concat(), 7, 100);
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
        "streamid=secret&passphrase=wrong passphrase",
        "streamid=plain&passphrase=nobody asked",
    ] {
        let (mut sender, input) = Sender::call(listener.local_addr(), query);
        drop(input);
        let status = sender.0.wait().unwrap();
        assert!(!status.success(), "{query}");
    }
    assert!(inbox.try_recv().is_err(), "nobody was accepted");
}

#[test]
fn a_closed_connection_ends_for_its_peer_and_the_others_go_on() {
    let (listener, inbox) = listen("127.0.0.1:0");
    let (_first, _first_input) = Sender::call(listener.local_addr(), "streamid=first");
    let connection = accepted(&inbox);
    let (_second, input) = Sender::call(listener.local_addr(), "streamid=second");
    accepted(&inbox);
    connection.close();
    assert_eq!(record(&inbox, b"first"), (Vec::new(), CloseReason::Requested));
    let feeder = thread::spawn(|| feed(input, 2, 50));
    assert_complete(&record(&inbox, b"second").0, 2, 50);
    feeder.join().unwrap();
}

#[test]
fn a_listener_that_stops_closes_its_connections_and_frees_its_port() {
    let (listener, inbox) = listen("127.0.0.1:0");
    let address = listener.local_addr();
    let (_sender, _input) = Sender::call(address, "streamid=a");
    accepted(&inbox);
    let taken = Listener::bind(address, options(), Arc::new(Door(mpsc::channel().0)));
    assert!(taken.unwrap_err().is_address_in_use());
    drop(listener);
    assert_eq!(record(&inbox, b"a").1, CloseReason::ListenerStopped);
}

fn options() -> Options {
    Options { latency: Duration::from_millis(200), peer_idle: Duration::from_secs(5) }
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
    let (_sender, input) = Sender::call(address, "streamid=a");
    accepted(&inbox);
    let feeder = thread::spawn(|| feed(input, 3, 1500));

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

    let (bytes, _) = record(&inbox, b"a");
    feeder.join().unwrap();
    assert_complete(&bytes, 3, 1500);
    let (_sender, _input) = Sender::call(address, "streamid=after");
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

//! HTTP/2 and TLS themselves: what they agree on, keep alive and bring to an end.

use std::io;
use std::time::Duration;

use nowcast::certificate::Certificate;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::rustls::{ProtocolVersion, version};

use crate::wire::{Answer, Player, Wire, certificate, secure};
use crate::{PLAYLIST, Server, at, published, until};

/// HTTP/2 as bytes (RFC 9113): what a library would hide.
struct Frames(TcpStream);

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

impl Frames {
    async fn open(server: &Server) -> Self {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut frames = Self(stream);
        frames.write(SETTINGS, 0, 0, &[]).await;
        frames
    }

    async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        self.0.write_all(&bytes).await.unwrap();
    }

    /// GET, its header fields from HPACK's static table and as plain literals.
    async fn get(&mut self, stream: u32, target: &str) {
        let literal = |index: u8, text: &str| {
            let length = u8::try_from(text.len()).unwrap();
            assert!(length < 127, "a length of one byte");
            [&[index, length][..], text.as_bytes()].concat()
        };
        let block = [vec![0x82, 0x86], literal(0x04, target), literal(0x01, "test")].concat();
        self.write(HEADERS, 0x5, stream, &block).await;
    }

    async fn read(&mut self) -> io::Result<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await?;
        let number = |bytes: &[u8]| bytes.iter().fold(0, |all, byte| all << 8 | u32::from(*byte));
        let mut payload = vec![0; number(&head[..3]) as usize];
        self.0.read_exact(&mut payload).await?;
        Ok(Frame { kind: head[3], flags: head[4], stream: number(&head[5..]), payload })
    }

    /// The next frame of this kind that acknowledges nothing.
    async fn await_kind(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.read().await.expect("the connection stays");
            let acknowledges = matches!(kind, SETTINGS | PING) && frame.flags & 1 == 1;
            if frame.kind == kind && !acknowledges {
                return frame;
            }
        }
    }
}

#[tokio::test]
async fn a_connection_carries_a_hundred_streams_and_more() {
    let publisher = published();
    let server = Server::start(&publisher).await;
    let mut frames = Frames::open(&server).await;
    let settings = frames.await_kind(SETTINGS).await;
    // Identifier 3: SETTINGS_MAX_CONCURRENT_STREAMS (RFC 9113 §6.5.2).
    let streams = settings.payload.chunks(6).find(|setting| setting[..2] == [0, 3]).unwrap();
    let streams = u32::from_be_bytes(streams[2..].try_into().unwrap());
    assert!(streams >= 100, "{streams}");
    for stream in 0..streams {
        frames.get(2 * stream + 1, &at("_HLS_msn=11")).await;
    }
    server.until_held(streams.into()).await;
}

/// Time is paused, and runs on whenever everybody waits.
#[tokio::test(start_paused = true)]
async fn an_http_2_connection_is_pinged_and_one_that_is_dead_is_given_up() {
    let publisher = published();
    let server = Server::start(&publisher).await;
    let mut frames = Frames::open(&server).await;
    frames.get(1, PLAYLIST).await;
    frames.await_kind(HEADERS).await;
    let since = Instant::now();
    for _ in 0..2 {
        let ping = frames.await_kind(PING).await;
        frames.write(PING, 1, 0, &ping.payload).await;
    }
    assert!((38..43).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());
    frames.await_kind(PING).await;
    // This one is not answered.
    while frames.read().await.is_ok() {}
    assert!((75..90).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());
}

#[tokio::test]
async fn at_the_end_parked_streams_are_answered_after_goaway_and_then_the_connection_ends() {
    let publisher = published();
    let server = Server::start(&publisher).await;
    let mut frames = Frames::open(&server).await;
    for stream in [1, 3, 5] {
        frames.get(stream, &at("_HLS_msn=11")).await;
    }
    server.until_held(3).await;
    server.stop.send_replace(true);
    let (mut answered, mut last) = (Vec::new(), None);
    while let Ok(frame) = frames.read().await {
        match frame.kind {
            HEADERS => answered.push(frame.stream),
            GOAWAY => last = Some(frame.payload),
            PING if frame.flags == 0 => frames.write(PING, 1, 0, &frame.payload).await,
            _ => {}
        }
    }
    answered.sort_unstable();
    assert_eq!(answered, [1, 3, 5]);
    // The last one names the highest stream that was seen, and no error.
    assert_eq!(last.expect("GOAWAY")[..8], [0, 0, 0, 5, 0, 0, 0, 0]);
    timeout(Duration::from_secs(5), server.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn stopping_answers_all_who_wait_on_every_wire() {
    for wire in Wire::ALL {
        let publisher = published();
        let server = Server::start(&publisher).await;
        let mut players = Player::crowd(&server, wire, 10).await;
        let waiting: Vec<_> = players
            .iter_mut()
            .map(|player| tokio::spawn(player.send("GET", &at("_HLS_msn=11"), &[])))
            .collect();
        let mut idle = Player::open(&server, wire).await;
        assert_eq!(idle.get(PLAYLIST).await.status, 200);
        server.until_held(10).await;
        server.stop.send_replace(true);
        for answer in waiting {
            let answer = Answer::whole(answer.await.unwrap().unwrap()).await;
            assert_eq!(answer.status, 503, "{wire:?}");
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        timeout(Duration::from_secs(4), server.task).await.unwrap().unwrap();
        assert_eq!((server.figures.connections().open(), server.figures.held()), (0, 0));
    }
}

#[tokio::test]
async fn tls_is_1_3_or_1_2_with_forward_secrecy_and_alpn_chooses_the_protocol() {
    let publisher = published();
    let server = Server::start(&publisher).await;
    for (tls, name) in
        [(&version::TLS13, ProtocolVersion::TLSv1_3), (&version::TLS12, ProtocolVersion::TLSv1_2)]
    {
        for (offered, chosen) in [
            (&[&b"h2"[..], b"http/1.1"][..], Some(&b"h2"[..])),
            (&[b"http/1.1"], Some(b"http/1.1")),
            (&[], None),
        ] {
            let connection = secure(&server, offered, &[tls]).await.unwrap();
            let (_, state) = connection.get_ref();
            assert_eq!(state.protocol_version(), Some(name));
            assert_eq!(state.alpn_protocol(), chosen);
            let suite = format!("{:?}", state.negotiated_cipher_suite().unwrap().suite());
            assert!(suite.starts_with("TLS13_") || suite.contains("ECDHE"), "{suite}");
        }
        assert!(secure(&server, &[b"spdy/1"], &[tls]).await.is_err());
    }
    // Neither plain HTTP nor silence costs more than its connection.
    let mut plain = TcpStream::connect(server.secured).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).await.ok();
    assert!(!answer.starts_with(b"HTTP/"));
    until(|| server.figures.connections().open() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_goes_nowhere_is_let_go_and_does_not_hold_up_the_end() {
    let publisher = published();
    let server = Server::start(&publisher).await;
    let since = Instant::now();
    let mut silent = TcpStream::connect(server.secured).await.unwrap();
    silent.write_all(b"\x16\x03\x01").await.unwrap();
    assert!(matches!(silent.read(&mut [0]).await, Ok(0) | Err(_)));
    assert!((10..13).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());

    let mut silent = TcpStream::connect(server.secured).await.unwrap();
    silent.write_all(b"\x16\x03\x01").await.unwrap();
    until(|| server.figures.connections().open() == 1).await;
    let since = Instant::now();
    server.stop.send_replace(true);
    server.task.await.unwrap();
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_newcomers_and_disturbs_nobody() {
    let publisher = published();
    let server = Server::start(&publisher).await;
    let mut before = Player::open(&server, Wire::Tls2).await;
    let old = server.tls.certificate();
    let dir = tempfile::tempdir().unwrap();
    server.tls.show(certificate(dir.path()));
    // Trusts nothing but the new one.
    let mut after = Player::open(&server, Wire::Tls2).await;
    for player in [&mut before, &mut after] {
        assert_eq!(player.get(PLAYLIST).await.status, 200);
    }
    server.tls.show(Certificate::clone(&old));
    Player::open(&server, Wire::Tls1).await.get(PLAYLIST).await;
}

#[test]
fn a_certificate_that_cannot_be_shown_is_told_with_its_file_and_a_remedy() {
    let [dir, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let made = certificate(dir.path());
    let other = certificate(other.path());
    let fault = |cert: &std::path::Path, key: &std::path::Path| {
        Certificate::load(cert, key).map(|_| ()).unwrap_err()
    };
    let aged = |after: i32, until: i32| {
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(after, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let path = dir.path().join(format!("{until}.pem"));
        std::fs::write(&path, params.self_signed(&key).unwrap().pem() + &key.serialize_pem())
            .unwrap();
        path
    };
    let (expired, early, both) = (aged(2001, 2002), aged(2098, 2099), aged(2001, 2097));
    let garbage = dir.path().join("garbage.pem");
    std::fs::write(&garbage, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
        .unwrap();
    let nowhere = dir.path().join("nowhere.pem");
    for (cert, key, file, remedy) in [
        (&nowhere, &made.key, "nowhere.pem", "check the path"),
        (&made.cert, &nowhere, "nowhere.pem", "check the path"),
        (&made.key, &made.key, "key.pem holds no certificate", "PEM"),
        (&made.cert, &made.cert, "cert.pem holds no private key", "PEM"),
        (&garbage, &made.key, "garbage.pem is no certificate", ""),
        (&made.cert, &other.key, "is not the key of", "belong together"),
        (&expired, &expired, "2002.pem expired at 2002-01-01T00:00:00Z", "renew it"),
        (&early, &early, "2099.pem is not valid before 2098-01-01T00:00:00Z", "clock"),
    ] {
        let fault = fault(cert, key);
        assert!(fault.contains(file) && fault.contains(remedy), "{fault}");
    }
    // One file may hold both.
    assert_eq!(Certificate::load(&both, &both).unwrap().expires_text(), "2097-01-01T00:00:00Z");
}

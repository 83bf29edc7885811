//! A player on any of the wires the public listener speaks: HTTP/1.1 and HTTP/2, plain and over TLS.

use std::sync::Arc;

use ::http::{HeaderMap, Method, Request, Response, Version};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use nowcast::certificate::Certificate;
use nowcast::listener::Tls;
use rcgen::generate_simple_self_signed;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};

use crate::Server;

/// How requests travel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wire {
    Http1,
    /// By prior knowledge.
    Http2,
    Tls1,
    /// By ALPN.
    Tls2,
}

impl Wire {
    pub(crate) const ALL: [Self; 4] = [Self::Http1, Self::Http2, Self::Tls1, Self::Tls2];

    fn alpn(self) -> &'static [u8] {
        if self.multiplexes() { b"h2" } else { b"http/1.1" }
    }

    pub(crate) fn multiplexes(self) -> bool {
        matches!(self, Self::Http2 | Self::Tls2)
    }

    fn secured(self) -> bool {
        matches!(self, Self::Tls1 | Self::Tls2)
    }
}

/// A connection; over HTTP/2 a clone is the same connection.
pub(crate) enum Player {
    One(http1::SendRequest<Empty<Bytes>>),
    Many(http2::SendRequest<Empty<Bytes>>),
}

/// An answer, whole.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Player {
    pub(crate) async fn open(server: &Server, wire: Wire) -> Self {
        if wire.secured() {
            let io = secure(server, &[wire.alpn()], &[&version::TLS13, &version::TLS12]).await;
            let io = io.unwrap();
            assert_eq!(io.get_ref().1.alpn_protocol(), Some(wire.alpn()), "{wire:?}");
            Self::over(io, wire).await
        } else {
            let io = TcpStream::connect(server.address).await.unwrap();
            io.set_nodelay(true).unwrap();
            Self::over(io, wire).await
        }
    }

    async fn over(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, wire: Wire) -> Self {
        let io = TokioIo::new(io);
        if wire.multiplexes() {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            Self::Many(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            Self::One(sender)
        }
    }

    /// As many players, on as few connections as the wire allows.
    pub(crate) async fn crowd(server: &Server, wire: Wire, count: usize) -> Vec<Self> {
        let mut players: Vec<Self> = Vec::with_capacity(count);
        for at in 0..count {
            let known = match players.last() {
                Some(Self::Many(sender)) if at % 100 != 0 => Some(Self::Many(sender.clone())),
                _ => None,
            };
            players.push(match known {
                Some(player) => player,
                None => Self::open(server, wire).await,
            });
        }
        players
    }

    /// Sends a request; the answer's head comes when it comes.
    pub(crate) fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + Send + use<> {
        let version = match self {
            Self::One(_) => Version::HTTP_11,
            Self::Many(_) => Version::HTTP_2,
        };
        let (scheme, method) = ("http://test", Method::from_bytes(method.as_bytes()).unwrap());
        let uri = match self {
            Self::One(_) => target.to_owned(),
            Self::Many(_) => format!("{scheme}{target}"),
        };
        let mut request = Request::builder().version(version).method(method).uri(uri);
        if version == Version::HTTP_11 {
            request = request.header("host", "test");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::new()).unwrap();
        match self {
            Self::One(sender) => futures_util::future::Either::Left(sender.send_request(request)),
            Self::Many(sender) => futures_util::future::Either::Right(sender.send_request(request)),
        }
    }

    pub(crate) async fn ask(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        match self {
            Self::One(sender) => sender.ready().await.unwrap(),
            Self::Many(sender) => sender.ready().await.unwrap(),
        }
        Answer::whole(self.send(method, target, headers).await.unwrap()).await
    }

    pub(crate) async fn get(&mut self, target: &str) -> Answer {
        self.ask("GET", target, &[]).await
    }
}

impl Answer {
    pub(crate) async fn whole(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self { status: head.status.as_u16(), headers: head.headers, body }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// A certificate for `localhost`, made for this test, and its two files.
pub(crate) fn certificate(dir: &std::path::Path) -> Certificate {
    let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    Certificate::load(&cert, &key).unwrap()
}

/// What makes connections secure, with a certificate made for this test.
pub(crate) fn tls() -> Arc<Tls> {
    let dir = tempfile::tempdir().unwrap();
    Arc::new(Tls::new(certificate(dir.path())).unwrap())
}

/// A TLS connection that trusts what the server shows now, and offers these protocols and versions.
pub(crate) async fn secure(
    server: &Server,
    protocols: &[&[u8]],
    versions: &[&'static SupportedProtocolVersion],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(server.tls.certificate().end_entity().to_vec())).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(server.secured).await?;
    stream.set_nodelay(true)?;
    connector.connect("localhost".try_into().unwrap(), stream).await
}

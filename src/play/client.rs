use std::io::Read;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HOST};
use http::{Request, Version};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use url::{Position, Url};

/// No playlist and no part is longer.
const MAX_BODY: usize = 64 << 20;

/// One connection to one host; closed when dropped.
pub(super) struct Connection {
    authority: String,
    sender: Sender,
}

enum Sender {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

/// What came back, whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) gzip: bool,
    /// As it was sent.
    pub(super) body: Bytes,
}

impl Answer {
    /// The body as text.
    pub(super) fn text(&self) -> Result<String> {
        let mut text = String::new();
        match self.gzip {
            true => GzDecoder::new(&self.body[..]).take(MAX_BODY as u64).read_to_string(&mut text),
            false => (&self.body[..]).read_to_string(&mut text),
        }
        .context("the answer is no text")?;
        Ok(text)
    }
}

impl Connection {
    pub(super) async fn open(to: &Url, http2: bool) -> Result<Self> {
        let host = to.host_str().context("there is no host")?;
        let address = (host.trim_matches(['[', ']']), to.port_or_known_default().unwrap_or(80));
        let stream =
            TcpStream::connect(address).await.with_context(|| to.authority().to_owned())?;
        stream.set_nodelay(true)?;
        let io = TokioIo::new(stream);
        // An error of the connection reaches whoever waits for its answer.
        let sender = if http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            Sender::Http2(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await?;
            tokio::spawn(connection);
            Sender::Http1(sender)
        };
        Ok(Self { authority: to.authority().to_owned(), sender })
    }

    /// Whether requests for `to` go over this connection.
    pub(super) fn serves(&self, to: &Url) -> bool {
        self.authority == to.authority()
    }

    /// Fetches, the body to its end.
    pub(super) async fn get(&mut self, from: &Url) -> Result<Answer> {
        let request = Request::builder().header(ACCEPT_ENCODING, "gzip");
        let response = match &mut self.sender {
            Sender::Http1(sender) => {
                let target = &from[Position::BeforePath..Position::AfterQuery];
                let request = request.uri(target).header(HOST, &self.authority);
                let request = request.body(Empty::new())?;
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Sender::Http2(sender) => {
                let request = request.uri(from.as_str()).version(Version::HTTP_2);
                let request = request.body(Empty::new())?;
                // Streams of one connection are independent of each other.
                let mut sender = sender.clone();
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_BODY).collect().await;
        let body = body.map_err(anyhow::Error::from_boxed)?.to_bytes();
        let coding = head.headers.get(CONTENT_ENCODING);
        ensure!(coding.is_none_or(|coding| coding == "gzip"), "content coding {coding:?}");
        Ok(Answer { status: head.status.as_u16(), gzip: coding.is_some(), body })
    }
}

use std::fmt;
use std::io::Read;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use nowcast_lint::{ByteRange, Exchange, Probe, Purpose};
use url::Url;

/// The most that is read of one body.
const MOST: usize = 256 << 20;
/// Redirects that are followed.
const REDIRECTS: u32 = 5;
/// How long an answer may take; blocking requests are held for three target durations at most.
const PATIENCE: Duration = Duration::from_secs(40);
/// How long the answer to a probe may take, which ought to come at once.
const PROBE_PATIENCE: Duration = Duration::from_secs(8);

/// Fetches, and notes when what came.
pub(super) struct Client {
    http: HyperClient<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    started: Instant,
}

/// A request.
pub(super) struct Ask {
    pub(super) url: Url,
    pub(super) purpose: Purpose,
    pub(super) range: Option<ByteRange>,
    /// An entity tag that is there already.
    pub(super) tag: Option<String>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) url: Url,
    pub(super) reason: String,
    pub(super) at: Duration,
}

impl Ask {
    pub(super) fn new(url: Url, purpose: Purpose) -> Self {
        Self { url, purpose, range: None, tag: None }
    }

    fn method(&self) -> Method {
        match self.purpose {
            Purpose::Probe(Probe::Head) => Method::HEAD,
            Purpose::Probe(Probe::Preflight) => Method::OPTIONS,
            _ => Method::GET,
        }
    }

    fn request(&self, url: &Url) -> Result<Request<Empty<Bytes>>, http::Error> {
        let mut request = Request::builder()
            .method(self.method())
            .uri(url.as_str())
            .header(header::USER_AGENT, concat!("nowcast-lint/", env!("CARGO_PKG_VERSION")));
        if let Some(ByteRange { start, length }) = self.range {
            // What a player asks for where a hint names no length (§6.2.6).
            let last = length.map_or((1 << 53) - 1, |length| (start + length).saturating_sub(1));
            request = request.header(header::RANGE, format!("bytes={start}-{last}"));
        } else if self.purpose != Purpose::Probe(Probe::Identity) {
            request = request.header(header::ACCEPT_ENCODING, "gzip");
        }
        if self.purpose == Purpose::Probe(Probe::Preflight) {
            request = request
                .header(header::ORIGIN, "https://example.org")
                .header(header::ACCESS_CONTROL_REQUEST_METHOD, "GET")
                .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "cmcd-session");
        }
        if let Some(tag) = &self.tag {
            request = request.header(header::IF_NONE_MATCH, tag);
        }
        request.body(Empty::new())
    }
}

impl Client {
    /// Counts time from `started`.
    pub(super) fn new(started: Instant) -> Self {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(10)));
        // The certificates that browsers trust; HTTP/1.1, where every byte has its time.
        let connector = HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let http = HyperClient::builder(TokioExecutor::new()).build(connector);
        Self { http, started }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// One request with its answer, redirects followed.
    pub(super) async fn fetch(&self, ask: Ask) -> Result<Exchange, Failed> {
        let patience = match ask.purpose {
            Purpose::Probe(_) => PROBE_PATIENCE,
            _ => PATIENCE,
        };
        let url = ask.url.clone();
        match tokio::time::timeout(patience, self.exchange(ask)).await {
            Ok(Ok(exchange)) => Ok(exchange),
            Ok(Err(reason)) => Err(Failed { url, reason, at: self.now() }),
            Err(_) => {
                let reason = format!("nothing came for {} s", patience.as_secs());
                Err(Failed { url, reason, at: self.now() })
            }
        }
    }

    async fn exchange(&self, ask: Ask) -> Result<Exchange, String> {
        let asked = self.now();
        let mut url = ask.url.clone();
        let mut redirects = 0;
        let response = loop {
            let request = ask.request(&url).map_err(|error| error.to_string())?;
            let response = self.http.request(request).await.map_err(|error| causes(&error))?;
            match target(&response, &url).filter(|_| redirects < REDIRECTS) {
                Some(target) => url = target,
                None => break response,
            }
            redirects += 1;
        };
        let answered = self.now();
        let (head, mut incoming) = response.into_parts();
        let (mut first_byte, mut body) = (answered, BytesMut::new());
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|error| format!("the body broke off: {}", causes(&error)))?;
            if let Ok(data) = frame.into_data() {
                if body.is_empty() {
                    first_byte = self.now();
                }
                body.extend_from_slice(&data);
            }
            if body.len() > MOST {
                return Err(format!("the body has more than {} MiB", MOST >> 20));
            }
        }
        let coding = head.headers.get(header::CONTENT_ENCODING).map(|coding| coding.as_bytes());
        let body = match coding {
            Some(b"gzip" | b"x-gzip") if !body.is_empty() => inflate(&body)?,
            _ => body.freeze(),
        };
        let text =
            |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers =
            head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value)));
        Ok(Exchange {
            url,
            purpose: ask.purpose,
            range: ask.range,
            status: head.status.as_u16(),
            headers: headers.collect(),
            body,
            asked,
            answered,
            first_byte,
            finished: self.now(),
            redirects,
        })
    }
}

fn target(response: &Response<Incoming>, from: &Url) -> Option<Url> {
    let location =
        response.headers().get(header::LOCATION).filter(|_| response.status().is_redirection())?;
    from.join(location.to_str().ok()?).ok()
}

fn inflate(body: &[u8]) -> Result<Bytes, String> {
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(body)
        .take(MOST as u64)
        .read_to_end(&mut plain)
        .map_err(|error| format!("the body is said to be gzip and is not: {error}"))?;
    Ok(plain.into())
}

/// An error with what caused it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += ": ";
        text += &cause.to_string();
        source = cause.source();
    }
    text
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.url, self.reason)
    }
}

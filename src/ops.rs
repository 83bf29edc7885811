//! The operator's listener: health, metrics, the state of every stream, and what can be done to it.
//! Never the public one: no page of any origin gets an answer here.

mod process;
mod streams;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ORIGIN, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde::Serialize;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::flow::{Audience, Control, Stream, StreamStatus, Streams};
pub use crate::listener::serve;
use crate::listener::{Body, Handler, Limits, Tally};
use crate::metrics::{Exposition, Source};

/// How long a stream may take to obey.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the operator's listener serves.
pub struct Ops {
    streams: Arc<Streams>,
    /// Turns true once SRT and HTTP accept and stored state is restored.
    ready: watch::Receiver<bool>,
    token: Option<String>,
    /// Who adds to `/metrics`, besides the streams and the process.
    sources: Vec<Source>,
    limits: Limits,
    tally: Arc<Tally>,
}

impl Ops {
    /// Tells of `streams` and of what `sources` count. With a `token`, all but `/livez` and
    /// `/readyz` need `Authorization: Bearer TOKEN`.
    #[must_use]
    pub fn new(
        streams: Arc<Streams>,
        ready: watch::Receiver<bool>,
        token: Option<String>,
        sources: Vec<Source>,
    ) -> Self {
        let limits = Limits { connections: 64, ..Limits::default() };
        Self { streams, ready, token, sources, limits, tally: Arc::default() }
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        if request.headers().contains_key(ORIGIN) {
            return say(
                StatusCode::FORBIDDEN,
                "Web pages have no business here: use `nowcast streams` or curl.",
            );
        }
        let path = request.uri().path();
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        match path {
            "/livez" if reads => return say(StatusCode::OK, "alive"),
            "/readyz" if reads && *self.ready.borrow() => return say(StatusCode::OK, "ready"),
            "/readyz" if reads => {
                return say(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "Not ready yet: the server is starting or stopping.",
                );
            }
            _ => {}
        }
        if !self.lets_in(request.headers()) {
            let mut response = say(
                StatusCode::UNAUTHORIZED,
                "Send `Authorization: Bearer TOKEN` with the token of [ops].",
            );
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return response;
        }
        match path.strip_prefix("/api/v1/streams") {
            Some("") if reads => json(&self.statuses()),
            Some(rest) => match rest.strip_prefix('/').and_then(|rest| self.stream(rest)) {
                Some((shown, "")) if reads => json(&shown),
                Some((shown, "kick")) if *request.method() == Method::POST => {
                    self.kick(&shown.status.name).await
                }
                Some(_) => {
                    say(StatusCode::METHOD_NOT_ALLOWED, "GET a stream, POST to STREAM/kick.")
                }
                None => say(
                    StatusCode::NOT_FOUND,
                    "There is no such stream: GET /api/v1/streams lists them.",
                ),
            },
            None if path == "/metrics" && reads => self.metrics(),
            None => say(
                StatusCode::NOT_FOUND,
                "Here are /livez, /readyz, /metrics and /api/v1/streams.",
            ),
        }
    }

    /// Compares in a time that tells nothing of the token.
    fn lets_in(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let given = headers.get(AUTHORIZATION).map_or(&[][..], HeaderValue::as_bytes);
        let given = given.strip_prefix(b"Bearer ").unwrap_or_default();
        let differing = given.iter().zip(token.as_bytes()).fold(0, |bits, (a, b)| bits | (a ^ b));
        given.len() == token.len() && differing == 0
    }

    fn statuses(&self) -> Vec<Shown> {
        self.streams.all().iter().map(|stream| Shown::new(stream)).collect()
    }

    /// The stream that `path` begins with, and the rest of it.
    fn stream<'a>(&self, path: &'a str) -> Option<(Shown, &'a str)> {
        let (name, verb) = path.split_once('/').unwrap_or((path, ""));
        let stream = self.streams.find(name)?;
        Some((Shown::new(&stream), verb))
    }

    async fn kick(&self, name: &str) -> Response<Body> {
        let Some(stream) = self.streams.find(name) else {
            return say(StatusCode::NOT_FOUND, "The stream is gone.");
        };
        let (answer, kicked) = oneshot::channel();
        let asked = async {
            stream.control.send(Control::Kick(answer)).await.ok()?;
            kicked.await.ok()
        };
        match timeout(PATIENCE, asked).await {
            Ok(Some(true)) => json(&serde_json::json!({ "kicked": true })),
            Ok(Some(false)) => say(StatusCode::CONFLICT, "Nobody publishes this stream."),
            Ok(None) | Err(_) => {
                say(StatusCode::SERVICE_UNAVAILABLE, "The stream does not answer: look at the log.")
            }
        }
    }

    fn metrics(&self) -> Response<Body> {
        let mut out = Exposition::default();
        process::expose(&mut out);
        streams::expose(&mut out, &self.statuses());
        for source in &self.sources {
            source(&mut out);
        }
        answer(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", out.into_text())
    }
}

/// A stream as the operator sees it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    status: StreamStatus,
    audience: Audience,
}

impl Shown {
    fn new(stream: &Stream) -> Self {
        let status =
            StreamStatus { name: stream.name.to_string(), ..stream.status.borrow().clone() };
        Self { status, audience: Audience::clone(&stream.audience.load()) }
    }
}

impl Handler for Ops {
    async fn handle(
        &self,
        request: Request<Incoming>,
        _: IpAddr,
        _: watch::Receiver<bool>,
    ) -> Response<Body> {
        self.answer(&request).await
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }
}

impl fmt::Debug for Ops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ops").field("limits", &self.limits).finish_non_exhaustive()
    }
}

fn say(status: StatusCode, sentence: &str) -> Response<Body> {
    answer(status, "text/plain; charset=utf-8", format!("{sentence}\n"))
}

fn json<T: Serialize>(value: &T) -> Response<Body> {
    match serde_json::to_string(value) {
        Ok(text) => answer(StatusCode::OK, "application/json", text),
        Err(error) => say(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn answer(status: StatusCode, kind: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

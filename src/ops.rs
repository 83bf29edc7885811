//! The operator's listener: health, metrics, the state of every stream, and what can be done to it.
//! Never the public one: no page of any origin gets an answer here.

mod process;
mod streams;

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, ORIGIN, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::answer::{json, say, text};
use crate::flow::{Control, Shown, Streams};
pub use crate::listener::serve;
use crate::listener::{Body, Handler, Limits, Tally};
use crate::metrics::{Exposition, Source};

/// What answers for rooms, or gives the request back.
pub type Rooms = Box<dyn Fn(Request<Incoming>) -> Answered + Send + Sync>;
/// An answer to come, or the request that is somebody else's.
pub type Answered = Pin<Box<dyn Future<Output = Result<Response<Body>, Request<Incoming>>> + Send>>;

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
    rooms: Option<Rooms>,
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
        Self { streams, ready, token, sources, rooms: None, limits, tally: Arc::default() }
    }

    /// Has `rooms` answer what is asked of them: `POST /api/v1/streams/STREAM/ops`,
    /// `GET …/room`, `POST …/studio` and `POST /api/v1/tokens`.
    #[must_use]
    pub fn with_rooms(self, rooms: Rooms) -> Self {
        Self { rooms: Some(rooms), ..self }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        if request.headers().contains_key(ORIGIN) {
            return say(
                StatusCode::FORBIDDEN,
                "Web pages have no business here: use `nowcast streams` or curl.",
            );
        }
        let path = request.uri().path().to_owned();
        let path = path.as_str();
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
        let request = match &self.rooms {
            Some(rooms) => match rooms(request).await {
                Ok(response) => return response,
                Err(request) => request,
            },
            None => request,
        };
        match path.strip_prefix("/api/v1/streams") {
            Some("") if reads => json(StatusCode::OK, "no-store", &self.statuses()),
            Some(rest) => match rest.strip_prefix('/').and_then(|rest| self.stream(rest)) {
                Some((shown, "")) if reads => json(StatusCode::OK, "no-store", &shown),
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
        self.streams.all().iter().map(|stream| stream.shown()).collect()
    }

    /// The stream that `path` begins with, and the rest of it.
    fn stream<'a>(&self, path: &'a str) -> Option<(Shown, &'a str)> {
        let (name, verb) = path.split_once('/').unwrap_or((path, ""));
        let stream = self.streams.find(name)?;
        Some((stream.shown(), verb))
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
            Ok(Some(true)) => {
                json(StatusCode::OK, "no-store", &serde_json::json!({ "kicked": true }))
            }
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
        text(
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8",
            "no-store",
            out.into_text(),
        )
    }
}

impl Handler for Ops {
    async fn handle(
        &self,
        request: Request<Incoming>,
        _: IpAddr,
        _: watch::Receiver<bool>,
    ) -> Response<Body> {
        self.answer(request).await
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

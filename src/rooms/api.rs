//! What pages and players ask of rooms over HTTP (docs/contract.md, "HTTP, public listener").

use std::sync::Arc;
use std::time::Duration;

use http::header::{
    AUTHORIZATION, CONNECTION, HOST, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use nowcast_interact::{Id, Op, Refusal, Role, Viewer};
use serde_json::{Value as Json, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::figures::{Figures, Line, Outcome};
use super::task::{Message, ReplyTo};
use super::ticks::Ticks;
use super::token::{Claims, Tokens, Unfit};
use super::{Rooms, log, socket, wire};
use crate::answer;
use crate::flow::{Remote, StreamName};
use crate::listener::{Body, read_body};

/// The subprotocol.
const PROTOCOL: &str = "nowcast.v1";
/// The longest body: one op.
const MOST_BYTES: usize = 64 << 10;
/// How long an op may take to be answered; the disk is that slow only when it fails.
const PATIENCE: Duration = Duration::from_secs(5);

/// A way into one room.
#[derive(Clone, Debug)]
pub(super) struct Room {
    pub(super) name: StreamName,
    pub(super) mailbox: mpsc::Sender<Message>,
    pub(super) ticks: Arc<Ticks>,
    pub(super) tokens: Arc<Tokens>,
    pub(super) figures: Arc<Figures>,
}

impl Room {
    /// What a token says, if it holds here.
    pub(super) fn check(&self, token: &str) -> Result<Claims, Refusal> {
        self.tokens.check(token, &self.name).map_err(|unfit| {
            let (code, message, hint) = match unfit {
                Unfit::Invalid => (
                    "auth.invalid",
                    "The token is not one of this server's.",
                    "Get a new one: POST /api/v1/session, or sign in again.",
                ),
                Unfit::Expired => {
                    ("auth.expired", "The token has expired.", "Get a new one, and send it again.")
                }
                Unfit::OtherStream => {
                    ("auth.stream", "The token is for another stream.", "Get one for this stream.")
                }
            };
            Refusal::new(code, message, hint)
        })
    }

    /// What the token of a request says.
    pub(super) fn bearer(&self, headers: &HeaderMap) -> Result<Claims, Refusal> {
        let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = value.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(no_token)?;
        self.check(token)
    }

    /// Has an op done, and waits for its answer.
    pub(super) async fn operate(&self, who: Viewer, op: Op) -> Json {
        let (op_id, kind) = (op.op_id.clone(), op.ask.kind());
        let (to, answer) = oneshot::channel();
        let sent = self.mailbox.try_send(Message::Op { who, op, to: ReplyTo::Once(to) });
        let answer = match sent {
            Ok(()) => timeout(PATIENCE, answer).await.ok().and_then(Result::ok),
            Err(_) => {
                self.figures.op(kind, Outcome::Failed);
                None
            }
        };
        answer.unwrap_or_else(|| wire::nack(Some(&op_id), &busy()))
    }

    /// How the room stands, for the operator.
    /// Takes a person out of everything.
    pub(super) async fn erase(&self, who: Id) -> Option<Json> {
        let (to, done) = oneshot::channel();
        self.mailbox.send(Message::Erase(who, to)).await.ok()?;
        done.await.ok()
    }

    pub(super) async fn look(&self) -> Option<Json> {
        let (to, state) = oneshot::channel();
        self.mailbox.send(Message::Look(to)).await.ok()?;
        timeout(PATIENCE, state).await.ok()?.ok()
    }
}

pub(super) fn no_token() -> Refusal {
    let hint = "POST /api/v1/session gives an anonymous viewer's; send it in hello, or as Authorization: Bearer.";
    Refusal::new("auth.required", "Watching needs no token, but taking part does.", hint)
}

pub(super) fn busy() -> Refusal {
    let hint = "Send the same op again in a moment: it counts once.";
    Refusal::new("state.busy", "The room has more to do than it can just now.", hint).after(1000)
}

/// Whether a path may be one of rooms.
#[must_use]
pub fn is_asked(path: &str) -> bool {
    path == "/api/v1/session"
        || (path.starts_with("/api/v1/streams/") && path.split('/').count() > 5)
        || path.starts_with("/live/")
}

impl Rooms {
    /// Answers what is asked of rooms; `Err` gives back what is not for them.
    ///
    /// # Errors
    /// The request is for somebody else.
    pub async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Request<Incoming>> {
        let path = request.uri().path().to_owned();
        if path == "/api/v1/session" {
            return Ok(self.guarded(request, |request| self.session(request)).await);
        }
        let of_stream = |prefix: &str| {
            let (name, rest) = path.strip_prefix(prefix)?.split_once('/')?;
            Some((name.to_owned(), rest.to_owned()))
        };
        if let Some((name, verb)) = of_stream("/api/v1/streams/") {
            let Some(room) = self.room(&name) else {
                return Ok(answer::say(StatusCode::NOT_FOUND, "There is no such stream."));
            };
            let answered = match verb.as_str() {
                "ws" => self.guarded(request, async |request| self.socket(request, room)).await,
                "sse" => self.guarded(request, |request| self.sse(request, room)).await,
                "ops" => self.guarded(request, |request| ops(request, room)).await,
                "studio" => self.guarded(request, |request| self.studio(request, room)).await,
                "health" => {
                    self.guarded(request, async |request| self.health(&request, &room)).await
                }
                _ => return Err(request),
            };
            return Ok(answered);
        }
        if let Some((name, rest)) = of_stream("/live/")
            && let Some(what) = rest.strip_prefix("events/")
        {
            let Some(room) = self.room(&name) else {
                return Ok(answer::say(StatusCode::NOT_FOUND, "There is no such stream."));
            };
            return Ok(log::answer(&request, what, &room.ticks).await);
        }
        Err(request)
    }

    /// Pages of origins that are neither ours nor allowed get nothing; the others may read their answer.
    async fn guarded<F>(
        &self,
        request: Request<Incoming>,
        then: impl FnOnce(Request<Incoming>) -> F,
    ) -> Response<Body>
    where
        F: Future<Output = Response<Body>>,
    {
        let origin = request.headers().get(ORIGIN).cloned();
        if let Some(origin) = &origin
            && !self.allows(origin, &request)
        {
            let sentence = "Pages of this origin may not: add it to [http] allowed_origins.";
            return answer::say(StatusCode::FORBIDDEN, sentence);
        }
        let mut response = if request.method() == Method::OPTIONS {
            answer::preflight("GET, POST, OPTIONS", "Authorization, Content-Type, Last-Event-ID")
        } else {
            then(request).await
        };
        answer::share_with(&mut response, origin);
        response
    }

    fn allows<B>(&self, origin: &HeaderValue, request: &Request<B>) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(|| request.uri().authority().map(http::uri::Authority::as_str));
        let own = origin.split_once("://").map(|(_, rest)| rest);
        let http = &self.config.load().http;
        own.is_some_and(|own| host == Some(own))
            || http.public_url.as_deref() == Some(origin)
            || http.allowed_origins.iter().any(|allowed| allowed == origin)
    }

    async fn session(&self, request: Request<Incoming>) -> Response<Body> {
        if request.method() != Method::POST {
            return answer::say(StatusCode::METHOD_NOT_ALLOWED, "Sessions are made by POST.");
        }
        let client = request.extensions().get::<Remote>().map(|remote| remote.0);
        if !self.admit_session(client) {
            let refusal = Refusal::new(
                "rate.session",
                "Too many sessions from here.",
                "Try again in a second.",
            );
            return refused(&refusal.after(1000));
        }
        match self.mint_anonymous() {
            Ok((claims, token)) => answer::json(
                StatusCode::OK,
                "no-store",
                &json!({"token": token, "viewer": claims.sub, "expires": claims.exp * 1000}),
            ),
            Err(_) => refused(&busy()),
        }
    }

    fn socket(&self, mut request: Request<Incoming>, room: Room) -> Response<Body> {
        let headers = request.headers();
        let has = |name, word: &str| {
            let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
            values
                .flat_map(|value| value.split(','))
                .any(|one| one.trim().eq_ignore_ascii_case(word))
        };
        let asked = request.method() == Method::GET
            && has(UPGRADE, "websocket")
            && has(CONNECTION, "upgrade")
            && has(SEC_WEBSOCKET_VERSION, "13");
        let Some(key) = headers.get(SEC_WEBSOCKET_KEY).filter(|_| asked) else {
            let mut response = answer::say(
                StatusCode::UPGRADE_REQUIRED,
                "Open a WebSocket here (RFC 6455, HTTP/1.1).",
            );
            response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
            return response;
        };
        if !has(SEC_WEBSOCKET_PROTOCOL, PROTOCOL) {
            return answer::say(StatusCode::BAD_REQUEST, "The subprotocol here is nowcast.v1.");
        }
        let client = request.extensions().get::<Remote>().map(|remote| remote.0);
        let Some(seat) = self.sockets.take(client, Line::WebSocket) else { return no_seat() };
        let accept = derive_accept_key(key.as_bytes());
        let upgrade = hyper::upgrade::on(&mut request);
        let stop = self.stop.subscribe();
        tokio::spawn(async move {
            socket::serve(upgrade, room, stop).await;
            drop(seat);
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
        if let Ok(accept) = HeaderValue::try_from(accept) {
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        response
    }

    async fn studio(&self, request: Request<Incoming>, room: Room) -> Response<Body> {
        let code = match body_json(request).await {
            Ok(body) => body["code"].as_str().unwrap_or_default().to_owned(),
            Err(refusal) => return refusal,
        };
        match self.redeem(&code, &room.name) {
            Some((claims, token)) => answer::json(
                StatusCode::OK,
                "no-store",
                &json!({"token": token, "viewer": claims.sub, "role": claims.role}),
            ),
            None => {
                let hint = "A code works once and for ten minutes: `nowcast token studio STREAM` prints a new address.";
                refused(&Refusal::new("auth.code", "This code is not valid, or used up.", hint))
            }
        }
    }

    fn health(&self, request: &Request<Incoming>, room: &Room) -> Response<Body> {
        match room.bearer(request.headers()) {
            Err(refusal) => refused(&refusal),
            Ok(claims) if claims.role < Role::Moderator => {
                let hint = "Sign in with the token of a host.";
                refused(&Refusal::new("auth.role", "Only hosts and moderators see this.", hint))
            }
            Ok(_) => match self.streams.find(room.name.as_str()) {
                Some(stream) => answer::json(StatusCode::OK, "no-store", &stream.shown()),
                None => answer::say(StatusCode::NOT_FOUND, "There is no such stream."),
            },
        }
    }
}

/// Sockets and streams of events are as many as may be.
pub(super) fn no_seat() -> Response<Body> {
    let sentence = "As many sockets of this address are open as may: close one, or read the JSON beside the playlists.";
    let mut response = answer::say(StatusCode::TOO_MANY_REQUESTS, sentence);
    answer::retry_after(&mut response, 5);
    response
}

async fn ops(request: Request<Incoming>, room: Room) -> Response<Body> {
    let claims = match room.bearer(request.headers()) {
        Ok(claims) => claims,
        Err(refusal) => return refused(&refusal),
    };
    let body = match body_json(request).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    match Op::parse(&body) {
        Ok(op) => answered(&room.operate(Viewer::from(&claims), op).await),
        Err((op_id, refusal)) => answered(&wire::nack(op_id.as_deref(), &refusal)),
    }
}

/// An op's answer as an HTTP answer.
pub(super) fn answered(value: &Json) -> Response<Body> {
    let status = match value["code"].as_str() {
        None => StatusCode::OK,
        Some(code) => status_of(code),
    };
    let mut response = answer::json(status, "no-store", value);
    if let Some(wait) = value["retry_after_ms"].as_u64() {
        answer::retry_after(&mut response, wait.div_ceil(1000));
    }
    response
}

pub(super) fn refused(refusal: &Refusal) -> Response<Body> {
    answered(&wire::nack(None, refusal))
}

fn status_of(code: &str) -> StatusCode {
    match code.split_once('.').map_or(code, |(family, _)| family) {
        "auth"
            if matches!(code, "auth.required" | "auth.invalid" | "auth.expired" | "auth.code") =>
        {
            StatusCode::UNAUTHORIZED
        }
        "auth" => StatusCode::FORBIDDEN,
        "rate" => StatusCode::TOO_MANY_REQUESTS,
        "size" => StatusCode::PAYLOAD_TOO_LARGE,
        "unknown" if code != "unknown.op" => StatusCode::NOT_FOUND,
        "poll" | "mode" => StatusCode::CONFLICT,
        _ if matches!(code, "state.busy" | "state.unavailable") => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    }
}

pub(super) async fn body_json(request: Request<Incoming>) -> Result<Json, Response<Body>> {
    if request.method() != Method::POST {
        return Err(answer::say(StatusCode::METHOD_NOT_ALLOWED, "Send it by POST."));
    }
    let bytes = read_body(request.into_body(), MOST_BYTES)
        .await
        .map_err(|unread| answer::say(unread.status(), &format!("The body {unread}.")))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let hint = "Send one JSON object.";
        refused(&Refusal::new("state.invalid", format!("The body is no JSON: {error}."), hint))
    })
}

//! What a room tells, as server-sent events (WHATWG HTML §9.2): for those without a WebSocket.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use nowcast_interact::Viewer;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, Interval, interval_at, sleep_until};

use super::api::{Room, busy, refused};
use super::figures::Line;
use super::socket::{heard_staff, left, stopped};
use super::task::{Frame, Joined, Message, Out, Outbox};
use super::{Rooms, Seat, wire};
use crate::answer;
use crate::flow::Remote;
use crate::listener::Body;

/// A sign of life is given so often, so that nobody between takes the connection for dead.
const LIFE: Duration = Duration::from_secs(15);
/// Nobody is answered here: a `bye` is all that can wait.
const OUTBOX: usize = 2;
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// nginx passes on what it gets at once.
const ACCEL: HeaderName = HeaderName::from_static("x-accel-buffering");

impl Rooms {
    /// `GET /api/v1/streams/STREAM/sse`.
    pub(super) async fn sse<B>(&self, request: Request<B>, room: Room) -> Response<Body> {
        if request.method() != Method::GET {
            return answer::say(StatusCode::METHOD_NOT_ALLOWED, "Events are read: use GET.");
        }
        let headers = request.headers();
        let (mut who, mut until) = (None, None);
        if headers.contains_key(AUTHORIZATION) {
            match room.bearer(headers) {
                Ok(claims) => {
                    until = Some(Instant::now() + left(&claims));
                    who = Some(Viewer::from(&claims));
                }
                Err(refusal) => return refused(&refusal),
            }
        }
        let client = request.extensions().get::<Remote>().map(|remote| remote.0);
        let Some(seat) = self.sockets.take(client, Line::Sse) else {
            return super::api::no_seat();
        };
        let (outbox, answers) = mpsc::channel(OUTBOX);
        let (to, joined) = oneshot::channel();
        let pos = position(headers);
        let join = Message::Join { who: who.clone(), was: None, pos, outbox: outbox.clone(), to };
        if room.mailbox.send(join).await.is_err() {
            return refused(&busy());
        }
        let guest = Guest { room, who, outbox };
        let Ok(joined) = joined.await else { return refused(&busy()) };
        let events = Events::new(guest, joined, answers, until, self.stop.subscribe(), seat);
        let chunks = stream::unfold(events, |mut events| async move {
            let chunk = events.next().await?;
            Some((chunk, events))
        });
        let mut response = Response::new(Body::stream(chunks));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(ACCEL, HeaderValue::from_static("no"));
        response
    }
}

/// `EPOCH.SEQ` of the last message that came.
fn position(headers: &HeaderMap) -> Option<(String, u64)> {
    let (epoch, seq) = headers.get(LAST_EVENT_ID)?.to_str().ok()?.rsplit_once('.')?;
    Some((epoch.to_owned(), seq.parse().ok()?))
}

/// Somebody in the room; leaves it when dropped.
struct Guest {
    room: Room,
    who: Option<Viewer>,
    outbox: Outbox,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let Some(who) = self.who.take() else { return };
        let (mailbox, outbox) = (self.room.mailbox.clone(), self.outbox.clone());
        // A room that is closed remembers nobody.
        tokio::spawn(
            async move { mailbox.send(Message::Leave { who: who.id, outbox }).await.ok() },
        );
    }
}

/// What one reader is sent. It is asked only when the connection has room: who is slow falls behind in
/// the room's own queue, finds a gap there, and has to come back.
struct Events {
    guest: Guest,
    ready: VecDeque<Bytes>,
    joined: Joined,
    answers: mpsc::Receiver<Out>,
    until: Option<Instant>,
    life: Interval,
    stop: watch::Receiver<bool>,
    over: bool,
    _seat: Seat,
}

impl Events {
    fn new(
        guest: Guest,
        mut joined: Joined,
        answers: mpsc::Receiver<Out>,
        until: Option<Instant>,
        stop: watch::Receiver<bool>,
        seat: Seat,
    ) -> Self {
        let frames = std::mem::take(&mut joined.frames);
        let last = frames.len().saturating_sub(1);
        let epoch = guest.room.ticks.epoch();
        // Who has but the first of them and is cut off begins again from where they were.
        let ready = frames
            .iter()
            .enumerate()
            .map(|(index, frame)| message((index == last).then_some((epoch, joined.seq)), frame))
            .collect();
        let life = interval_at(Instant::now() + LIFE, LIFE);
        Self { guest, ready, joined, answers, until, life, stop, over: false, _seat: seat }
    }

    async fn next(&mut self) -> Option<Bytes> {
        if let Some(ready) = self.ready.pop_front() {
            return Some(ready);
        }
        if self.over {
            return None;
        }
        let far = Instant::now() + Duration::from_secs(31_536_000);
        loop {
            let Joined { seq, events, staff, .. } = &mut self.joined;
            let bye = tokio::select! {
                frame = events.recv() => match frame {
                    Ok(Frame { to, .. }) if to <= *seq => continue,
                    Ok(Frame { text, to }) => {
                        *seq = to;
                        return Some(message(Some((self.guest.room.ticks.epoch(), to)), &text));
                    }
                    Err(RecvError::Lagged(_)) => {
                        self.guest.room.figures.gap();
                        wire::bye("state.slow", "Too much was not taken in time.", Some(0))
                    }
                    Err(RecvError::Closed) => return None,
                },
                note = heard_staff(staff) => return Some(message(None, &note)),
                Some(bye) = self.answers.recv() => bye.text,
                _ = self.life.tick() => return Some(Bytes::from_static(b":\n\n")),
                () = sleep_until(self.until.unwrap_or(far)) => {
                    wire::bye("auth.expired", "Your token has come to its end.", Some(0))
                }
                () = stopped(&mut self.stop) => {
                    wire::bye("server.stopping", "The server restarts.", Some(1000))
                }
            };
            self.over = true;
            return Some(message(None, &bye));
        }
    }
}

/// One message: JSON has no line ends in it.
fn message(id: Option<(&str, u64)>, text: &str) -> Bytes {
    match id {
        Some((epoch, seq)) => format!("id: {epoch}.{seq}\ndata: {text}\n\n").into(),
        None => format!("data: {text}\n\n").into(),
    }
}

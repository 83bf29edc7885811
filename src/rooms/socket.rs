//! One viewer's WebSocket: subprotocol `nowcast.v1`.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use nowcast_interact::{Op, Refusal, Viewer};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, interval_at, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message as WsMessage, Utf8Bytes};

use super::api::Room;
use super::figures::Outcome;
use super::task::{Frame, Joined, Message, Out, Outbox, ReplyTo};
use super::token::Claims;
use super::{now_ms, wire};

/// The longest frame of a viewer.
pub(super) const FRAME_BYTES: usize = 4096;
/// Answers that wait for a socket; one that takes none of them is let go.
const OUTBOX: usize = 64;
/// From connecting to `hello`.
const HELLO: Duration = Duration::from_secs(5);
/// For taking one frame.
const PATIENCE: Duration = Duration::from_secs(10);
/// A sign of life is asked for so often; who gives none for twice as long is gone.
const PING: Duration = Duration::from_secs(25);
/// So long before the end of a token its viewer is told.
const EXPIRING: Duration = Duration::from_secs(60);
/// Frames of a viewer a second, and how many may come at once.
const RATE: (f64, f64) = (20.0, 60.0);

/// Speaks with one viewer until either goes.
pub(super) async fn serve(upgrade: OnUpgrade, room: Room, stop: watch::Receiver<bool>) {
    let io = match upgrade.await {
        Ok(io) => TokioIo::new(io),
        Err(error) => return tracing::debug!(%error, "no upgrade"),
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(FRAME_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(FRAME_BYTES))
        .max_frame_size(Some(FRAME_BYTES));
    let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    let end = match greet(&mut socket, &room).await {
        Ok(hello) => {
            let mut talk = Talk {
                socket: &mut socket,
                room: &room,
                who: hello.who,
                allowance: RATE.1,
                since: Instant::now(),
            };
            talk.run(hello.until, hello.was, hello.pos, stop).await
        }
        Err(end) => end,
    };
    let frame = match end {
        End::Gone => return,
        End::Close(code, reason) => CloseFrame { code: code.into(), reason: reason.into() },
    };
    // A peer that does not answer the close is not waited for.
    drop(timeout(PATIENCE, socket.close(Some(frame))).await);
}

/// How a conversation ends.
enum End {
    /// The connection is gone already.
    Gone,
    /// With this code and word.
    Close(u16, &'static str),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        match error {
            Error::Capacity(_) => Self::Close(CloseCode::Size.into(), "a frame is too long"),
            Error::Utf8(_) => Self::Close(CloseCode::Invalid.into(), "text is UTF-8"),
            Error::Protocol(_) => Self::Close(CloseCode::Protocol.into(), "not by RFC 6455"),
            _ => Self::Gone,
        }
    }
}

struct Hello {
    who: Option<Viewer>,
    was: Option<Arc<str>>,
    pos: Option<(String, u64)>,
    /// When the token ends.
    until: Option<Instant>,
}

type Socket<S> = WebSocketStream<S>;

/// The first frame has to be a `hello`.
async fn greet<S>(socket: &mut Socket<S>, room: &Room) -> Result<Hello, End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let late = End::Close(4401, "no hello in time");
    let hello = async {
        loop {
            match socket.next().await {
                None => return Err(End::Gone),
                Some(Err(error)) => return Err(error.into()),
                Some(Ok(WsMessage::Text(text))) => return Ok(text),
                Some(Ok(WsMessage::Binary(_))) => {
                    return Err(End::Close(CloseCode::Unsupported.into(), "frames are text"));
                }
                Some(Ok(_)) => {}
            }
        }
    };
    let text = timeout(HELLO, hello).await.map_err(|_| late)??;
    let hello: Json = serde_json::from_str(&text).unwrap_or_default();
    if hello["t"] != "hello" {
        return Err(End::Close(4400, "the first frame is a hello"));
    }
    let pos = hello["pos"]["epoch"].as_str().map(str::to_owned).zip(hello["pos"]["seq"].as_u64());
    let mut found = Hello { who: None, was: None, pos, until: None };
    if let Some(token) = hello["token"].as_str() {
        match room.check(token) {
            Ok(claims) => {
                found.until = Some(Instant::now() + left(&claims));
                found.who = Some(Viewer::from(&claims));
            }
            Err(refusal) => {
                let nack = wire::nack(None, &refusal).to_string();
                send(socket, nack.into()).await?;
                let bye = wire::bye(&refusal.code, &refusal.message, None);
                send(socket, bye).await?;
                return Err(End::Close(4401, "the token is not taken"));
            }
        }
    }
    let was = hello["was"].as_str().and_then(|was| room.check(was).ok());
    found.was = was.filter(|claims| claims.anon).map(|claims| claims.sub.into());
    Ok(found)
}

/// How long a token still holds.
pub(super) fn left(claims: &Claims) -> Duration {
    let now = u64::try_from(now_ms() / 1000).unwrap_or(0);
    // Timers beyond a year are not needed: connections do not last so long.
    Duration::from_secs(claims.exp.saturating_sub(now).min(31_536_000))
}

async fn send<S>(socket: &mut Socket<S>, text: Utf8Bytes) -> Result<(), End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match timeout(PATIENCE, socket.send(WsMessage::Text(text))).await {
        Ok(sent) => Ok(sent?),
        // What is half sent cannot be followed by a close.
        Err(_) => Err(End::Gone),
    }
}

struct Talk<'a, S> {
    socket: &'a mut Socket<S>,
    room: &'a Room,
    who: Option<Viewer>,
    /// Frames that may still come now.
    allowance: f64,
    since: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<'_, S> {
    async fn run(
        &mut self,
        until: Option<Instant>,
        was: Option<Arc<str>>,
        pos: Option<(String, u64)>,
        stop: watch::Receiver<bool>,
    ) -> End {
        let (outbox, answers) = mpsc::channel(OUTBOX);
        let (to, joined) = oneshot::channel();
        let join = Message::Join { who: self.who.clone(), was, pos, outbox: outbox.clone(), to };
        if self.room.mailbox.send(join).await.is_err() {
            return End::Close(CloseCode::Restart.into(), "the room is closed");
        }
        let Ok(joined) = joined.await else { return End::Gone };
        let end = match self.exchange(joined, &outbox, answers, until, stop).await {
            Ok(end) | Err(end) => end,
        };
        if let Some(who) = &self.who {
            let leave = Message::Leave { who: Arc::clone(&who.id), outbox };
            // A room that is closed remembers nobody.
            self.room.mailbox.send(leave).await.ok();
        }
        end
    }

    async fn exchange(
        &mut self,
        joined: Joined,
        outbox: &Outbox,
        mut answers: mpsc::Receiver<Out>,
        until: Option<Instant>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<End, End> {
        let Joined { frames, mut seq, mut events, mut staff } = joined;
        for frame in frames {
            send(self.socket, frame).await?;
        }
        let mut ping = interval_at(Instant::now() + PING, PING);
        let mut heard = Instant::now();
        let far = Instant::now() + Duration::from_secs(31_536_000);
        let end = until.unwrap_or(far);
        let mut expiry = pin!(sleep_until(end));
        let mut warned = end.checked_sub(EXPIRING).is_none_or(|at| at <= Instant::now());
        let mut warning = pin!(sleep_until(if warned { far } else { end - EXPIRING }));
        loop {
            tokio::select! {
                message = self.socket.next() => {
                    heard = Instant::now();
                    match message {
                        None => return Ok(End::Gone),
                        Some(Err(error)) => return Ok(error.into()),
                        Some(Ok(WsMessage::Text(text))) => self.hear(&text, outbox).await?,
                        Some(Ok(WsMessage::Close(_))) => return Ok(End::Gone),
                        Some(Ok(WsMessage::Binary(_))) => {
                            return Ok(End::Close(CloseCode::Unsupported.into(), "frames are text"));
                        }
                        Some(Ok(_)) => {}
                    }
                }
                frame = events.recv() => match frame {
                    Ok(Frame { to, .. }) if to <= seq => {}
                    Ok(Frame { text, to }) => {
                        seq = to;
                        send(self.socket, text).await?;
                    }
                    Err(RecvError::Lagged(_)) => {
                        self.room.figures.gap();
                        // The next frame says where the log is by now; the page fetches the rest.
                        let gap = json!({"t": "gap", "have": seq, "need": seq + 1});
                        send(self.socket, gap.to_string().into()).await?;
                    }
                    Err(RecvError::Closed) => return Ok(End::Close(CloseCode::Restart.into(), "the room is closed")),
                },
                Some(Out { text, last }) = answers.recv() => {
                    send(self.socket, text).await?;
                    if last {
                        return Ok(End::Close(4403, "the room is closed to you"));
                    }
                }
                note = heard_staff(&mut staff) => send(self.socket, note).await?,
                _ = ping.tick() => {
                    if heard.elapsed() > 2 * PING {
                        return Ok(End::Gone);
                    }
                    let sent = timeout(PATIENCE, self.socket.send(WsMessage::Ping(Vec::new().into()))).await;
                    sent.map_err(|_| End::Gone)??;
                }
                () = &mut warning, if !warned => {
                    warned = true;
                    let hint = "Get another one, and connect again with it.";
                    let notice = Refusal::new("auth.expiring", "Your token ends in a minute.", hint);
                    send(self.socket, wire::nack(None, &notice).to_string().into()).await?;
                }
                () = &mut expiry => {
                    let bye = wire::bye("auth.expired", "Your token has come to its end.", Some(0));
                    send(self.socket, bye).await?;
                    return Ok(End::Close(4401, "the token has expired"));
                }
                () = stopped(&mut stop) => {
                    let bye = wire::bye("server.stopping", "The server restarts.", Some(1000));
                    send(self.socket, bye).await?;
                    return Ok(End::Close(CloseCode::Restart.into(), "the server restarts"));
                }
            }
        }
    }

    async fn hear(&mut self, text: &Utf8Bytes, outbox: &Outbox) -> Result<(), End> {
        if !self.may_speak() {
            let hint = "Send less: one frame for each thing a person does.";
            let refusal = Refusal::new("rate.socket", "Too many frames.", hint).after(1000);
            let bye = wire::bye(&refusal.code, &refusal.message, Some(5000));
            send(self.socket, bye).await?;
            return Err(End::Close(CloseCode::Policy.into(), "too many frames"));
        }
        let frame: Json = match serde_json::from_str(text) {
            Ok(frame) => frame,
            Err(error) => {
                let hint = "Send one JSON object a frame.";
                let refusal =
                    Refusal::new("state.invalid", format!("The frame is no JSON: {error}."), hint);
                return send(self.socket, wire::nack(None, &refusal).to_string().into()).await;
            }
        };
        match frame["t"].as_str() {
            Some("time") => {
                let answer = json!({"t": "time", "c": frame["c"], "s": now_ms()});
                send(self.socket, answer.to_string().into()).await
            }
            Some("op") => self.hear_op(&frame, outbox).await,
            _ => {
                let hint =
                    "Frames are {\"t\":\"op\",…} and {\"t\":\"time\",…} once you have said hello.";
                let refusal = Refusal::new("unknown.frame", "There is no such frame.", hint);
                send(self.socket, wire::nack(None, &refusal).to_string().into()).await
            }
        }
    }

    async fn hear_op(&mut self, frame: &Json, outbox: &Outbox) -> Result<(), End> {
        let refused = match (Op::parse(frame), &self.who) {
            (Err((op_id, refusal)), _) => wire::nack(op_id.as_deref(), &refusal),
            (Ok(op), None) => wire::nack(Some(&op.op_id), &super::api::no_token()),
            (Ok(op), Some(who)) => {
                let (op_id, kind) = (op.op_id.clone(), op.ask.kind());
                let to = ReplyTo::Socket(outbox.clone());
                // Before the op is handed on, so that it never comes after the answer.
                let processing = json!({"t": "ack", "op_id": op_id, "state": "processing"});
                send(self.socket, processing.to_string().into()).await?;
                match self.room.mailbox.try_send(Message::Op { who: who.clone(), op, to }) {
                    Ok(()) => return Ok(()),
                    Err(_) => {
                        self.room.figures.op(kind, Outcome::Failed);
                        wire::nack(Some(&op_id), &super::api::busy())
                    }
                }
            }
        };
        send(self.socket, refused.to_string().into()).await
    }

    fn may_speak(&mut self) -> bool {
        let (rate, burst) = RATE;
        self.allowance = (self.allowance + self.since.elapsed().as_secs_f64() * rate).min(burst);
        self.since = Instant::now();
        self.allowance -= 1.0;
        self.allowance >= 0.0
    }
}

/// What only moderators hear; who is none waits for ever.
pub(super) async fn heard_staff(staff: &mut Option<broadcast::Receiver<Utf8Bytes>>) -> Utf8Bytes {
    loop {
        let Some(notes) = staff else { return std::future::pending().await };
        match notes.recv().await {
            Ok(note) => return note,
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => *staff = None,
        }
    }
}

/// Resolves when the server stops.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

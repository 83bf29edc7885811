//! A viewer's client: a session, a WebSocket, ops by either way.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::{IntoClientRequest, client};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

use super::harness::{Answer, Server};

/// How long a frame is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A viewer who has said hello.
pub(crate) struct Viewer {
    pub(crate) socket: WebSocket<TcpStream>,
    pub(crate) welcome: Value,
    /// Events as they came.
    pub(crate) events: Vec<Value>,
}

impl Viewer {
    /// Comes in with a token, or without one.
    pub(crate) fn join(server: &Server, stream: &str, token: Option<&str>) -> Self {
        Self::rejoin(server, stream, token, &Value::Null)
    }

    /// Comes in again: `pos` is where the log was left.
    pub(crate) fn rejoin(server: &Server, stream: &str, token: Option<&str>, pos: &Value) -> Self {
        let mut socket = open(server, stream, None).expect("the socket opens");
        let mut hello = json!({"t": "hello"});
        if let Some(token) = token {
            hello["token"] = json!(token);
        }
        if !pos.is_null() {
            hello["pos"] = pos.clone();
        }
        socket.send(Message::text(hello.to_string())).unwrap();
        let mut viewer = Self { socket, welcome: Value::Null, events: Vec::new() };
        viewer.welcome = viewer.frame("welcome");
        viewer
    }

    /// The next frame of this kind; events of others are kept.
    pub(crate) fn frame(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().unwrap_or_else(|error| panic!("waiting for {kind}: {error}"));
            if frame["t"] == "batch" {
                self.events.extend(frame["events"].as_array().unwrap().iter().cloned());
            }
            if frame["t"] == kind {
                return frame;
            }
        }
    }

    /// The next event of this kind that was not taken yet.
    pub(crate) fn event(&mut self, kind: &str) -> Value {
        loop {
            if let Some(at) = self.events.iter().position(|event| event["kind"] == kind) {
                return self.events.remove(at);
            }
            self.frame("batch");
        }
    }

    pub(crate) fn next(&mut self) -> Result<Value, Error> {
        loop {
            match self.socket.read()? {
                Message::Text(text) => return Ok(serde_json::from_str(&text).unwrap()),
                Message::Close(frame) => {
                    // The close is answered before it is told.
                    self.socket.flush().ok();
                    return Err(Error::Io(std::io::Error::other(format!("closed: {frame:?}"))));
                }
                _ => {}
            }
        }
    }

    pub(crate) fn send(&mut self, frame: &Value) {
        self.socket.send(Message::text(frame.to_string())).unwrap();
    }

    /// Has an op done; answers what came after `processing`.
    pub(crate) fn op(&mut self, op_id: &str, kind: &str, body: &Value) -> Value {
        self.send(&json!({"t": "op", "op_id": op_id, "kind": kind, "body": body}));
        loop {
            let frame = self.next().unwrap();
            match frame["t"].as_str().unwrap() {
                "batch" => self.events.extend(frame["events"].as_array().unwrap().iter().cloned()),
                "ack" if frame["state"] == "processing" => {}
                "ack" | "nack" if frame["op_id"] == op_id => return frame,
                _ => {}
            }
        }
    }
}

/// A WebSocket that nothing was said on.
pub(crate) fn open(
    server: &Server,
    stream: &str,
    origin: Option<&str>,
) -> Result<WebSocket<TcpStream>, u16> {
    let url = format!("ws://{}/api/v1/streams/{stream}/ws", server.http);
    let mut request = url.into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", HeaderValue::from_static("nowcast.v1"));
    if let Some(origin) = origin {
        headers.insert("origin", HeaderValue::from_str(origin).unwrap());
    }
    let stream = TcpStream::connect(server.http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    match client(request, stream) {
        Ok((socket, _)) => Ok(socket),
        Err(tokio_tungstenite::tungstenite::HandshakeError::Failure(Error::Http(response))) => {
            Err(response.status().as_u16())
        }
        Err(error) => panic!("{error}"),
    }
}

/// An anonymous viewer's token.
pub(crate) fn session(server: &Server) -> String {
    let answer = post(server.http, "/api/v1/session", &[], "");
    let value: Value = serde_json::from_slice(&answer.body).unwrap();
    value["token"].as_str().unwrap().to_owned()
}

/// A token of this role for a stream.
pub(crate) fn token(server: &Server, role: &str, stream: &str) -> String {
    let body = json!({"role": role, "stream": stream, "expires": 3600}).to_string();
    let answer = post(server.ops, "/api/v1/tokens", &[], &body);
    let value: Value = serde_json::from_slice(&answer.body).unwrap();
    value["token"].as_str().unwrap().to_owned()
}

/// An op by POST: the status and the answer.
pub(crate) fn operate(server: &Server, stream: &str, token: &str, op: &Value) -> (u16, Value) {
    let bearer = format!("Authorization: Bearer {token}");
    let path = format!("/api/v1/streams/{stream}/ops");
    let answer = post(server.http, &path, &[&bearer], &op.to_string());
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
}

/// One POST over a connection of its own.
pub(crate) fn post(address: SocketAddr, path: &str, fields: &[&str], body: &str) -> Answer {
    try_post(address, path, fields, body).expect("a whole answer")
}

/// The same; `None` where the server went away.
pub(crate) fn try_post(
    address: SocketAddr,
    path: &str,
    fields: &[&str],
    body: &str,
) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
    )
    .ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let status = head.get(9..12)?.parse().ok()?;
    Some(Answer { status, body: bytes.split_off(end) })
}

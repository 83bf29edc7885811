//! What the operator asks of rooms, through the operator's listener.

use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use nowcast_interact::{Op, Role, Viewer};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::api::{answered, body_json};
use super::{Rooms, random, wire};
use crate::answer;
use crate::flow::StreamName;
use crate::listener::Body;

/// Rows of the audit log in one answer.
const ROWS: usize = 1000;

/// `POST /api/v1/tokens`.
#[derive(Deserialize)]
struct Mint {
    role: Role,
    stream: Option<String>,
    name: Option<String>,
    /// Seconds.
    expires: u64,
}

impl Rooms {
    /// Answers `POST /api/v1/streams/STREAM/ops`, `…/erase` and `…/studio`, `GET …/room` and `…/audit`, `POST /api/v1/tokens`.
    ///
    /// # Errors
    /// The request is for somebody else.
    pub async fn control(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Request<Incoming>> {
        let path = request.uri().path().to_owned();
        if path == "/api/v1/tokens" && request.method() == Method::POST {
            return Ok(self.mint_for(request).await);
        }
        let of_stream = path.strip_prefix("/api/v1/streams/").and_then(|rest| rest.split_once('/'));
        let Some((name, verb)) = of_stream else { return Err(request) };
        if !matches!(
            (request.method(), verb),
            (&Method::POST, "ops" | "erase" | "studio") | (&Method::GET, "room" | "audit")
        ) {
            return Err(request);
        }
        let (Some(room), Some(stream)) = (self.room(name), StreamName::new(name)) else {
            return Ok(answer::say(StatusCode::NOT_FOUND, "There is no such stream."));
        };
        Ok(match verb {
            "room" => match room.look().await {
                Some(state) => answer::json(StatusCode::OK, "no-store", &state),
                None => answer::say(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "The room does not answer: look at the log.",
                ),
            },
            "audit" => {
                let query = request.uri().query().unwrap_or_default();
                let after = query.strip_prefix("after=").and_then(|after| after.parse().ok());
                match self.store.audit(&stream, after.unwrap_or(0), ROWS) {
                    Ok((rows, end)) => {
                        let page = json!({"rows": rows, "end": end});
                        answer::json(StatusCode::OK, "no-store", &page)
                    }
                    Err(fault) => {
                        let sentence = format!("The log cannot be read: {fault:#}.");
                        answer::say(StatusCode::INTERNAL_SERVER_ERROR, &sentence)
                    }
                }
            }
            "studio" => match self.studio_code(&stream) {
                Ok(code) => answer::json(StatusCode::OK, "no-store", &json!({"code": code})),
                Err(fault) => answer::say(StatusCode::SERVICE_UNAVAILABLE, &format!("{fault}.")),
            },
            "erase" => {
                let asked: Json = match body_json(request).await {
                    Ok(asked) => asked,
                    Err(refusal) => return Ok(refusal),
                };
                let Some(who) = asked["viewer"].as_str() else {
                    let sentence = "Say whom: {\"viewer\": \"ID\"}.";
                    return Ok(answer::say(StatusCode::BAD_REQUEST, sentence));
                };
                match room.erase(who.into()).await {
                    Some(done) if done["erased"].is_string() => {
                        answer::json(StatusCode::OK, "no-store", &done)
                    }
                    _ => answer::say(
                        StatusCode::SERVICE_UNAVAILABLE,
                        "Nobody was taken out, as the journal cannot be changed: look at the log, and ask again.",
                    ),
                }
            }
            _ => {
                let mut ask: Json = match body_json(request).await {
                    Ok(ask) => ask,
                    Err(refusal) => return Ok(refusal),
                };
                if ask.is_object() && ask["op_id"].is_null() {
                    ask["op_id"] = json!(random::<10>().unwrap_or_default());
                }
                let (id, name) = ("operator".into(), Some("Operator".into()));
                let who = Viewer { id, name, role: Role::Operator, anonymous: false };
                match Op::parse(&ask) {
                    Ok(op) => answered(&room.operate(who, op).await),
                    Err((op_id, refusal)) => answered(&wire::nack(op_id.as_deref(), &refusal)),
                }
            }
        })
    }

    async fn mint_for(&self, request: Request<Incoming>) -> Response<Body> {
        let body = match body_json(request).await {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        let mint = match serde_json::from_value::<Mint>(body) {
            Ok(mint) => mint,
            Err(error) => {
                let sentence = format!(
                    "A token needs role and expires (seconds), and may have stream and name: {error}."
                );
                return answer::say(StatusCode::BAD_REQUEST, &sentence);
            }
        };
        match self.mint(mint.role, mint.stream, mint.name, Duration::from_secs(mint.expires)) {
            Ok(token) => answer::json(StatusCode::OK, "no-store", &json!({"token": token})),
            Err(fault) => answer::say(StatusCode::SERVICE_UNAVAILABLE, &format!("{fault}.")),
        }
    }
}

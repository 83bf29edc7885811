//! `nowcast poll`, `qa`, `chat`, `announce`, `moderate`, `token`: what happens in a stream's room, asked of
//! the running server over its ops listener.

mod chat;
mod moderate;
mod poll;
mod token;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use serde_json::{Value as Json, json};

pub(super) use self::chat::{Announce, Chat, Qa};
pub(super) use self::moderate::Moderate;
pub(super) use self::poll::Poll;
pub(super) use self::token::Token;
use super::streams::{ask, ask_with};
use super::{Failure, print, print_json};
use crate::app;
use crate::config::{Config, units};

/// A command that asks something of a room.
pub(super) trait Asks {
    /// Asks it, and prints the answer.
    async fn ask(&self, config: &Config) -> Result<(), Failure>;
}

pub(super) fn run(config: &Config, asks: &impl Asks) -> Result<(), Failure> {
    app::runtime()?.block_on(asks.ask(config))
}

/// Which stream, and in what form it is answered.
#[derive(Args, Debug)]
pub(super) struct Room {
    /// The stream.
    stream: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Where in the picture.
#[derive(Args, Debug)]
struct Place {
    /// The frame: `+5s` (from now), `pts:TICKS` of 90 kHz, or Unix milliseconds of the server's clock. The next
    /// part, if it is left out.
    #[arg(long, value_name = "WHEN", value_parser = place)]
    at: Option<Json>,
}

impl Room {
    /// Has one op done; prints where it landed.
    async fn op(
        &self,
        config: &Config,
        kind: &str,
        body: Json,
        at: Option<&Json>,
    ) -> Result<(), Failure> {
        let mut op = json!({"kind": kind, "body": body});
        if let Some(at) = at {
            op["at"] = at.clone();
        }
        let path = format!("/api/v1/streams/{}/ops", self.stream);
        let answer = ask_with(config, "POST", &path, Some(&op)).await?;
        if self.json {
            return print_json(&answer);
        }
        let id = answer["id"].as_str().unwrap_or("done");
        let bind = &answer["bind"];
        let place = match (bind["msn"].as_u64(), bind["part"].as_u64()) {
            (Some(msn), Some(part)) => {
                format!("  at segment {msn}, part {part}, pts {}", bind["pts"])
            }
            _ => String::new(),
        };
        let late = answer["late_ms"].as_u64().map_or_else(String::new, |late| {
            format!("  ({late} ms later than asked: that frame had passed)")
        });
        print(format!("{id}{place}{late}\n").as_bytes())
    }

    /// How the room stands.
    async fn state(&self, config: &Config) -> Result<Json, Failure> {
        ask(config, "GET", &format!("/api/v1/streams/{}/room", self.stream)).await
    }
}

fn place(text: &str) -> Result<Json, String> {
    if let Some(pts) = text.strip_prefix("pts:") {
        let pts: u64 = pts.parse().map_err(|_| format!("\"{pts}\" is no number of ticks"))?;
        return Ok(json!({"pts": pts}));
    }
    if let Some(ahead) = text.strip_prefix('+') {
        let ahead = units::duration(ahead)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        return Ok(json!({"wall": (now + ahead).as_millis()}));
    }
    let wall: i64 = text.parse().map_err(|_| {
        format!("\"{text}\" is no place; write \"+5s\", \"pts:TICKS\" or Unix milliseconds")
    })?;
    Ok(json!({"wall": wall}))
}

fn duration(text: &str) -> Result<Duration, String> {
    units::duration(text)
}

fn millis(duration: Option<Duration>) -> Json {
    duration.map_or(Json::Null, |duration| json!(duration.as_millis()))
}

/// A list as lines, or that there is nothing in it.
fn print_lines(lines: impl Iterator<Item = String>, none: &str) -> Result<(), Failure> {
    let text: String = lines.map(|line| line + "\n").collect();
    print(if text.is_empty() { format!("{none}\n") } else { text }.as_bytes())
}

/// A field as text, without its quotes.
fn text<'a>(value: &'a Json, key: &str) -> &'a str {
    value[key].as_str().unwrap_or("-")
}

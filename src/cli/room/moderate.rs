mod audit;

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value as Json, json};

use super::{Asks, Room, duration, millis, print_lines, text};
use crate::cli::streams::ask_with;
use crate::cli::{Failure, print, print_json};
use crate::config::{Config, units};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Moderate {
    /// Take a message away.
    Remove(Thing),
    /// Let a message through that waits.
    Approve(Thing),
    /// Refuse a message that waits.
    Reject(Thing),
    /// Have a viewer be silent.
    Mute(Person),
    /// Keep a viewer out.
    Ban(Person),
    /// Let a viewer back in, or speak again.
    Lift(Person),
    /// Take a viewer out of the room: what they wrote, and who they were, on the disk too. Counts stay.
    Erase {
        #[command(flatten)]
        room: Room,
        /// The viewer's id.
        viewer: String,
    },
    /// List the messages that wait.
    Held(Room),
    /// List what moderators, hosts and the operator did.
    Audit(audit::Audit),
    /// Set how the chat is kept.
    Mode {
        #[command(flatten)]
        room: Room,
        /// Which mode.
        #[arg(value_enum)]
        mode: Mode,
        /// `on`, `off`; for slow the time between two messages, as in `5s`.
        value: String,
    },
}

#[derive(Args, Debug)]
pub(in crate::cli) struct Thing {
    #[command(flatten)]
    room: Room,
    /// The message's id.
    message: String,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct Person {
    #[command(flatten)]
    room: Room,
    /// The viewer's id.
    viewer: String,
    /// For how long; for good, if it is left out.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    duration: Option<Duration>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in crate::cli) enum Mode {
    Slow,
    Locked,
    Emoji,
    Followers,
    Hold,
}

impl Asks for Moderate {
    async fn ask(&self, config: &Config) -> Result<(), Failure> {
        let (room, kind, body) = match self {
            Self::Remove(one) => (&one.room, "mod.remove", one.body()),
            Self::Approve(one) => (&one.room, "mod.approve", one.body()),
            Self::Reject(one) => (&one.room, "mod.reject", one.body()),
            Self::Mute(one) => (&one.room, "mod.mute", one.body()),
            Self::Ban(one) => (&one.room, "mod.ban", one.body()),
            Self::Lift(one) => (&one.room, "mod.lift", one.body()),
            Self::Mode { room, mode, value } => {
                let name = mode.to_possible_value();
                let name = name.as_ref().map(clap::builder::PossibleValue::get_name);
                (room, "mod.mode", json!({"mode": name, "value": mode.value(value)?}))
            }
            Self::Erase { room, viewer } => {
                let path = format!("/api/v1/streams/{}/erase", room.stream);
                let asked = json!({"viewer": viewer});
                let done = ask_with(config, "POST", &path, Some(&asked)).await?;
                if room.json {
                    return print_json(&done);
                }
                let line =
                    format!("{viewer} is gone, and {} of what they wrote\n", done["messages"]);
                return print(line.as_bytes());
            }
            Self::Audit(audit) => return audit.ask(config).await,
            Self::Held(room) => {
                let state = room.state(config).await?;
                if room.json {
                    return print_json(&state["held"]);
                }
                let line = |held: &Json| {
                    format!(
                        "{:<20} {}: {}  ({})",
                        text(held, "id"),
                        text(&held["by"], "id"),
                        text(held, "text"),
                        text(held, "why")
                    )
                };
                return print_lines(
                    state["held"].as_array().into_iter().flatten().map(line),
                    "nothing waits",
                );
            }
        };
        room.op(config, kind, body, None).await
    }
}

impl Thing {
    fn body(&self) -> Json {
        json!({"message": self.message})
    }
}

impl Person {
    fn body(&self) -> Json {
        json!({"viewer": self.viewer, "duration_ms": millis(self.duration)})
    }
}

impl Mode {
    fn value(self, text: &str) -> Result<Json, Failure> {
        match (self, text) {
            (Self::Slow, "off") => Ok(json!(0)),
            (Self::Slow, text) => {
                let slow = units::duration(text).map_err(Failure::Usage)?;
                Ok(json!(slow.as_millis()))
            }
            (_, "on") => Ok(json!(true)),
            (_, "off") => Ok(json!(false)),
            _ => Err(Failure::Usage(format!("\"{text}\" is neither \"on\" nor \"off\""))),
        }
    }
}

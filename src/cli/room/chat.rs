use std::collections::HashSet;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use tokio::time::sleep;

use super::{Asks, Place, Room, duration, millis, print_lines, text};
use crate::cli::{Failure, print, print_json};
use crate::config::Config;

/// How often the chat is looked at.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Chat {
    /// Print messages as they come, until Ctrl-C.
    Tail {
        #[command(flatten)]
        room: Room,
        /// Print what is there, and stop.
        #[arg(long)]
        once: bool,
    },
    /// Write a message.
    Say {
        #[command(flatten)]
        room: Room,
        /// The message.
        text: String,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Qa {
    /// List the questions, the most wanted first.
    Ls(Room),
    /// Show a question to everybody.
    Spotlight(Question),
    /// A question is answered.
    Answer(Question),
    /// Put a question aside.
    Dismiss(Question),
}

#[derive(Args, Debug)]
pub(in crate::cli) struct Question {
    #[command(flatten)]
    room: Room,
    /// The question's id, as `qa ls` prints it.
    question: String,
    #[command(flatten)]
    place: Place,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct Announce {
    #[command(flatten)]
    room: Room,
    /// What everybody is told.
    text: String,
    /// How long it is shown.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    duration: Option<Duration>,
    #[command(flatten)]
    place: Place,
}

impl Asks for Chat {
    async fn ask(&self, config: &Config) -> Result<(), Failure> {
        let (room, once) = match self {
            Self::Say { room, text } => {
                return room.op(config, "chat.send", json!({"text": text}), None).await;
            }
            Self::Tail { room, once } => (room, *once),
        };
        let mut told = HashSet::new();
        loop {
            let state = room.state(config).await?;
            for message in state["chat"].as_array().into_iter().flatten() {
                if !told.insert(message["seq"].as_u64()) {
                    continue;
                }
                let line = if room.json {
                    message.to_string()
                } else {
                    let by = &message["by"];
                    let name = by["name"].as_str().unwrap_or_else(|| text(by, "id"));
                    format!(
                        "{:<20} {name}: {}",
                        text(message, "id"),
                        text(&message["body"], "text")
                    )
                };
                print(format!("{line}\n").as_bytes())?;
            }
            if once {
                return Ok(());
            }
            sleep(LOOK).await;
        }
    }
}

impl Asks for Qa {
    async fn ask(&self, config: &Config) -> Result<(), Failure> {
        let (kind, one) = match self {
            Self::Ls(room) => {
                let state = room.state(config).await?;
                if room.json {
                    return print_json(&state["questions"]);
                }
                let mut questions: Vec<_> =
                    state["questions"].as_array().into_iter().flatten().collect();
                questions.sort_by_key(|question| std::cmp::Reverse(question["votes"].as_u64()));
                let line = |question: &Json| {
                    let (id, state, asked) =
                        (text(question, "id"), text(question, "state"), text(question, "text"));
                    format!("{id:<20} {state:<10} {:>4}  {asked}", question["votes"])
                };
                return print_lines(questions.into_iter().map(line), "no questions");
            }
            Self::Spotlight(one) => ("qa.spotlight", one),
            Self::Answer(one) => ("qa.answer", one),
            Self::Dismiss(one) => ("qa.dismiss", one),
        };
        let body = json!({"question": one.question});
        one.room.op(config, kind, body, one.place.at.as_ref()).await
    }
}

impl Asks for Announce {
    async fn ask(&self, config: &Config) -> Result<(), Failure> {
        let body = json!({"text": self.text, "duration_ms": millis(self.duration)});
        self.room.op(config, "announce", body, self.place.at.as_ref()).await
    }
}

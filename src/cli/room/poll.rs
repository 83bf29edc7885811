use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value as Json, json};

use super::{Asks, Place, Room, duration, millis, print_lines, text};
use crate::cli::{Failure, print_json};
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Poll {
    /// Open a poll.
    Open(Open),
    /// Close a poll; those who are behind may vote until their picture is there.
    Close(One),
    /// Show a poll's counts.
    Reveal(One),
    /// Withdraw a poll.
    Cancel(One),
    /// List the polls.
    Ls(Room),
}

#[derive(Args, Debug)]
pub(in crate::cli) struct Open {
    #[command(flatten)]
    room: Room,
    /// What is asked.
    question: String,
    /// What can be answered, 2 to 10 of them.
    #[arg(required = true, num_args = 2..=10)]
    options: Vec<String>,
    /// Several answers a person.
    #[arg(long)]
    multi: bool,
    /// Votes may be changed.
    #[arg(long)]
    change_vote: bool,
    /// When the counts are shown.
    #[arg(long, value_enum, default_value = "always")]
    results: Shown,
    /// Close it by itself after so long.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    duration: Option<Duration>,
    #[command(flatten)]
    place: Place,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct One {
    #[command(flatten)]
    room: Room,
    /// The poll's id, as `poll ls` prints it.
    poll: String,
    #[command(flatten)]
    place: Place,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Shown {
    Always,
    AfterVote,
    AfterClose,
    OnReveal,
}

impl Asks for Poll {
    async fn ask(&self, config: &Config) -> Result<(), Failure> {
        let (kind, one) = match self {
            Self::Open(open) => {
                let results = open.results.to_possible_value();
                let body = json!({
                    "question": open.question,
                    "options": open.options,
                    "multi": open.multi,
                    "change_vote": open.change_vote,
                    "results": results.as_ref().map(clap::builder::PossibleValue::get_name),
                    "duration_ms": millis(open.duration),
                });
                return open.room.op(config, "poll.open", body, open.place.at.as_ref()).await;
            }
            Self::Ls(room) => {
                let state = room.state(config).await?;
                if room.json {
                    return print_json(&state["polls"]);
                }
                return print_lines(
                    state["polls"].as_array().into_iter().flatten().map(line),
                    "no polls",
                );
            }
            Self::Close(one) => ("poll.close", one),
            Self::Reveal(one) => ("poll.reveal", one),
            Self::Cancel(one) => ("poll.cancel", one),
        };
        one.room.op(config, kind, json!({"poll": one.poll}), one.place.at.as_ref()).await
    }
}

fn line(poll: &Json) -> String {
    let options = poll["options"].as_array().into_iter().flatten();
    let options: Vec<_> = options
        .map(|option| match option["votes"].as_u64() {
            Some(votes) => format!("{}: {votes}", text(option, "text")),
            None => text(option, "text").to_owned(),
        })
        .collect();
    let (id, state, question) = (text(poll, "id"), text(poll, "state"), text(poll, "question"));
    format!(
        "{id:<20} {state:<10} {question}\n  {} · {} voters",
        options.join(" · "),
        poll["voters"]
    )
}

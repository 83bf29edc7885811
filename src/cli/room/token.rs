use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use nowcast_interact::Role;
use serde_json::json;

use super::{Asks, Room, ask_with, duration, text};
use crate::cli::url::{host, web_base};
use crate::cli::{Failure, print, print_json};
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Token {
    /// Make a signed token.
    Mint(Mint),
    /// Print an address that opens a stream's studio, once and within ten minutes.
    Studio(Room),
}

#[derive(Args, Debug)]
pub(in crate::cli) struct Mint {
    /// What its bearer may do.
    #[arg(long, value_enum, default_value = "viewer")]
    role: Granted,
    /// The only stream it holds for.
    #[arg(long)]
    stream: Option<String>,
    /// What others read.
    #[arg(long)]
    name: Option<String>,
    /// How long it holds.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    expires: Duration,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Granted {
    Viewer,
    Moderator,
    Host,
    Operator,
}

impl Asks for Token {
    async fn ask(&self, config: &Config) -> Result<(), Failure> {
        match self {
            Self::Mint(mint) => {
                let role = match mint.role {
                    Granted::Viewer => Role::Viewer,
                    Granted::Moderator => Role::Moderator,
                    Granted::Host => Role::Host,
                    Granted::Operator => Role::Operator,
                };
                let body = json!({
                    "role": role,
                    "stream": mint.stream,
                    "name": mint.name,
                    "expires": mint.expires.as_secs(),
                });
                let answer = ask_with(config, "POST", "/api/v1/tokens", Some(&body)).await?;
                if mint.json {
                    return print_json(&answer);
                }
                print(format!("{}\n", text(&answer, "token")).as_bytes())
            }
            Self::Studio(room) => {
                let path = format!("/api/v1/streams/{}/studio", room.stream);
                let mut answer = ask_with(config, "POST", &path, None).await?;
                let base = web_base(config, &host(config));
                let url = format!("{base}/studio/{}#{}", room.stream, text(&answer, "code"));
                if room.json {
                    answer["url"] = json!(url);
                    return print_json(&answer);
                }
                print(format!("{url}\n").as_bytes())
            }
        }
    }
}

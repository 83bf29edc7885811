//! The server as its users meet it: the real binary, real senders, real requests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on fails; these lints spare the functions marked #[test] alone"
)]

#[path = "server/audience.rs"]
mod audience;
#[path = "server/bad_input.rs"]
mod bad_input;
#[path = "server/command_line.rs"]
mod command_line;
#[path = "server/harness.rs"]
mod harness;
#[path = "server/life.rs"]
mod life;
#[path = "server/lint.rs"]
mod lint;
#[path = "server/loss.rs"]
mod loss;
#[path = "server/media.rs"]
mod media;
#[path = "server/modes.rs"]
mod modes;
#[path = "server/player.rs"]
mod player;
#[path = "server/restart.rs"]
mod restart;
#[path = "server/socket.rs"]
mod socket;
#[path = "server/source.rs"]
mod source;
#[path = "server/strangers.rs"]
mod strangers;
#[path = "server/tls.rs"]
mod tls;
#[path = "server/votes.rs"]
mod votes;

//! The packagers from outside: what they write is read back by mp4-atom and by ffmpeg.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test that meets what it does not expect has failed"
)]

mod audio;
mod event;
#[expect(clippy::disallowed_methods, reason = "the oracles are programs")]
mod ffmpeg;
mod init;
mod passthrough;
mod reader;
mod video;

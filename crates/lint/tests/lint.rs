//! Streams broken as real servers broke theirs, each found by its rule; correct ones, with nothing
//! found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at once")]

#[path = "lint/broken.rs"]
mod broken;
#[path = "lint/cache.rs"]
mod cache;
#[path = "lint/fault.rs"]
mod fault;
#[path = "lint/legal.rs"]
mod legal;
#[path = "lint/mp4.rs"]
mod mp4;
#[path = "lint/spoilt.rs"]
mod spoilt;
#[path = "lint/stream.rs"]
mod stream;

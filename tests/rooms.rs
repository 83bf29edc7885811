//! Rooms behind both listeners, over real sockets; the media is made up.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at once")]

#[path = "rooms/audit.rs"]
mod audit;
#[path = "origin/client.rs"]
mod client;
#[path = "rooms/erase.rs"]
mod erase;
#[path = "rooms/figures.rs"]
mod figures;
#[path = "rooms/house.rs"]
mod house;
#[path = "rooms/moderator.rs"]
mod moderator;
#[path = "origin/publisher.rs"]
mod publisher;
#[path = "rooms/sse.rs"]
mod sse;

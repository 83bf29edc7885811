//! Rooms in simulated time.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail the test they help"
)]

#[path = "rooms/histories.rs"]
mod histories;
#[path = "rooms/house.rs"]
mod house;
#[path = "rooms/ops.rs"]
mod ops;
#[path = "rooms/polls.rs"]
mod polls;

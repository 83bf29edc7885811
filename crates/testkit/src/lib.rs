//! Builders and independent readers for tests.

pub mod m3u8;
pub mod tools;
pub mod ts;

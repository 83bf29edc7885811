//! nowcast: SRT in, low-latency HLS out, with the audience inside the picture.

pub mod config;
pub mod flow;
pub mod ladder;

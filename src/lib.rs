//! nowcast: SRT in, low-latency HLS out, with the audience inside the picture.

pub mod config;
pub mod encode;
pub mod flow;
pub mod ingest;
pub mod ladder;
pub mod listener;
pub mod metrics;
pub mod ops;
pub mod origin;
pub mod pipelines;
pub mod publish;
pub mod state;

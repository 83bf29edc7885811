//! nowcast: SRT in, low-latency HLS out, with the audience inside the picture.

pub mod admission;
pub mod answer;
pub mod app;
pub mod certificate;
pub mod cli;
pub mod config;
pub mod encode;
pub mod flow;
pub mod ingest;
pub mod ladder;
pub mod listener;
pub mod metrics;
pub mod ops;
pub mod origin;
pub mod picture;
pub mod pipelines;
pub mod play;
pub mod procfs;
pub mod publish;
pub mod push;
pub mod rooms;
pub mod state;
pub mod viewers;

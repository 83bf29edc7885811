//! Encoding: one worker process per stream, and the supervisor that keeps it alive.
//!
//! GStreamer decodes, scales and encodes in the worker only; the server itself loads none of it, so a codec
//! that crashes, hangs or leaks costs one stream a moment (docs/adr/0005-worker-process.md).

pub mod doctor;
mod graph;
pub mod supervisor;
mod wire;
pub mod worker;

pub(crate) use graph::launch;
pub use supervisor::{Options, spawn};

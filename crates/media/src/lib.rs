//! The vocabulary every part of nowcast shares: time, the grid, access units, codecs.
//!
//! Nothing here does I/O, reads a clock or allocates on the way of a frame, but for the bytes themselves.

mod aac;
mod access_unit;
mod bits;
mod codec;
mod grid;
pub mod h264;
pub mod hevc;
mod language;
pub mod nal;
mod time;
mod vui;

pub use aac::{AacConfig, AacError, AdtsHeader};
pub use access_unit::{AccessUnit, AudioFrame};
pub use codec::{ParameterSets, ParameterSetsError, VideoCodec, VideoFormat, VideoRange};
pub use grid::{Grid, Seconds5};
pub use language::Language;
pub use time::{FrameRate, MediaTime};

//! What is wrong with a low-latency HLS stream, from what a client saw of it.
//!
//! [`Linter`] is fed [`Exchange`]s, requests with their answers, in the order in which the answers
//! came; it knows no socket and no clock. [`Linter::finish`] returns a [`Report`]: [`Finding`]s, each
//! with its rule, place and source, and what could not be observed. What to ask for next is the
//! caller's to decide, by the playlists that [`Linter::latest`] shows.
//!
//! Any stream can be watched, whoever made it: byte-range parts, absolute URIs, other versions,
//! MPEG-TS are legal, and only what breaks a rule is reported. Section numbers are those of
//! draft-pantos-hls-rfc8216bis-22; "Apple" is Apple's HLS authoring specification.
//!
//! `rules` has one function per rule, by theme; docs/lint.md tells more.

pub mod cdn;
mod exchange;
mod finding;
mod linter;
mod mp4;
pub mod playlist;
mod rendition;
mod report;
mod rules;

pub use exchange::{ByteRange, Exchange, Probe, Purpose, directive, without_directives};
pub use finding::{Finding, Rule, Severity};
pub use linter::Linter;
pub use report::{Report, Unobserved};

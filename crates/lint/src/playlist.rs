//! Playlists, read line by line: what is broken is reported and passed over, so that the rest can
//! still be judged.

mod attributes;
mod date;
mod faults;
mod media;
mod merge;
mod multivariant;
mod reader;

use crate::finding::Rule;

pub use attributes::Attributes;
pub use media::{
    DateRange, Hint, HintType, Map, MediaPlaylist, Part, Position, Report, Segment, ServerControl,
    Tagged,
};
pub use multivariant::{Multivariant, Rendition, Variant};

/// Something a line of a playlist may not say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// The rule it breaks.
    pub rule: &'static Rule,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Fault {
    fn new(rule: &'static Rule, line: usize, message: impl Into<String>) -> Self {
        Self { rule, line, message: message.into() }
    }
}

/// Whether a text is a multivariant playlist; if not, it can only be a media playlist.
#[must_use]
pub fn is_multivariant(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("#EXT-X-STREAM-INF:"))
}

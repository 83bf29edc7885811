//! Low-latency HLS playlists: window, rendering, delivery directives.
//!
//! [`MediaPlaylist`] is one rendition: parts and segments go in, the text of each generation comes
//! out. [`Edge`] is what such a generation lists, small enough to copy: it says at once whether a
//! blocked request can be answered. Nothing here knows a socket, a clock or a byte of media.
//!
//! Section numbers are those of draft-pantos-hls-rfc8216bis-22; docs/spec-map.md lists where each
//! rule is kept and tested.

mod bandwidth;
pub mod cache;
mod date;
mod date_range;
mod directives;
mod edge;
pub mod multivariant;
pub mod names;
mod playlist;
mod profile;

pub use bandwidth::BandwidthMeter;
pub use date_range::DateRange;
pub use directives::{DirectiveError, Directives};
pub use edge::{Edge, Resolution};
pub use playlist::{Mark, MediaPlaylist, PartInfo, Removed, Rendered, RenditionReport};
pub use profile::Profile;

/// `text` without what a quoted string may not hold (§4.2): a source or a viewer may have written it.
fn quotable(text: &str) -> String {
    text.chars().filter(|&c| c != '"' && !c.is_control()).collect()
}

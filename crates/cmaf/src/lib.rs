//! Access units in, CMAF out: init sections, and parts that add up to segments (ISO 23000-19, ISO 14496-12).
//!
//! One packager makes one rendition of one track. It follows the house pattern of the cores: feed it with
//! `handle_*`, then drain `poll_output`; it holds one open part and whatever has not been drained.
//!
//! Times that come in are on the stream session's timeline (see [`nowcast_media::MediaTime`]), which the
//! `tfdt` boxes carry unchanged: video in 90 kHz ticks, audio in samples. A track's decode timeline has no
//! hole and no overlap from one `restart` to the next.
//!
//! ```text
//! segment = part part part …          part = [styp] [prft] emsg… moof mdat    styp: first part of a segment
//! ```

mod audio;
mod error;
mod event;
mod init;
mod part;
mod silence;
mod video;

pub use audio::AudioPackager;
pub use error::{InitError, Misbehaviour, PackageError};
pub use event::{Event, events};
pub use init::{audio_init, video_init};
pub use part::{Output, Part};
pub use video::{Cut, VideoPackager};

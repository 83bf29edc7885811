//! MPEG-TS bytes in, access units out (ISO 13818-1).
//!
//! [`Demuxer::push`] takes bytes in any chunks, [`Demuxer::poll_event`] gives what was found in them.
//! A frame is handed on with its own last packet, not with the first of the next frame.

mod audio;
mod demuxer;
mod drift;
mod event;
mod packet;
mod pes;
mod psi;
mod timeline;
mod video;

pub use demuxer::{Demuxer, Health, MAX_AUDIO};
pub use event::{AudioKind, AudioTrack, Event};

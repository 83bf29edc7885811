//! From pictures and sound to parts and playlists: one task per stream, the only writer of its sessions.

mod metadata;
mod probe;
mod rendition;
mod session;
mod store;
mod task;
mod timeline;
mod variants;

pub use store::Store;
pub use task::{Setting, StartEncoder, spawn};

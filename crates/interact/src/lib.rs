//! The room of a stream: chat, polls, questions, reactions and announcements, one log for all of them,
//! each entry bound to the place in the picture where it belongs.
//!
//! ```text
//! op ─► Room ─► Commit (records + answer) ─► disk ─► sockets, ticks
//!                                              └───► Carriage ─► emsg and EXT-X-DATERANGE of the parts
//! ```
//!
//! A [`Room`] decides at once; what it decided is told once its commit is on the disk. Reading the same
//! records again gives the same room ([`Room::restore`]). The wire is docs/contract.md and docs/events.md.

pub mod audit;
mod bind;
mod carriage;
mod erase;
mod event;
mod filter;
mod op;
mod overload;
mod poll;
mod rates;
mod refusal;
mod room;
mod settings;
mod state;
pub mod text;
mod who;

pub use bind::{Bind, Media};
pub use carriage::{Carriage, Counts, CueText, Range, Span};
pub use erase::Eraser;
pub use event::{Body, Event, Id, Mode, PollOption, Ranked, Results, Tally};
pub use filter::{Policy, Rules, Verdict};
pub use op::{Ask, At, Op};
pub use poll::{Close, PollState};
pub use refusal::Refusal;
pub use room::{Answer, Commit, OpKey, Reply, Room, Standing};
pub use settings::Settings;
pub use state::{Held, Modes, QuestionState, Record};
pub use who::{By, Role, Viewer};

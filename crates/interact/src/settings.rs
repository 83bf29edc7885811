use crate::filter::Rules;
use crate::text::Length;

/// What can be set of a room.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a message, a question or an announcement may be.
    pub text: Length,
    /// What may be said.
    pub rules: Rules,
    /// Whether anonymous viewers take part.
    pub anonymous: bool,
    /// Whether somebody else is asked about what the rules allow: see [`Reply::Ask`](crate::Reply::Ask).
    pub moderated: bool,
    /// From a picture being taken to its arrival here, in milliseconds: what lies between a host's wall
    /// clock and the PROGRAM-DATE-TIME of the frame they were in.
    pub ingest_delay_ms: i64,
    /// How long those behind the live picture may still vote after a poll's close, in milliseconds.
    pub grace_ms: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            text: Length { graphemes: 300, bytes: 1024 },
            rules: Rules::default(),
            anonymous: true,
            moderated: false,
            ingest_delay_ms: 0,
            grace_ms: 3000,
        }
    }
}

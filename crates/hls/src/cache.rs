//! Cache lifetimes by class of response.
//!
//! Appendix B.1 names lifetimes in target durations. Two deviations, both towards shorter: a request
//! that came too early is never cached, because its URL is good a moment later; and what is not
//! found may only be missing so far, so it is kept for a second.

use std::borrow::Cow;

use crate::Profile;

/// What kind of response it is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Class {
    /// The multivariant playlist. A later session of the stream changes it.
    Multivariant,
    /// A media playlist, asked for without `_HLS_msn`.
    Playlist,
    /// A media playlist, asked for with `_HLS_msn`: it has what its URL names, now and for good.
    BlockingPlaylist,
    /// A part, held or not.
    Part,
    /// A segment.
    Segment,
    /// An init section; its name says what is in it.
    Init,
    /// 404: a name that means nothing here, or media that is gone.
    NotFound,
    /// 404 of media that may yet come: named, but not hinted.
    NotYet,
    /// 400.
    BadRequest,
    /// 503.
    Unavailable,
}

/// `Cache-Control` of everything that must be asked for again.
pub const NO_STORE: &str = "no-store";
/// `Cache-Control` of a 404 where no profile is known: no target duration is shorter.
pub const NOT_FOUND: &str = "public, max-age=1";

/// The value of `Cache-Control` for a response of this class.
#[must_use]
pub fn cache_control(class: Class, profile: &Profile) -> Cow<'static, str> {
    let target = u64::from(profile.target_duration);
    let window = u64::try_from(profile.window.ticks()).unwrap_or(0).div_ceil(90_000);
    match class {
        Class::Multivariant | Class::Playlist => format!("public, max-age={}", target / 2).into(),
        Class::BlockingPlaylist => format!("public, max-age={}", 6 * target).into(),
        Class::Part => format!("public, max-age={}, immutable", 6 * target).into(),
        Class::Segment => format!("public, max-age={}, immutable", window.max(6 * target)).into(),
        Class::Init => "public, max-age=31536000, immutable".into(),
        Class::NotFound => NOT_FOUND.into(),
        Class::NotYet | Class::BadRequest | Class::Unavailable => NO_STORE.into(),
    }
}

#[cfg(test)]
mod tests {
    use nowcast_media::{MediaTime, Seconds5};

    use super::*;

    #[test]
    fn lifetimes_are_those_of_the_table() {
        let profile = Profile {
            target_duration: 2,
            part_target: Seconds5::from_units(20_000),
            window: MediaTime::from_millis(60_000),
        };
        for (class, value) in [
            (Class::Multivariant, "public, max-age=1"),
            (Class::Playlist, "public, max-age=1"),
            (Class::BlockingPlaylist, "public, max-age=12"),
            (Class::Part, "public, max-age=12, immutable"),
            (Class::Segment, "public, max-age=60, immutable"),
            (Class::Init, "public, max-age=31536000, immutable"),
            (Class::NotFound, "public, max-age=1"),
            (Class::NotYet, "no-store"),
            (Class::BadRequest, "no-store"),
            (Class::Unavailable, "no-store"),
        ] {
            assert_eq!(cache_control(class, &profile), value, "{class:?}");
        }
        let short =
            Profile { target_duration: 6, window: MediaTime::from_millis(20_000), ..profile };
        assert_eq!(cache_control(Class::Segment, &short), "public, max-age=36, immutable");
        assert_eq!(cache_control(Class::Playlist, &short), "public, max-age=3");
    }
}

use super::MediaPlaylist;
use crate::names::Start;
use crate::{Edge, Profile};

/// Where a playlist stands before a segment: all that another needs to go on from there as this one
/// would, down to the last decimal, without what came before.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Mark {
    /// Media sequence number of the segment.
    pub msn: u64,
    /// The number of its first part.
    pub part: u64,
    /// DISCONTINUITYs before it, since the beginning.
    pub discontinuities: u64,
    /// Where it begins, in ticks from the start of the first segment ever listed.
    pub position: u64,
    /// The longest the playlist ever was, in ticks: what was listed is served for so long.
    pub longest: u64,
}

impl MediaPlaylist {
    /// An empty playlist that goes on at `mark`.
    #[must_use]
    pub fn at(profile: Profile, timescale: u32, mark: Mark) -> Self {
        Self {
            next_part: mark.part,
            discontinuity_sequence: mark.discontinuities,
            position: mark.position,
            longest: mark.longest,
            ..Self::new(profile, timescale, mark.msn)
        }
    }

    /// Where the next segment would begin.
    #[must_use]
    pub fn mark(&self) -> Mark {
        let open = self.open.iter().filter(|open| open.parts > 0);
        let listed = self.segments.iter().chain(open.clone());
        let discontinuities = listed.filter(|segment| segment.discontinuity).count() as u64;
        Mark {
            msn: self.open_msn + open.count() as u64,
            part: self.next_part,
            discontinuities: self.discontinuity_sequence + discontinuities,
            position: self.position,
            longest: self.longest,
        }
    }

    /// Says which start of the server names what is listed from now on; the hint included.
    pub fn set_start(&mut self, start: Start) {
        self.start = start;
    }

    /// What is listed now, for blocking reload.
    #[must_use]
    pub fn edge(&self) -> Edge {
        Edge {
            first_msn: self.first_msn(),
            open_msn: self.open_msn,
            closed_parts: self.segments.back().map_or(0, |segment| segment.parts),
            open_parts: self.open.as_ref().map_or(0, |segment| segment.parts),
            ended: self.ended,
            advance_parts: self.profile.advance_parts(),
            hold_limit: self.profile.hold_limit(),
        }
    }

    /// The number of the part that the preload hint names; `None` after the end.
    #[must_use]
    pub fn next_part(&self) -> Option<u64> {
        (!self.ended).then_some(self.next_part)
    }
}

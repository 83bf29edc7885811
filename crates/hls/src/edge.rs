use std::time::Duration;

use crate::{DirectiveError, Directives};

/// What a media playlist lists at one instant, as far as a blocked request needs to know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Edge {
    /// Media sequence number of the first segment listed.
    pub(crate) first_msn: u64,
    /// Media sequence number of the segment that the next part belongs to, if it is not the first
    /// of another: one past the last complete segment.
    pub(crate) open_msn: u64,
    /// Parts in the last complete segment; 0 before there is one.
    pub(crate) closed_parts: u32,
    /// Parts of the open segment.
    pub(crate) open_parts: u32,
    pub(crate) ended: bool,
    pub(crate) advance_parts: u32,
    pub(crate) hold_limit: Duration,
}

/// What to do with a playlist request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Resolution {
    /// Answer with the current playlist.
    Ready,
    /// Ask again when there is more, for no longer than [`Edge::hold_limit`]; then answer 503.
    Wait,
    /// Answer 400 with the reason.
    BadRequest(DirectiveError),
}

impl Edge {
    /// Decides on a request by §6.2.5.2. `Ready` is never said before what was asked for, or
    /// something later, is listed.
    ///
    /// Ahead of the edge the answer is lenient and legal: up to one segment past the open one, and
    /// up to [`Profile::advance_parts`](crate::Profile::advance_parts) parts, a request waits.
    #[must_use]
    pub fn resolve(&self, directives: &Directives) -> Resolution {
        let Some(msn) = directives.msn.filter(|_| !self.ended) else {
            return Resolution::Ready;
        };
        let last_complete = self.last_complete_msn();
        let (msn, part) = match directives.part {
            // A part past the end of a closed segment is part 0 of the next: players ask for it
            // whenever they learnt of the last part before they learnt that it was the last.
            Some(part) if Some(msn) == last_complete && part >= self.closed_parts => {
                (self.open_msn, Some(0))
            }
            part => (msn, part),
        };
        let listed = match part {
            None => last_complete.is_some_and(|last| msn <= last),
            Some(part) => {
                (msn, part) < (self.open_msn, self.open_parts) && self.report_position().is_some()
            }
        };
        if listed {
            return Resolution::Ready;
        }
        // In the segment after the open one, the least a part can be ahead is when nothing more
        // comes of the open one.
        let segments_ahead = msn.saturating_sub(self.open_msn);
        let listed_parts = if segments_ahead == 0 { self.open_parts } else { 0 };
        let parts_ahead = part.map_or(0, |part| u64::from(part.saturating_sub(listed_parts)) + 1);
        if segments_ahead > 1 || parts_ahead > u64::from(self.advance_parts) {
            return Resolution::BadRequest(DirectiveError::TooFarAhead {
                msn: self.open_msn,
                part: self.open_parts,
            });
        }
        Resolution::Wait
    }

    /// LAST-MSN and LAST-PART for other renditions' reports (§4.4.5.4); `None` before the first part.
    #[must_use]
    pub fn report_position(&self) -> Option<(u64, u32)> {
        if let Some(part) = self.open_parts.checked_sub(1) {
            return Some((self.open_msn, part));
        }
        Some((self.open_msn.checked_sub(1)?, self.closed_parts.checked_sub(1)?))
    }

    /// How long a request may wait: three target durations.
    #[must_use]
    pub fn hold_limit(&self) -> Duration {
        self.hold_limit
    }

    /// Media sequence number of the first segment listed: EXT-X-MEDIA-SEQUENCE.
    #[must_use]
    pub fn first_msn(&self) -> u64 {
        self.first_msn
    }

    /// Media sequence number of the last complete segment; `None` before there is one.
    #[must_use]
    pub fn last_complete_msn(&self) -> Option<u64> {
        (self.open_msn > self.first_msn).then(|| self.open_msn - 1)
    }

    /// Whether ENDLIST is written; directives are ignored from then on.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended
    }
}

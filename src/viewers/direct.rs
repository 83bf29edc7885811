use std::collections::VecDeque;
use std::time::Instant;

use crate::flow::{Demand, StreamStatus};

/// Looks that are remembered, one a second.
const LOOKS: usize = 10;

/// Viewers by what is asked for here: a player asks for each part once, or for each segment.
#[derive(Debug, Default)]
pub(super) struct Direct(VecDeque<Look>);

#[derive(Clone, Copy, Debug)]
struct Look {
    at: Instant,
    /// Parts and segments of video asked for, and published in each rendition.
    asked: (u64, u64),
    published: (u64, u64),
    bytes: u64,
}

impl Direct {
    /// How many ask, and the bits a second they are sent, over the last ten seconds.
    pub(super) fn count(&mut self, demand: &Demand, status: &StreamStatus) -> (u64, u64) {
        // Every video rendition has as many parts.
        let video = status.renditions.first();
        let published = video.map_or((0, 0), |video| (video.parts, video.msn));
        self.look(Look {
            at: Instant::now(),
            asked: demand.asked(),
            published,
            bytes: demand.bytes(),
        })
    }

    fn look(&mut self, now: Look) -> (u64, u64) {
        if self.0.back().is_some_and(|last| now.published < last.published) {
            // A new session of the stream counts anew.
            self.0.clear();
        }
        if self.0.len() > LOOKS {
            self.0.pop_front();
        }
        self.0.push_back(now);
        let Some(then) = self.0.front() else { return (0, 0) };
        let ratio = |asked: u64, published: u64| asked as f64 / published.max(1) as f64;
        let parts = ratio(now.asked.0 - then.asked.0, now.published.0 - then.published.0);
        let segments = ratio(now.asked.1 - then.asked.1, now.published.1 - then.published.1);
        let seconds = now.at.duration_since(then.at).as_secs_f64().max(0.001);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive")]
        // Who starts asks for a segment or two besides: no second viewer.
        let viewers = parts.round() as u64 + segments as u64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive")]
        let egress = ((now.bytes - then.bytes) as f64 * 8.0 / seconds) as u64;
        (viewers, egress)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn three_players_of_parts_and_one_of_segments_are_four() {
        let (mut direct, began) = (Direct::default(), Instant::now());
        let look = |second: u64, players: u64| Look {
            at: began + Duration::from_secs(second),
            // One of the answers of the last second is still to come.
            asked: (players * (5 * second).saturating_sub(1), second / 2),
            published: (5 * second, second / 2),
            bytes: 1000 * second,
        };
        let counts: Vec<_> = (0..30).map(|second| direct.look(look(second, 3)).0).collect();
        assert_eq!(counts[0], 0);
        assert!(counts[4..].iter().all(|count| *count == 4), "{counts:?}");
        assert_eq!(direct.look(look(30, 3)).1, 8000);
        // The stream begins anew; nobody asks for it.
        let anew = Look { published: (3, 0), ..look(31, 3) };
        assert_eq!(direct.look(anew).0, 0);
    }
}

//! A session goes on after a restart of the server.

use std::sync::Arc;
use std::time::Instant;

use nowcast_hls::Mark;
use nowcast_hls::names::Start;
use nowcast_media::MediaTime;

use super::LiveSession;
use super::cadence::Cadence;
use crate::config::Mode;
use crate::flow::{Compressed, Cues};
use crate::publish::rendition::Rendition;
use crate::publish::store::{Copy, Stored, Tail};

/// Where something listed is missing, numbers go on so far behind the last one known, times the number of this start: no
/// start gives so many without one of them reaching the disk.
const SKIP: u64 = 1_000_000;

impl LiveSession {
    /// The session as the disk has it; it waits for its publisher, or has ended. `None` where what it is
    /// and what there is of it do not fit together.
    ///
    /// The window is as it was, and so is every promise. Where it is unknown whether all that was listed is
    /// there, what comes has other names; where it is not there, the window is empty, and numbers skip ahead.
    pub(in crate::publish) fn restore(
        stored: Stored,
        cues: Arc<Cues>,
        copy: Copy,
        start: Start,
        ended_ms: Option<i64>,
    ) -> Option<Self> {
        let Stored { facts, renditions, tail, .. } = stored;
        let frozen = facts.frozen()?;
        let sets = frozen.sets.clone();
        let mut session = Self::with(frozen, cues);
        session.keep_in(copy);
        let names = session.all().map(|one| &one.status.name);
        if !names.eq(facts.renditions.iter().map(|one| &one.name)) {
            return None;
        }
        if session.mode == Mode::Passthrough {
            session.set_video_format(0, &sets);
        }
        let furthest = renditions.iter().fold(Mark::default(), |far, one| Mark {
            msn: far.msn.max(one.next.msn),
            part: far.part.max(one.next.part),
            discontinuities: far.discontinuities.max(one.next.discontinuities),
            position: 0,
            longest: far.longest.max(one.next.longest),
        });
        let skip = SKIP.saturating_mul(start.max(1));
        let next = Mark {
            msn: furthest.msn + skip,
            part: furthest.part + skip,
            discontinuities: furthest.discontinuities + skip,
            ..furthest
        };
        let profile = session.shared.profile;
        let anchor = renditions.iter().map(|one| one.anchor).max().unwrap_or(0);
        let stored = facts.renditions.iter().zip(renditions);
        for (rendition, (known, stored)) in session.all_mut().zip(stored) {
            rendition.recall(known);
            match tail {
                Tail::Whole => rendition.replay(stored, profile, None),
                Tail::Unsure => rendition.replay(stored, profile, Some(start)),
                Tail::Lost => rendition.skip(stored.end, next, anchor, profile, start),
            }
        }
        let ends = session.video.iter().map(|rendition| rendition.packager.end());
        session.video_end = ends.max().unwrap_or(MediaTime::ZERO);
        session.metadata.restore(facts.date_ranges());
        session.drain();
        session.cadence = Cadence::new(session.grid, session.next_index());
        session.set_anchor(anchor);
        let (prefix, rate) = (&session.shared.prefix, session.grid.rate);
        let text =
            session.variants.restore(&facts.declared, prefix, rate, &session.video, &session.audio);
        session.multivariant.send_replace(text.map(Compressed::new));
        if ended_ms.is_some() {
            session.all_mut().for_each(Rendition::end);
        }
        session.show(u32::MAX);
        session.copy.keep(session.facts(ended_ms));
        session.changed = false;
        Some(session)
    }

    /// The session was restored, and no source is there: an encoder makes the slate, behind the discontinuity
    /// that the restart is; pictures passed through are missing until there are some.
    pub(in crate::publish) fn go_on_without_source(&mut self, unix_micros: i64, now: Instant) {
        if self.mode == Mode::Transcode {
            self.restart(unix_micros);
        }
        self.lose_source(now);
    }
}

//! A rendition goes on after a restart of the server, with what the disk has of it.

use nowcast_hls::names::Start;
use nowcast_hls::{Mark, MediaPlaylist, Profile};

use super::{Packager, Rendition};
use crate::publish::store::{Begin, RenditionFacts, StoredRendition};

impl Rendition {
    /// Takes what is known of it besides its media.
    pub(in crate::publish) fn recall(&mut self, known: &RenditionFacts) {
        self.status.codecs.clone_from(&known.codecs);
        (self.status.width, self.status.height) = (known.width, known.height);
        self.range = known.range();
        self.last.clone_from(&known.last);
    }

    /// Lists again what was listed: the last segment ends where the server did. What comes is named by
    /// `start`, if that is another than the one before.
    pub(in crate::publish) fn replay(
        &mut self,
        stored: StoredRendition,
        profile: Profile,
        start: Option<Start>,
    ) {
        // What is on the disk already is not written again.
        let copy = std::mem::take(&mut self.copy);
        let marks = stored.segments.iter().map(|segment| segment.begin.mark());
        let longest = marks.clone().map(|mark| mark.longest).max().unwrap_or(0);
        if let Some(first) = marks.clone().next() {
            self.go_on_at(Mark { longest, ..first }, profile);
        }
        for (name, init) in stored.inits {
            if !self.inits.iter().any(|(known, _)| *known == name) {
                self.inits.push((name, init));
            }
        }
        for segment in stored.segments {
            let begin = segment.begin;
            if let Some((name, _)) = self.inits.iter().find(|(name, _)| **name == *begin.init) {
                self.init = name.clone();
            }
            self.set_start(begin.start);
            self.begin_segment(&begin);
            for (part, bytes) in segment.parts {
                if matches!(self.packager, Packager::Video(_)) {
                    self.carried = Some(part.time);
                }
                self.list_part(part, bytes);
            }
            let named = segment.ended.or(start).unwrap_or(begin.start);
            self.set_start(named);
            self.end_segment();
            if segment.ended.is_none() {
                copy.seal(begin.msn, segment.length, named);
            }
            self.last = Some(begin);
        }
        self.set_start(start.unwrap_or(self.start));
        self.status.parts = self.next_part;
        self.packager.resume(stored.end);
        let first = self.segments.front().map_or(self.next_msn, |segment| segment.msn);
        copy.prune(first, self.next_msn);
        self.copy = copy;
    }

    /// Goes on behind all that may have been listed and is not on the disk: with nothing listed.
    pub(in crate::publish) fn skip(
        &mut self,
        end: u64,
        next: Mark,
        anchor: i64,
        profile: Profile,
        start: Start,
    ) {
        self.go_on_at(next, profile);
        self.set_start(start);
        self.packager.resume(end);
        self.last = Some(Begin {
            msn: next.msn.saturating_sub(1),
            part: next.part,
            discontinuities: next.discontinuities,
            position: next.position,
            longest: next.longest,
            start,
            discontinuity: false,
            unix_ms: 0,
            init: String::new(),
            time: end,
            anchor,
        });
        self.copy.prune(next.msn, next.msn);
    }

    fn go_on_at(&mut self, mark: Mark, profile: Profile) {
        self.playlist = MediaPlaylist::at(profile, self.timescale.get(), mark);
        (self.next_msn, self.next_part) = (mark.msn, mark.part);
    }

    fn set_start(&mut self, start: Start) {
        self.start = start;
        self.playlist.set_start(start);
    }
}

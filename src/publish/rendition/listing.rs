//! Parts and segments are listed: in the playlist, among the bytes that are served, and on the disk.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nowcast_hls::PartInfo;
use nowcast_media::MediaTime;

use super::{Packager, Rendition};
use crate::flow::{Cmsd, SegmentView};
use crate::publish::store::{Begin, PartFacts, unix_ms};

impl Rendition {
    /// Opens a segment, if the next part, which begins at `time`, is the first of one.
    ///
    /// `anchor` is the Unix time in microseconds of the timeline's zero.
    pub(super) fn begin_part(&mut self, starts_segment: bool, time: u64, anchor: i64) {
        if !starts_segment {
            return;
        }
        let start = i128::from(time) * 1_000_000 / i128::from(self.timescale.get());
        let unix_ms = (i128::from(anchor) + start + 500) / 1000;
        let mark = self.playlist.mark();
        let begin = Begin {
            msn: self.next_msn,
            part: self.next_part,
            discontinuities: mark.discontinuities,
            position: mark.position,
            longest: mark.longest,
            start: self.start,
            discontinuity: std::mem::take(&mut self.discontinuity),
            unix_ms: i64::try_from(unix_ms).unwrap_or(0),
            init: self.init.to_string(),
            time,
            anchor,
        };
        self.begin_segment(&begin);
        if let Some((_, init)) = self.inits.iter().find(|(name, _)| *name == self.init) {
            self.copy.begin(begin.clone(), init);
        }
        self.last = Some(begin);
    }

    /// Adds a part to the open segment; without bytes it is missing.
    pub(super) fn add_part(&mut self, bytes: Bytes, time: u64, duration: u64, independent: bool) {
        let part = PartFacts { duration, time, independent, at_ms: unix_ms() };
        self.copy.part(part, &bytes);
        self.list_part(part, bytes);
    }

    pub(super) fn begin_segment(&mut self, begin: &Begin) {
        self.playlist.begin_segment(begin.unix_ms, &self.init, begin.discontinuity);
        self.segments.push_back(Arc::new(SegmentView {
            msn: begin.msn,
            complete: false,
            first_part: begin.part,
            part_start: begin.start,
            start: begin.start,
            parts: Vec::new(),
            cmsd: Vec::new(),
        }));
    }

    pub(super) fn list_part(&mut self, part: PartFacts, bytes: Bytes) {
        self.playlist.add_part(PartInfo {
            number: self.next_part,
            duration: part.duration,
            independent: part.independent,
            gap: bytes.is_empty(),
        });
        self.next_part += 1;
        self.status.parts += 1;
        let ticks = i64::try_from(part.duration).unwrap_or(i64::MAX);
        let duration = MediaTime::from_scale(ticks, self.timescale);
        self.segment.0 += duration;
        self.segment.1 += bytes.len() as u64;
        if let Some(open) = self.segments.back_mut() {
            let open = Arc::make_mut(open);
            let lasts = Duration::from_micros(u64::try_from(duration.as_micros()).unwrap_or(0));
            let audio = matches!(self.packager, Packager::Audio(_));
            open.cmsd.push(Cmsd::part(lasts, bytes.len(), audio));
            open.parts.push(bytes);
        }
    }

    pub(super) fn end_segment(&mut self) {
        self.playlist.end_segment();
        let (duration, bytes) = std::mem::take(&mut self.segment);
        // What is missing says nothing of the bit rate.
        if bytes > 0 {
            self.meter.push(duration, bytes);
        }
        self.status.msn = self.next_msn;
        self.next_msn += 1;
        if let Some(open) = self.segments.back_mut() {
            let open = Arc::make_mut(open);
            (open.complete, open.start) = (true, self.start);
        }
        self.copy.end(self.start);
        self.position += duration;
        for removed in self.playlist.evict() {
            self.leaving.push_back(self.position + removed.retention);
        }
        while self.leaving.pop_front_if(|until| *until <= self.position).is_some() {
            if let Some(gone) = self.segments.pop_front() {
                self.copy.remove(gone.msn);
            }
        }
    }
}

//! Parts that are listed as missing (RFC 8216bis §6.2.1): as long as whole ones, in segments as long
//! as whole ones at the most, from where the rendition's media ended.

use bytes::Bytes;
use nowcast_media::{Grid, MediaTime};

use super::Rendition;

impl Rendition {
    /// Where what is listed as missing ends; where the media ends if nothing is.
    pub(in crate::publish) fn end_of_gap(&self) -> MediaTime {
        self.gap.map_or_else(|| self.packager.end(), |gap| gap.end)
    }

    /// Where it ends with one part more.
    pub(in crate::publish) fn end_of_next_gap(&self, grid: &Grid) -> MediaTime {
        let (begin, parts) =
            self.gap.map_or_else(|| (self.packager.end(), 0), |gap| (gap.begin, gap.parts));
        begin + grid.rate.frame_start((parts + 1) * i64::from(grid.part_frames))
    }

    /// Lists one part more as missing. The packager has no open segment.
    pub(in crate::publish) fn add_gap(&mut self, grid: &Grid, anchor: i64) {
        let (from, to) = (self.end_of_gap(), self.end_of_next_gap(grid));
        let Gap { begin, parts, .. } = self.gap.unwrap_or(Gap { begin: from, end: from, parts: 0 });
        let in_segment = i64::from((grid.segment_frames / grid.part_frames).max(1));
        let begins = parts % in_segment == 0;
        if begins && parts > 0 {
            self.end_segment();
        }
        let ticks =
            |time: MediaTime| u64::try_from(time.to_scale(self.timescale.get())).unwrap_or(0);
        let (from, until) = (ticks(from), ticks(to));
        self.begin_part(begins, from, anchor);
        self.add_part(Bytes::new(), from, until.saturating_sub(from), false);
        self.gap = Some(Gap { begin, end: to, parts: parts + 1 });
    }

    /// Nothing is missing any more.
    pub(in crate::publish) fn end_gap(&mut self) {
        if self.gap.take().is_some() {
            self.end_segment();
        }
    }
}

/// What is listed as missing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gap {
    begin: MediaTime,
    end: MediaTime,
    parts: i64,
}

use super::{DateRange, MediaPlaylist, Segment};

impl MediaPlaylist {
    /// What a player does with a delta update (§6.3.7): the segments skipped are those of the
    /// playlist it has.
    ///
    /// # Errors
    ///
    /// The number of a segment that was skipped and that `before` does not list: the update is of
    /// no use to who has that playlist.
    pub fn merge(mut self, before: &Self) -> Result<Self, u64> {
        let Some(skipped) = self.skipped.take() else { return Ok(self) };
        let first = self.first_msn();
        let mut segments = Vec::with_capacity(before.segments.len());
        for msn in first..first.saturating_add(skipped.value) {
            let kept = before.segment(msn).filter(|segment| segment.url.is_some()).ok_or(msn)?;
            segments.push(kept.clone());
        }
        for mut segment in self.segments {
            inherit(&mut segment, before, segments.last());
            segments.push(segment);
        }
        self.segments = segments;
        // Without the list a delta update has all date ranges.
        if let Some(removed) = self.removed_ranges.take() {
            let again = |old: &DateRange| {
                let same = |new: &DateRange| new.attributes.iter().eq(old.attributes.iter());
                self.date_ranges.iter().any(same)
            };
            let kept = |old: &&DateRange| !removed.contains(&old.id) && !again(old);
            let mut ranges: Vec<_> = before.date_ranges.iter().filter(kept).cloned().collect();
            ranges.append(&mut self.date_ranges);
            self.date_ranges = ranges;
        }
        Ok(self)
    }
}

/// An init section, a key and a date hold on from where a delta update began.
fn inherit(segment: &mut Segment, before: &MediaPlaylist, previous: Option<&Segment>) {
    let same = before.segment(segment.msn);
    if segment.map.is_none() {
        segment.map = same.or(previous).and_then(|from| from.map.clone());
    }
    if segment.key.is_none() {
        segment.key = same.or(previous).and_then(|from| from.key.clone());
    }
}

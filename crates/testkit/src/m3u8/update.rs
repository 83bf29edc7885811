use super::check::ensure;
use super::{DateRange, MediaPlaylist, Part, Segment};

impl MediaPlaylist {
    /// Checks that this generation differs from `before`, an earlier one, only as §6.2.1 allows.
    ///
    /// # Errors
    /// The first change that is not legal.
    pub fn follows(&self, before: &Self) -> Result<(), String> {
        ensure!(self.head == before.head, "the head changed");
        ensure!(!before.ended || self == before, "a change after the end");
        let removed = self.check_removal(before)?;
        let mut news = self.all();
        for old in before.all().skip(removed) {
            let new = news.next().ok_or_else(|| format!("segment {} vanished", old.msn))?;
            check_kept(old, new)?;
        }
        self.check_new_parts(before)?;
        self.check_kept_ranges(before)?;
        for old in &before.reports {
            let new = self.reports.iter().find(|new| new.uri == old.uri);
            let forth = new
                .is_none_or(|new| (new.last_msn, new.last_part) >= (old.last_msn, old.last_part));
            ensure!(forth, "the report of {} went back", old.uri);
        }
        Ok(())
    }

    /// §6.2.2: sequence numbers count what was removed; enough is left.
    fn check_removal(&self, before: &Self) -> Result<usize, String> {
        let removed = self
            .media_sequence
            .checked_sub(before.media_sequence)
            .and_then(|removed| usize::try_from(removed).ok())
            .filter(|&removed| removed <= before.segments.len())
            .ok_or("EXT-X-MEDIA-SEQUENCE went back or left segments out")?;
        let tags = before.segments[..removed].iter().filter(|segment| segment.discontinuity);
        ensure!(
            self.discontinuity_sequence == before.discontinuity_sequence + tags.count() as u64,
            "EXT-X-DISCONTINUITY-SEQUENCE does not count the tags removed"
        );
        let left: u64 = self.segments.iter().map(|segment| segment.duration).sum();
        let enough = left >= 3 * self.head.target_duration * 100_000 && self.segments.len() >= 6;
        ensure!(removed == 0 || enough, "too little left: {left}e-5 s");
        Ok(removed)
    }

    /// §6.2.1: a range stays while it maps onto a segment listed, §4.4.5.1: as it was, but for what is added.
    fn check_kept_ranges(&self, before: &Self) -> Result<(), String> {
        let first = self.all().next().and_then(|segment| segment.program_date_time);
        for old in &before.date_ranges {
            let id = &old.id;
            if let Some(new) = self.date_ranges.iter().find(|new| new.id == *id) {
                ensure!(keeps(old, new), "date range {id} changed: {old:?} to {new:?}");
            } else {
                let over = first.is_some_and(|first| old.ended_before(first));
                ensure!(over, "date range {id} vanished");
            }
        }
        Ok(())
    }

    /// §4.4.5.3: what was hinted is what came.
    fn check_new_parts(&self, before: &Self) -> Result<(), String> {
        let Some((msn, index)) = before.last_part() else { return Ok(()) };
        let after_last = |segment: &&Segment| segment.msn >= msn && !segment.parts.is_empty();
        let first_new = self.all().filter(after_last).find_map(|segment| {
            let from = if segment.msn == msn { index + 1 } else { 0 };
            segment.parts.get(from).map(|part| (segment, part))
        });
        let Some((segment, part)) = first_new else {
            let kept = self.ended || self.part_hint == before.part_hint;
            ensure!(kept, "the hint changed without a new part");
            return Ok(());
        };
        if self.all().find(|s| s.msn >= msn).is_some_and(|s| s.parts.is_empty()) {
            return Ok(()); // the first new part is listed no more
        }
        ensure!(
            before.part_hint.as_ref() == Some(&part.uri),
            "{:?} was hinted but {} came",
            before.part_hint,
            part.uri
        );
        ensure!(
            before.map_hint.is_none() || before.map_hint == segment.init,
            "another init section came than the one hinted"
        );
        Ok(())
    }

    /// Puts a delta update on top of the full playlist that was read before it, as a player does
    /// (§6.3.7).
    ///
    /// # Errors
    /// What the update skips and the earlier playlist does not have.
    pub fn merge(before: &Self, delta: Self) -> Result<Self, String> {
        let skipped = delta.skipped.ok_or("not a delta update")?;
        ensure!(skipped > 0, "nothing is skipped");
        let range = delta.media_sequence..delta.media_sequence + skipped;
        let old = before.segments.iter().filter(|segment| range.contains(&segment.msn)).cloned();
        // What is skipped is too old for its parts to be listed.
        let mut segments: Vec<_> = old.map(|old| Segment { parts: Vec::new(), ..old }).collect();
        ensure!(segments.len() as u64 == skipped, "it skips what was never read");
        let mut init = segments.last().and_then(|last| last.init.clone());
        let inherit = |mut segment: Segment| {
            segment.init = segment.init.or_else(|| init.clone());
            init.clone_from(&segment.init);
            segment
        };
        let mut rest: Vec<_> = delta.segments.into_iter().chain(delta.open).map(inherit).collect();
        let open = rest.pop_if(|last| last.uri.is_none());
        segments.extend(rest);
        Ok(Self { skipped: None, segments, open, ..delta })
    }
}

/// Whether all attributes that a date range had are as they were.
fn keeps(old: &DateRange, new: &DateRange) -> bool {
    let stays = |old: Option<_>, new| old.is_none() || old == new;
    (&old.class, old.start) == (&new.class, new.start)
        && stays(old.duration, new.duration)
        && stays(old.planned_duration, new.planned_duration)
        && old.attributes.iter().all(|pair| new.attributes.contains(pair))
}

fn check_kept(old: &Segment, new: &Segment) -> Result<(), String> {
    let msn = old.msn;
    ensure!(new.msn == msn, "segment {msn} is now {}", new.msn);
    let fixed = |s: &Segment| (s.discontinuity, s.init.clone(), s.program_date_time);
    ensure!(fixed(old) == fixed(new), "segment {msn} changed: {old:?} to {new:?}");
    if old.uri.is_some() {
        let whole = |s: &Segment| (s.uri.clone(), s.duration, s.gap);
        ensure!(whole(old) == whole(new), "complete segment {msn} changed");
        let parts: &[Part] = &new.parts;
        ensure!(parts.is_empty() || parts == old.parts, "complete segment {msn}: parts changed");
    } else {
        let dropped = new.uri.is_some() && new.parts.is_empty();
        ensure!(dropped || new.parts.starts_with(&old.parts), "segment {msn}: parts changed");
    }
    Ok(())
}

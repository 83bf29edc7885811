use std::collections::HashSet;

use super::{MediaPlaylist, Segment};

/// `Err` with the sentence unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($format:tt)*) => {
        if !$condition { return Err(format!($($format)*)); }
    };
}
pub(super) use ensure;

impl MediaPlaylist {
    /// Checks what a single full generation must keep.
    ///
    /// # Errors
    /// The first rule that is broken, and where.
    pub fn check(&self) -> Result<(), String> {
        self.check_head()?;
        ensure!(self.skipped.is_none(), "a delta update where a full playlist is expected");
        for segment in self.all() {
            self.check_segment(segment)?;
        }
        self.check_dates()?;
        self.check_date_ranges()?;
        self.check_listed_parts()?;
        self.check_names()?;
        self.check_hints()
    }

    /// §4.4.3.8, and Apple's rule 14.3 for PART-HOLD-BACK.
    fn check_head(&self) -> Result<(), String> {
        let head = &self.head;
        let target = head.target_duration * 100_000;
        ensure!(head.version == 9, "version {} where 9 is needed", head.version);
        ensure!(head.target_duration >= 1 && head.part_target > 0, "a target is zero");
        ensure!(head.part_hold_back >= 3 * head.part_target, "PART-HOLD-BACK < 3 PART-TARGET");
        ensure!(head.hold_back >= 3 * target, "HOLD-BACK < 3 target durations");
        ensure!(head.can_skip_until >= 6 * target, "CAN-SKIP-UNTIL < 6 target durations");
        Ok(())
    }

    fn check_segment(&self, segment: &Segment) -> Result<(), String> {
        let msn = segment.msn;
        let target = self.head.target_duration;
        let rounded = (segment.duration + 50_000) / 100_000;
        ensure!(
            rounded <= target,
            "segment {msn}: EXTINF rounds to {rounded} > {target} (§4.4.3.1)"
        );
        ensure!(segment.program_date_time.is_some(), "segment {msn}: no date");
        ensure!(segment.init.is_some(), "segment {msn}: no EXT-X-MAP applies");
        let complete = segment.uri.is_some();
        ensure!(!complete || segment.duration > 0, "segment {msn}: no duration");
        for (index, part) in segment.parts.iter().enumerate() {
            let next = segment.parts.get(index + 1);
            let may_be_short =
                part.independent || part.gap || next.is_some_and(|next| next.gap) || next.is_none();
            ensure!(part.duration > 0, "part {msn}/{index}: no duration");
            ensure!(
                part.duration <= self.head.part_target,
                "part {msn}/{index}: longer than PART-TARGET (§4.4.4.9)"
            );
            ensure!(
                may_be_short || part.duration * 100 >= self.head.part_target * 85,
                "part {msn}/{index}: shorter than 85 % of PART-TARGET (§4.4.4.9)"
            );
        }
        if complete && !segment.parts.is_empty() {
            // Both are rounded; a part is cut to PART-TARGET where a tick exceeds it.
            let sum: u64 = segment.parts.iter().map(|part| part.duration).sum();
            let slack = 2 * segment.parts.len() as u64 + 1;
            ensure!(
                sum.abs_diff(segment.duration) <= slack,
                "segment {msn}: EXTINF {} but its parts are {sum}",
                segment.duration
            );
            let all_gaps = segment.parts.iter().all(|part| part.gap);
            ensure!(all_gaps == segment.gap, "segment {msn}: EXT-X-GAP does not match its parts");
        }
        Ok(())
    }

    /// Each date is the one before and the duration, within 1 ms: dates and durations are rounded.
    fn check_dates(&self) -> Result<(), String> {
        let all: Vec<_> = self.all().collect();
        for pair in all.windows(2) {
            let (Some(from), Some(to)) = (pair[0].program_date_time, pair[1].program_date_time)
            else {
                continue;
            };
            let error = (to - from) * 100 - pair[0].duration.cast_signed();
            ensure!(
                pair[1].discontinuity || error.abs() <= 101,
                "segment {}: its date is {error}e-5 s off",
                pair[1].msn
            );
        }
        Ok(())
    }

    /// §4.4.5.1: dates map onto segments; §6.2.1: what no longer does has gone.
    fn check_date_ranges(&self) -> Result<(), String> {
        let first = self.all().next().and_then(|segment| segment.program_date_time);
        for range in &self.date_ranges {
            let id = &range.id;
            let date = first.ok_or_else(|| format!("date range {id}: no segment has a date"))?;
            ensure!(!range.ended_before(date), "date range {id} ended before what is listed");
        }
        Ok(())
    }

    /// §6.2.2: parts belong to the last three target durations, and to all segments there.
    fn check_listed_parts(&self) -> Result<(), String> {
        let horizon = 3 * self.head.target_duration * 100_000;
        // A part's decimals may fall short of its segment's by two units each.
        let slack = 2 * self.open.iter().map(|open| open.parts.len() as u64).sum::<u64>() + 1;
        for (index, segment) in self.segments.iter().enumerate() {
            let distance = self.distance_from_end(index);
            ensure!(
                segment.parts.is_empty() || distance <= horizon + slack,
                "segment {}: parts listed {distance}e-5 s before the end",
                segment.msn
            );
            ensure!(
                !segment.parts.is_empty() || distance + slack >= horizon,
                "segment {}: no parts listed {distance}e-5 s before the end",
                segment.msn
            );
        }
        Ok(())
    }

    fn check_names(&self) -> Result<(), String> {
        let parts = self.all().flat_map(|segment| &segment.parts).map(|part| &part.uri);
        let segments = self.segments.iter().filter_map(|segment| segment.uri.as_ref());
        let reports = self.reports.iter().map(|report| &report.uri);
        let mut seen = HashSet::new();
        for uri in parts.chain(segments).chain(reports).chain(&self.part_hint) {
            ensure!(seen.insert(uri), "{uri} names two things");
        }
        Ok(())
    }

    /// Appendix B.1: a hint and reports until the end, none after it.
    fn check_hints(&self) -> Result<(), String> {
        if self.ended {
            let quiet =
                self.part_hint.is_none() && self.map_hint.is_none() && self.reports.is_empty();
            ensure!(quiet, "hints or reports after the end");
            ensure!(self.open.is_none(), "an open segment after the end");
        } else {
            ensure!(self.part_hint.is_some(), "no preload hint");
        }
        Ok(())
    }
}

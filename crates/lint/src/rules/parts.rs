//! Durations, dates, parts, hints and reports within one playlist.

use std::collections::HashMap;
use std::time::Duration;

use super::syntax::show;
use crate::finding::{Rule, Sink};
use crate::playlist::{HintType, MediaPlaylist, Segment};

static TARGET_DURATION: Rule = Rule::violation("target-duration", "RFC 8216bis §4.4.3.1");
static PART_TARGET: Rule = Rule::violation("part-target", "RFC 8216bis §4.4.4.9; AVPlayer -12642");
static PART_SHORT: Rule = Rule::violation("part-short", "RFC 8216bis §4.4.4.9");
static PART_SUM: Rule = Rule::violation("part-sum", "RFC 8216bis §3.2; Apple authoring 8.1");
static PARTS_OLD: Rule = Rule::advice("parts-old", "RFC 8216bis §6.2.2");
static DATE_MISSING: Rule =
    Rule::violation("date-missing", "RFC 8216bis Appendix B.1; Apple authoring 8.4");
static DATE_CONTINUITY: Rule = Rule::violation("date-continuity", "RFC 8216bis §6.2.1");
static MAP_MISSING: Rule = Rule::violation("map-missing", "RFC 8216bis §3.1.2");
static URI_TWICE: Rule = Rule::violation("uri-twice", "RFC 8216bis §6.2.1");
static HINT_MISSING: Rule = Rule::violation("hint-missing", "RFC 8216bis Appendix B.1");
static HINT_TWICE: Rule = Rule::violation("hint-twice", "RFC 8216bis §4.4.5.3");
static HINT_LISTED: Rule = Rule::violation("hint-listed", "RFC 8216bis §4.4.5.3");
static REPORT_VALUES: Rule = Rule::advice("report-values", "RFC 8216bis §4.4.5.4; hls.js");
static GAP_INDEPENDENT: Rule =
    Rule::violation("first-part-independent", "RFC 8216bis Appendix B.1; Apple authoring 7.4");

pub(crate) fn check(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    target_duration(now, sink);
    part_target(now, sink);
    part_short(now, sink);
    part_sum(now, sink);
    parts_old(now, sink);
    date_missing(now, sink);
    date_continuity(now, sink);
    map_missing(now, sink);
    uri_twice(now, sink);
    hint_missing(now, sink);
    hint_twice(now, sink);
    hint_listed(now, sink);
    report_values(now, sink);
    first_part_independent(now, sink);
}

/// EXTINF rounds to no more than the target duration: 2.49 s is legal with 2.
fn target_duration(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    let Some(target) = &now.target_duration else { return };
    for segment in now.complete() {
        if segment.duration >= Duration::from_secs(target.value) + Duration::from_millis(500) {
            sink.line(
                &TARGET_DURATION,
                segment.line,
                format!("segment {} lasts {} s, which rounds to more than the target duration {}: cut earlier, or announce more.", segment.msn, show(segment.duration), target.value),
            );
        }
    }
}

fn part_target(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    let Some(target) = now.part_target() else { return };
    for part in now.segments.iter().flat_map(|segment| &segment.parts) {
        if part.duration > target {
            sink.line(
                &PART_TARGET,
                part.line,
                format!("the part lasts {} s, more than PART-TARGET {} s: close it a frame earlier, and round PART-TARGET up.", show(part.duration), show(target)),
            );
        }
    }
}

/// At least 85 % of the target, unless independent, a gap, before a gap, or the last of its segment.
fn part_short(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    let Some(target) = now.part_target() else { return };
    for parts in now.segments.iter().map(|segment| &segment.parts) {
        for pair in parts.windows(2) {
            let (part, next) = (&pair[0], &pair[1]);
            let excused = part.independent || part.gap || next.gap;
            if !excused && part.duration * 100 < target * 85 {
                sink.line(
                    &PART_SHORT,
                    part.line,
                    format!("the part lasts {} s, less than 85 % of PART-TARGET {} s, and is not the last of its segment.", show(part.duration), show(target)),
                );
            }
        }
    }
}

fn part_sum(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    for segment in now.complete().filter(|segment| !segment.parts.is_empty()) {
        let sum: Duration = segment.parts.iter().map(|part| part.duration).sum();
        // A frame of 23.976 fps, or of the lowest rate where parts are shorter.
        let frame = Duration::from_millis(42);
        // The oldest may have lost its first parts already.
        let all_listed = now
            .segments
            .iter()
            .any(|other| other.msn + 1 == segment.msn && !other.parts.is_empty());
        if sum > segment.duration + frame || (all_listed && sum + frame < segment.duration) {
            sink.line(
                &PART_SUM,
                segment.line,
                format!(
                    "the parts of segment {} last {} s together, its EXTINF says {} s.",
                    segment.msn,
                    show(sum),
                    show(segment.duration)
                ),
            );
        }
    }
}

fn parts_old(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    let mut after = Duration::ZERO;
    for segment in now.segments.iter().rev() {
        // A whole segment of leniency: removal by whole segments is good.
        if after > now.target() * 4 && !segment.parts.is_empty() {
            sink.line(&PARTS_OLD, segment.line, "parts are listed further than three target durations from the end: leave them out.");
            return;
        }
        let parts: Duration = segment.parts.iter().map(|part| part.duration).sum();
        after += segment.duration.max(parts);
    }
}

fn date_missing(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    let dated = now.segments.iter().any(|segment| segment.date.is_some());
    if !dated && now.skipped.is_none() && now.part_target.is_some() && !now.segments.is_empty() {
        sink.whole(&DATE_MISSING, "", "no segment has EXT-X-PROGRAM-DATE-TIME: players cannot tell their latency nor line up renditions.");
    }
}

/// A date is the one before it and the duration between, but for a few milliseconds of rounding.
fn date_continuity(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    const ROUNDING: u64 = 20_000;
    for pair in now.segments.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        if after.discontinuity {
            continue;
        }
        let (Some(from), Some(to)) = (before.date, after.date) else { continue };
        let expected = i64::try_from(before.duration.as_micros())
            .map_or(i64::MAX, |it| from.saturating_add(it));
        if expected.abs_diff(to) > ROUNDING {
            sink.line(
                &DATE_CONTINUITY,
                after.line,
                format!("the date of segment {} is {} ms off from the date and duration of the one before it: derive dates from media time, begin anew at a discontinuity alone.", after.msn, (to - expected) / 1000),
            );
        }
    }
}

fn map_missing(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    let mp4 = |segment: &&Segment| {
        let url = segment.url.as_ref().or_else(|| segment.parts.first().map(|part| &part.url));
        let path = url.map(|url| url.path().to_ascii_lowercase()).unwrap_or_default();
        [".mp4", ".m4s", ".cmfv", ".cmfa", ".m4v", ".m4a"].iter().any(|end| path.ends_with(end))
    };
    let bare = now.segments.iter().filter(mp4).find(|segment| segment.map.is_none());
    if let (Some(segment), None) = (bare, &now.skipped) {
        sink.line(
            &MAP_MISSING,
            segment.line,
            "no EXT-X-MAP applies to this fragmented MP4: it cannot be decoded.",
        );
    }
}

fn uri_twice(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    let mut seen = HashMap::new();
    for segment in now.complete().filter(|segment| !segment.gap) {
        let key = (&segment.url, segment.range);
        if let Some(other) = seen.insert(key, segment.msn) {
            sink.line(
                &URI_TWICE,
                segment.line,
                format!(
                    "segments {other} and {} have the same URI: give each its own.",
                    segment.msn
                ),
            );
        }
    }
    let mut seen = HashMap::new();
    for part in now.segments.iter().flat_map(|segment| &segment.parts).filter(|part| !part.gap) {
        if let Some(other) = seen.insert((&part.url, part.range), part.line) {
            sink.line(
                &URI_TWICE,
                part.line,
                format!("the part on line {other} has the same URI: give each its own."),
            );
        }
    }
}

fn hint_missing(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    let has_parts = now.segments.iter().any(|segment| !segment.parts.is_empty());
    if has_parts && now.ended.is_none() && now.part_hint().is_none() {
        sink.whole(
            &HINT_MISSING,
            "",
            "there is no EXT-X-PRELOAD-HINT of the next part: players lose a round trip for each.",
        );
    }
}

fn hint_twice(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    for kind in [HintType::Part, HintType::Map] {
        for hint in now.hints.iter().filter(|hint| hint.kind == kind).skip(1) {
            sink.line(&HINT_TWICE, hint.line, "there is another hint of this type: write one.");
        }
    }
}

fn hint_listed(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    let Some(hint) = now.part_hint() else { return };
    let start = hint.range.map(|range| range.start);
    let mut parts = now.segments.iter().flat_map(|segment| &segment.parts);
    if parts.any(|part| part.url == hint.url && part.range.map(|range| range.start) == start) {
        sink.line(
            &HINT_LISTED,
            hint.line,
            "the hinted part is listed already: hint at the next one.",
        );
    }
}

fn report_values(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    for report in &now.reports {
        let parts = now.part_target.is_some();
        if report.last_msn.is_none() || (parts && report.last_part.is_none()) {
            sink.line(
                &REPORT_VALUES,
                report.line,
                "LAST-MSN or LAST-PART is left out: hls.js then takes this playlist's own.",
            );
        }
    }
}

/// Without an independent part a segment is no place to join at.
fn first_part_independent(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    let listed = now.complete().filter(|segment| !segment.parts.is_empty() && !segment.gap);
    // The oldest may have lost its first parts already.
    for segment in listed.skip(1) {
        if !segment.parts.iter().any(|part| part.independent) {
            sink.line(&GAP_INDEPENDENT, segment.line, format!("no part of segment {} is INDEPENDENT=YES: players cannot join or switch there.", segment.msn));
        }
    }
}

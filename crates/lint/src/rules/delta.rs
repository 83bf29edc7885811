//! Delta updates (§6.2.5.1).

use std::time::Duration;

use super::generations::changed;
use super::syntax::show;
use crate::finding::{Rule, Sink};
use crate::playlist::MediaPlaylist;

static NOT_OFFERED: Rule = Rule::violation("delta-not-offered", "RFC 8216bis §6.2.5.1");
static NOT_GIVEN: Rule = Rule::violation("delta-not-given", "RFC 8216bis §6.2.5.1");
static SKIPPED_NONE: Rule = Rule::advice("delta-skips-nothing", "hls.js #7848");
static TOO_MUCH: Rule =
    Rule::violation("delta-skips-too-much", "RFC 8216bis §6.2.5.1; mediamtx #6237");
static TOO_LITTLE: Rule = Rule::advice("delta-skips-too-little", "RFC 8216bis §6.2.5.1");
static UNKNOWN: Rule = Rule::violation("delta-unusable", "RFC 8216bis §6.3.7");
static DIFFERS: Rule = Rule::violation("delta-differs", "RFC 8216bis §6.2.5.1");

/// For the answer to a request, with whether it asked for a delta update.
pub(crate) fn check(
    asked: bool,
    raw: &MediaPlaylist,
    before: Option<&MediaPlaylist>,
    sink: &mut Sink<'_>,
) {
    not_offered(asked, raw, sink);
    not_given(asked, raw, sink);
    skips_nothing(raw, sink);
    if let Some(before) = before {
        skips_too_much(raw, before, sink);
    }
}

fn not_offered(asked: bool, raw: &MediaPlaylist, sink: &mut Sink<'_>) {
    let Some(skip) = &raw.skipped else { return };
    if raw.control().can_skip_until.is_none() {
        sink.line(
            &NOT_OFFERED,
            skip.line,
            "a delta update came although CAN-SKIP-UNTIL is not announced.",
        );
    } else if !asked {
        sink.line(&NOT_OFFERED, skip.line, "a delta update came although nobody asked for one: a player that has nothing cannot use it.");
    }
}

fn not_given(asked: bool, raw: &MediaPlaylist, sink: &mut Sink<'_>) {
    let Some(until) = raw.control().can_skip_until else { return };
    if asked && raw.skipped.is_none() && raw.ended.is_none() && skippable(raw, until) > 0 {
        sink.whole(&NOT_GIVEN, "_HLS_skip=YES", format!("a delta update was asked for and {} segments could have been skipped, but the whole playlist came: answer with EXT-X-SKIP, or do not announce CAN-SKIP-UNTIL.", skippable(raw, until)));
    }
}

fn skips_nothing(raw: &MediaPlaylist, sink: &mut Sink<'_>) {
    if let Some(skip) = raw.skipped.as_ref().filter(|skip| skip.value == 0) {
        sink.line(
            &SKIPPED_NONE,
            skip.line,
            "EXT-X-SKIP skips nothing: send the whole playlist without it.",
        );
    }
}

/// Nothing within CAN-SKIP-UNTIL of the end of the last complete segment is skipped.
fn skips_too_much(raw: &MediaPlaylist, before: &MediaPlaylist, sink: &mut Sink<'_>) {
    let (Some(skip), Some(until)) = (&raw.skipped, raw.control().can_skip_until) else { return };
    let Ok(merged) = raw.clone().merge(before) else { return };
    let allowed = skippable(&merged, until);
    if skip.value > allowed + 1 {
        sink.line(&TOO_MUCH, skip.line, format!("{} segments were skipped, {allowed} lie before the Skip Boundary of {} s: players lose what they do not have yet.", skip.value, show(until)));
    } else if skip.value + 2 < allowed {
        sink.line(
            &TOO_LITTLE,
            skip.line,
            format!("{} segments were skipped, {allowed} could be.", skip.value),
        );
    }
}

/// Segments that end further than `until` from the end of the last complete one. The count is not
/// exact to a segment: rounded durations add up.
fn skippable(playlist: &MediaPlaylist, until: Duration) -> u64 {
    let mut after = Duration::ZERO;
    let mut kept = 0;
    for segment in playlist.complete().rev() {
        if after > until {
            break;
        }
        kept += 1;
        after += segment.duration;
    }
    playlist.complete().count() as u64 - kept
}

pub(crate) fn unusable(msn: u64, raw: &MediaPlaylist, sink: &mut Sink<'_>) {
    let line = raw.skipped.as_ref().map_or(1, |skip| skip.line);
    sink.line(&UNKNOWN, line, format!("segment {msn} was skipped, but no playlist before listed it: skip what lies before the Skip Boundary alone."));
}

/// A delta update merged with what came before is what the whole playlist of the same instant says.
pub(crate) fn differs(merged: &MediaPlaylist, whole: &MediaPlaylist, sink: &mut Sink<'_>) {
    if merged.first_msn() != whole.first_msn() || merged.segments.len() != whole.segments.len() {
        sink.whole(
            &DIFFERS,
            format!("{} segments from {} on, and {} from {} on", merged.segments.len(), merged.first_msn(), whole.segments.len(), whole.first_msn()),
            "the delta update and the whole playlist of the same instant list other segments: render both from one state.",
        );
        return;
    }
    for (one, other) in merged.segments.iter().zip(&whole.segments) {
        let parts = one.parts.len() == other.parts.len()
            && one.parts.iter().zip(&other.parts).all(|(a, b)| a.is(b));
        // Parts of the skipped are as they were when they were fetched.
        let parts = parts || other.parts.is_empty();
        let what = changed(one, other).or_else(|| (!parts).then_some("the parts"));
        if let Some(what) = what {
            sink.whole(&DIFFERS, format!("segment {}", one.msn), format!("{what} differs between the delta update and the whole playlist of the same instant."));
        }
    }
}

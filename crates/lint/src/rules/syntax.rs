//! What the head of one playlist must say.

use std::time::Duration;

use crate::finding::{Rule, Sink};
use crate::playlist::MediaPlaylist;

static HEAD_TAG: Rule = Rule::violation("head-tag", "RFC 8216bis §4.4.3");
static VERSION: Rule = Rule::violation("version", "RFC 8216bis §8");
static PART_INF: Rule = Rule::violation("part-inf", "RFC 8216bis §4.4.3.7");
static PART_HOLD_BACK: Rule = Rule::violation("part-hold-back", "RFC 8216bis §4.4.3.8");
static PART_HOLD_BACK_LOW: Rule =
    Rule::advice("part-hold-back-low", "RFC 8216bis §4.4.3.8; Apple authoring 14.3");
static HOLD_BACK: Rule = Rule::violation("hold-back", "RFC 8216bis §4.4.3.8");
static HOLD_BACK_UNSAID: Rule = Rule::advice("hold-back-unsaid", "RFC 8216bis §4.4.3.8");
static SKIP_UNTIL: Rule = Rule::violation("can-skip-until", "RFC 8216bis §4.4.3.8");
static BLOCKING: Rule =
    Rule::violation("can-block-reload", "RFC 8216bis Appendix B.1; hls.js #6975");
static LIVE_TYPE: Rule = Rule::violation("playlist-type", "RFC 8216bis §6.2.1");
static WINDOW: Rule = Rule::violation("window", "RFC 8216bis §6.2.2");
static WINDOW_SHORT: Rule = Rule::advice("window-short", "Apple authoring 8.11");
static AFTER_END: Rule = Rule::violation("hint-after-end", "RFC 8216bis Appendix B.1");

pub(crate) fn check(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    for fault in &now.faults {
        sink.line(fault.rule, fault.line, fault.message.clone());
    }
    head_tags(now, sink);
    version(now, sink);
    part_inf(now, sink);
    part_hold_back(now, sink);
    hold_back(now, sink);
    skip_until(now, sink);
    blocking(now, sink);
    live_type(now, sink);
    window(now, sink);
    nothing_to_come_after_the_end(now, sink);
}

fn head_tags(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    if now.target_duration.is_none() {
        sink.whole(&HEAD_TAG, "", "EXT-X-TARGETDURATION is missing: every media playlist has it.");
    }
    if now.segments.len() > 1 && now.media_sequence.is_none() && now.ended.is_none() {
        sink.whole(
            &HEAD_TAG,
            "",
            "EXT-X-MEDIA-SEQUENCE is missing: a playlist that loses segments counts them with it.",
        );
    }
}

fn version(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    let version = now.version.as_ref().map_or(1, |tag| tag.value);
    if let Some(need) = now.needs.iter().find(|need| need.value.0 > version) {
        let (needed, what) = need.value;
        sink.line(
            &VERSION,
            need.line,
            format!("{what} needs EXT-X-VERSION {needed}, the playlist says {version}: raise it."),
        );
    }
}

fn part_inf(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    let part = now.segments.iter().flat_map(|segment| &segment.parts).next();
    if let (Some(part), None) = (part, &now.part_target) {
        sink.line(
            &PART_INF,
            part.line,
            "there are parts but no EXT-X-PART-INF: add it with PART-TARGET.",
        );
    }
}

fn part_hold_back(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    let Some(target) = now.part_target() else { return };
    let line = now.server_control.as_ref().map_or(1, |tag| tag.line);
    match now.control().part_hold_back {
        None => sink.line(&PART_HOLD_BACK, line, "PART-HOLD-BACK is missing: it is required with EXT-X-PART-INF, three part targets are right."),
        Some(back) if back < target * 2 => sink.line(
            &PART_HOLD_BACK,
            line,
            format!("PART-HOLD-BACK {} s is less than two part targets of {} s: write three.", show(back), show(target)),
        ),
        Some(back) if back < target * 3 => sink.line(
            &PART_HOLD_BACK_LOW,
            line,
            format!("PART-HOLD-BACK {} s is less than three part targets of {} s: players stall over little jitter.", show(back), show(target)),
        ),
        Some(_) => {}
    }
}

fn hold_back(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    let Some(control) = &now.server_control else { return };
    match control.value.hold_back {
        Some(back) if back < now.target() * 3 => sink.line(
            &HOLD_BACK,
            control.line,
            format!("HOLD-BACK {} s is less than three target durations.", show(back)),
        ),
        None if now.part_target.is_some() => sink.line(
            &HOLD_BACK_UNSAID,
            control.line,
            "HOLD-BACK is not written: players that do not play parts go by it.",
        ),
        _ => {}
    }
}

fn skip_until(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    let Some(control) = &now.server_control else { return };
    match control.value.can_skip_until {
        Some(until) if until < now.target() * 6 => sink.line(
            &SKIP_UNTIL,
            control.line,
            format!("CAN-SKIP-UNTIL {} s is less than six target durations.", show(until)),
        ),
        None if control.value.can_skip_dateranges => {
            sink.line(
                &SKIP_UNTIL,
                control.line,
                "CAN-SKIP-DATERANGES stands without CAN-SKIP-UNTIL.",
            );
        }
        _ => {}
    }
}

fn blocking(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    if now.part_target.is_some() && now.ended.is_none() && !now.control().can_block_reload {
        let line = now.part_target.as_ref().map_or(1, |tag| tag.line);
        sink.line(&BLOCKING, line, "there are parts but CAN-BLOCK-RELOAD=YES is not offered: players poll once a target duration and run dry.");
    }
}

fn live_type(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    if let Some(kind) = &now.playlist_type
        && now.first_msn() > 0
        && kind.value == "VOD"
        && now.ended.is_none()
    {
        sink.line(
            &LIVE_TYPE,
            kind.line,
            "a playlist that still grows says VOD: leave EXT-X-PLAYLIST-TYPE out.",
        );
    }
}

fn window(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    if now.first_msn() == 0 || now.ended.is_some() || now.skipped.is_some() || now.i_frames_only {
        return;
    }
    let line = now.media_sequence.as_ref().map_or(1, |tag| tag.line);
    let parts: Duration =
        now.open().iter().flat_map(|open| &open.parts).map(|part| part.duration).sum();
    if now.duration() + parts < now.target() * 3 {
        sink.line(
            &WINDOW,
            line,
            "segments were removed although less than three target durations are left: keep more.",
        );
    } else if now.complete().count() < 6 {
        sink.line(
            &WINDOW_SHORT,
            line,
            "fewer than six segments are listed: players on bad networks want more to go back to.",
        );
    }
}

fn nothing_to_come_after_the_end(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    if now.ended.is_none() {
        return;
    }
    let hints = now.hints.iter().map(|hint| hint.line);
    for line in hints.chain(now.reports.iter().map(|report| report.line)) {
        sink.line(
            &AFTER_END,
            line,
            "the playlist has ended: leave hints and rendition reports out.",
        );
    }
}

/// Seconds without needless digits.
pub(super) fn show(duration: Duration) -> String {
    let text = format!("{:.5}", duration.as_secs_f64());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

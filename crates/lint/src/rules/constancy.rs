//! What never changes while a stream lives, and is the same in all its renditions.

use super::syntax::show;
use crate::finding::{Rule, Sink};
use crate::playlist::{MediaPlaylist, ServerControl};

static TARGET_DURATION: Rule = Rule::violation("target-duration-changed", "RFC 8216bis §6.2.1");
static PART_TARGET: Rule =
    Rule::violation("part-target-changed", "RFC 8216bis §4.4.3.7; AVPlayer -12642");
static SERVER_CONTROL: Rule =
    Rule::violation("server-control-changed", "RFC 8216bis §4.4.3.8; AVPlayer -12642");
static TARGETS_DIFFER: Rule = Rule::violation("target-durations-differ", "RFC 8216bis §6.2.4");
static CONTROLS_DIFFER: Rule = Rule::violation("server-controls-differ", "RFC 8216bis §6.2.4");

pub(crate) fn check(first: &MediaPlaylist, now: &MediaPlaylist, sink: &mut Sink<'_>) {
    target_duration(first, now, sink);
    part_target(first, now, sink);
    server_control(first, now, sink);
}

/// For the first generations of two renditions.
pub(crate) fn check_renditions(one: &MediaPlaylist, other: &MediaPlaylist, sink: &mut Sink<'_>) {
    targets_differ(one, other, sink);
    controls_differ(one, other, sink);
}

fn target_duration(first: &MediaPlaylist, now: &MediaPlaylist, sink: &mut Sink<'_>) {
    if let (Some(was), Some(is)) = (&first.target_duration, &now.target_duration)
        && was.value != is.value
    {
        sink.line(&TARGET_DURATION, is.line, format!("the target duration was {} and is {}: fix it by configuration before the first segment.", was.value, is.value));
    }
}

fn part_target(first: &MediaPlaylist, now: &MediaPlaylist, sink: &mut Sink<'_>) {
    if let (Some(was), Some(is)) = (&first.part_target, &now.part_target)
        && was.value != is.value
    {
        sink.line(&PART_TARGET, is.line, format!("PART-TARGET was {} and is {}: fix it by configuration, never by the parts there were.", show(was.value), show(is.value)));
    }
}

fn server_control(first: &MediaPlaylist, now: &MediaPlaylist, sink: &mut Sink<'_>) {
    let (was, is) = (first.control(), now.control());
    if was != is && first.server_control.is_some() {
        let line = now.server_control.as_ref().map_or(1, |tag| tag.line);
        sink.line(
            &SERVER_CONTROL,
            line,
            format!(
                "EXT-X-SERVER-CONTROL changed ({}): players give the stream up over it.",
                difference(&was, &is)
            ),
        );
    }
}

fn targets_differ(one: &MediaPlaylist, other: &MediaPlaylist, sink: &mut Sink<'_>) {
    if one.target_duration.is_some()
        && other.target_duration.is_some()
        && one.target() != other.target()
    {
        sink.whole(
            &TARGETS_DIFFER,
            format!("{} and {}", one.target().as_secs(), other.target().as_secs()),
            "another rendition has another target duration: all have the same.",
        );
    }
}

fn controls_differ(one: &MediaPlaylist, other: &MediaPlaylist, sink: &mut Sink<'_>) {
    let (first, second) = (one.control(), other.control());
    if first != second {
        sink.whole(
            &CONTROLS_DIFFER,
            difference(&first, &second),
            "another rendition has another EXT-X-SERVER-CONTROL, or none: all have the same.",
        );
    }
}

fn difference(was: &ServerControl, is: &ServerControl) -> String {
    let seconds = |value: Option<_>| value.map_or_else(|| "none".to_owned(), show);
    let pairs = [
        ("PART-HOLD-BACK", seconds(was.part_hold_back), seconds(is.part_hold_back)),
        ("HOLD-BACK", seconds(was.hold_back), seconds(is.hold_back)),
        ("CAN-SKIP-UNTIL", seconds(was.can_skip_until), seconds(is.can_skip_until)),
        ("CAN-BLOCK-RELOAD", was.can_block_reload.to_string(), is.can_block_reload.to_string()),
        (
            "CAN-SKIP-DATERANGES",
            was.can_skip_dateranges.to_string(),
            is.can_skip_dateranges.to_string(),
        ),
    ];
    let changed = pairs.iter().filter(|(_, was, is)| was != is);
    changed
        .map(|(name, was, is)| format!("{name}: {was}, then {is}"))
        .collect::<Vec<_>>()
        .join("; ")
}

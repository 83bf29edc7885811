//! What may differ between two generations of one playlist (§6.2.1): lines are added at the end,
//! segments leave at the front, and nothing else changes.

use std::time::Duration;

use super::syntax::show;
use crate::finding::{Rule, Sink};
use crate::playlist::{MediaPlaylist, Part, Segment};
use crate::rendition::Generation;

static BACKWARDS: Rule = Rule::violation("playlist-backwards", "RFC 8216bis §6.2.1");
static MEDIA_SEQUENCE: Rule = Rule::violation("media-sequence", "RFC 8216bis §6.2.2");
static DISCONTINUITY_SEQUENCE: Rule =
    Rule::violation("discontinuity-sequence", "RFC 8216bis §6.2.2; hls.js");
static SEGMENT_CHANGED: Rule = Rule::violation("segment-changed", "RFC 8216bis §6.2.1");
static PART_CHANGED: Rule = Rule::violation("part-changed", "RFC 8216bis §6.2.1");
static URI_REUSED: Rule = Rule::violation("uri-reused", "RFC 8216bis §6.2.1");
static HINT_BROKEN: Rule = Rule::violation("hint-not-kept", "RFC 8216bis §4.4.5.3; gohlslib #107");
static CHANGE_AFTER_END: Rule = Rule::violation("change-after-end", "RFC 8216bis §6.2.1");
static CADENCE: Rule = Rule::violation("cadence", "RFC 8216bis §6.2.1");

pub(crate) fn check(before: &Generation, now: &Generation, sink: &mut Sink<'_>) {
    let (was, is) = (&before.playlist, &now.playlist);
    media_sequence(was, is, sink);
    discontinuity_sequence(was, is, sink);
    segments_changed(was, is, sink);
    parts_changed(was, is, sink);
    uri_reused(was, is, sink);
    hint_kept(was, is, sink);
    change_after_end(was, is, sink);
    cadence(before, now, sink);
}

/// An answer that lists less than an earlier one; not where a cache may have kept it.
pub(crate) fn backwards(latest: &Generation, now: &Generation, sink: &mut Sink<'_>) {
    if now.asked >= latest.answered && !now.cached {
        let (was, is) = (latest.playlist.position(), now.playlist.position());
        sink.whole(
            &BACKWARDS,
            format!("segment {} part {}, then segment {} part {}", was.open_msn, was.open_parts, is.open_msn, is.open_parts),
            "the playlist lists less than it did before: several servers out of step, or a restart that begins anew under the same URI.",
        );
    }
}

fn media_sequence(was: &MediaPlaylist, is: &MediaPlaylist, sink: &mut Sink<'_>) {
    let line = is.media_sequence.as_ref().map_or(1, |tag| tag.line);
    if is.first_msn() < was.first_msn() {
        sink.line(
            &MEDIA_SEQUENCE,
            line,
            format!(
                "EXT-X-MEDIA-SEQUENCE fell from {} to {}: it only ever rises.",
                was.first_msn(),
                is.first_msn()
            ),
        );
        return;
    }
    // Where the first segment listed now stood before: that many were removed.
    let Some(first) = is.segments.first().filter(|first| first.url.is_some()) else { return };
    let Some(old) =
        was.segments.iter().find(|old| old.url == first.url && old.range == first.range)
    else {
        return;
    };
    if old.msn != first.msn && !first.gap {
        sink.line(&MEDIA_SEQUENCE, line, format!("the first segment had the number {} and has {}: EXT-X-MEDIA-SEQUENCE rises by the segments removed.", old.msn, first.msn));
    }
}

/// It rises by the EXT-X-DISCONTINUITY tags that left with their segments.
fn discontinuity_sequence(was: &MediaPlaylist, is: &MediaPlaylist, sink: &mut Sink<'_>) {
    let numbers = |playlist: &MediaPlaylist| -> Vec<(u64, u64)> {
        playlist.discontinuities().map(|(segment, number)| (segment.msn, number)).collect()
    };
    let before = numbers(was);
    for (msn, number) in numbers(is) {
        let Ok(at) = before.binary_search_by_key(&msn, |(msn, _)| *msn) else { continue };
        if before[at].1 != number {
            let line = is.discontinuity_sequence.as_ref().map_or(1, |tag| tag.line);
            sink.line(
                &DISCONTINUITY_SEQUENCE,
                line,
                format!("the discontinuity sequence number of segment {msn} was {} and is {number}: raise EXT-X-DISCONTINUITY-SEQUENCE by the tags removed, and change none that is listed.", before[at].1),
            );
            return;
        }
    }
}

fn segments_changed(was: &MediaPlaylist, is: &MediaPlaylist, sink: &mut Sink<'_>) {
    for new in &is.segments {
        let Some(old) = was.segment(new.msn) else { continue };
        if let Some(what) = changed(old, new) {
            sink.line(
                &SEGMENT_CHANGED,
                new.line,
                format!(
                    "{what} of segment {} changed after it was listed: what is listed stays.",
                    new.msn
                ),
            );
        }
    }
}

/// What changed of a segment; one that was open may have become complete.
pub(super) fn changed(old: &Segment, new: &Segment) -> Option<&'static str> {
    let complete = old.url.is_some();
    let known = |was: bool, differs: bool| was && differs;
    [
        ("the URI", known(complete, old.url != new.url || old.range != new.range)),
        ("EXTINF", known(complete, old.duration != new.duration)),
        ("EXT-X-GAP", known(complete, old.gap != new.gap)),
        ("EXT-X-DISCONTINUITY", old.discontinuity != new.discontinuity),
        ("the date", known(old.date.is_some(), old.date != new.date)),
        ("EXT-X-MAP", known(old.map.is_some(), old.map != new.map)),
        ("EXT-X-KEY", known(old.key.is_some(), old.key != new.key)),
    ]
    .into_iter()
    .find_map(|(what, differs)| differs.then_some(what))
}

fn parts_changed(was: &MediaPlaylist, is: &MediaPlaylist, sink: &mut Sink<'_>) {
    for new in &is.segments {
        let Some(old) = was.segment(new.msn) else { continue };
        let legal = if old.url.is_some() {
            // Parts of a complete segment leave, the oldest first, and none come.
            is_end_of(&new.parts, &old.parts)
        } else if new.url.is_some() && new.parts.len() < old.parts.len() {
            is_end_of(&new.parts, &old.parts)
        } else {
            old.parts.iter().zip(&new.parts).all(|(old, new)| old.is(new))
                && new.parts.len() >= old.parts.len()
        };
        if !legal {
            let line = new.parts.first().map_or(new.line, |part| part.line);
            sink.line(&PART_CHANGED, line, format!("the parts of segment {} changed after they were listed: they are added at the end and removed from the front, nothing else.", new.msn));
        }
    }
}

fn is_end_of(end: &[Part], all: &[Part]) -> bool {
    let Some(skip) = all.len().checked_sub(end.len()) else { return false };
    all[skip..].iter().zip(end).all(|(one, other)| one.is(other))
}

fn uri_reused(was: &MediaPlaylist, is: &MediaPlaylist, sink: &mut Sink<'_>) {
    let end = was.position().open_msn;
    for new in is.complete().filter(|new| new.msn >= end && !new.gap) {
        let same =
            |old: &&Segment| old.msn != new.msn && old.url == new.url && old.range == new.range;
        if let Some(old) = was.complete().find(same) {
            sink.line(&URI_REUSED, new.line, format!("segment {} has the URI that segment {} had: a URI means one thing for ever, or caches serve the old bytes.", new.msn, old.msn));
        }
    }
}

/// The next part has the URI that was hinted at.
fn hint_kept(was: &MediaPlaylist, is: &MediaPlaylist, sink: &mut Sink<'_>) {
    let Some(hint) = was.part_hint() else { return };
    let end = was.position();
    let more = is.segment(end.open_msn).and_then(|segment| {
        let index = usize::try_from(end.open_parts).ok()?;
        segment.parts.get(index).filter(|_| segment.parts.len() > index)
    });
    // Nothing more of a segment that was open: the next part is the first of the next.
    let closed = is.position().open_msn > end.open_msn;
    let next = more.or_else(|| {
        let follows = is.segment(end.open_msn + 1).filter(|_| closed && end.open_parts > 0)?;
        follows.parts.first()
    });
    let Some(part) = next else { return };
    let starts = |range: Option<crate::ByteRange>| range.map_or(0, |range| range.start);
    if part.url != hint.url || starts(part.range) != starts(hint.range) {
        sink.line(
            &HINT_BROKEN,
            part.line,
            format!("the hint promised {}, the next part is another: number parts without gaps, so that hints hold.", hint.url.path().rsplit('/').next().unwrap_or_default()),
        );
    }
}

fn change_after_end(was: &MediaPlaylist, is: &MediaPlaylist, sink: &mut Sink<'_>) {
    if was.ended.is_some() && (is.ended.is_none() || is.position() != was.position()) {
        sink.whole(&CHANGE_AFTER_END, "#EXT-X-ENDLIST", "the playlist changed after EXT-X-ENDLIST: what comes later needs a playlist of its own.");
    }
}

/// A part comes within a part target of the one before it. Only what makes players stall is told:
/// less may be the network's doing.
fn cadence(before: &Generation, now: &Generation, sink: &mut Sink<'_>) {
    let Some(target) = now.playlist.part_target() else { return };
    let back = now.playlist.control().part_hold_back.unwrap_or(target * 3);
    let gap = now.answered.saturating_sub(before.answered);
    let news = now.playlist.position() > before.playlist.position();
    if news && before.playlist.ended.is_none() && gap > back.max(Duration::from_millis(500)) {
        sink.whole(
            &CADENCE,
            format!("{} s", show(Duration::from_millis(u64::try_from(gap.as_millis()).unwrap_or(u64::MAX)))),
            "nothing new was listed for longer than PART-HOLD-BACK: players at the edge have stalled; publish a part per part target, GAP=YES where media is missing.",
        );
    }
}

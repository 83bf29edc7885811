//! Date ranges: what their tags say together, and what may become of them (§4.4.5.1, §6.2.1).

use std::collections::BTreeMap;

use crate::finding::{Rule, Sink};
use crate::playlist::{DateRange, MediaPlaylist};

static START: Rule = Rule::violation("date-range-start", "RFC 8216bis §4.4.5.1");
static START_UNSAID: Rule = Rule::advice("date-range-start-unsaid", "Shaka; androidx/media #2428");
static UNDATED: Rule = Rule::violation("date-range-undated", "RFC 8216bis §4.4.5.1");
static CHANGED: Rule = Rule::violation("date-range-changed", "RFC 8216bis §4.4.5.1");
static REMOVED: Rule = Rule::violation("date-range-removed", "RFC 8216bis §6.2.1");

/// For one playlist, delta updates merged.
pub(crate) fn check(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    starts(now, sink);
    undated(now, sink);
    alike(now, sink);
}

/// For two generations of one.
pub(crate) fn check_generations(was: &MediaPlaylist, is: &MediaPlaylist, sink: &mut Sink<'_>) {
    kept(was, is, sink);
    removed(was, is, sink);
}

fn starts(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    let unsaid = |range: &&DateRange| range.attributes.text("START-DATE").is_none();
    for range in now.date_ranges.iter().filter(unsaid) {
        if now.date_ranges.iter().any(|other| other.id == range.id && other.start.is_some()) {
            sink.line(
                &START_UNSAID,
                range.line,
                "START-DATE is not said again: some players pass over such a tag, repeat it.",
            );
        } else {
            sink.line(
                &START,
                range.line,
                format!("no tag of date range {} has a START-DATE: it is required.", range.id),
            );
        }
    }
}

fn undated(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    let dated = now.segments.iter().any(|segment| segment.date.is_some());
    if let Some(range) = now.date_ranges.first().filter(|_| !dated) {
        sink.line(
            &UNDATED,
            range.line,
            "there are date ranges but no EXT-X-PROGRAM-DATE-TIME: nobody can tell where they are.",
        );
    }
}

/// Tags of one ID agree in what they both say.
fn alike(now: &MediaPlaylist, sink: &mut Sink<'_>) {
    let mut known = BTreeMap::new();
    for range in &now.date_ranges {
        for (name, value) in range.attributes.iter() {
            let first = *known.entry((&range.id, name)).or_insert(value);
            if first != value {
                sink.line(
                    &CHANGED,
                    range.line,
                    format!(
                        "{name} of date range {} is {first} in another tag: tags of one ID agree.",
                        range.id
                    ),
                );
            }
        }
    }
}

/// What was said of a range is said on; more may follow.
fn kept(was: &MediaPlaylist, is: &MediaPlaylist, sink: &mut Sink<'_>) {
    for old in &was.date_ranges {
        let mut tags = is.date_ranges.iter().filter(|new| new.id == old.id).peekable();
        let Some(line) = tags.peek().map(|tag| tag.line) else { continue };
        let said: BTreeMap<_, _> = tags.flat_map(|tag| tag.attributes.iter()).collect();
        for (name, value) in old.attributes.iter() {
            let now = said.get(name).copied();
            if now != Some(value) {
                sink.line(&CHANGED, line, format!("{name} of date range {} was {value} and is {}: what was said of a range stays, add attributes alone.", old.id, now.unwrap_or("not there")));
            }
        }
    }
}

/// A range stays while one of its dates is that of a segment listed.
fn removed(was: &MediaPlaylist, is: &MediaPlaylist, sink: &mut Sink<'_>) {
    let Some(first) = is.segments.first().and_then(|segment| segment.date) else { return };
    let last = is.segments.last().and_then(|segment| segment.date).unwrap_or(first);
    for old in &was.date_ranges {
        // Of a range without an end only the start is sure.
        let ends = was.date_ranges.iter().filter(|tag| tag.id == old.id).find_map(|tag| tag.end);
        let Some(start) = old.start else { continue };
        let listed = start <= last && ends.unwrap_or(start) >= first;
        if listed && is.date_ranges.iter().all(|new| new.id != old.id) {
            sink.whole(
                &REMOVED,
                format!("ID=\"{}\"", old.id),
                "a date range was removed although it lies in what is listed: keep it until it has left the playlist, and in every delta update without RECENTLY-REMOVED-DATERANGES.",
            );
        }
    }
}

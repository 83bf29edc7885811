//! Blocking playlist reload (§6.2.5.2), by the answers that players get, and rendition reports.

use std::time::Duration;

use super::syntax::show;
use crate::exchange::{Exchange, directive};
use crate::finding::{Rule, Sink};
use crate::playlist::{MediaPlaylist, Position};

static EARLY: Rule = Rule::violation("reload-early", "RFC 8216bis §6.2.5.2; androidx/media #2317");
static REFUSED: Rule = Rule::violation("reload-refused", "RFC 8216bis §6.2.5.2");
static STALLED: Rule = Rule::violation("reload-stalled", "RFC 8216bis §6.2.1");
static TOO_LONG: Rule = Rule::advice("reload-too-long", "RFC 8216bis §6.2.5.2");
static UNAVAILABLE: Rule = Rule::violation("playlist-unavailable", "RFC 8216bis §6.2.1");
static PLAIN_HELD: Rule = Rule::advice("reload-plain-held", "RFC 8216bis §6.2.5.2");
static REPORT_MISSING: Rule = Rule::violation("report-missing", "RFC 8216bis Appendix B.1");
static REPORT_STALE: Rule = Rule::violation("report-stale", "RFC 8216bis §6.2.4");

/// What a request asks for by its directives; `None` for the playlist as it stands.
pub(crate) fn wanted(exchange: &Exchange) -> Option<(u64, Option<u64>)> {
    let number = |name| directive(&exchange.url, name)?.parse().ok();
    Some((number("_HLS_msn")?, number("_HLS_part")))
}

/// For an answer with a playlist.
pub(crate) fn check(exchange: &Exchange, now: &MediaPlaylist, sink: &mut Sink<'_>) {
    early(exchange, now, sink);
    too_long(exchange, now, sink);
    plain_held(exchange, now, sink);
}

fn early(exchange: &Exchange, now: &MediaPlaylist, sink: &mut Sink<'_>) {
    let Some((msn, part)) = wanted(exchange) else { return };
    if now.ended.is_some() || !now.control().can_block_reload || now.reaches(msn, part) {
        return;
    }
    let Position { open_msn, open_parts } = now.position();
    sink.whole(
        &EARLY,
        exchange.url.query().unwrap_or_default(),
        format!("the answer ends at part {open_parts} of segment {open_msn} and does not list what was asked for: hold the request until it does. A cache that drops _HLS_ parameters from its key looks the same."),
    );
}

fn too_long(exchange: &Exchange, now: &MediaPlaylist, sink: &mut Sink<'_>) {
    if wanted(exchange).is_some() && exchange.waited() > now.target() * 3 + Duration::from_secs(1) {
        sink.whole(&TOO_LONG, format!("{} s", show(exchange.waited())), "a request was held for more than three target durations: answer 503, so that players try elsewhere.");
    }
}

fn plain_held(exchange: &Exchange, now: &MediaPlaylist, sink: &mut Sink<'_>) {
    let limit = now.target().max(Duration::from_secs(2));
    if wanted(exchange).is_none() && exchange.waited() > limit {
        sink.whole(
            &PLAIN_HELD,
            format!("{} s", show(exchange.waited())),
            "a request without directives was held: answer it at once with what there is.",
        );
    }
}

/// For an answer without a playlist to a request that a player may make.
pub(crate) fn refused(exchange: &Exchange, target: Option<Duration>, sink: &mut Sink<'_>) {
    let status = exchange.status.to_string();
    let blocking = wanted(exchange).is_some();
    let target = target.unwrap_or(Duration::from_secs(1));
    match exchange.status {
        503 if blocking && exchange.waited() > target * 2 => sink.whole(
            &STALLED,
            status,
            "the stream brought nothing new until the server gave up: publish GAP=YES parts while media is missing.",
        ),
        400..=499 if blocking => sink.whole(
            &REFUSED,
            format!("{status} to {}", exchange.url.query().unwrap_or_default()),
            "a blocking request for the next part was refused: hold it.",
        ),
        _ => sink.whole(&UNAVAILABLE, status, "the media playlist could not be had: players disable the rendition over it."),
    }
}

/// One report for each other rendition, by the path of its playlist.
pub(crate) fn report_missing(now: &MediaPlaylist, others: &[&url::Url], sink: &mut Sink<'_>) {
    if now.ended.is_some() || now.part_target.is_none() || now.i_frames_only {
        return;
    }
    for other in others {
        if !now.reports.iter().any(|report| report.url.path() == other.path()) {
            sink.whole(&REPORT_MISSING, other.as_str(), "there is no EXT-X-RENDITION-REPORT of this rendition: players switch to it blindly.");
        }
    }
}

/// Reports are behind by no more than a part: compared with what was seen of the other rendition
/// three parts ago.
pub(crate) fn report_stale(
    line: usize,
    reported: (u64, Option<u64>),
    seen: Position,
    sink: &mut Sink<'_>,
) {
    let (msn, part) = reported;
    let reported = Position { open_msn: msn, open_parts: part.map_or(u64::MAX, |part| part + 1) };
    // The last part of a segment may be reported as that, where the segment is known complete here.
    let same_end = reported.open_msn + 1 == seen.open_msn && seen.open_parts == 0;
    if reported < seen && !same_end {
        sink.line(
            &REPORT_STALE,
            line,
            format!("the report ends at segment {msn}, part {}; that rendition listed part {} of segment {} more than three part targets before: render reports with each generation.", part.map_or_else(|| "none".to_owned(), |part| part.to_string()), seen.open_parts, seen.open_msn),
        );
    }
}

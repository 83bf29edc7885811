//! Answers to requests that players make rarely or by mistake.

use std::time::Duration;

use super::http;
use super::syntax::show;
use crate::exchange::{Exchange, Probe};
use crate::finding::{Rule, Sink};
use crate::playlist::MediaPlaylist;

static PART_WITHOUT_SEGMENT: Rule =
    Rule::violation("reload-part-without-segment", "RFC 8216bis §6.2.5.2");
static NO_NUMBER: Rule = Rule::advice("reload-no-number", "RFC 8216bis §6.2.5.2");
static FAR_AHEAD: Rule = Rule::advice("reload-far-ahead", "RFC 8216bis §6.2.5.2");
static EXPIRED: Rule = Rule::violation("reload-expired", "RFC 8216bis §6.2.5.2");
static PAST_THE_END: Rule =
    Rule::violation("reload-past-the-end", "RFC 8216bis §6.2.5.2; hls.js #5608");
static UNKNOWN: Rule = Rule::advice("unknown-media", "RFC 8216bis §6.2.6");
static HEAD: Rule = Rule::advice("head", "RFC 9110 §9.3.2");
static CONDITIONAL: Rule = Rule::advice("conditional", "RFC 9110 §13.1.2");
static PREFLIGHT: Rule = Rule::advice("preflight", "Fetch standard; hls.js #3680");
static IDENTITY: Rule = Rule::violation("gzip-unasked", "RFC 9110 §12.5.3");

/// For the answer to a probe; `now` is the playlist in it, `known` the one that was known before.
pub(crate) fn check(
    probe: Probe,
    exchange: &Exchange,
    now: Option<&MediaPlaylist>,
    known: &MediaPlaylist,
    sink: &mut Sink<'_>,
) {
    let blocks = known.control().can_block_reload && known.ended.is_none();
    match probe {
        Probe::PartWithoutSegment if blocks => part_without_segment(exchange, sink),
        Probe::NoNumber if blocks => no_number(exchange, sink),
        Probe::FarAhead if blocks => far_ahead(exchange, sink),
        Probe::Expired if blocks => expired(exchange, now, known, sink),
        Probe::PastTheEnd if blocks => past_the_end(exchange, now, sink),
        Probe::Unknown => unknown(exchange, sink),
        Probe::Head => head(exchange, sink),
        Probe::Conditional => conditional(exchange, sink),
        Probe::Preflight => preflight(exchange, sink),
        Probe::Identity => identity(exchange, sink),
        _ => {}
    }
    if matches!(exchange.status, 400..=599) && probe != Probe::Preflight {
        http::error(exchange, sink);
        http::error_kept(exchange, known.target(), sink);
    }
}

fn part_without_segment(exchange: &Exchange, sink: &mut Sink<'_>) {
    if exchange.status != 400 {
        sink.whole(
            &PART_WITHOUT_SEGMENT,
            shown(exchange),
            "_HLS_part without _HLS_msn was not answered 400.",
        );
    }
}

fn no_number(exchange: &Exchange, sink: &mut Sink<'_>) {
    if !matches!(exchange.status, 400..=499) {
        sink.whole(&NO_NUMBER, shown(exchange), "_HLS_msn that is no number was not answered 400.");
    }
}

fn far_ahead(exchange: &Exchange, sink: &mut Sink<'_>) {
    if !matches!(exchange.status, 400..=499) || exchange.waited() > Duration::from_secs(2) {
        sink.whole(&FAR_AHEAD, shown(exchange), "a request a hundred segments ahead was not answered 400 at once: a player that asks so is out of step, and holding it costs.");
    }
}

fn expired(
    exchange: &Exchange,
    now: Option<&MediaPlaylist>,
    known: &MediaPlaylist,
    sink: &mut Sink<'_>,
) {
    let whole = now.is_some_and(|now| now.skipped.is_none());
    if !whole || exchange.waited() > known.target().max(Duration::from_secs(1)) {
        sink.whole(
            &EXPIRED,
            shown(exchange),
            "a request for a segment of long ago was not answered at once with the whole playlist.",
        );
    }
}

/// Players ask for it whenever they learnt of the last part before they learnt that it was the last.
fn past_the_end(exchange: &Exchange, now: Option<&MediaPlaylist>, sink: &mut Sink<'_>) {
    if now.is_none() {
        sink.whole(&PAST_THE_END, shown(exchange), "a part past the end of a complete segment is part 0 of the next: hold the request until that is listed.");
    }
}

fn unknown(exchange: &Exchange, sink: &mut Sink<'_>) {
    if exchange.status != 404 || exchange.waited() > Duration::from_secs(2) {
        sink.whole(
            &UNKNOWN,
            shown(exchange),
            "media that is neither listed nor hinted at was not answered 404 at once.",
        );
    }
}

fn head(exchange: &Exchange, sink: &mut Sink<'_>) {
    if exchange.status != 200 {
        sink.whole(&HEAD, shown(exchange), "HEAD is not answered as GET is.");
    }
}

fn conditional(exchange: &Exchange, sink: &mut Sink<'_>) {
    if exchange.status != 304 {
        sink.whole(
            &CONDITIONAL,
            shown(exchange),
            "media with an entity tag was sent again to who has it: answer If-None-Match with 304.",
        );
    }
}

fn preflight(exchange: &Exchange, sink: &mut Sink<'_>) {
    let allowed = exchange.header("access-control-allow-origin").is_some();
    if !matches!(exchange.status, 200..=299) || !allowed {
        sink.whole(
            &PREFLIGHT,
            shown(exchange),
            "a browser's preflight was refused: players that send CMCD headers then get nothing.",
        );
    }
}

fn identity(exchange: &Exchange, sink: &mut Sink<'_>) {
    let coded = exchange.header("content-encoding").is_some_and(|coding| coding != "identity");
    if coded || exchange.body.starts_with(&[0x1f, 0x8b]) {
        sink.whole(
            &IDENTITY,
            shown(exchange),
            "the playlist came compressed to who did not accept that.",
        );
    }
}

fn shown(exchange: &Exchange) -> String {
    let query = exchange.url.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{} after {} s{query}", exchange.status, show(exchange.waited()))
}

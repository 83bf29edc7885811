//! What a cache does wrong: the same thing asked of the origin and of the edge at the same time.
//!
//! [`Comparison`] is fed pairs of answers, and beside it each side is watched by a
//! [`Linter`](crate::Linter) of its own: what only the edge breaks is the cache's doing too.

use std::time::Duration;

use url::Url;

use crate::exchange::{Exchange, without_directives};
use crate::finding::{Finding, Findings, Rule, Sink};
use crate::playlist::{MediaPlaylist, Position};
use crate::report::{Report, Unobserved};
use crate::rules::reload::wanted;

static QUERY_DROPPED: Rule =
    Rule::violation("cdn-query-dropped", "RFC 8216bis §6.2.5; OvenMediaEngine #908");
static LATE: Rule = Rule::advice("cdn-late", "RFC 8216bis Appendix B.1");
static STALE: Rule = Rule::violation("cdn-stale", "RFC 9111 §4.2");
static REFUSED: Rule = Rule::violation("cdn-refused", "RFC 8216bis Appendix B.1");
static ERROR_KEPT: Rule = Rule::violation("cdn-error-kept", "RFC 8216bis Appendix B.1");
static HEADER: Rule = Rule::violation("cdn-header-lost", "RFC 9111 §3.2");
static COOKIE: Rule = Rule::advice("cdn-cookie", "RFC 9111 §7.3");
static AGE: Rule = Rule::advice("cdn-age", "RFC 8216bis Appendix B.1; RFC 9111 §5.1");
static BYTES: Rule = Rule::violation("cdn-bytes", "RFC 9111 §4");
static GZIP: Rule = Rule::advice("cdn-gzip", "RFC 8216bis Appendix B.1");
static RANGE: Rule = Rule::violation("cdn-range", "RFC 9110 §14.2");

/// An origin and its edge, compared answer by answer.
#[derive(Debug, Default)]
pub struct Comparison {
    findings: Findings,
    pairs: u64,
    aged: bool,
    errors: bool,
}

impl Comparison {
    /// A comparison of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same blocking request, made to both at once.
    pub fn blocking(&mut self, origin: &Exchange, edge: &Exchange) {
        self.both(origin, edge);
        let place = without_directives(&edge.url);
        let mut sink = self.sink(edge, &place);
        let playlist = read(edge);
        match (read(origin), &playlist) {
            (Some(whole), Some(at_edge)) => {
                query_dropped(edge, &whole, at_edge, &mut sink);
                late(origin, edge, &whole, &mut sink);
            }
            (Some(_), None) => refused(edge, &mut sink),
            _ => {}
        }
    }

    /// A playlist asked of the edge without directives, with what the origin listed at an instant.
    pub fn plain(&mut self, edge: &Exchange, listed: impl Fn(Duration) -> Option<Position>) {
        self.pairs += 1;
        self.aged |= edge.age().is_some();
        let Some(playlist) = read(edge) else { return };
        let place = without_directives(&edge.url);
        let mut sink = self.sink(edge, &place);
        stale(edge, &playlist, listed, &mut sink);
    }

    /// The same media, asked of both.
    pub fn media(&mut self, origin: &Exchange, edge: &Exchange) {
        self.both(origin, edge);
        let place = without_directives(&edge.url);
        let mut sink = self.sink(edge, &place);
        match (origin.is_success(), edge.is_success()) {
            (true, true) => {
                range(origin, edge, &mut sink);
                bytes(origin, edge, &mut sink);
            }
            (true, false) => refused(edge, &mut sink),
            _ => {}
        }
    }

    /// A request that was too early for the edge at first, made again to both when it no longer is.
    pub fn error(&mut self, first: &Exchange, origin: &Exchange, edge: &Exchange) {
        self.pairs += 1;
        if first.is_success() || !origin.is_success() {
            return;
        }
        self.errors = true;
        let place = without_directives(&edge.url);
        let mut sink = self.sink(edge, &place);
        error_kept(first, edge, &mut sink);
    }

    /// What was found, together with what a linter found at the edge and not at the origin.
    #[must_use]
    pub fn finish(mut self, origin: &Report, edge: Report) -> Report {
        if self.pairs > 0 && !self.aged {
            let at = Duration::ZERO;
            let mut sink = Sink { findings: &mut self.findings, url: "", at, text: "" };
            age(&mut sink);
        }
        let mut unobserved = vec![Unobserved {
            what: "collapsing of requests",
            why: "it does not show from outside: compare requests counted at the origin with requests at the edge",
        }];
        if !self.errors {
            unobserved.push(Unobserved {
                what: "errors kept beyond their truth",
                why: "no request was refused at first and right later while the watch lasted",
            });
        }
        unobserved.extend(edge.unobserved);
        let own =
            |finding: &Finding| !origin.findings.iter().any(|it| it.rule.id == finding.rule.id);
        for finding in edge.findings.into_iter().filter(own) {
            self.findings.add(finding);
        }
        Report {
            left_out: self.findings.left_out + edge.left_out,
            findings: self.findings.into_sorted(),
            unobserved,
            exchanges: edge.exchanges + 2 * self.pairs,
        }
    }

    /// What holds for any answer.
    fn both(&mut self, origin: &Exchange, edge: &Exchange) {
        self.pairs += 1;
        self.aged |= edge.age().is_some();
        let place = without_directives(&edge.url);
        let mut sink = self.sink(edge, &place);
        header_lost(origin, edge, &mut sink);
        cookie(origin, edge, &mut sink);
        gzip(origin, edge, &mut sink);
    }

    fn sink<'a>(&'a mut self, edge: &Exchange, place: &'a Url) -> Sink<'a> {
        Sink { findings: &mut self.findings, url: place.as_str(), at: edge.answered, text: "" }
    }
}

fn read(exchange: &Exchange) -> Option<MediaPlaylist> {
    let text = std::str::from_utf8(&exchange.body).ok()?;
    (exchange.is_success() && text.starts_with("#EXTM3U"))
        .then(|| MediaPlaylist::read(text, &exchange.url))
}

/// The origin held the request until it had what was asked for, the edge answered without it.
fn query_dropped(
    edge: &Exchange,
    origin: &MediaPlaylist,
    at_edge: &MediaPlaylist,
    sink: &mut Sink<'_>,
) {
    let Some((msn, part)) = wanted(edge) else { return };
    if at_edge.ended.is_none() && origin.reaches(msn, part) && !at_edge.reaches(msn, part) {
        sink.whole(
            &QUERY_DROPPED,
            edge.url.query().unwrap_or_default(),
            "the edge answered a blocking request without what was asked for, and the origin would not have: put the query string into the cache key, and serve nothing stale.",
        );
    }
}

/// What a cache adds to the way of a part.
fn late(origin: &Exchange, edge: &Exchange, playlist: &MediaPlaylist, sink: &mut Sink<'_>) {
    let Some(part) = playlist.part_target() else { return };
    let behind = edge.answered.saturating_sub(origin.answered);
    if wanted(edge).is_some() && behind > part {
        let steps = behind.as_millis() / 100 * 100;
        sink.whole(
            &LATE,
            edge.url.query().unwrap_or_default(),
            format!("the edge answered a blocking request more than {steps} ms after the origin, over a part: let those who wait be woken, not polled, and keep connections to the origin open."),
        );
    }
}

/// A plain playlist may be as old as its lifetime, and a part.
fn stale(
    edge: &Exchange,
    at_edge: &MediaPlaylist,
    listed: impl Fn(Duration) -> Option<Position>,
    sink: &mut Sink<'_>,
) {
    let part = at_edge.part_target().unwrap_or_else(|| at_edge.target());
    let kept = Duration::from_secs(edge.max_age(true).unwrap_or(0));
    // Ages are whole seconds.
    let allowed = kept + part + Duration::from_secs(1);
    let Some(then) = edge.answered.checked_sub(allowed).and_then(listed) else { return };
    let here = at_edge.position();
    if at_edge.ended.is_none() && here < then {
        sink.whole(
            &STALE,
            format!("Cache-Control: {}; Age: {}", edge.header("cache-control").unwrap_or("none"), edge.header("age").unwrap_or("none")),
            format!("the edge's playlist ends at segment {} and the origin's was past segment {} more than {} s before: obey Cache-Control, serve nothing stale.", here.open_msn, then.open_msn, allowed.as_secs()),
        );
    }
}

fn refused(edge: &Exchange, sink: &mut Sink<'_>) {
    sink.whole(
        &REFUSED,
        edge.status.to_string(),
        "the edge refused what the origin gave: raise its time-outs above three target durations, and let all paths and ranges through.",
    );
}

fn error_kept(first: &Exchange, edge: &Exchange, sink: &mut Sink<'_>) {
    if edge.status == first.status {
        sink.whole(
            &ERROR_KEPT,
            format!("{} {:.0} s ago, and again", first.status, edge.asked.saturating_sub(first.answered).as_secs_f64()),
            "the edge repeats an error that is true no more: let it keep no 400, 404 and 503 longer than Cache-Control says.",
        );
    }
}

fn header_lost(origin: &Exchange, edge: &Exchange, sink: &mut Sink<'_>) {
    for name in [
        "access-control-allow-origin",
        "content-type",
        "cache-control",
        "date",
        "access-control-expose-headers",
    ] {
        if let (Some(value), None) = (origin.header(name), edge.header(name)) {
            sink.whole(
                &HEADER,
                format!("{name}: {value}"),
                format!("the edge leaves out the header {name}: pass it on."),
            );
        }
    }
}

fn cookie(origin: &Exchange, edge: &Exchange, sink: &mut Sink<'_>) {
    if let (None, Some(value)) = (origin.header("set-cookie"), edge.header("set-cookie")) {
        let name = value.split('=').next().unwrap_or_default();
        sink.whole(
            &COOKIE,
            format!("set-cookie: {name}"),
            "the edge sets a cookie: caches behind it then keep nothing.",
        );
    }
}

fn gzip(origin: &Exchange, edge: &Exchange, sink: &mut Sink<'_>) {
    if origin.header("content-encoding") == Some("gzip")
        && edge.header("content-encoding").is_none()
        && edge.is_success()
    {
        sink.whole(&GZIP, "no content-encoding", "the edge sends uncompressed what the origin sent as gzip: let Accept-Encoding through, and keep both.");
    }
}

fn range(origin: &Exchange, edge: &Exchange, sink: &mut Sink<'_>) {
    if origin.status == 206 && edge.status == 200 {
        sink.whole(
            &RANGE,
            "200",
            "the edge answers a range with the whole: let it pass ranges on or cut them itself.",
        );
    }
}

fn bytes(origin: &Exchange, edge: &Exchange, sink: &mut Sink<'_>) {
    if origin.status == edge.status && origin.body != edge.body {
        sink.whole(
            &BYTES,
            format!("{} bytes at the origin, {} at the edge", origin.body.len(), edge.body.len()),
            "the edge gives other bytes than the origin for the same media: nothing may be changed on the way.",
        );
    }
}

fn age(sink: &mut Sink<'_>) {
    sink.whole(
        &AGE,
        "no age",
        "the edge never says how old its answers are: players tune in by Age, let it be sent.",
    );
}

/// A request that will be too early at first: the first part of a segment three segments ahead.
#[must_use]
pub fn too_early(playlist: &Url, listed: &MediaPlaylist) -> (Url, u64) {
    let msn = listed.position().open_msn + 3;
    let mut url = without_directives(playlist);
    let asked = format!("_HLS_msn={msn}&_HLS_part=0");
    let query = url.query().map_or_else(|| asked.clone(), |query| format!("{query}&{asked}"));
    url.set_query(Some(&query));
    (url, msn)
}

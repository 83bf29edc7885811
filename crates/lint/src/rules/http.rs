//! Headers, content codings and lifetimes of answers.

use std::time::Duration;

use super::syntax::show;
use crate::exchange::Exchange;
use crate::finding::{Rule, Sink};

static CONTENT_TYPE: Rule = Rule::violation("content-type", "RFC 8216bis §4");
static CONTENT_TYPE_ODD: Rule = Rule::advice("content-type-odd", "RFC 8216bis §4");
static MEDIA_TYPE: Rule = Rule::advice("media-type", "Apple authoring 10.4");
static CORS: Rule = Rule::advice("cors", "Fetch standard");
static CORS_AGE: Rule = Rule::advice("cors-age", "RFC 8216bis Appendix C; hls.js #3680");
static DATE: Rule = Rule::advice("date-header", "RFC 9110 §6.6.1");
static COOKIE: Rule = Rule::advice("set-cookie", "nginx: an answer with Set-Cookie is not cached");
static REDIRECT: Rule = Rule::advice("redirect", "Apple authoring 8.18");
static GZIP: Rule = Rule::advice("gzip", "Apple authoring 10.1; RFC 8216bis Appendix B.1");
static GZIP_TWICE: Rule = Rule::violation("gzip-twice", "RFC 9110 §8.4");
static MEDIA_GZIP: Rule = Rule::advice("media-gzip", "RFC 8216bis Appendix B.1");
static PLAYLIST_KEPT: Rule = Rule::violation("playlist-kept-long", "RFC 8216bis Appendix B.1");
static PLAYLIST_KEPT_HALF: Rule = Rule::advice("playlist-kept", "RFC 8216bis Appendix B.1");
static PLAYLIST_STALE: Rule = Rule::violation("playlist-stale", "RFC 9111 §4.2");
static VARY: Rule = Rule::advice("vary", "RFC 9110 §12.5.5");
static MEDIA_NOT_KEPT: Rule = Rule::advice("media-not-kept", "RFC 8216bis Appendix B.1");
static ERROR_KEPT: Rule = Rule::violation("error-kept", "RFC 8216bis Appendix B.1");

pub(crate) fn playlist(
    exchange: &Exchange,
    target: Duration,
    blocking: bool,
    ended: bool,
    sink: &mut Sink<'_>,
) {
    content_type(exchange, sink);
    any(exchange, sink);
    gzip(exchange, sink);
    gzip_twice(exchange, sink);
    vary(exchange, sink);
    if !blocking && !ended {
        playlist_kept(exchange, target, sink);
    }
    playlist_stale(exchange, sink);
}

pub(crate) fn media(exchange: &Exchange, sink: &mut Sink<'_>) {
    any(exchange, sink);
    media_type(exchange, sink);
    media_gzip(exchange, sink);
    media_kept(exchange, sink);
}

fn any(exchange: &Exchange, sink: &mut Sink<'_>) {
    cors(exchange, sink);
    date(exchange, sink);
    cookie(exchange, sink);
    redirect(exchange, sink);
}

/// A playlist is known by its path or by its type.
fn content_type(exchange: &Exchange, sink: &mut Sink<'_>) {
    let kind = exchange.header("content-type").unwrap_or_default();
    let name = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let by_type = matches!(name.as_str(), "application/vnd.apple.mpegurl" | "audio/mpegurl");
    let path = exchange.url.path();
    let by_path = path.ends_with(".m3u8") || path.ends_with(".m3u");
    if !by_type && !by_path {
        sink.whole(&CONTENT_TYPE, header("Content-Type", kind), "neither path nor type tell that this is a playlist: send application/vnd.apple.mpegurl.");
    } else if !by_type && name != "application/x-mpegurl" {
        sink.whole(
            &CONTENT_TYPE_ODD,
            header("Content-Type", kind),
            "the type is not that of a playlist: send application/vnd.apple.mpegurl.",
        );
    }
}

fn media_type(exchange: &Exchange, sink: &mut Sink<'_>) {
    let kind = exchange.header("content-type").unwrap_or_default();
    let known = ["video/", "audio/", "text/vtt", "application/mp4"];
    if !known.iter().any(|known| kind.starts_with(known)) {
        sink.whole(
            &MEDIA_TYPE,
            header("Content-Type", kind),
            "the type is not that of media: send video/mp4, audio/mp4 or video/mp2t.",
        );
    }
}

fn cors(exchange: &Exchange, sink: &mut Sink<'_>) {
    if exchange.header("access-control-allow-origin").is_none() {
        sink.whole(&CORS, "no Access-Control-Allow-Origin", "players in pages of other sites cannot read this: send Access-Control-Allow-Origin: *, on errors as well.");
    } else if exchange.header("age").is_some() {
        let exposed = exchange
            .header("access-control-expose-headers")
            .unwrap_or_default()
            .to_ascii_lowercase();
        if !exposed.contains("age") && exposed.trim() != "*" {
            sink.whole(
                &CORS_AGE,
                header("Access-Control-Expose-Headers", &exposed),
                "players in pages cannot read Age, which they tune in by: expose it.",
            );
        }
    }
}

fn date(exchange: &Exchange, sink: &mut Sink<'_>) {
    if exchange.header("date").is_none() {
        sink.whole(
            &DATE,
            "no Date",
            "the answer says not when it was made: caches reckon its age by Date.",
        );
    }
}

fn cookie(exchange: &Exchange, sink: &mut Sink<'_>) {
    if let Some(cookie) = exchange.header("set-cookie") {
        let name = cookie.split('=').next().unwrap_or_default();
        sink.whole(
            &COOKIE,
            header("Set-Cookie", name),
            "caches do not keep what sets a cookie: leave it out here.",
        );
    }
}

fn redirect(exchange: &Exchange, sink: &mut Sink<'_>) {
    if exchange.redirects > 0 {
        sink.whole(&REDIRECT, exchange.url.as_str(), "the request was redirected: each part then takes two round trips; name the place itself.");
    }
}

/// Small playlists gain nothing.
fn gzip(exchange: &Exchange, sink: &mut Sink<'_>) {
    if exchange.header("content-encoding").is_none() && exchange.body.len() > 1500 {
        sink.whole(&GZIP, "no Content-Encoding", "the playlist came uncompressed although gzip was accepted: it is sent once per part, and shrinks to a tenth.");
    }
}

fn gzip_twice(exchange: &Exchange, sink: &mut Sink<'_>) {
    if exchange.body.starts_with(&[0x1f, 0x8b]) {
        sink.whole(
            &GZIP_TWICE,
            header("Content-Encoding", exchange.header("content-encoding").unwrap_or_default()),
            "the body is gzip once more, or without saying so: compress in one place.",
        );
    }
}

fn vary(exchange: &Exchange, sink: &mut Sink<'_>) {
    let vary = exchange.header("vary").unwrap_or_default();
    let mut names = vary
        .split(',')
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| !name.is_empty());
    if let Some(other) = names.find(|name| name != "accept-encoding" && name != "origin") {
        sink.whole(&VARY, header("Vary", vary), format!("the answer varies by {other}: caches keep a copy per value, players then wait for their own."));
    }
}

fn media_gzip(exchange: &Exchange, sink: &mut Sink<'_>) {
    if let Some(coding) = exchange.header("content-encoding").filter(|coding| *coding != "identity")
    {
        sink.whole(
            &MEDIA_GZIP,
            header("Content-Encoding", coding),
            "media is compressed once more: it only costs time.",
        );
    }
}

fn media_kept(exchange: &Exchange, sink: &mut Sink<'_>) {
    if exchange.max_age(true) == Some(0) {
        sink.whole(&MEDIA_NOT_KEPT, header("Cache-Control", exchange.header("cache-control").unwrap_or_default()), "caches may not keep this media, so each player fetches it from the origin: it never changes, say max-age and immutable.");
    }
}

/// Without directives the same URL means something else a moment later.
fn playlist_kept(exchange: &Exchange, target: Duration, sink: &mut Sink<'_>) {
    let Some(age) = exchange.max_age(true) else { return };
    let shown = header("Cache-Control", exchange.header("cache-control").unwrap_or_default());
    if age > target.as_secs().max(1) {
        sink.whole(&PLAYLIST_KEPT, shown, format!("caches may keep the live playlist for {age} s, longer than its target duration: say half of that."));
    } else if age > target.as_secs().div_ceil(2).max(1) {
        sink.whole(
            &PLAYLIST_KEPT_HALF,
            shown,
            format!(
                "caches may keep the live playlist for {age} s, more than half its target duration."
            ),
        );
    }
}

fn playlist_stale(exchange: &Exchange, sink: &mut Sink<'_>) {
    if let (Some(age), Some(most)) = (exchange.age(), exchange.max_age(true))
        && age > most + 1
    {
        sink.whole(&PLAYLIST_STALE, header("Age", &age.to_string()), format!("a cache served the playlist beyond its lifetime of {most} s: allow no stale answers for playlists."));
    }
}

/// An error that is kept longer than it is true: what is missing now is there a moment later.
pub(crate) fn error_kept(exchange: &Exchange, target: Duration, sink: &mut Sink<'_>) {
    let most = target.as_secs().max(1) * if exchange.status == 404 { 1 } else { 4 };
    if let Some(age) = exchange.max_age(true).filter(|age| *age > most) {
        sink.whole(
            &ERROR_KEPT,
            format!(
                "{}, {}",
                exchange.status,
                header("Cache-Control", exchange.header("cache-control").unwrap_or_default())
            ),
            format!(
                "caches may keep this error for {age} s, {} s at most are right: say no-store.",
                show(Duration::from_secs(most))
            ),
        );
    }
}

/// An error that pages cannot read looks to them like a broken network.
pub(crate) fn error(exchange: &Exchange, sink: &mut Sink<'_>) {
    cors(exchange, sink);
}

fn header(name: &str, value: &str) -> String {
    format!("{name}: {value}")
}

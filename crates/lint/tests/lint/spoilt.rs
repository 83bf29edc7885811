//! Faults in answers, media and caches: each is one that a server or a cache has had.

use std::time::Duration;

use nowcast_lint::{Exchange, Probe, Purpose};

use super::fault::*;

#[test]
fn answers_at_the_wrong_time_or_none() {
    // androidx/media #2317, and caches that drop the query from their key: what was listed before.
    let mut before = None;
    found("reload-early", |it| {
        if whole(it) && is(it, "video/index.m3u8") && it.url.query().is_some() {
            let now = it.body.clone();
            if let Some(before) = before.replace(now).filter(|_| is_late(it)) {
                it.body = before;
            }
        }
    });
    // zap-stream-core #96: parts are announced and never come.
    found("reload-stalled", |it| {
        if whole(it) && is(it, "audio/index.m3u8") && is_late(it) && it.url.query().is_some() {
            it.status = 503;
            it.asked = it.answered.saturating_sub(Duration::from_secs(6));
        }
    });
    found("reload-refused", |it| {
        if whole(it) && is_late(it) && it.url.query().is_some() {
            it.status = 404;
        }
    });
    // hls.js #5608: the part after the last.
    found("reload-past-the-end", |it| {
        if it.purpose == Purpose::Probe(Probe::PastTheEnd) {
            it.status = 400;
        }
    });
    found("reload-part-without-segment", |it| {
        if it.purpose == Purpose::Probe(Probe::PartWithoutSegment) {
            it.status = 200;
        }
    });
    found("reload-far-ahead", |it| {
        if it.purpose == Purpose::Probe(Probe::FarAhead) {
            it.answered = it.asked + Duration::from_secs(3);
        }
    });
    found("reload-expired", |it| {
        if it.purpose == Purpose::Probe(Probe::Expired) {
            it.status = 400;
        }
    });
    found("report-stale", |it| {
        lines(it, |line| match line.split_once(",LAST-MSN=") {
            Some((before, _)) => format!("{before},LAST-MSN=1,LAST-PART=4"),
            None => line.to_owned(),
        });
    });
    found("cadence", |it| {
        if is_late(it) {
            for time in [&mut it.asked, &mut it.answered, &mut it.first_byte, &mut it.finished] {
                *time += Duration::from_secs(2);
            }
        }
    });
}

#[test]
fn media_that_is_not_what_the_playlist_says() {
    // hls.js #6976: listed before it can be read.
    found("media-missing", |it| {
        if is(it, "p44.m4s") {
            it.status = 404;
        }
    });
    found("hint-not-held", |it| {
        if is(it, "video/p45.m4s") {
            it.status = 404;
        }
    });
    found("hint-trickle", |it| {
        if is(it, "video/p45.m4s") {
            it.first_byte = it.asked;
        }
    });
    found("media-held", |it| {
        if is(it, "p44.m4s") {
            it.asked = it.answered.saturating_sub(Duration::from_secs(2));
        }
    });
    // home-assistant #49608.
    found("independent-false", |it| {
        replaced(it, "URI=\"p43.m4s\"", "URI=\"p43.m4s\",INDEPENDENT=YES");
    });
    found("independent-unsaid", |it| {
        if is(it, "video/index.m3u8") {
            replaced(it, "URI=\"p40.m4s\",INDEPENDENT=YES", "URI=\"p40.m4s\"");
        }
    });
    found("first-part-independent", |it| {
        if is(it, "video/index.m3u8") {
            replaced(it, ",INDEPENDENT=YES", "");
        }
    });
    // A hole of ten frames.
    let shifted = |it: &mut Exchange, name: &str| {
        if is(it, name) {
            let mut body = it.body.to_vec();
            let at = body.windows(4).position(|name| name == b"tfdt").unwrap() + 8;
            let time = u64::from_be_bytes(body[at..at + 8].try_into().unwrap()) + 36_000;
            body[at..at + 8].copy_from_slice(&time.to_be_bytes());
            it.body = body.into();
        }
    };
    found("tfdt-continuity", |it| shifted(it, "video/p43.m4s"));
    found("date-mapping", |it| {
        for part in 5..20 {
            shifted(it, &format!("audio/p{part}.m4s"));
        }
    });
    found("segment-is-parts", |it| {
        if is(it, "video/s9.m4s") && it.purpose == Purpose::Listed {
            let mut body = it.body.to_vec();
            *body.last_mut().unwrap() ^= 1;
            it.body = body.into();
        }
    });
    found("bytes-changed", |it| {
        if it.purpose == Purpose::Again {
            it.body = it.body.slice(1..);
        }
    });
    found("media-gone", |it| {
        if it.purpose == Purpose::Again {
            it.status = 404;
        }
    });
    found("duration-differs", |it| {
        if is(it, "video/index.m3u8") {
            replaced(it, "0.2,URI=\"p42.m4s\"", "0.1,URI=\"p42.m4s\"");
        }
    });
    found("cut-off", |it| {
        if is(it, "video/p44.m4s") {
            it.body = it.body.slice(..it.body.len() - 60);
        }
    });
    found("init-section", |it| {
        if is(it, "init-1.mp4") {
            it.body = it.body.slice(..100);
        }
    });
    found("map-missing", |it| {
        lines(
            it,
            |line| if line.starts_with("#EXT-X-MAP") { "#".to_owned() } else { line.to_owned() },
        );
    });
}

#[test]
fn headers_and_caches_that_spoil_it() {
    // ant-media #6976: errors are kept by default.
    found("error-kept", |it| {
        if it.status == 404 {
            header(it, "cache-control", Some("max-age=10"));
        }
    });
    found("playlist-kept-long", |it| {
        if whole(it) && it.url.query().is_none() {
            header(it, "cache-control", Some("public, max-age=10"));
        }
    });
    found("playlist-stale", |it| {
        if whole(it) {
            header(it, "age", Some("30"));
        }
    });
    found("content-type", |it| {
        if playlist(it) {
            let path = it.url.path().replace(".m3u8", "");
            it.url.set_path(&path);
            header(it, "content-type", Some("text/plain"));
        }
    });
    // hls.js #3680.
    found("cors", |it| {
        if it.status >= 400 {
            header(it, "access-control-allow-origin", None);
        }
    });
    found("cors-age", |it| header(it, "age", Some("1")));
    found("gzip-twice", |it| {
        if is(it, "index.m3u8") && it.purpose == Purpose::Start {
            it.body = bytes::Bytes::from_static(&[0x1f, 0x8b, 8, 0, 0]);
        }
    });
    found("gzip", |it| {
        if playlist(it) {
            header(it, "content-encoding", None);
        }
    });
    found("vary", |it| header(it, "vary", Some("Accept-Encoding, User-Agent")));
    found("set-cookie", |it| header(it, "set-cookie", Some("a=b")));
    found("redirect", |it| it.redirects = 1);
    found("media-not-kept", |it| {
        if is(it, ".m4s") && it.status == 200 {
            header(it, "cache-control", Some("no-store"));
        }
    });
    found("conditional", |it| {
        if it.status == 304 {
            it.status = 200;
        }
    });
}

//! An origin and an edge before it, in pairs of answers.

use std::time::Duration;

use nowcast_lint::cdn::{Comparison, too_early};
use nowcast_lint::playlist::{MediaPlaylist, Position};
use nowcast_lint::{Exchange, Purpose, Report};
use url::Url;

const MEDIA: &[u8] = b"moof mdat";

/// A playlist that ends with part 1 of segment `open`.
fn playlist(open: u64) -> String {
    format!(
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:1\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.6,HOLD-BACK=3\n\
         #EXT-X-PART-INF:PART-TARGET=0.2\n#EXT-X-MEDIA-SEQUENCE:{}\n#EXTINF:1,\ns.m4s\n#EXT-X-PART:DURATION=0.2,URI=\"p0.m4s\"\n#EXT-X-PART:DURATION=0.2,URI=\"p1.m4s\"\n",
        open - 1
    )
}

fn answer(path: &str, body: impl Into<bytes::Bytes>) -> Exchange {
    let headers = [
        ("access-control-allow-origin", "*"),
        ("content-type", "application/vnd.apple.mpegurl"),
        ("content-encoding", "gzip"),
        ("cache-control", "max-age=1"),
        ("date", "Sun, 22 Nov 2026 10:00:00 GMT"),
        ("age", "0"),
    ];
    let at = Duration::from_secs(20);
    Exchange {
        url: Url::parse("http://edge.test/live/").unwrap().join(path).unwrap(),
        purpose: Purpose::Playlist,
        range: None,
        status: 200,
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        body: body.into(),
        asked: at,
        answered: at,
        first_byte: at,
        finished: at,
        redirects: 0,
    }
}

/// What is found when `fault` changes the edge's answers.
fn found(fault: impl Fn(&mut Exchange)) -> Vec<&'static str> {
    let mut compared = Comparison::new();
    let faulty = |exchange: Exchange| {
        let mut exchange = exchange;
        fault(&mut exchange);
        exchange
    };
    let blocking = answer("index.m3u8?_HLS_msn=9&_HLS_part=1", playlist(9));
    compared.blocking(&blocking, &faulty(blocking.clone()));
    compared.plain(&faulty(answer("index.m3u8", playlist(9))), |_| {
        Some(Position { open_msn: 9, open_parts: 0 })
    });
    let media = answer("p0.m4s", MEDIA);
    compared.media(&media, &faulty(media.clone()));
    let early = answer("index.m3u8?_HLS_msn=12&_HLS_part=0", playlist(12));
    let first = Exchange { status: 400, ..early.clone() };
    compared.error(&first, &early, &faulty(early.clone()));
    let report = compared.finish(&Report::default(), Report::default());
    assert!(report.unobserved.iter().any(|it| it.what == "collapsing of requests"));
    let mut rules: Vec<_> = report.findings.iter().map(|finding| finding.rule.id).collect();
    rules.dedup();
    rules
}

#[test]
fn nothing_is_found_at_an_edge_that_passes_everything_on() {
    assert!(found(|_| {}).is_empty());
}

#[test]
fn each_thing_that_a_cache_does_wrong_is_named() {
    let header =
        |exchange: &mut Exchange, name: &str| exchange.headers.retain(|(key, _)| key != name);
    assert_eq!(
        found(|it| if it.url.query().is_some() {
            it.body = playlist(8).into();
        }),
        ["cdn-query-dropped"]
    );
    assert_eq!(
        found(|it| if it.url.path().ends_with("m3u8") && it.url.query().is_none() {
            it.body = playlist(7).into();
        }),
        ["cdn-stale"]
    );
    assert_eq!(
        found(|it| if it.url.query().is_some_and(|query| query.contains("=12")) {
            it.status = 400;
        }),
        ["cdn-error-kept"]
    );
    assert_eq!(
        found(|it| if it.url.path().ends_with("m4s") {
            it.body = MEDIA[1..].into();
        }),
        ["cdn-bytes"]
    );
    assert_eq!(
        found(|it| if it.url.path().ends_with("m4s") {
            it.status = 504;
        }),
        ["cdn-refused"]
    );
    assert_eq!(found(|it| header(it, "access-control-allow-origin")), ["cdn-header-lost"]);
    assert_eq!(found(|it| header(it, "content-encoding")), ["cdn-gzip"]);
    assert_eq!(found(|it| header(it, "age")), ["cdn-age"]);
    assert_eq!(found(|it| it.headers.push(("set-cookie".into(), "id=1".into()))), ["cdn-cookie"]);
    assert_eq!(found(|it| it.answered += Duration::from_millis(500)), ["cdn-late"]);
}

#[test]
fn what_is_asked_too_early_is_asked_for_the_live_edge_and_three() {
    let url = Url::parse("http://edge.test/index.m3u8?t=1&_HLS_msn=4").unwrap();
    let listed = MediaPlaylist::read(&playlist(9), &url);
    let (url, msn) = too_early(&url, &listed);
    assert_eq!((url.query(), msn), (Some("t=1&_HLS_msn=12&_HLS_part=0"), 12));
}

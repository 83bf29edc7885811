//! Each fault is one that a server or a cache has had.

use std::time::Duration;

use nowcast_lint::{Exchange, Probe, Purpose, Severity};

use super::stream::watch;

/// Changes the text of a playlist.
pub(crate) fn edit(exchange: &mut Exchange, change: impl FnOnce(String) -> String) {
    if exchange.body.starts_with(b"#EXTM3U") {
        exchange.body = change(String::from_utf8(exchange.body.to_vec()).unwrap()).into();
    }
}

/// Changes the lines of a playlist.
fn lines(exchange: &mut Exchange, mut change: impl FnMut(&str) -> String) {
    edit(exchange, |text| text.lines().map(|line| change(line) + "\n").collect());
}

fn replaced(exchange: &mut Exchange, from: &str, to: &str) {
    edit(exchange, |text| text.replace(from, to));
}

fn is(exchange: &Exchange, name: &str) -> bool {
    exchange.url.path().ends_with(name)
}

fn header(exchange: &mut Exchange, name: &str, value: Option<&str>) {
    exchange.headers.retain(|(key, _)| key != name);
    exchange.headers.extend(value.map(|value| (name.to_owned(), value.to_owned())));
}

fn is_late(exchange: &Exchange) -> bool {
    exchange.answered > Duration::from_secs(8)
}

fn playlist(exchange: &Exchange) -> bool {
    exchange.purpose == Purpose::Playlist
}

fn whole(exchange: &Exchange) -> bool {
    playlist(exchange) && !exchange.url.query().unwrap_or_default().contains("skip")
}

/// Watches a stream with a fault, and asserts that its rule is found to be broken.
fn found(rule: &str, mut fault: impl FnMut(&mut Exchange)) {
    let report = watch(&mut fault);
    let finding = report.findings.iter().find(|finding| finding.rule.id == rule);
    let others: Vec<_> =
        report.findings.iter().map(|it| (it.rule.id, &it.message)).take(8).collect();
    let finding = finding.unwrap_or_else(|| panic!("{rule} is not found, but {others:#?}"));
    assert!(!finding.rule.source.is_empty() && finding.url.starts_with("http"), "{finding:?}");
    assert!(finding.message.ends_with(['.', ')']), "no sentence: {}", finding.message);
    assert_eq!(
        report.has_violations(),
        report.findings.iter().any(|it| it.rule.severity == Severity::Violation)
    );
    // A fault is told by its name, not by a hundred others.
    let rules: std::collections::BTreeSet<_> =
        report.findings.iter().map(|it| it.rule.id).collect();
    assert!(rules.len() <= 10, "{rule}: {rules:?}");
}

#[test]
fn targets_that_follow_the_parts_there_were() {
    // mediamtx #6237: computed anew from observed parts.
    found("part-target-changed", |it| {
        if is_late(it) {
            replaced(it, "PART-TARGET=0.2", "PART-TARGET=0.201");
        }
    });
    found("server-control-changed", |it| {
        if is_late(it) {
            replaced(it, "PART-HOLD-BACK=0.6", "PART-HOLD-BACK=0.61");
        }
    });
    // gohlslib #187: it grows with the longest segment.
    found("target-duration-changed", |it| {
        if is_late(it) {
            replaced(it, "TARGETDURATION:1", "TARGETDURATION:2");
        }
    });
    // zap-stream-core #98: the average.
    found("part-target", |it| replaced(it, "PART-TARGET=0.2", "PART-TARGET=0.199"));
    // hls.js #5028: parts a third of the target.
    found("part-short", |it| replaced(it, "PART-TARGET=0.2", "PART-TARGET=0.6"));
    // AetherEngine #189.
    found("target-duration", |it| replaced(it, "#EXTINF:1.00000", "#EXTINF:1.60000"));
    found("part-hold-back", |it| replaced(it, "PART-HOLD-BACK=0.6,", ""));
    found("hold-back", |it| replaced(it, ",HOLD-BACK=3", ",HOLD-BACK=2"));
    found("can-skip-until", |it| replaced(it, "CAN-SKIP-UNTIL=6", "CAN-SKIP-UNTIL=5"));
    found("target-durations-differ", |it| {
        if is(it, "audio/index.m3u8") {
            replaced(it, "TARGETDURATION:1", "TARGETDURATION:2");
        }
    });
    found("server-controls-differ", |it| {
        if is(it, "audio/index.m3u8") {
            replaced(it, "CAN-SKIP-UNTIL=6", "CAN-SKIP-UNTIL=7");
        }
    });
}

#[test]
fn lines_that_are_wrong_or_in_the_wrong_place() {
    // hls.js #7119: written twice.
    found("tag-twice", |it| {
        lines(it, |line| {
            if line.starts_with("#EXT-X-PART-INF") {
                format!("{line}\n{line}")
            } else {
                line.to_owned()
            }
        });
    });
    // hls.js #7905: a sequence number after EXT-X-SKIP.
    found("sequence-before-skip", |it| {
        edit(it, |text| {
            let Some(skip) =
                text.lines().find(|line| line.starts_with("#EXT-X-SKIP")).map(str::to_owned)
            else {
                return text;
            };
            let text = text.replace(&format!("{skip}\n"), "");
            text.replace("#EXT-X-MEDIA-SEQUENCE", &format!("{skip}\n#EXT-X-MEDIA-SEQUENCE"))
        });
    });
    // hls.js #5028: the date follows the parts.
    found("tag-after-part", |it| {
        edit(it, |text| {
            let mut date = String::new();
            let mut out = String::new();
            for line in text.lines() {
                if line.starts_with("#EXT-X-PROGRAM-DATE-TIME") {
                    date = format!("{line}\n");
                    continue;
                }
                if line.starts_with("#EXTINF") {
                    out += &std::mem::take(&mut date);
                }
                out += &format!("{line}\n");
            }
            out
        });
    });
    // hls.js #7848: EXTINF precedes the parts.
    found("part-after-extinf", |it| {
        edit(it, |text| {
            let parts: String = text
                .lines()
                .filter(|line| line.starts_with("#EXT-X-PART:"))
                .take(1)
                .map(|line| format!("{line}\n"))
                .collect();
            let Some(extinf) =
                text.find("#EXTINF").and_then(|at| text[at..].find('\n').map(|end| at + end + 1))
            else {
                return text;
            };
            format!("{}{parts}{}", &text[..extinf], &text[extinf..])
        });
    });
    found("attribute-list", |it| replaced(it, ",URI=", ", URI="));
    found("attribute-list", |it| replaced(it, "PART-TARGET=0.2", "PART-TARGET=\"0.2\""));
    found("version", |it| replaced(it, "VERSION:9", "VERSION:6"));
    found("characters", |it| replaced(it, "#EXTM3U\n", "\u{feff}#EXTM3U\n"));
    found("first-line", |it| replaced(it, "#EXTM3U\n", "#EXTM3U8\n"));
    found("date", |it| replaced(it, "2026-11-22T", "2026/11/22 "));
    found("head-tag", |it| {
        lines(it, |line| {
            if line.starts_with("#EXT-X-TARGETDURATION") { "#".to_owned() } else { line.to_owned() }
        });
    });
    // hls.js #6975: parts without blocking reload.
    found("can-block-reload", |it| replaced(it, "CAN-BLOCK-RELOAD=YES,", ""));
    found("hint-missing", |it| {
        lines(it, |line| {
            if line.starts_with("#EXT-X-PRELOAD") { "#".to_owned() } else { line.to_owned() }
        });
    });
    found("report-missing", |it| {
        lines(it, |line| {
            if line.starts_with("#EXT-X-RENDITION-REPORT") {
                "#".to_owned()
            } else {
                line.to_owned()
            }
        });
    });
    found("part-sum", |it| replaced(it, "#EXTINF:1.00000", "#EXTINF:1.20000"));
}

#[test]
fn histories_that_cannot_be() {
    // A counter that stands still while segments leave.
    found("media-sequence", |it| {
        lines(it, |line| {
            if line.starts_with("#EXT-X-MEDIA-SEQUENCE") {
                "#EXT-X-MEDIA-SEQUENCE:0".to_owned()
            } else {
                line.to_owned()
            }
        });
    });
    found("discontinuity-sequence", |it| {
        replaced(it, "DISCONTINUITY-SEQUENCE:1", "DISCONTINUITY-SEQUENCE:0");
    });
    // gohlslib #107: the next part has another number than was promised.
    found("hint-not-kept", |it| {
        lines(it, |line| match line.split_once("TYPE=PART,URI=\"p") {
            Some((before, number)) => {
                let number: u64 = number.trim_end_matches(".m4s\"").parse().unwrap();
                format!(
                    "{before}TYPE=PART,URI=\"p{}.m4s\"",
                    if number.is_multiple_of(5) { number + 1 } else { number }
                )
            }
            None => line.to_owned(),
        });
    });
    // zap-stream-core #96: a name of the run before.
    found("uri-reused", |it| replaced(it, "\ns9.m4s", "\ns3.m4s"));
    found("segment-changed", |it| {
        if is_late(it) {
            replaced(it, "#EXTINF:1.00000,\ns6.m4s", "#EXTINF:0.96000,\ns6.m4s");
        }
    });
    found("part-changed", |it| {
        if it.answered > Duration::from_secs(7) {
            replaced(it, "0.2,URI=\"p31.m4s\"", "0.19,URI=\"p31.m4s\"");
        }
    });
    // A restart that begins anew under the same name.
    found("playlist-backwards", |it| {
        if whole(it) && is_late(it) && it.url.query().is_none() {
            header(it, "cache-control", Some("no-cache"));
            edit(it, |text| {
                text.split("#EXT-X-PROGRAM-DATE-TIME")
                    .take(3)
                    .collect::<Vec<_>>()
                    .join("#EXT-X-PROGRAM-DATE-TIME")
                    + "#EXTINF:1,\nx.m4s\n"
            });
        }
    });
    found("date-continuity", |it| replaced(it, "T08:00:09.000Z", "T08:00:09.300Z"));
    // It grew after its end.
    found("hint-after-end", |it| {
        edit(it, |text| {
            if text.contains("#EXT-X-ENDLIST") {
                text + "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p99.m4s\"\n"
            } else {
                text
            }
        });
    });
}

#[test]
fn delta_updates_that_do_not_fit() {
    // mediamtx #6237: segments within the Skip Boundary are skipped.
    found("delta-skips-too-much", |it| {
        edit(it, |text| {
            let Some(at) = text.find("#EXT-X-SKIP") else { return text };
            let count: u64 =
                text[at..].lines().next().unwrap().rsplit_once('=').unwrap().1.parse().unwrap();
            let rest = text[at..].splitn(5, "#EXTINF").last().unwrap();
            let rest = rest.split_once('\n').unwrap().1.split_once('\n').unwrap().1;
            format!("{}#EXT-X-SKIP:SKIPPED-SEGMENTS={}\n{rest}", &text[..at], count + 4)
        });
    });
    found("delta-differs", |it| {
        edit(it, |text| {
            if text.contains("#EXT-X-SKIP") {
                text.replace("INDEPENDENT=YES", "INDEPENDENT=NO")
            } else {
                text
            }
        });
    });
    found("delta-not-given", |it| {
        if it.url.query().is_some_and(|query| query.contains("skip")) && is_late(it) {
            // What a cache does that keeps whole playlists under the key of delta updates.
            edit(it, |text| {
                let Some(at) = text.find("#EXT-X-SKIP") else { return text };
                let end = at + text[at..].find('\n').unwrap() + 1;
                let old: String =
                    (0..4).map(|n| format!("#EXTINF:1.00000,\nold{n}.m4s\n")).collect();
                format!("{}{old}{}", &text[..at], &text[end..])
            });
        }
    });
    found("delta-not-offered", |it| replaced(it, ",CAN-SKIP-UNTIL=6", ",X=6"));
}

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

/// Changes the tag of the first poll, once its result is there.
fn poll(exchange: &mut Exchange, change: impl Fn(&str) -> String) {
    lines(exchange, |line| {
        let first =
            line.starts_with("#EXT-X-DATERANGE:ID=\"poll-0\"") && line.contains(",DURATION");
        if first { change(line) } else { line.to_owned() }
    });
}

#[test]
fn date_ranges_that_change_or_cannot_be_placed() {
    found("date-range-changed", |it| poll(it, |line| line.replace("eyJ9", "e30")));
    found("date-range-changed", |it| poll(it, |line| line.replace(",PLANNED-DURATION=3", "")));
    found("date-range-changed", |it| {
        poll(it, |line| format!("{line}\n{}", line.replace("live.nowcast.poll", "other")));
    });
    found("date-range-removed", |it| poll(it, |_| String::new()));
    // hls.js #7461: left out of delta updates without saying so.
    found("date-range-removed", |it| {
        if !whole(it) {
            poll(it, |_| String::new());
        }
    });
    found("date-range-start", |it| {
        replaced(it, ",START-DATE=\"2026-11-22T08:00:00.000Z\"", "");
    });
    // androidx/media #2428.
    found("date-range-start-unsaid", |it| {
        poll(it, |line| format!("{line}\n#EXT-X-DATERANGE:ID=\"poll-0\",DURATION=2"));
    });
    found("date-range-undated", |it| {
        lines(it, |line| {
            let date = line.starts_with("#EXT-X-PROGRAM");
            if date { "#".to_owned() } else { line.to_owned() }
        });
    });
    found("date-range", |it| poll(it, |line| format!("{line},END-ON-NEXT=YES")));
    found("date-range", |it| poll(it, |line| format!("{line},END-DATE=\"2026-11-22T08:00:03Z\"")));
    found("date-range", |it| poll(it, |line| line.replace("\"eyJ9\"", "eyJ9")));
    found("date", |it| poll(it, |line| line.replace("2026-", "")));
    found("attribute-list", |it| poll(it, |line| line.replace("DURATION=2", "DURATION=\"2\"")));
    found("attribute-missing", |it| poll(it, |line| line.replace("ID=\"poll-0\",", "")));
}

#[test]
fn multivariant_playlists_that_do_not_tell_the_truth() {
    // nginx-vod #946: the average.
    found("bandwidth", |it| replaced(it, ":BANDWIDTH=60000", ":BANDWIDTH=20000"));
    found("codecs", |it| replaced(it, "avc1.64001F", "avc1.42E01E"));
    found("codecs", |it| replaced(it, "mp4a.40.2", "mp4a.40.5"));
    found("resolution", |it| replaced(it, "1280x720", "1920x1080"));
    // AetherEngine #130.
    found("hdr-frame-rate", |it| replaced(it, "FRAME-RATE=25.000", "VIDEO-RANGE=PQ"));
    found("group", |it| replaced(it, "AUDIO=\"a\"", "AUDIO=\"b\""));
    found("stream-inf", |it| replaced(it, "CODECS=\"avc1.64001F,mp4a.40.2\",", ""));
    found("rendition-default", |it| replaced(it, "AUTOSELECT=YES", "AUTOSELECT=NO"));
    found("attribute-missing", |it| replaced(it, ":BANDWIDTH=60000,", ":"));
}

//! Faults in what playlists say: each is one that a server has had.

use std::time::Duration;

use nowcast_lint::Exchange;

use super::fault::*;

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

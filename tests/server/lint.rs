//! `nowcast lint` watches the server over HTTP.

use serde_json::Value;

use super::harness::{Server, nowcast, open_stream};
use super::player::Master;
use super::source::{Sender, usual};

/// Rules that a machine breaks which is too busy to serve and to watch in time.
pub(super) const TIMED: [&str; 7] = [
    "cadence",
    "hint-trickle",
    "media-held",
    "reload-plain-held",
    "reload-too-long",
    "renditions-out-of-step",
    "report-stale",
];

#[test]
fn nothing_is_wrong_with_the_server_by_its_own_lint() {
    let server = Server::start(&open_stream("a", "mode = \"passthrough\"\nwindow = \"12s\""));
    let _sender = Sender::bytes(&server, "a", &usual());
    let _playable = Master::of(&server, "a", 20);
    let url = format!("http://{}/live/a/index.m3u8", server.http);
    let (status, out, err) = nowcast(&["lint", &url, "--for", "16s", "--json"]);
    let report: Value =
        serde_json::from_str(&out).unwrap_or_else(|_| panic!("{status} {out}{err}"));
    let findings = report["findings"].as_array().unwrap();
    let lasting = |finding: &&Value| !TIMED.contains(&finding["rule"].as_str().unwrap());
    let faults: Vec<_> = findings.iter().filter(lasting).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    // Advice is no failure, a violation is one.
    assert_eq!(status, i32::from(report["violations"] != 0), "{err}");
    assert!(report["answers"].as_u64().unwrap() > 200, "{out}");
    let unseen: Vec<_> = report["unobserved"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["what"].as_str().unwrap())
        .collect();
    for seen in ["held hints", "refusals of wrong requests", "whether bytes stay the same"] {
        assert!(!unseen.contains(&seen), "{unseen:?}");
    }
    assert!(unseen.contains(&"the end of the stream"), "{unseen:?}");
}

#[test]
fn a_wrong_address_is_told_in_a_sentence() {
    let server = Server::start(&open_stream("a", ""));
    let nobody = format!("http://{}/live/a/index.m3u8", server.http);
    let (status, _, err) = nowcast(&["lint", &nobody, "--for", "1s"]);
    assert_eq!(status, 1);
    assert!(err.contains("answers 503") && err.contains("stream is live"), "{err}");
    let (status, _, err) = nowcast(&["lint", "http://127.0.0.1:1/index.m3u8", "--for", "1s"]);
    assert_eq!(status, 1);
    assert!(err.contains("Connection refused"), "{err}");
    for wrong in ["index.m3u8", "srt://127.0.0.1:9000"] {
        let (status, _, err) = nowcast(&["lint", wrong]);
        assert_eq!(status, 2, "{err}");
        assert!(err.contains("https://HOST"), "{err}");
    }
}

use super::broken::edit;
use super::stream::watch;
use nowcast_lint::{Exchange, Purpose};

fn assert_nothing(mut change: impl FnMut(&mut Exchange)) {
    let report = watch(&mut change);
    assert!(report.findings.is_empty(), "{:#?}", &report.findings[..report.findings.len().min(5)]);
}

#[test]
fn nothing_is_found_in_a_correct_stream() {
    let report = watch(&mut |_| {});
    assert!(report.findings.is_empty(), "{:#?}", &report.findings[..report.findings.len().min(5)]);
    assert!(report.exchanges > 500, "{}", report.exchanges);
    // It shows all but what a simulation has not.
    let unseen: Vec<_> = report.unobserved.iter().map(|it| it.what).collect();
    assert_eq!(
        unseen,
        [
            "gaps",
            "date ranges",
            "TLS, HTTP/2, priorities",
            "AVERAGE-BANDWIDTH, drift over hours",
            "collapsing of requests in caches"
        ]
    );
}

#[test]
fn nothing_is_found_in_what_other_servers_do_otherwise_and_legally() {
    // Absolute URIs.
    assert_nothing(|exchange| {
        let folder = exchange.url.join(".").unwrap();
        edit(exchange, |text| {
            text.replace("URI=\"p", &format!("URI=\"{folder}p"))
                .replace("\ns", &format!("\n{folder}s"))
        });
    });
    // Another line ending, another version of whole playlists, comments, unknown tags.
    assert_nothing(|exchange| {
        edit(exchange, |text| {
            let text = if text.contains("EXT-X-SKIP") {
                text
            } else {
                text.replace("VERSION:9", "VERSION:6")
            };
            text.replace("#EXT-X-SERVER", "# a remark\n#EXT-X-OF-MY-OWN:A=1\n#EXT-X-SERVER")
                .replace('\n', "\r\n")
        });
    });
    // A token in each query.
    assert_nothing(|exchange| {
        edit(exchange, |text| text.replace(".m4s", ".m4s?t=1").replace(".mp4\"", ".mp4?t=1\""));
        if !exchange.url.path().ends_with(".m3u8") {
            exchange.url.set_query(Some("t=1"));
        }
    });
    // No delta updates, no date of the kind a cache makes.
    assert_nothing(|exchange| {
        edit(exchange, |text| text.replace(",CAN-SKIP-UNTIL=6", ""));
        if exchange.url.query().is_some_and(|query| query.contains("_HLS_skip")) {
            exchange.purpose = Purpose::Probe(nowcast_lint::Probe::Identity);
            exchange.headers.retain(|(name, _)| name != "content-encoding");
        }
    });
}

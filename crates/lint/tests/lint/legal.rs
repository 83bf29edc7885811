use super::fault::edit;
use super::stream::watch;
use nowcast_lint::{Exchange, Purpose};

fn assert_nothing(mut change: impl FnMut(&mut Exchange)) {
    let report = watch(&mut change);
    assert!(report.findings.is_empty(), "{:#?}", &report.findings[..report.findings.len().min(5)]);
}

/// The tags of date ranges, and the lines that are left.
fn without_ranges(text: &str) -> (Vec<String>, String) {
    let (ranges, rest): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.starts_with("#EXT-X-DATERANGE"));
    (ranges.into_iter().map(str::to_owned).collect(), rest.join("\n") + "\n")
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
    // Date ranges at the end, the ends of them in tags of their own.
    assert_nothing(|exchange| {
        edit(exchange, |text| {
            let (ranges, mut text) = without_ranges(&text);
            for range in ranges {
                let ends = range.split(',').find(|it| it.starts_with("DURATION"));
                let open = ends.map_or_else(String::new, |ends| format!(",{ends}"));
                text += &range.replace(&open, "").replace("=3", "=3,X-A=-1.5,X-B=0xFF");
                text += "\n";
                if let Some(ends) = ends {
                    let fields: Vec<_> = range.split(',').collect();
                    text += &format!("{},{},{ends}\n", fields[0], fields[2]);
                }
            }
            text
        });
    });
    // Delta updates that leave date ranges out, too.
    assert_nothing(|exchange| {
        edit(exchange, |text| {
            let offered = text.replace("UNTIL=6", "UNTIL=6,CAN-SKIP-DATERANGES=YES");
            if !text.contains("#EXT-X-SKIP") {
                return offered;
            }
            let (ranges, text) = without_ranges(&offered);
            let news = ranges.iter().rev().take(2).map(|range| format!("{range}\n"));
            let text = text.replace("VERSION:9", "VERSION:10") + &news.collect::<String>();
            // Polls leave in the order in which they opened.
            let listed =
                |id: &String| ranges.iter().any(|range| range.contains(&format!("\"{id}\"")));
            let all = (0..100).step_by(20).map(|opens| format!("poll-{opens}"));
            let gone: Vec<_> = all.take_while(|id| !listed(id)).collect();
            let skip = text.lines().find(|line| line.starts_with("#EXT-X-SKIP")).unwrap();
            let removed = format!("{skip},RECENTLY-REMOVED-DATERANGES=\"{}\"", gone.join("\t"));
            text.replace(skip, &removed)
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

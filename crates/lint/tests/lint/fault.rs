//! Ways to break a stream, and the watch that must find it.

use std::time::Duration;

use nowcast_lint::{Exchange, Purpose, Severity};

use super::stream::watch;

/// Changes the text of a playlist.
pub(crate) fn edit(exchange: &mut Exchange, change: impl FnOnce(String) -> String) {
    if exchange.body.starts_with(b"#EXTM3U") {
        exchange.body = change(String::from_utf8(exchange.body.to_vec()).unwrap()).into();
    }
}

/// Changes the lines of a playlist.
pub(crate) fn lines(exchange: &mut Exchange, mut change: impl FnMut(&str) -> String) {
    edit(exchange, |text| text.lines().map(|line| change(line) + "\n").collect());
}

pub(crate) fn replaced(exchange: &mut Exchange, from: &str, to: &str) {
    edit(exchange, |text| text.replace(from, to));
}

pub(crate) fn is(exchange: &Exchange, name: &str) -> bool {
    exchange.url.path().ends_with(name)
}

pub(crate) fn header(exchange: &mut Exchange, name: &str, value: Option<&str>) {
    exchange.headers.retain(|(key, _)| key != name);
    exchange.headers.extend(value.map(|value| (name.to_owned(), value.to_owned())));
}

pub(crate) fn is_late(exchange: &Exchange) -> bool {
    exchange.answered > Duration::from_secs(8)
}

pub(crate) fn playlist(exchange: &Exchange) -> bool {
    exchange.purpose == Purpose::Playlist
}

pub(crate) fn whole(exchange: &Exchange) -> bool {
    playlist(exchange) && !exchange.url.query().unwrap_or_default().contains("skip")
}

/// Watches a stream with a fault, and asserts that its rule is found to be broken.
pub(crate) fn found(rule: &str, mut fault: impl FnMut(&mut Exchange)) {
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

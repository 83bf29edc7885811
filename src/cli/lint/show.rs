use std::collections::BTreeMap;
use std::fmt::Write;

use nowcast_lint::{Finding, Report, Severity};
use serde_json::{Value, json};

/// So many findings of a rule are written out; JSON has them all.
const EXAMPLES: usize = 3;

/// What a person reads.
pub(super) fn text(report: &Report) -> String {
    let mut text = String::new();
    for rule in rules(report) {
        let found: Vec<&Finding> =
            report.findings.iter().filter(|it| it.rule.id == rule.rule.id).collect();
        let kind = kind(rule.rule.severity);
        // Writing to a string cannot fail.
        writeln!(text, "{kind:<9}  {}  ({})", rule.rule.id, rule.rule.source).ok();
        for finding in found.iter().take(EXAMPLES) {
            let times = if finding.count > 1 {
                format!("  (seen {} times)", finding.count)
            } else {
                String::new()
            };
            let line = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
            writeln!(text, "  {}{times}", finding.message).ok();
            writeln!(text, "    {}{line}, after {:.1} s", finding.url, finding.first.as_secs_f64())
                .ok();
            if !finding.excerpt.is_empty() {
                writeln!(text, "    | {}", finding.excerpt).ok();
            }
        }
        let more: u64 = found.iter().skip(EXAMPLES).map(|finding| finding.count).sum();
        if more > 0 {
            writeln!(text, "  … and {more} more of this rule (--json has all)").ok();
        }
        text.push('\n');
    }
    if !report.unobserved.is_empty() {
        writeln!(text, "not observed").ok();
        for it in &report.unobserved {
            writeln!(text, "  {}: {}", it.what, it.why).ok();
        }
        text.push('\n');
    }
    let (violations, advice) = count(report);
    writeln!(
        text,
        "{} answers looked at: {violations} {} broken, {advice} not followed",
        report.exchanges,
        if violations == 1 { "rule" } else { "rules" }
    )
    .ok();
    text
}

/// Everything.
pub(super) fn json(report: &Report) -> Value {
    let (violations, advice) = count(report);
    let findings = report.findings.iter().map(|finding| {
        json!({
            "rule": finding.rule.id,
            "severity": kind(finding.rule.severity),
            "source": finding.rule.source,
            "url": finding.url,
            "line": finding.line,
            "excerpt": finding.excerpt,
            "message": finding.message,
            "first_ms": finding.first.as_millis(),
            "count": finding.count,
        })
    });
    let unobserved = report.unobserved.iter().map(|it| json!({ "what": it.what, "why": it.why }));
    json!({
        "violations": violations,
        "advice": advice,
        "answers": report.exchanges,
        "left_out": report.left_out,
        "findings": findings.collect::<Vec<_>>(),
        "unobserved": unobserved.collect::<Vec<_>>(),
    })
}

/// How many rules are broken, and how much advice is not followed.
pub(super) fn count(report: &Report) -> (usize, usize) {
    let rules = rules(report);
    let violations = rules.iter().filter(|it| it.rule.severity == Severity::Violation).count();
    (violations, rules.len() - violations)
}

/// The first finding of each rule, in the report's order.
fn rules(report: &Report) -> Vec<&Finding> {
    let mut seen = BTreeMap::new();
    report.findings.iter().filter(|finding| seen.insert(finding.rule.id, ()).is_none()).collect()
}

fn kind(severity: Severity) -> &'static str {
    match severity {
        Severity::Violation => "violation",
        Severity::Advice => "advice",
    }
}

use std::collections::HashMap;
use std::time::Duration;

use crate::rendition::Place;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// A rule that must be kept is broken, or a player is known to fail over it.
    Violation,
    /// A recommendation is not followed.
    Advice,
}

/// A rule: a name that stays, and where it stands.
#[derive(Debug, Eq, Hash, PartialEq)]
pub struct Rule {
    /// Its name, for people and for filters: `part-target`.
    pub id: &'static str,
    /// What breaking it means.
    pub severity: Severity,
    /// The document and the section: `RFC 8216bis §4.4.4.9`.
    pub source: &'static str,
}

impl Rule {
    pub(crate) const fn violation(id: &'static str, source: &'static str) -> Self {
        Self { id, severity: Severity::Violation, source }
    }

    pub(crate) const fn advice(id: &'static str, source: &'static str) -> Self {
        Self { id, severity: Severity::Advice, source }
    }
}

/// One thing that is wrong, however often it was seen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// The rule that is broken.
    pub rule: &'static Rule,
    /// What was fetched, without delivery directives.
    pub url: String,
    /// The line of the playlist, counted from 1, where it was seen first.
    pub line: Option<usize>,
    /// The line, or the header, that shows it.
    pub excerpt: String,
    /// One sentence: what is wrong, and what to do.
    pub message: String,
    /// When it was seen first, since the watch began.
    pub first: Duration,
    /// How often it was seen.
    pub count: u64,
}

/// Findings as they come in; equal ones are counted, not repeated.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    list: Vec<Finding>,
    places: HashMap<(&'static str, String, String), usize>,
    /// Seen, but beyond [`Findings::MOST`].
    pub(crate) left_out: u64,
}

impl Findings {
    /// So many different findings are kept: a stream that breaks a rule in each part of an hour has
    /// nothing more to tell.
    const MOST: usize = 10_000;

    pub(crate) fn add(&mut self, finding: Finding) {
        let key = (finding.rule.id, finding.url.clone(), finding.message.clone());
        if let Some(&place) = self.places.get(&key) {
            self.list[place].count += 1;
        } else if self.list.len() < Self::MOST {
            self.places.insert(key, self.list.len());
            self.list.push(finding);
        } else {
            self.left_out += 1;
        }
    }

    /// Violations first, then in the order in which rules were broken first.
    pub(crate) fn into_sorted(mut self) -> Vec<Finding> {
        let mut order = HashMap::new();
        for finding in &self.list {
            let next = order.len();
            order.entry(finding.rule.id).or_insert(next);
        }
        self.list.sort_by_key(|finding| (finding.rule.severity, order[finding.rule.id]));
        self.list
    }
}

/// Where the rules for one exchange put what they find.
#[derive(Debug)]
pub(crate) struct Sink<'a> {
    pub(crate) findings: &'a mut Findings,
    pub(crate) url: &'a str,
    pub(crate) at: Duration,
    /// The lines of the playlist, for excerpts.
    pub(crate) text: &'a str,
}

impl Sink<'_> {
    /// A fault on a line of the playlist, counted from 1.
    pub(crate) fn line(&mut self, rule: &'static Rule, line: usize, message: impl Into<String>) {
        let excerpt = self.text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        self.put(rule, Some(line), shorten(excerpt), message.into());
    }

    /// A fault of media, with the line of the playlist that listed it first.
    pub(crate) fn listed(
        &mut self,
        rule: &'static Rule,
        place: &Place,
        message: impl Into<String>,
    ) {
        self.put(rule, None, shorten(&place.excerpt), message.into());
    }

    /// A fault of the whole, with what shows it.
    pub(crate) fn whole(
        &mut self,
        rule: &'static Rule,
        excerpt: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.put(rule, None, shorten(&excerpt.into()), message.into());
    }

    fn put(&mut self, rule: &'static Rule, line: Option<usize>, excerpt: String, message: String) {
        let (url, first) = (self.url.to_owned(), self.at);
        self.findings.add(Finding { rule, url, line, excerpt, message, first, count: 1 });
    }
}

fn shorten(text: &str) -> String {
    const MOST: usize = 200;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

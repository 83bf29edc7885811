use crate::finding::{Finding, Severity};

/// The result of a watch.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What is wrong, violations first.
    pub findings: Vec<Finding>,
    /// Different findings beyond those kept.
    pub left_out: u64,
    /// Rules that could not be checked, and why.
    pub unobserved: Vec<Unobserved>,
    /// Answers that were looked at.
    pub exchanges: u64,
}

/// Something that was not there to be seen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unobserved {
    /// Which rules.
    pub what: &'static str,
    /// Why.
    pub why: &'static str,
}

impl Report {
    /// Whether a rule that must be kept was broken.
    #[must_use]
    pub fn has_violations(&self) -> bool {
        self.findings.iter().any(|finding| finding.rule.severity == Severity::Violation)
    }
}

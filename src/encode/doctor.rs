//! What this machine can encode, for `nowcast doctor`.

/// One finding.
#[derive(Debug)]
pub struct ElementReport {
    /// What.
    pub name: String,
    /// Needed.
    pub needed: bool,
    /// Detail.
    pub detail: String,
    /// Fault and remedy.
    pub fault: Option<String>,
}

/// What this machine can encode.
#[must_use]
pub fn probe() -> Vec<ElementReport> {
    Vec::new()
}

use serde::{Deserialize, Serialize};

/// Why an op has no effect: what happened, and what to do.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Refusal {
    /// For programs: `rate.user`, `poll.closed`, …
    pub code: String,
    /// What happened, in a sentence.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// When the same op may be sent again, where waiting helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Whether what was written is worth keeping.
    pub keep_draft: bool,
}

impl Refusal {
    /// A refusal after which the same draft can be mended or sent again.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            hint: hint.into(),
            retry_after_ms: None,
            keep_draft: true,
        }
    }

    /// With the time after which it may be tried again.
    #[must_use]
    pub fn after(self, millis: u64) -> Self {
        Self { retry_after_ms: Some(millis), ..self }
    }

    pub(crate) fn invalid(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new("state.invalid", message, hint)
    }

    pub(crate) fn unknown(what: &str) -> Self {
        let hint = "It may be over, or older than what is kept: look at the present state.";
        Self::new(&format!("unknown.{what}"), format!("There is no such {what} here."), hint)
    }

    pub(crate) fn role(needed: &str) -> Self {
        Self::new(
            "auth.role",
            format!("Only a {needed} may do that."),
            format!("Sign in with the token of a {needed}."),
        )
    }
}

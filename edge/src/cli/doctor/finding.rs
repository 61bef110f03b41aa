//! What a check has found: a state, a sentence, and what to do about it.

use std::fmt::{Display, Write as _};

use serde::Serialize;

/// What to do about a value that cannot be used.
pub(super) const CORRECT: &str = "correct it in the configuration; `earwitness check` looks at the rest of it";

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum CheckState {
    /// As it should be, or of no concern.
    Ok,
    /// It works, but could be better, or will stop working one day.
    Warning,
    /// It does not work.
    Problem,
}

/// What a check has found.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    pub(super) state: CheckState,
    pub(super) text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) advice: Vec<String>,
}

impl CheckState {
    fn name(self) -> &'static str {
        match self {
            CheckState::Ok => "ok",
            CheckState::Warning => "warning",
            CheckState::Problem => "problem",
        }
    }
}

impl Finding {
    pub(super) fn ok(check: &'static str, text: impl Display) -> Self {
        Self::new(check, CheckState::Ok, text)
    }

    pub(super) fn warning(check: &'static str, text: impl Display) -> Self {
        Self::new(check, CheckState::Warning, text)
    }

    pub(super) fn problem(check: &'static str, text: impl Display) -> Self {
        Self::new(check, CheckState::Problem, text)
    }

    fn new(check: &'static str, state: CheckState, text: impl Display) -> Self {
        Finding { check, state, text: text.to_string(), advice: Vec::new() }
    }

    /// With what to do about it.
    pub(super) fn advise(mut self, advice: impl Display) -> Self {
        self.advice.push(advice.to_string());
        self
    }

    /// A line, and one below it for each advice.
    pub(super) fn lines(&self, name_width: usize, state_width: usize) -> String {
        let mut text = format!("{:name_width$}  {:state_width$}  {}\n", self.check, self.state.name(), self.text);
        for advice in &self.advice {
            let _ = writeln!(text, "{:width$}  -> {advice}", "", width = name_width + 2 + state_width);
        }
        text
    }
}

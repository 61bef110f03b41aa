//! Faults with an identity: what went wrong is a kind, and its text is made for people.
//!
//! Texts hold numbers, addresses and times that differ from one occurrence to the next; a kind does
//! not. Everything that has to know whether a fault is the same as before uses the kind: what is
//! logged once ([`FaultLog`]), the wait before the next attempt ([`Backoff`]), the health message,
//! Home Assistant's diagnostic and the status topic.
//!
//! Capture, the journal and the sinks all use this module; it uses none of them.

mod backoff;
mod log;

pub use backoff::{Backoff, SOUND};
pub use log::{FaultLog, N_CAUSES, News};

use std::fmt;

use serde::Serialize;

use crate::error::one_line;

/// Something that went wrong and may pass.
///
/// Two faults are equal when they are of the same kind, even if their texts differ.
#[derive(Debug, Clone, Serialize)]
pub struct Fault {
    /// What it is, in a few words with hyphens: `certificate-expired`. Each module names the kinds
    /// of its own faults; they are part of the health message, so they stay.
    kind: &'static str,
    /// Cause and remedy for people, on one line.
    text: String,
}

impl Fault {
    /// A fault of this `kind`, which `text` explains.
    pub fn new(kind: &'static str, text: impl fmt::Display) -> Self {
        Fault { kind, text: one_line(text) }
    }

    /// What it is; the same for all occurrences.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Cause and remedy, with the figures of this occurrence.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Fault {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

impl Eq for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_makes_a_fault_the_same_and_not_its_text() {
        let fault = |n: u32| Fault::new("truncated", format!("{n} bytes came\nof 4096"));
        assert_eq!(fault(2244), fault(17));
        assert_ne!(fault(17), Fault::new("stalled", "17 bytes came; of 4096"));
        assert_eq!(fault(17).to_string(), "17 bytes came; of 4096");
        assert_eq!(serde_json::to_string(&fault(1)).unwrap(), r#"{"kind":"truncated","text":"1 bytes came; of 4096"}"#);
    }
}

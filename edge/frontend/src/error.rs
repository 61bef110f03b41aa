//! The crate's one error type.

/// What went wrong, with the field that caused it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// A front-end parameter is outside its range.
    #[error("front end: {field} is {actual}, expected {expected}")]
    Frontend {
        /// Name of the parameter, as in the manifest.
        field: &'static str,
        /// What would be accepted.
        expected: String,
        /// What was given.
        actual: String,
    },
    /// A manifest field contradicts another one or is outside its range.
    #[error("manifest: {field} is {actual}, expected {expected}")]
    Manifest {
        /// Path of the field, such as `network.pulse_frames`.
        field: String,
        /// What would be accepted.
        expected: String,
        /// What was given.
        actual: String,
    },
    /// The manifest's text is not TOML, lacks a field, or has an unknown one; the message names
    /// line and field.
    #[error("manifest: {message}")]
    Syntax {
        /// The parser's message with line and column.
        message: String,
    },
    /// These two sample rates cannot be converted into each other.
    #[error("resampling from {from_hz} Hz to {to_hz} Hz: {reason}")]
    Resample {
        /// Input rate.
        from_hz: u32,
        /// Output rate.
        to_hz: u32,
        /// Why not.
        reason: String,
    },
}

/// [`Error::Manifest`] about `field` unless `holds`.
pub(crate) fn expect(holds: bool, field: &str, expected: impl ToString, actual: impl ToString) -> Result<(), Error> {
    if holds {
        Ok(())
    } else {
        Err(Error::Manifest { field: field.into(), expected: expected.to_string(), actual: actual.to_string() })
    }
}

//! What cannot be convolved.

/// A number of values that does not fit the geometry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Of what there is another number than needed.
    pub what: &'static str,
    /// How many are needed.
    pub expected: usize,
    /// How many there are.
    pub actual: usize,
}

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: expected {}, actual {}", self.what, self.expected, self.actual)
    }
}

impl std::error::Error for Error {}

/// # Errors
///
/// When there are not as many as expected.
pub(crate) fn check(what: &'static str, expected: usize, actual: usize) -> Result<()> {
    if expected == actual { Ok(()) } else { Err(Error { what, expected, actual }) }
}

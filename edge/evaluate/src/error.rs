//! The one error type of the crate. Messages are one line, lower case, without a final stop.

use std::fmt::Display;
use std::path::{Path, PathBuf};

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an evaluation cannot be made or drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that says what is in a recording and cannot be used.
    #[error("{}: {reason}", place(file, *line, field))]
    Truth {
        /// The file.
        file: PathBuf,
        /// Line in the file, from 1, where it is known.
        line: Option<u64>,
        /// The column; empty where the whole file or line is meant.
        field: String,
        /// What is wrong.
        reason: String,
    },
    /// A drawing that cannot be made.
    #[error("drawing: {0}")]
    Draw(String),
    /// The front end refuses its parameters or a sample rate.
    #[error(transparent)]
    Frontend(#[from] edge_frontend::Error),
    /// The operating system refused a file.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, naming the file.
        what: String,
        /// The cause.
        source: std::io::Error,
    },
}

impl Error {
    /// An [`Error::Truth`].
    pub(crate) fn truth(file: &Path, line: Option<u64>, field: &str, reason: impl Display) -> Self {
        Error::Truth { file: file.to_path_buf(), line, field: field.to_string(), reason: reason.to_string() }
    }

    /// An [`Error::Draw`].
    pub(crate) fn draw(reason: impl Display) -> Self {
        Error::Draw(reason.to_string())
    }

    /// An [`Error::Io`], for use in `map_err`.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Error::Io { what, source }
    }
}

fn place(file: &Path, line: Option<u64>, field: &str) -> String {
    let mut place = file.display().to_string();
    if let Some(line) = line {
        place.push_str(&format!(":{line}"));
    }
    if !field.is_empty() {
        place.push_str(&format!(": {field}"));
    }
    place
}

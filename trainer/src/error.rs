//! The crate's error: what went wrong, where, and whether the user's input or the run is to blame.

use std::path::{Path, PathBuf};

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Anything that can stop a training, an evaluation or an export.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A recipe, a table or an option is wrong. `line` counts from 1.
    #[error("{}{}: {message}", path.display(), line.map(|l| format!(":{l}")).unwrap_or_default())]
    Input {
        /// The file that holds the mistake.
        path: PathBuf,
        /// The line that holds it, where it is known.
        line: Option<usize>,
        /// What is wrong, naming the field.
        message: String,
    },
    /// A command-line argument is wrong, or does not fit the recipe or the checkpoint.
    #[error("{0}")]
    Usage(String),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A checkpoint, a cache or a result file does not hold what it should.
    #[error("{}: {message}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A recording cannot be decoded.
    #[error(transparent)]
    Audio(#[from] edge::Error),
    /// The front end refuses its configuration.
    #[error("front end: {0}")]
    Frontend(#[from] edge_frontend::Error),
    /// libtorch reports an error.
    #[error("torch: {0}")]
    Torch(#[from] tch::TchError),
    /// An exported model does not compute what the trained one does.
    #[error("verification of {}: {message}", path.display())]
    Verification {
        /// The exported file.
        path: PathBuf,
        /// The comparison that failed.
        message: String,
    },
    /// The loss is no number any more.
    #[error("training diverged at step {step}; a lower learning rate may help")]
    Diverged {
        /// Step at which it was noticed.
        step: u64,
    },
    /// The run was interrupted; its state is saved.
    #[error("interrupted; continue with --resume")]
    Interrupted,
}

impl Error {
    /// Whether the user's input (recipe, table, arguments) is to blame rather than the run.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Input { .. } | Self::Usage(_))
    }

    /// Process exit code: 2 for bad usage or configuration, 1 for a failure at run time.
    pub fn exit_code(&self) -> u8 {
        if self.is_usage() { 2 } else { 1 }
    }

    pub(crate) fn input(path: &Path, line: Option<usize>, message: impl Into<String>) -> Self {
        Self::Input { path: path.to_owned(), line, message: message.into() }
    }

    pub(crate) fn content(path: &Path, message: impl Into<String>) -> Self {
        Self::Content { path: path.to_owned(), message: message.into() }
    }

    /// For `map_err`: an input-output error on `path`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

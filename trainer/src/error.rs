//! The crate's error: what went wrong and where. Its kind gives the exit code of the process.

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
    /// An array or a table has another size or shape than the rest of its file.
    #[error("{}: {field}: expected {expected}, actual {actual}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What of it.
        field: String,
        /// What fits the rest.
        expected: String,
        /// What was found.
        actual: String,
    },
    /// The daemon's library reports an error: a recording cannot be decoded, a model folder is
    /// broken, an engine fails.
    #[error(transparent)]
    Edge(#[from] edge::Error),
    /// The front end refuses its parameters, a manifest or a pair of sample rates.
    #[error(transparent)]
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
    /// The loss is no longer a finite number.
    #[error("training diverged at step {step}; a lower learning rate may help")]
    Diverged {
        /// Step at which it was noticed.
        step: u64,
    },
    /// The run was interrupted; its state is saved.
    #[error("interrupted; continue with --resume")]
    Interrupted,
}

/// What kind of failure an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The recipe, a table or the command line must be corrected.
    Usage,
    /// A model folder must be corrected.
    Model,
    /// A recording, a checkpoint, a cache or a result file does not hold what it should.
    Data,
    /// The operating system refused something.
    Io,
    /// libtorch reports an error.
    Torch,
    /// An exported model does not compute what the trained one does.
    Verification,
    /// The training diverged.
    Diverged,
    /// The run was interrupted and can be resumed.
    Interrupted,
}

impl From<assemble::Error> for Error {
    fn from(error: assemble::Error) -> Self {
        match error {
            assemble::Error::Io { path, source } => Self::Io { path, source },
            assemble::Error::Content { path, message } => Self::Content { path, message },
        }
    }
}

impl ErrorKind {
    /// Exit code of the process: 2 for what the user must correct before starting again, 1 for a
    /// failure at run time.
    pub fn exit_code(self) -> u8 {
        if matches!(self, Self::Usage | Self::Model) { 2 } else { 1 }
    }
}

impl Error {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        use edge::error::ErrorKind as Edge;
        match self {
            Self::Input { .. } | Self::Usage(_) => ErrorKind::Usage,
            Self::Io { .. } => ErrorKind::Io,
            Self::Content { .. } | Self::Mismatch { .. } => ErrorKind::Data,
            Self::Edge(error) => match error.kind() {
                Edge::Config => ErrorKind::Usage,
                Edge::Model => ErrorKind::Model,
                Edge::Audio => ErrorKind::Data,
                Edge::Device | Edge::Io => ErrorKind::Io,
            },
            Self::Frontend(error) => match error {
                edge_frontend::Error::Frontend { .. } => ErrorKind::Usage,
                edge_frontend::Error::Manifest { .. } | edge_frontend::Error::Syntax { .. } => ErrorKind::Model,
                edge_frontend::Error::Resample { .. } => ErrorKind::Data,
            },
            Self::Torch(_) => ErrorKind::Torch,
            Self::Verification { .. } => ErrorKind::Verification,
            Self::Diverged { .. } => ErrorKind::Diverged,
            Self::Interrupted => ErrorKind::Interrupted,
        }
    }

    /// Exit code of the process, that of the [`kind`](Self::kind).
    pub fn exit_code(&self) -> u8 {
        self.kind().exit_code()
    }

    pub(crate) fn input(path: &Path, line: Option<usize>, message: impl Into<String>) -> Self {
        Self::Input { path: path.to_owned(), line, message: message.into() }
    }

    pub(crate) fn content(path: &Path, message: impl Into<String>) -> Self {
        Self::Content { path: path.to_owned(), message: message.into() }
    }

    pub(crate) fn mismatch(
        path: &Path,
        field: impl Into<String>,
        expected: impl ToString,
        actual: impl ToString,
    ) -> Self {
        let (expected, actual) = (expected.to_string(), actual.to_string());
        Self::Mismatch { path: path.to_owned(), field: field.into(), expected, actual }
    }

    /// For `map_err`: an input-output error on `path`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

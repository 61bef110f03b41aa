//! The one error type of the crate.
//!
//! Every variant belongs to an [`ErrorKind`], which says who can correct it:
//! [`ErrorKind::exit_code`] is what the binary returns to the shell. Messages are one line, lower
//! case, without a final stop, and name the file and the field.
//!
//! Building an `Error` allocates; none is built on the audio thread.

use std::path::{Path, PathBuf};

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between a microphone and a broker.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration file that cannot be read or parsed, or a key with a value that makes no
    /// sense.
    #[error("{}: {reason}", place(file, *line, key))]
    Config {
        /// The configuration file.
        file: PathBuf,
        /// Line in the file, from 1, where it is known.
        line: Option<usize>,
        /// Dotted key, for example `mqtt.url`; empty where the whole file is meant.
        key: String,
        /// What is wrong.
        reason: String,
    },

    /// A command line option with a value that makes no sense.
    #[error("{option}: {reason}")]
    Usage {
        /// The option as typed, for example `--source`.
        option: String,
        /// What is wrong.
        reason: String,
    },

    /// A model folder or a file of it that is missing, unreadable or broken.
    #[error("model file {}: {reason}", path.display())]
    ModelFile {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },

    /// A field of the manifest that contradicts the files beside it.
    #[error("model {}: {field}: expected {expected}, actual {actual}", path.display())]
    ModelField {
        /// The file in which `actual` was found.
        path: PathBuf,
        /// The manifest's field, dotted.
        field: &'static str,
        /// What the manifest promises.
        expected: String,
        /// What was found.
        actual: String,
    },

    /// The network failed while running.
    #[error("engine: {0}")]
    Engine(String),

    /// An audio file that cannot be decoded, or one that holds no audio.
    #[error("audio file {}: {reason}", path.display())]
    AudioFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },

    /// An evaluation that cannot be made: its truth cannot be read, or a drawing not be written.
    #[cfg(feature = "evaluate")]
    #[error(transparent)]
    Evaluation(#[from] edge_evaluate::Error),

    /// A sample stream that cannot be processed: its rate, format or channel count.
    #[error("audio stream: {field}: expected {expected}, actual {actual}")]
    AudioStream {
        /// Which property of the stream.
        field: &'static str,
        /// What can be processed.
        expected: String,
        /// What came.
        actual: String,
    },

    /// A capture device that is absent, refuses its configuration or went away.
    #[error("capture device {device}: {reason}")]
    Device {
        /// Its name or id as asked for; `default` for the default device.
        device: String,
        /// What is wrong.
        reason: String,
    },

    /// A pipe, a program or a stream of the network that does not bring sound.
    #[error("source {name}: {reason}")]
    Source {
        /// What it is, without secrets.
        name: String,
        /// What is wrong.
        reason: String,
    },

    /// The operating system refused a file, a pipe, a thread or a signal handler.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, naming the file.
        what: String,
        /// The cause.
        source: std::io::Error,
    },

    /// A part that was given up by its own thread, for example after a panic of a dependency.
    #[error("{thread} thread: {reason}")]
    Thread {
        /// The thread's name.
        thread: &'static str,
        /// What is known.
        reason: String,
    },
}

/// What kind of failure an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The command line, the configuration or a file of what is true must be corrected.
    Config,
    /// The model folder must be corrected.
    Model,
    /// The audio cannot be decoded or processed.
    Audio,
    /// The capture device is missing or lost.
    Device,
    /// The operating system refused something, or a part of the daemon failed.
    Io,
}

impl ErrorKind {
    /// Exit code of the process: 2 for what the user must correct before starting again, 1 for what
    /// happened at run time.
    pub fn exit_code(self) -> u8 {
        match self {
            ErrorKind::Config | ErrorKind::Model => 2,
            ErrorKind::Audio | ErrorKind::Device | ErrorKind::Io => 1,
        }
    }
}

impl Error {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Config { .. } | Error::Usage { .. } => ErrorKind::Config,
            #[cfg(feature = "evaluate")]
            Error::Evaluation(edge_evaluate::Error::Truth { .. }) => ErrorKind::Config,
            #[cfg(feature = "evaluate")]
            Error::Evaluation(_) => ErrorKind::Io,
            Error::ModelFile { .. } | Error::ModelField { .. } => ErrorKind::Model,
            Error::AudioFile { .. } | Error::AudioStream { .. } => ErrorKind::Audio,
            Error::Device { .. } | Error::Source { .. } => ErrorKind::Device,
            Error::Engine(_) | Error::Io { .. } | Error::Thread { .. } => ErrorKind::Io,
        }
    }

    /// A stream or clip whose sample rate cannot be converted to the model's `model_hz`, for use in
    /// `map_err`.
    pub fn sample_rate(model_hz: u32) -> impl FnOnce(edge_frontend::Error) -> Self {
        move |error| Error::AudioStream {
            field: "sample rate",
            expected: format!("one that can be converted to {model_hz} Hz"),
            actual: error.to_string(),
        }
    }

    /// An [`Error::Io`], for use in `map_err`:
    /// `Error::io(format!("cannot open {}", path.display()))`.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Error::Io { what, source }
    }

    /// An [`Error::AudioFile`].
    pub fn audio_file(path: &Path, reason: impl std::fmt::Display) -> Self {
        Error::AudioFile { path: path.to_path_buf(), reason: one_line(reason) }
    }

    /// An [`Error::ModelFile`].
    pub fn model_file(path: &Path, reason: impl std::fmt::Display) -> Self {
        Error::ModelFile { path: path.to_path_buf(), reason: one_line(reason) }
    }

    /// An [`Error::Device`].
    pub fn device(device: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Error::Device { device: device.into(), reason: one_line(reason) }
    }

    /// An [`Error::Source`].
    pub fn source(name: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Error::Source { name: name.into(), reason: one_line(reason) }
    }

    /// An [`Error::Usage`].
    pub fn usage(option: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Error::Usage { option: option.into(), reason: one_line(reason) }
    }
}

/// Messages of dependencies may span lines; an error of ours is one line, so that it is one log
/// record.
pub(crate) fn one_line(text: impl std::fmt::Display) -> String {
    let text = text.to_string();
    let mut parts = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut line = parts.next().unwrap_or_default().to_string();
    for part in parts {
        line.push_str("; ");
        line.push_str(part);
    }
    line
}

fn place(file: &Path, line: Option<usize>, key: &str) -> String {
    let mut place = file.display().to_string();
    if let Some(line) = line {
        place.push_str(&format!(":{line}"));
    }
    if !key.is_empty() {
        place.push_str(&format!(": {key}"));
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_errors_name_file_line_and_key() {
        let error =
            Error::Config { file: "a.toml".into(), line: Some(3), key: "mqtt.url".into(), reason: "no host".into() };
        assert_eq!(error.to_string(), "a.toml:3: mqtt.url: no host");
        assert_eq!(error.kind().exit_code(), 2);
    }

    #[test]
    fn messages_of_dependencies_become_one_line() {
        let error = Error::model_file(Path::new("m.onnx"), "broken\n\n   because of\n  that\n");
        assert_eq!(error.to_string(), "model file m.onnx: broken; because of; that");
        assert_eq!(error.kind(), ErrorKind::Model);
    }

    #[test]
    fn run_time_failures_exit_with_one() {
        assert_eq!(Error::device("default", "gone").kind().exit_code(), 1);
        assert_eq!(Error::audio_file(Path::new("a.wav"), "empty").kind().exit_code(), 1);
    }
}

//! Models that are put together on the user's machine: somebody else's network, which a package
//! brings by name, and a head of Earwitness, which lies in the repository.
//!
//! | module | enters | leaves |
//! |---|---|---|
//! | [`onnx::Constants`] | the bytes of an ONNX file | its constants, as [`Array`]s |
//! | [`ced`] | the file of CED-tiny | [`ced::Weights`] |
//! | [`Head`] | `head.safetensors` | the layers from CED-tiny's tokens to logits |
//! | [`network`] | weights, head, front end | the bytes of an ONNX file of [`onnx::Graph`] |
//! | [`folder`] | a model folder | the same with its `model.onnx` |
//!
//! The trainer uses the same modules, so that it and the daemon hear the same network.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod ced;
pub mod folder;
mod head;
pub mod network;
pub mod onnx;

pub use head::{Head, HeadShape, Linear};

use std::path::{Path, PathBuf};

/// A tensor in single precision, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Sizes of its axes.
    pub dims: Vec<usize>,
    /// As many values as the product of the sizes.
    pub values: Vec<f32>,
}

impl Array {
    /// An array of one axis.
    pub fn vector(values: Vec<f32>) -> Self {
        Self { dims: vec![values.len()], values }
    }
}

/// Why a model cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {message}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the remedy where there is one.
        message: String,
    },
}

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Wraps the system's answer about `path`.
    pub(crate) fn io(path: &Path) -> impl Fn(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn content(path: &Path, message: impl Into<String>) -> Self {
        Self::Content { path: path.to_owned(), message: message.into() }
    }
}

/// SHA-256 of `bytes`, 64 lower-case hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

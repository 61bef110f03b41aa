//! Scores files: what networks put out for segments, on disk.
//!
//! Rows are known by their annotation_id everywhere, never by their position. In messages they
//! count from 0, as numpy does.

pub(crate) mod archive;
pub mod file;
mod npy;
pub mod predictions;

pub use file::Scores;
pub use predictions::Predictions;

//! Where the audio of segments lies.
//!
//! Enters: a recording and a range of its samples, which may reach past its end. Leaves: the samples there are. Any thread may
//! ask.

use super::folder::Folder;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// A place that holds recordings.
#[derive(Debug)]
pub enum Store {
    /// Files of a folder.
    Folder(Folder),
}

/// Samples of a recording at the front end's rate.
#[derive(Debug)]
pub struct Slice {
    all: Arc<Vec<f32>>,
    range: Range<usize>,
    /// Samples of the whole recording.
    pub n_recording: u64,
}

impl Deref for Slice {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.all[self.range.clone()]
    }
}

impl Store {
    /// The samples `range` of `recording`, fewer where it ends before.
    ///
    /// # Errors
    ///
    /// A message that names the file.
    pub fn read(&self, recording: &str, range: Range<u64>) -> Result<Slice, String> {
        match self {
            Self::Folder(folder) => {
                let all = folder.samples(recording)?;
                let n = all.len() as u64;
                let range = range.start.min(n) as usize..range.end.min(n) as usize;
                Ok(Slice { all, range, n_recording: n })
            }
        }
    }

    /// The place of `recording`, for messages.
    pub fn name(&self, recording: &str) -> String {
        match self {
            Self::Folder(folder) => {
                folder.path(recording).map_or_else(|| recording.to_owned(), |p| p.display().to_string())
            }
        }
    }
}

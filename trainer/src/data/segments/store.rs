//! Where the audio of segments lies.
//!
//! Enters: a recording and a range of its samples, which may reach past its end. Leaves: the
//! samples there are. Any thread may ask.

use super::folder::Folder;
use super::hdf5::Hdf5;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// A place that holds recordings.
#[derive(Debug)]
pub enum Store {
    /// Data sets of an HDF5 file, all looked up.
    Hdf5(Hdf5),
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
            Self::Hdf5(file) => {
                let n = self.n_samples(recording)?;
                let all = file.read(recording, range.start.min(n)..range.end.min(n))?;
                Ok(Slice { range: 0..all.len(), all: Arc::new(all), n_recording: n })
            }
            Self::Folder(folder) => {
                let all = folder.samples(recording)?;
                let n = all.len() as u64;
                let range = range.start.min(n) as usize..range.end.min(n) as usize;
                Ok(Slice { all, range, n_recording: n })
            }
        }
    }

    /// Samples of `recording`.
    ///
    /// # Errors
    ///
    /// A message that names the file.
    pub fn n_samples(&self, recording: &str) -> Result<u64, String> {
        match self {
            Self::Hdf5(file) => {
                file.n_samples(recording).ok_or_else(|| format!("recording {recording:?} was not looked up"))
            }
            Self::Folder(folder) => Ok(folder.samples(recording)?.len() as u64),
        }
    }

    /// The place of `recording`, for messages.
    pub fn name(&self, recording: &str) -> String {
        match self {
            Self::Hdf5(file) => format!("{}: data set {recording:?}", file.path().display()),
            Self::Folder(folder) => match folder.path(recording) {
                Some(path) => path.display().to_string(),
                None => recording.to_owned(),
            },
        }
    }
}

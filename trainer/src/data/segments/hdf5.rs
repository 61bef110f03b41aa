//! Recordings in an HDF5 file: one float32 data set of one dimension per recording, at the
//! front end's rate.
//!
//! Enters: the name of a recording and a range of its samples. Leaves: these samples, and only the
//! storage that holds them is read: a contiguous data set gives the range itself, a chunked one the
//! chunks it touches. A data set is opened for one read and closed after it, so that there is at
//! most one chunk cache, of HDF5's default of 1 MiB; memory depends neither on the length of a
//! recording nor on their number, unless a file's single chunk is a whole recording.
//!
//! The library has one lock for all it does. Any thread may ask; reads come one after the other,
//! and what is computed of them is outside the lock.

use hdf5_metno::types::{FloatSize, TypeDescriptor};
use hdf5_metno::{Dataset, File};
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// An open file.
#[derive(Debug)]
pub struct Hdf5 {
    path: PathBuf,
    file: Mutex<File>,
    /// Samples of each recording that was looked up.
    lengths: HashMap<String, u64>,
}

impl Hdf5 {
    /// Opens the file at `path`.
    ///
    /// # Errors
    ///
    /// A message, if it is not an HDF5 file or is truncated.
    pub fn open(path: &Path) -> Result<Self, String> {
        // The library's own message for a missing file is long and says less.
        std::fs::File::open(path).map_err(|e| e.to_string())?;
        let file = File::open(path).map_err(|e| format!("not a readable HDF5 file: {e}"))?;
        Ok(Self { path: path.to_owned(), file: Mutex::new(file), lengths: HashMap::new() })
    }

    /// Looks `recording` up and checks its form. Leaves its number of samples.
    ///
    /// # Errors
    ///
    /// A message that names the file, if there is no such data set, or it is not of float32 or not
    /// of one dimension.
    pub fn look_up(&mut self, recording: &str) -> Result<u64, String> {
        if let Some(n) = self.lengths.get(recording) {
            return Ok(*n);
        }
        let wrong = |message: String| format!("{}: data set {recording:?}: {message}", self.path.display());
        let n = {
            let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            length(&open(&file, recording).map_err(wrong)?).map_err(wrong)?
        };
        self.lengths.insert(recording.to_owned(), n);
        Ok(n)
    }

    /// Samples of `recording`, if it was looked up.
    pub fn n_samples(&self, recording: &str) -> Option<u64> {
        self.lengths.get(recording).copied()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The samples `range` of `recording`, which was looked up and has them.
    ///
    /// # Errors
    ///
    /// A message that names the file and the data set, if its storage is damaged.
    pub fn read(&self, recording: &str, range: Range<u64>) -> Result<Vec<f32>, String> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let slice = range.start as usize..range.end as usize;
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let samples = open(&file, recording)
            .and_then(|data_set| data_set.read_slice_1d::<f32, _>(slice).map_err(|e| e.to_string()))
            .map_err(|e| {
                let (path, Range { start, end }) = (self.path.display(), range);
                format!("{path}: data set {recording:?}: samples {start} to {end} cannot be read: {e}")
            })?;
        Ok(samples.into_raw_vec_and_offset().0)
    }
}

fn open(file: &File, recording: &str) -> Result<Dataset, String> {
    // An empty name, or one with a dot, would be the root group or something else that HDF5
    // resolves.
    if recording.is_empty() || !file.link_exists(recording) {
        return Err("does not exist".into());
    }
    file.dataset(recording).map_err(|e| format!("cannot be opened: {e}"))
}

fn length(data_set: &Dataset) -> Result<u64, String> {
    let kind = data_set.dtype().and_then(|kind| kind.to_descriptor()).map_err(|e| format!("type is unknown: {e}"))?;
    if kind != TypeDescriptor::Float(FloatSize::U4) {
        return Err(format!("holds {kind}, expected float32"));
    }
    match data_set.space().map_err(|e| format!("extent cannot be read: {e}"))?.shape()[..] {
        [n] => Ok(n as u64),
        ref shape => Err(format!("has {} dimensions, expected 1", shape.len())),
    }
}

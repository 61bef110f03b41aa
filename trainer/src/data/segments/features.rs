//! Features of slices, kept where they are the same every time.
//!
//! Enters: samples at the front end's rate. Leaves: `(n_frames, n_mels)` row-major from
//! `edge_frontend` alone. Features of slices that are taken again are kept in memory up to a number
//! of bytes, first come, and in a folder if there is one; there the key is a hash of the samples,
//! so that changed audio is another entry. Any thread may ask.

use crate::data::features::FeatureCache;
use crate::error::Result;
use edge_frontend::{FrontendConfig, LogMel};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Which slice: index of the segment, first sample of the recording.
pub type SliceId = (usize, u64);

/// Computes features and keeps some.
#[derive(Debug)]
pub struct Features {
    frontend: FrontendConfig,
    disk: Option<FeatureCache>,
    max_bytes: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: HashMap<SliceId, Arc<Vec<f32>>>,
    n_bytes: usize,
}

impl Features {
    /// Keeps at most `max_bytes` in memory, and everything that is kept in the folder `disk` too.
    ///
    /// # Errors
    ///
    /// If the folder cannot be created.
    pub fn new(frontend: &FrontendConfig, disk: Option<&Path>, max_bytes: usize) -> Result<Self> {
        let disk = disk.map(|folder| FeatureCache::new(folder, frontend)).transpose()?;
        Ok(Self { frontend: frontend.clone(), disk, max_bytes, kept: Mutex::default() })
    }

    /// The front end.
    pub fn frontend(&self) -> &FrontendConfig {
        &self.frontend
    }

    /// Bytes of features held.
    #[cfg(test)]
    pub fn n_bytes(&self) -> usize {
        self.kept().n_bytes
    }

    /// What is in memory of a slice.
    pub fn find(&self, slice: SliceId) -> Option<Arc<Vec<f32>>> {
        self.kept().entries.get(&slice).cloned()
    }

    /// Features of a slice that will be taken again, from the folder if they are there.
    ///
    /// # Errors
    ///
    /// If an entry cannot be written.
    pub fn keep(&self, slice: SliceId, samples: &[f32]) -> Result<Arc<Vec<f32>>> {
        let values = match &self.disk {
            None => self.compute(samples)?,
            Some(cache) => cache.get_or_compute(&digest(samples), || self.compute(samples))?,
        };
        let values = Arc::new(values);
        let n_bytes = size_of_val(values.as_slice());
        let mut kept = self.kept();
        if kept.n_bytes + n_bytes <= self.max_bytes && kept.entries.insert(slice, values.clone()).is_none() {
            kept.n_bytes += n_bytes;
        }
        Ok(values)
    }

    /// Features of samples, as [`edge_frontend::log_mel`] has them bit for bit.
    ///
    /// # Errors
    ///
    /// If the front end refuses its configuration.
    pub fn compute(&self, samples: &[f32]) -> Result<Vec<f32>> {
        // Filter bank and transform of a `LogMel` cost as much as a view does: each thread makes
        // them once.
        thread_local! {
            static LOG_MEL: RefCell<Option<LogMel>> = const { RefCell::new(None) };
        }
        LOG_MEL.with_borrow_mut(|made| {
            let log_mel = match made {
                Some(log_mel) if *log_mel.config() == self.frontend => log_mel,
                _ => made.insert(LogMel::new(&self.frontend)?),
            };
            let n_values = self.frontend.n_frames(samples.len()) * self.frontend.n_mels;
            let mut values = Vec::with_capacity(n_values);
            log_mel.process(samples, |frame| values.extend_from_slice(frame));
            log_mel.finish(|frame| values.extend_from_slice(frame));
            Ok(values)
        })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// SHA-256 of the samples, of another domain than that of whole files.
fn digest(samples: &[f32]) -> Vec<u8> {
    let mut hash = Sha256::new_with_prefix(b"samples\n");
    let mut bytes = [0; 4096];
    for part in samples.chunks(bytes.len() / 4) {
        for (place, sample) in bytes.chunks_exact_mut(4).zip(part) {
            place.copy_from_slice(&sample.to_le_bytes());
        }
        hash.update(&bytes[..part.len() * 4]);
    }
    hash.finalize().to_vec()
}

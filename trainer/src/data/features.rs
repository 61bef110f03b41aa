//! Log-mel features of recordings, cached on disk.
//!
//! Enters: a recording of any rate and channel count. Leaves: `(n_frames, n_mels)` row-major, from `edge_frontend` alone, so
//! that training and serving cannot differ. A cache entry is named after the front-end hash and the recording's content, and
//! checked when read: a changed recording or front end is another entry, and a damaged entry is computed again.

use crate::error::{Error, Result};
use edge_frontend::FrontendConfig;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// First bytes of a cache entry; the digit is the version of the layout.
const MAGIC: &[u8; 8] = b"EWFEAT1\n";
/// Magic, then n_frames and n_mels as little-endian u32, then the SHA-256 of the values.
const HEADER_LEN: usize = 8 + 4 + 4 + 32;

/// Computes features, or finds them in a folder.
#[derive(Debug, Clone)]
pub struct FeatureCache {
    folder: PathBuf,
    frontend: FrontendConfig,
    hash: String,
}

impl FeatureCache {
    /// A cache in `folder`, which is created.
    ///
    /// # Errors
    ///
    /// If the folder cannot be created.
    pub fn new(folder: &Path, frontend: &FrontendConfig) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        Ok(Self { folder: folder.to_owned(), frontend: frontend.clone(), hash: frontend.hash() })
    }

    /// The front end whose features it holds.
    pub fn frontend(&self) -> &FrontendConfig {
        &self.frontend
    }

    /// Features of the recording at `path`: `(n_frames, n_mels)` row-major.
    ///
    /// # Errors
    ///
    /// If the recording cannot be read or decoded, or the entry cannot be written.
    pub fn load(&self, path: &Path) -> Result<Vec<f32>> {
        let content = std::fs::read(path).map_err(Error::io(path))?;
        self.get_or_compute(&Sha256::digest(&content), || {
            let audio = edge::audio::decode_file(path)?;
            features(&self.frontend, audio.sample_rate, &audio.samples)
        })
    }

    /// The entry of what has the SHA-256 `digest`: `(n_frames, n_mels)` row-major, from `compute` where it is not there or
    /// damaged.
    ///
    /// # Errors
    ///
    /// Those of `compute`, or if the entry cannot be written.
    pub fn get_or_compute(&self, digest: &[u8], compute: impl FnOnce() -> Result<Vec<f32>>) -> Result<Vec<f32>> {
        let key: String = digest[..12].iter().map(|b| format!("{b:02x}")).collect();
        let entry = self.folder.join(format!("{}-{key}.features", self.hash));
        if let Some(values) = std::fs::read(&entry).ok().and_then(|bytes| self.decode(&bytes)) {
            return Ok(values);
        }
        let values = compute()?;
        // Written aside and renamed: two trainings may fill one cache, and two threads may make one entry.
        static N_WRITTEN: AtomicU64 = AtomicU64::new(0);
        let n_written = N_WRITTEN.fetch_add(1, Ordering::Relaxed);
        let partial = entry.with_extension(format!("{}-{n_written}.partial", std::process::id()));
        std::fs::write(&partial, self.encode(&values)).map_err(Error::io(&partial))?;
        std::fs::rename(&partial, &entry).map_err(Error::io(&entry))?;
        Ok(values)
    }

    fn encode(&self, values: &[f32]) -> Vec<u8> {
        let n_mels = self.frontend.n_mels;
        let payload: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let mut bytes = Vec::with_capacity(HEADER_LEN + payload.len());
        bytes.extend(MAGIC);
        bytes.extend(((values.len() / n_mels) as u32).to_le_bytes());
        bytes.extend((n_mels as u32).to_le_bytes());
        bytes.extend(Sha256::digest(&payload));
        bytes.extend(payload);
        bytes
    }

    fn decode(&self, bytes: &[u8]) -> Option<Vec<f32>> {
        let (header, payload) = bytes.split_at_checked(HEADER_LEN)?;
        let word = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?) as usize);
        let n_values = word(8)?.checked_mul(word(12)?)?;
        let intact = header.starts_with(MAGIC)
            && word(12)? == self.frontend.n_mels
            && payload.len() == n_values * 4
            && header[16..] == Sha256::digest(payload)[..];
        intact.then(|| payload.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }
}

/// Features of mono samples at any rate: `(n_frames, n_mels)` row-major.
///
/// # Errors
///
/// If the front end refuses the rate.
pub fn features(frontend: &FrontendConfig, sample_rate: u32, samples: &[f32]) -> Result<Vec<f32>> {
    if sample_rate == frontend.sample_rate {
        return Ok(edge_frontend::log_mel(frontend, samples)?);
    }
    let samples = edge_frontend::resample(sample_rate, frontend.sample_rate, samples)?;
    Ok(edge_frontend::log_mel(frontend, &samples)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_survive_and_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let cache = FeatureCache::new(folder.path(), &FrontendConfig::student()).unwrap();
        let values: Vec<f32> = (0..128).map(|i| i as f32 * 0.5).collect();
        let bytes = cache.encode(&values);
        assert_eq!(cache.decode(&bytes), Some(values));
        for at in [0, 9, 13, 20, HEADER_LEN + 5] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(cache.decode(&damaged), None, "byte {at}");
        }
        assert_eq!(cache.decode(&bytes[..bytes.len() - 1]), None);
        assert_eq!(cache.decode(b""), None);
    }
}

//! Log-mel features of recordings, cached on disk.
//!
//! Enters: a recording of any rate and channel count. Leaves: `(n_frames, n_mels)` row-major, from
//! `edge_frontend` alone, so that training and serving cannot differ. A cache entry is named after
//! the front-end hash and the recording's content, and checked when it is opened: a changed
//! recording or front end is another entry, and a damaged entry is written again. An entry is
//! written frame by frame, so its features need not be in memory as a whole.

use super::frames::{Frames, floats};
use crate::error::{Error, Result};
use edge_frontend::FrontendConfig;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
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

    /// The entry of what has the SHA-256 `digest`: `(n_frames, n_mels)` row-major, from `compute`
    /// where it is not there or damaged.
    ///
    /// # Errors
    ///
    /// Those of `compute`, or if the entry cannot be written.
    pub fn get_or_compute(&self, digest: &[u8], compute: impl FnOnce() -> Result<Vec<f32>>) -> Result<Vec<f32>> {
        if let Some(values) = std::fs::read(self.entry(digest)).ok().and_then(|bytes| self.decode(&bytes)) {
            return Ok(values);
        }
        let values = compute()?;
        self.write(digest, |entry| entry.add(&values))?;
        Ok(values)
    }

    /// The same, left on disk: `compute` adds the frames to the entry one after the other.
    ///
    /// # Errors
    ///
    /// Those of `compute`, or if the entry cannot be read or written.
    pub fn frames(&self, digest: &[u8], compute: impl FnOnce(&mut Entry) -> Result<()>) -> Result<Frames> {
        let path = self.entry(digest);
        let n_frames = match self.check(&path) {
            Some(n_frames) => n_frames,
            None => self.write(digest, compute)?,
        };
        Ok(Frames::on_disk(&path, HEADER_LEN as u64, n_frames, self.frontend.n_mels))
    }

    fn entry(&self, digest: &[u8]) -> PathBuf {
        let key: String = digest[..12].iter().map(|b| format!("{b:02x}")).collect();
        self.folder.join(format!("{}-{key}.features", self.hash))
    }

    /// Writes the entry aside and renames it: two trainings may fill one cache, and two threads may
    /// make one entry. Leaves the number of its frames.
    fn write(&self, digest: &[u8], compute: impl FnOnce(&mut Entry) -> Result<()>) -> Result<usize> {
        let path = self.entry(digest);
        static N_WRITTEN: AtomicU64 = AtomicU64::new(0);
        let n_written = N_WRITTEN.fetch_add(1, Ordering::Relaxed);
        let partial = path.with_extension(format!("{}-{n_written}.partial", std::process::id()));
        let written = Entry::create(&partial).and_then(|mut entry| {
            compute(&mut entry)?;
            entry.finish(self.frontend.n_mels)
        });
        let renamed = written.and_then(|n| std::fs::rename(&partial, &path).map_err(Error::io(&path)).map(|()| n));
        if renamed.is_err() {
            let _ = std::fs::remove_file(&partial);
        }
        renamed
    }

    /// Frames of the entry at `path`, if it is intact.
    fn check(&self, path: &Path) -> Option<usize> {
        let mut file = File::open(path).ok()?;
        let mut header = [0; HEADER_LEN];
        file.read_exact(&mut header).ok()?;
        let mut hash = Sha256::new();
        let n_bytes = std::io::copy(&mut file, &mut hash).ok()?;
        self.n_values(&header, n_bytes as usize, &hash.finalize()).map(|n| n / self.frontend.n_mels)
    }

    fn decode(&self, bytes: &[u8]) -> Option<Vec<f32>> {
        let (header, payload) = bytes.split_at_checked(HEADER_LEN)?;
        self.n_values(header, payload.len(), &Sha256::digest(payload))?;
        Some(floats(payload))
    }

    /// Values of an entry with this header, if its payload has the size and the hash that the
    /// header says.
    fn n_values(&self, header: &[u8], n_bytes: usize, hash: &[u8]) -> Option<usize> {
        let word = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?) as usize);
        let n_values = word(8)?.checked_mul(word(12)?)?;
        let intact = header.starts_with(MAGIC)
            && word(12)? == self.frontend.n_mels
            && n_bytes == n_values * 4
            && header[16..] == *hash;
        intact.then_some(n_values)
    }
}

/// An entry that is being written.
#[derive(Debug)]
pub struct Entry {
    path: PathBuf,
    file: BufWriter<File>,
    hash: Sha256,
    n_values: usize,
}

impl Entry {
    fn create(path: &Path) -> Result<Self> {
        let mut file = BufWriter::new(File::create(path).map_err(Error::io(path))?);
        file.write_all(&[0; HEADER_LEN]).map_err(Error::io(path))?;
        Ok(Self { path: path.to_owned(), file, hash: Sha256::new(), n_values: 0 })
    }

    /// Adds whole frames.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn add(&mut self, frames: &[f32]) -> Result<()> {
        for part in frames.chunks(1024) {
            let bytes: Vec<u8> = part.iter().flat_map(|v| v.to_le_bytes()).collect();
            self.hash.update(&bytes);
            self.file.write_all(&bytes).map_err(Error::io(&self.path))?;
        }
        self.n_values += frames.len();
        Ok(())
    }

    fn finish(mut self, n_mels: usize) -> Result<usize> {
        let n_frames = self.n_values / n_mels;
        let mut header = MAGIC.to_vec();
        header.extend((n_frames as u32).to_le_bytes());
        header.extend((n_mels as u32).to_le_bytes());
        header.extend(self.hash.finalize());
        let mut write = || {
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(&header)?;
            self.file.flush()
        };
        write().map_err(Error::io(&self.path))?;
        Ok(n_frames)
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
        assert_eq!(cache.get_or_compute(&[7; 32], || Ok(values.clone())).unwrap(), values);
        let path = cache.entry(&[7; 32]);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(cache.decode(&bytes), Some(values.clone()));
        let kept = cache.frames(&[7; 32], |_| panic!("the entry is there")).unwrap();
        assert_eq!((kept.n_frames(), kept.read(1..2).unwrap().to_vec()), (2, values[64..].to_vec()));
        for at in [0, 9, 13, 20, HEADER_LEN + 5] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(cache.decode(&damaged), None, "byte {at}");
            std::fs::write(&path, damaged).unwrap();
            let again = cache.frames(&[7; 32], |entry| entry.add(&values)).unwrap();
            assert_eq!(again.all().unwrap(), values.as_slice(), "byte {at}");
        }
        assert_eq!(cache.decode(&bytes[..bytes.len() - 1]), None);
        assert_eq!(cache.decode(b""), None);
    }
}

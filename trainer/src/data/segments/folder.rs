//! Recordings in files of a folder.
//!
//! Enters: the name of a recording. Leaves: all its samples at the front end's rate, decoded by
//! `edge` and resampled. What was decoded stays in memory up to a number of bytes; then the
//! recording that was not used for longest goes, and is decoded again when it is asked for. Any
//! thread may ask; two that want one recording wait for one decoding.

use edge::audio;
use edge_frontend::resample;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Decoded = Arc<Vec<f32>>;

/// The recordings of a folder.
#[derive(Debug)]
pub struct Folder {
    paths: HashMap<String, PathBuf>,
    sample_rate: u32,
    max_bytes: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    slots: HashMap<String, Slot>,
    n_bytes: usize,
    n_uses: u64,
    n_decoded: u64,
}

/// A recording; `n_bytes` is 0 until it is decoded.
#[derive(Debug, Default)]
struct Slot {
    samples: Arc<Mutex<Option<Decoded>>>,
    n_bytes: usize,
    last_use: u64,
}

impl Folder {
    /// Files by the name of their recording, decoded to `sample_rate` and kept in about
    /// `max_bytes`: the one in use is held even where it alone is larger.
    pub fn new(paths: HashMap<String, PathBuf>, sample_rate: u32, max_bytes: usize) -> Self {
        Self { paths, sample_rate, max_bytes, held: Mutex::default() }
    }

    /// The audio files right under `folder`, each a recording of the file's name without extension.
    /// Of two with one name that comes first in WAV, FLAC, Ogg, MP3.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read.
    pub fn list(folder: &Path) -> std::io::Result<HashMap<String, PathBuf>> {
        let mut found: HashMap<String, (usize, PathBuf)> = HashMap::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if !audio::is_recording(&path) {
                continue;
            }
            let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
            let rank = audio::EXTENSIONS.iter().position(|e| Some(*e) == extension.as_deref());
            let (Some(rank), Some(name)) = (rank, path.file_stem().and_then(|n| n.to_str())) else { continue };
            match found.get(name) {
                Some((other, _)) if *other <= rank => {}
                _ => drop(found.insert(name.to_owned(), (rank, path))),
            }
        }
        Ok(found.into_iter().map(|(name, (_, path))| (name, path)).collect())
    }

    /// The file of `recording`.
    pub fn path(&self, recording: &str) -> Option<&Path> {
        self.paths.get(recording).map(PathBuf::as_path)
    }

    /// How often a recording was decoded.
    #[cfg(test)]
    pub fn n_decoded(&self) -> u64 {
        self.held().n_decoded
    }

    /// Bytes of samples held.
    #[cfg(test)]
    pub fn n_bytes(&self) -> usize {
        self.held().n_bytes
    }

    /// All samples of `recording`.
    ///
    /// # Errors
    ///
    /// A message that names the file, if it cannot be decoded or resampled, or holds a sample that
    /// is not finite.
    pub fn samples(&self, recording: &str) -> Result<Decoded, String> {
        let path = self.path(recording).ok_or_else(|| format!("recording {recording:?} has no file"))?;
        let slot = {
            let mut held = self.held();
            held.n_uses += 1;
            let now = held.n_uses;
            if !held.slots.contains_key(recording) {
                held.slots.insert(recording.to_owned(), Slot::default());
            }
            let slot = held.slots.get_mut(recording).expect("inserted if it was missing");
            slot.last_use = now;
            slot.samples.clone()
        };
        let mut samples = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(samples) = &*samples {
            return Ok(samples.clone());
        }
        let decoded = Arc::new(decode(path, self.sample_rate)?);
        *samples = Some(decoded.clone());
        drop(samples);
        self.held().keep(recording, size_of_val(decoded.as_slice()), self.max_bytes);
        Ok(decoded)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Notes that `recording` is decoded and drops others for it.
    fn keep(&mut self, recording: &str, n_bytes: usize, max_bytes: usize) {
        self.n_decoded += 1;
        if let Some(slot) = self.slots.get_mut(recording) {
            slot.n_bytes = n_bytes;
            self.n_bytes += n_bytes;
        }
        while self.n_bytes > max_bytes {
            let others = self.slots.iter().filter(|(name, slot)| slot.n_bytes > 0 && *name != recording);
            let Some((oldest, _)) = others.min_by_key(|(_, slot)| slot.last_use) else { break };
            let oldest = oldest.clone();
            self.n_bytes -= self.slots.remove(&oldest).map_or(0, |slot| slot.n_bytes);
        }
    }
}

fn decode(path: &Path, sample_rate: u32) -> Result<Vec<f32>, String> {
    let audio = edge::audio::decode_file(path).map_err(|e| e.to_string())?;
    if let Some(at) = audio.samples.iter().position(|x| !x.is_finite()) {
        return Err(format!("{}: sample {at} is {}", path.display(), audio.samples[at]));
    }
    if audio.sample_rate == sample_rate {
        return Ok(audio.samples);
    }
    resample(audio.sample_rate, sample_rate, &audio.samples).map_err(|e| format!("{}: {e}", path.display()))
}

//! Frames of segments, cut from the features of their whole recordings.
//!
//! Enters: a set of segments and a feature cache. Leaves: [`Frames`] per segment. A recording's
//! features are computed once, from its first sample to its last, and stay on disk; a segment is a
//! range of them, and so is the stretch between two segments. Memory holds one piece of an HDF5
//! recording per thread; a recording of a folder is decoded whole.

use super::store::Store;
use super::{Segment, SegmentSet};
use crate::common::progress;
use crate::data::features::FeatureCache;
use crate::data::frames::Frames;
use crate::error::{Error, Result};
use edge_frontend::{FrontendConfig, LogMel, Power};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// Samples that are read at once.
const PIECE: u64 = 1 << 20;

impl SegmentSet {
    /// The frames of each segment by this set's front end: `(n_frames, n_mels)`, one frame at
    /// least.
    ///
    /// # Errors
    ///
    /// One that names the table's row, if a recording cannot be read, holds a sample that is not
    /// finite or is shorter than one frame; or if the cache cannot be written.
    pub fn frames(&self, cache: &FeatureCache) -> Result<Vec<Frames>> {
        let mut firsts: BTreeMap<&str, &Segment> = BTreeMap::new();
        for segment in &self.segments {
            firsts.entry(&segment.recording).or_insert(segment);
        }
        let bar = progress::bar(firsts.len() as u64, "features");
        let whole = firsts.into_par_iter().map(|(recording, row)| {
            let frames = self.recording_frames(row, cache)?;
            bar.inc(1);
            Ok((recording, frames))
        });
        let whole = whole.collect::<Result<HashMap<&str, Frames>>>()?;
        bar.finish_and_clear();
        let frontend = cache.frontend();
        let of_segment = |row: &Segment| {
            let (whole, range) = (&whole[row.recording.as_str()], frame_range(row, frontend));
            // The last window of a recording may begin before a short segment at its end does.
            whole.part(range.start.min(whole.n_frames() - 1)..range.end)
        };
        Ok(self.segments.iter().map(of_segment).collect())
    }

    /// Mel powers of the recording of segment `segment` by the front end `theirs`, in step with its
    /// frames `range` by this set's: each frame holds the `n` frames of `theirs` that fall into one
    /// hop of this set's, `(range.len(), n * theirs.n_mels)`. They are computed when they are asked
    /// for. A magnitude is squared.
    ///
    /// # Errors
    ///
    /// If the rates of the front ends differ, or the hop of one is not a multiple of the other's.
    pub fn powers_on_demand(&self, segment: usize, range: Range<usize>, theirs: &FrontendConfig) -> Result<Frames> {
        let (own, row) = (self.frontend().clone(), self.segments[segment].clone());
        let n = own.hop_length / theirs.hop_length;
        if own.sample_rate != theirs.sample_rate || n * theirs.hop_length != own.hop_length {
            let [a, b] = [theirs, &own].map(|f| format!("{} samples at {} Hz", f.hop_length, f.sample_rate));
            return Err(Error::Usage(format!("the teacher's hop of {a} does not divide the student's of {b}")));
        }
        // The middle of the student's first frame, in the teacher's frames.
        let middle = if own.centre_padding { 0 } else { own.win_length / 2 };
        let lead = middle / theirs.hop_length;
        let (shared, frontend) = (self.shared.clone(), FrontendConfig { centre_padding: false, ..theirs.clone() });
        let (n_frames, width) = (range.len(), n * theirs.n_mels);
        let compute = move |frames: Range<usize>| {
            if frames.is_empty() {
                return Ok(Vec::new());
            }
            let first = (range.start + frames.start) * n + lead;
            // Frame `u` is centred at sample `u * hop`.
            let start = (first * frontend.hop_length) as i64 - (frontend.win_length / 2) as i64;
            let n_samples = (frames.len() * n - 1) * frontend.hop_length + frontend.win_length;
            let wanted = start.max(0) as u64..(start + n_samples as i64).max(0) as u64;
            let slice = shared.store.read(&row.recording, wanted);
            let slice = slice.map_err(|message| Error::input(&shared.csv, Some(row.line), message))?;
            let mut samples = vec![0.0; (-start).max(0) as usize];
            samples.extend_from_slice(&slice);
            samples.resize(n_samples, 0.0);
            let mut powers = Vec::with_capacity(frames.len() * width);
            LogMel::new(&frontend)?.process(&samples, |frame| powers.extend_from_slice(frame));
            powers.iter_mut().for_each(|value| *value = power(*value, &frontend));
            Ok(powers)
        };
        Ok(Frames::on_demand(n_frames, width, compute))
    }

    fn recording_frames(&self, row: &Segment, cache: &FeatureCache) -> Result<Frames> {
        let (store, frontend) = (&self.shared.store, cache.frontend());
        let at_row = |message: String| Error::input(&self.shared.csv, Some(row.line), message);
        let digest = digest(store, &row.recording).map_err(at_row)?;
        let frames = cache.frames(&digest, |entry| {
            let mut log_mel = LogMel::new(frontend)?;
            let n_samples = store.n_samples(&row.recording).map_err(at_row)?;
            let mut values = Vec::new();
            for start in (0..n_samples).step_by(PIECE as usize) {
                let piece = store.read(&row.recording, start..(start + PIECE).min(n_samples)).map_err(at_row)?;
                if let Some(at) = piece.iter().position(|x| !x.is_finite()) {
                    let position = start + at as u64;
                    return Err(at_row(format!("{}: sample {position} is {}", store.name(&row.recording), piece[at])));
                }
                log_mel.process(&piece, |frame| values.extend_from_slice(frame));
                entry.add(&values)?;
                values.clear();
            }
            log_mel.finish(|frame| values.extend_from_slice(frame));
            entry.add(&values)
        })?;
        if frames.n_frames() == 0 {
            return Err(at_row(format!("{} is shorter than one frame", store.name(&row.recording))));
        }
        Ok(frames)
    }
}

/// The frames of a recording that lie in a segment of it; one at least.
fn frame_range(row: &Segment, frontend: &FrontendConfig) -> Range<usize> {
    let first = row.start as usize / frontend.hop_length;
    first..first + frontend.n_frames((row.stop - row.start) as usize).max(1)
}

/// The power of a log-mel value; that of a magnitude is its square.
fn power(value: f32, frontend: &FrontendConfig) -> f32 {
    let mel = ((value * frontend.std + frontend.mean).exp() - frontend.log_offset as f32).max(0.0);
    if frontend.power == Power::Magnitude { mel * mel } else { mel }
}

/// Names the content of `recording` in the feature cache. A file is known by its bytes; a data set
/// of an HDF5 file, which may hold tens of gigabytes, by the file's path, size and time, its own
/// name and its length.
fn digest(store: &Store, recording: &str) -> std::result::Result<Vec<u8>, String> {
    match store {
        Store::Folder(folder) => {
            let path = folder.path(recording).ok_or_else(|| format!("recording {recording:?} has no file"))?;
            let mut hash = Sha256::new();
            let read = std::fs::File::open(path).and_then(|mut file| std::io::copy(&mut file, &mut hash));
            read.map_err(|e| format!("{}: {e}", path.display()))?;
            Ok(hash.finalize().to_vec())
        }
        Store::Hdf5(file) => {
            let path = file.path();
            let known = |e: std::io::Error| format!("{}: {e}", path.display());
            let metadata = std::fs::metadata(path).map_err(known)?;
            let n_samples = store.n_samples(recording)?;
            let (path, time) = (path.canonicalize().map_err(known)?, metadata.modified().map_err(known)?);
            let name = format!("hdf5\n{}\n{}\n{time:?}\n{recording}\n{n_samples}", path.display(), metadata.len());
            Ok(Sha256::digest(name).to_vec())
        }
    }
}

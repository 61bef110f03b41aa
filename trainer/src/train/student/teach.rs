//! Clips with what teachers know of them.
//!
//! Enters: clips. Leaves: [`Taught`] clips: the embeddings and posteriors of teachers that have
//! heard the clean clip, and the clip's spectra for the teacher that hears the crops.

use crate::common::progress;
use crate::data::frames::Frames;
use crate::data::{Audio, Clip};
use crate::error::{Error, Result};
use crate::nets::teacher::{Targets, Tutor, mn04};
use edge_frontend::FrontendConfig;
use rayon::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

/// A clip with what teachers know of it.
#[derive(Debug, Clone)]
pub struct Taught {
    /// The clip.
    pub clip: Clip,
    /// The embeddings of `[teacher]`.
    pub targets: Option<Targets>,
    /// Posteriors `(n_classes)` of other networks, at the temperature of `[distill]`.
    pub soft: Option<Vec<f32>>,
    /// Mel powers by the front end of the teacher that hears crops, in step with the clip's frames.
    pub heard: Option<Frames>,
}

impl Taught {
    /// A clip that no teacher knows.
    pub fn of(clip: Clip) -> Self {
        Self { clip, targets: None, soft: None, heard: None }
    }
}

/// Asks mn04 about `clips`: embeddings of the labelled ones with `embeddings`, spectra if it hears
/// crops. What was asked before comes from the cache.
///
/// # Errors
///
/// If a clip has no file of its own or cannot be decoded, or the cache cannot be written.
pub fn ask_mn04(tutor: &Tutor, clips: &mut [Taught], embeddings: bool, frontend: &FrontendConfig) -> Result<()> {
    let bar = progress::bar(clips.len() as u64, "teacher");
    clips.par_iter_mut().try_for_each(|taught| {
        if let Audio::Segment(set, index) = &taught.clip.audio {
            let segment = &set.segments()[*index];
            let path = set.audio_path(*index).filter(|_| segment.start == 0).ok_or_else(|| {
                let message =
                    "[teacher] needs a file per clip: remove the table, or learn from fused models ([[distill.fused]])";
                Error::input(set.path(), Some(segment.line), message)
            })?;
            taught.targets = embeddings.then(|| tutor.targets(path)).transpose()?;
        }
        if tutor.hears_crops() {
            taught.heard = Some(mn04_powers(tutor, &taught.clip, frontend)?);
        }
        bar.inc(1);
        Ok::<_, Error>(())
    })?;
    bar.finish_and_clear();
    Ok(())
}

fn mn04_powers(tutor: &Tutor, clip: &Clip, frontend: &FrontendConfig) -> Result<Frames> {
    let n_frames = clip.frames.n_frames();
    let compute = || tutor.powers(frontend.sample_rate, &clip.audio.samples()?, n_frames, frontend);
    let Audio::Segment(set, index) = &clip.audio else {
        return Ok(Frames::in_memory(compute()?, mn04::N_MELS));
    };
    // Of a recording that is divided in time, a clip is a part; the spectra are those of the whole.
    let whole = set.segments()[*index].stop as usize;
    let n_whole = frontend.n_frames(whole).max(1);
    let path = set.audio_path(*index).unwrap_or(set.path());
    let entry = tutor.powers_entry(path, frontend)?;
    let n_bytes = (n_whole * mn04::N_MELS * size_of::<f32>()) as u64;
    if std::fs::metadata(&entry).map_or(0, |m| m.len()) != n_bytes {
        let powers = tutor.powers(frontend.sample_rate, &clip.audio.samples()?, n_whole, frontend)?;
        let bytes: Vec<u8> = powers.iter().flat_map(|v| v.to_le_bytes()).collect();
        // Two parts of one recording may be asked about at the same time.
        static N_WRITTEN: AtomicU64 = AtomicU64::new(0);
        let n_written = N_WRITTEN.fetch_add(1, Ordering::Relaxed);
        let partial = entry.with_extension(format!("{}-{n_written}.partial", std::process::id()));
        std::fs::write(&partial, bytes).map_err(Error::io(&partial))?;
        std::fs::rename(&partial, &entry).map_err(Error::io(&entry))?;
    }
    Ok(Frames::on_disk(&entry, 0, n_whole, mn04::N_MELS).part(clip.frames.range()))
}

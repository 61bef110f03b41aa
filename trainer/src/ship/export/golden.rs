//! Golden files: what a model must yield, on every platform.
//!
//! Enters: a front end and an exported model. Leaves: `clip.wav` (generated; 16 bits),
//! `log_mel.npy` `(n_frames, n_mels)`, `logits.npy` and, of the 8-bit network, `logits.int8.npy`
//! `(n_output_frames, n_classes)`, single precision.

use crate::error::{Error, Result};
use edge::engine::{BatchEngine, Precision};
use edge::model::Model;
use edge_frontend::FrontendConfig;
use ndarray::ArrayView2;
use sounds::{Scene, Sound};
use std::path::Path;

/// Sounds of the clip, one after another, with their seeds.
const SOUNDS: [(Sound, u64); 3] = [(Sound::Chopping, 11), (Sound::WaterFlowing, 12), (Sound::Beep, 13)];
const SECONDS_A_SOUND: f32 = 1.2;

/// Writes the clip and its log-mel frames, which are also returned: `(n_frames, n_mels)`.
///
/// # Errors
///
/// If a file cannot be written.
pub fn write_clip(folder: &Path, frontend: &FrontendConfig) -> Result<Vec<f32>> {
    let sounds = SOUNDS.iter().map(|&(sound, seed)| sounds::render(sound, frontend.sample_rate, SECONDS_A_SOUND, seed));
    let clip = Scene { sample_rate: frontend.sample_rate, samples: sounds.flatten().collect(), truth: Vec::new() };
    let path = folder.join("clip.wav");
    clip.write_wav(&path).map_err(|e| Error::content(&path, e.to_string()))?;
    // What counts is what the daemon reads from the file.
    let audio = edge::audio::decode_file(&path)?;
    let frames = edge_frontend::log_mel(frontend, &audio.samples)?;
    write_npy(&folder.join("log_mel.npy"), &frames, frontend.n_mels)?;
    Ok(frames)
}

/// Writes the logits that the model in `out` yields for `frames`.
///
/// # Errors
///
/// If the model does not run, or the file cannot be written.
pub fn write_logits(folder: &Path, out: &Path, frames: &[f32]) -> Result<()> {
    let model = Model::load(out)?;
    for (precision, file) in [(Precision::F32, "logits.npy"), (Precision::Int8, "logits.int8.npy")] {
        if model.network_file(precision).is_some() {
            let logits = BatchEngine::load(&model, precision)?.run(frames)?;
            write_npy(&folder.join(file), &logits, model.manifest.labels.len())?;
        }
    }
    Ok(())
}

/// `(values.len() / n_columns, n_columns)`, single precision.
fn write_npy(path: &Path, values: &[f32], n_columns: usize) -> Result<()> {
    let rows = ArrayView2::from_shape((values.len() / n_columns, n_columns), values)
        .map_err(|e| Error::content(path, e.to_string()))?;
    ndarray_npy::write_npy(path, &rows).map_err(|e| Error::content(path, e.to_string()))
}

//! Golden files: what a model must yield, on every platform.
//!
//! Enters: a front end and an exported model. Leaves: `clip.wav` (generated; 16 bits), `log_mel.npy` `(n_frames, n_mels)` and
//! `logits.npy` `(n_output_frames, n_classes)`, single precision.

use crate::error::{Error, Result};
use edge::engine::{BatchEngine, Precision};
use edge::model::Model;
use edge_frontend::FrontendConfig;
use sounds::Sound;
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
    let samples =
        SOUNDS.iter().flat_map(|&(sound, seed)| sounds::render(sound, frontend.sample_rate, SECONDS_A_SOUND, seed));
    let samples: Vec<i16> = samples.map(|s| (s.clamp(-1.0, 1.0) * 32767.0).round() as i16).collect();
    let path = folder.join("clip.wav");
    std::fs::write(&path, wav(frontend.sample_rate, &samples)).map_err(Error::io(&path))?;
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
    let logits = BatchEngine::load(&model, Precision::F32)?.run(frames)?;
    write_npy(&folder.join("logits.npy"), &logits, model.manifest.labels.len())
}

/// NumPy's format, version 1.0 (NEP 1): `(values.len() / n_columns, n_columns)`, little-endian single precision.
fn write_npy(path: &Path, values: &[f32], n_columns: usize) -> Result<()> {
    let shape = format!("({}, {n_columns})", values.len() / n_columns);
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    // Magic, version and length take 10 bytes; the whole ends with a line feed at a multiple of 64.
    let padding = 63 - (10 + header.len()) % 64;
    header.push_str(&" ".repeat(padding));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    std::fs::write(path, bytes).map_err(Error::io(path))
}

/// A mono WAV file of 16 bits (RIFF, `WAVE_FORMAT_PCM`).
fn wav(sample_rate: u32, samples: &[i16]) -> Vec<u8> {
    let n_bytes = samples.len() as u32 * 2;
    let mut bytes = Vec::with_capacity(44 + n_bytes as usize);
    bytes.extend(b"RIFF");
    bytes.extend((36 + n_bytes).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16u32.to_le_bytes());
    for field in [1u16, 1] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend(sample_rate.to_le_bytes());
    bytes.extend((sample_rate * 2).to_le_bytes());
    for field in [2u16, 16] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend(b"data");
    bytes.extend(n_bytes.to_le_bytes());
    bytes.extend(samples.iter().flat_map(|s| s.to_le_bytes()));
    bytes
}

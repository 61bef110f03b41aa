//! The front end of a model on a whole recording, timed, for benches/peers/front_ends.py. Enters: a
//! model folder, a file of raw f32 samples at the model's rate, a file for the frames. Leaves: the
//! frames as raw f32, row-major, and on standard output the microseconds that the recording took.
//!
//! ```text
//! front_end models/home samples.f32 frames.f32
//! ```

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use edge::model::Model;
use edge_frontend::LogMel;

/// Samples of a block: 20 ms at 24 kHz, as a sound card delivers them.
const BLOCK: usize = 480;

fn main() -> ExitCode {
    let args: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [model, samples, frames] = args.as_slice() else {
        eprintln!("usage: front_end MODEL SAMPLES FRAMES");
        return ExitCode::from(2);
    };
    match run(model, samples, frames) {
        Ok(us) => {
            println!("{us:.1}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(model: &Path, samples: &Path, frames: &Path) -> Result<f64, String> {
    let config = Model::load(model).map_err(|e| e.to_string())?.manifest.frontend;
    let bytes = std::fs::read(samples).map_err(|e| format!("{}: {e}", samples.display()))?;
    let values: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let mut out = Vec::with_capacity(config.n_frames(values.len()) * config.n_mels);
    let mut stage = LogMel::new(&config).map_err(|e| e.to_string())?;
    // Caches and clock rates settle on the first second.
    stage.process(&values[..values.len().min(config.sample_rate as usize)], |_| {});
    stage.reset();
    let begin = Instant::now();
    for block in values.chunks(BLOCK) {
        stage.process(block, |frame| out.extend_from_slice(frame));
    }
    let us = begin.elapsed().as_secs_f64() * 1e6;
    let bytes: Vec<u8> = out.iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(frames, bytes).map_err(|e| format!("{}: {e}", frames.display()))?;
    Ok(us)
}

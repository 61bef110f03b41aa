//! Compares an exported model with the network it came from.
//!
//! Enters: a model folder, the student in libtorch, log-mel frames. Leaves: the largest differences, or an error. The folder is
//! read and run by the daemon's own code.

use crate::error::{Error, Result};
use crate::student::Student;
use edge::engine::{BatchEngine, Engine, Precision, StreamEngine};
use edge::model::Model;
use std::path::Path;
use tch::Tensor;

/// Largest allowed difference of a logit from libtorch's.
pub const TOLERANCE: f32 = 1e-4;

/// Largest absolute differences of a logit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement {
    /// The whole clip at once, against libtorch.
    pub batch: f32,
    /// Pulse by pulse, against libtorch.
    pub streamed: f32,
    /// Pulse by pulse, against the whole clip at once; 0 is equal bit for bit.
    pub streamed_to_batch: f32,
    /// Frames of logits compared.
    pub n_frames: usize,
}

/// Runs the model in `folder` on `frames` `(n_frames, n_mels)` both ways and compares.
///
/// # Errors
///
/// If the model does not load or run, or a difference exceeds [`TOLERANCE`].
pub fn verify(folder: &Path, student: &Student, frames: &[f32]) -> Result<Agreement> {
    let model = Model::load(folder)?;
    let expected = torch_logits(student, frames)?;
    let batch = BatchEngine::load(&model, Precision::F32)?.run(frames)?;
    let streamed = stream(&mut StreamEngine::load(&model, Precision::F32)?, frames)?;
    let agreement = Agreement {
        batch: largest_difference(folder, &batch, &expected)?,
        streamed: largest_difference(folder, &streamed, &expected)?,
        streamed_to_batch: largest_difference(folder, &streamed, &batch)?,
        n_frames: expected.len() / student.n_classes(),
    };
    for (what, difference) in [("whole clip", agreement.batch), ("pulse by pulse", agreement.streamed)] {
        if difference.is_nan() || difference > TOLERANCE {
            let message = format!("{what}: a logit differs by {difference:e}, allowed {TOLERANCE:e}");
            return Err(Error::Verification { path: folder.to_owned(), message });
        }
    }
    Ok(agreement)
}

/// Frame logits `(n_output_frames, n_classes)` row-major, by libtorch.
fn torch_logits(student: &Student, frames: &[f32]) -> Result<Vec<f32>> {
    let x = Tensor::f_from_slice(frames)?.f_view([1, -1, student.n_mels() as i64])?;
    let logits = student.frame_logits(&x)?.f_squeeze_dim(0)?.f_tr()?.f_contiguous()?.f_view([-1])?;
    Ok(Vec::try_from(&logits)?)
}

fn stream(engine: &mut StreamEngine, frames: &[f32]) -> Result<Vec<f32>> {
    let (pulse, mut frame) = (engine.pulse_frames() * engine.n_mels(), vec![0.0; engine.n_classes()]);
    let mut logits = Vec::new();
    for pulse in frames.chunks_exact(pulse) {
        if engine.push(pulse, &mut frame)? {
            logits.extend(&frame);
        }
    }
    Ok(logits)
}

/// Over the frames both have: a stream ends with its last whole pulse, a batch with its last whole receptive field.
fn largest_difference(folder: &Path, a: &[f32], b: &[f32]) -> Result<f32> {
    if a.is_empty() || b.is_empty() {
        return Err(Error::Verification { path: folder.to_owned(), message: "no logits came out".to_owned() });
    }
    let difference = |(a, b): (&f32, &f32)| (a - b).abs();
    // Not f32::max, which would drop a NaN.
    Ok(a.iter().zip(b).map(difference).fold(0.0, |worst, d| if d > worst || d.is_nan() { d } else { worst }))
}

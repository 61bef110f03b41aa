//! Compares an exported model with the network it came from.
//!
//! Enters: a model folder, the student in libtorch, log-mel frames. Leaves: the largest
//! differences, or an error. The folder is read and run by the daemon's own code.

use crate::error::{Error, Result};
use crate::nets::student::Student;
use crate::ship::quantize::Quantized;
use edge::engine::{BatchEngine, Engine, Precision, StreamEngine};
use edge::model::Model;
use std::path::Path;
use tch::Tensor;

/// Largest allowed difference of a logit from libtorch's.
pub const TOLERANCE: f32 = 1e-4;
/// Largest allowed root mean square of the differences of the 8-bit network's logits from those of
/// fake quantization, as a share of the logits' own. The two round alike but for values half way
/// between two steps, and each such step is carried on by the layers after it.
pub const INT8_TOLERANCE: f32 = 0.02;

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

/// Runs the model in `folder`, which knows the classes `classes` of the student's, on `frames`
/// `(n_frames, n_mels)` both ways and compares.
///
/// # Errors
///
/// If the model does not load or run, or a difference exceeds [`TOLERANCE`].
pub fn verify(folder: &Path, student: &Student, classes: &[usize], frames: &[f32]) -> Result<Agreement> {
    let expected = torch_logits(|x| student.frame_logits(x), student.n_mels(), classes, frames)?;
    let (agreement, _) = compare(folder, Precision::F32, &expected, classes.len(), frames)?;
    for (what, difference) in [("whole clip", agreement.batch), ("pulse by pulse", agreement.streamed)] {
        if difference.is_nan() || difference > TOLERANCE {
            let message = format!("{what}: a logit differs by {difference:e}, allowed {TOLERANCE:e}");
            return Err(Error::Verification { path: folder.to_owned(), message });
        }
    }
    Ok(agreement)
}

/// The same for the 8-bit file and the network it was made of.
///
/// # Errors
///
/// If the model does not load or run, pulses and whole clip differ at all, or the difference
/// exceeds [`INT8_TOLERANCE`].
pub fn verify_int8(folder: &Path, network: &Quantized, classes: &[usize], frames: &[f32]) -> Result<Agreement> {
    let n_mels = Model::load(folder)?.manifest.frontend.n_mels;
    let logits = |x: &Tensor| tch::no_grad(|| network.frame_logits(x, |_, _| Ok(())));
    let expected = torch_logits(logits, n_mels, classes, frames)?;
    let (agreement, actual) = compare(folder, Precision::Int8, &expected, classes.len(), frames)?;
    let power = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v) * f64::from(v)).sum::<f64>();
    let differences = power(&mut actual.iter().zip(&expected).map(|(a, e)| a - e));
    let share = (differences / power(&mut expected.iter().copied()).max(1e-12)).sqrt() as f32;
    let message = if share.is_nan() || share > INT8_TOLERANCE {
        format!(
            "8 bits: the logits differ from fake quantization by {share:.4} of their size, allowed {INT8_TOLERANCE}"
        )
    } else if agreement.streamed_to_batch != 0.0 {
        format!("8 bits: pulses and whole clip differ by {:e}, allowed 0", agreement.streamed_to_batch)
    } else {
        return Ok(agreement);
    };
    Err(Error::Verification { path: folder.to_owned(), message })
}

/// Runs a file both ways; leaves the logits of the whole clip, too.
fn compare(
    folder: &Path,
    precision: Precision,
    expected: &[f32],
    n_classes: usize,
    frames: &[f32],
) -> Result<(Agreement, Vec<f32>)> {
    let model = Model::load(folder)?;
    let batch = BatchEngine::load(&model, precision)?.run(frames)?;
    let streamed = stream(&mut StreamEngine::load(&model, precision)?, frames)?;
    let agreement = Agreement {
        batch: largest_difference(folder, &batch, expected)?,
        streamed: largest_difference(folder, &streamed, expected)?,
        streamed_to_batch: largest_difference(folder, &streamed, &batch)?,
        n_frames: expected.len() / n_classes,
    };
    Ok((agreement, batch))
}

/// Frame logits `(n_output_frames, classes.len())` row-major, by libtorch.
fn torch_logits(
    frame_logits: impl Fn(&Tensor) -> Result<Tensor>,
    n_mels: usize,
    classes: &[usize],
    frames: &[f32],
) -> Result<Vec<f32>> {
    let x = Tensor::f_from_slice(frames)?.f_view([1, -1, n_mels as i64])?;
    let rows: Vec<i64> = classes.iter().map(|&c| c as i64).collect();
    let logits = frame_logits(&x)?.f_squeeze_dim(0)?.f_index_select(0, &Tensor::f_from_slice(&rows)?)?;
    Ok(Vec::try_from(&logits.f_tr()?.f_contiguous()?.f_view([-1])?)?)
}

pub(super) fn stream(engine: &mut impl Engine, frames: &[f32]) -> Result<Vec<f32>> {
    let (pulse, mut frame) = (engine.pulse_frames() * engine.n_mels(), vec![0.0; engine.n_classes()]);
    let mut logits = Vec::new();
    for pulse in frames.chunks_exact(pulse) {
        if engine.push(pulse, &mut frame)? {
            logits.extend(&frame);
        }
    }
    Ok(logits)
}

/// Over the frames both have: a stream ends with its last whole pulse, a batch with its last whole
/// receptive field.
pub(super) fn largest_difference(folder: &Path, a: &[f32], b: &[f32]) -> Result<f32> {
    if a.is_empty() || b.is_empty() {
        return Err(Error::Verification { path: folder.to_owned(), message: "no logits came out".to_owned() });
    }
    let difference = |(a, b): (&f32, &f32)| (a - b).abs();
    // Not f32::max, which would drop a NaN.
    Ok(a.iter().zip(b).map(difference).fold(0.0, |worst, d| if d > worst || d.is_nan() { d } else { worst }))
}

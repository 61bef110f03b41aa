//! From a trained student to one with 8-bit convolutions.
//!
//! Enters: a finished student, training batches, and `[quantize]`. Leaves: a [`Quantized`] network.
//! The ranges of activations are measured on training crops; then weights and biases are trained
//! for some hundred steps with rounding in place, until the network puts out what the
//! single-precision one does, frame by frame: that needs no labels and keeps what was merged into
//! the head. Runs on the training thread.

mod grid;
mod network;

use crate::common::progress;
use crate::error::{Error, Result};
use crate::nets::student::Student;
use crate::train::optim::Optimizer;
use crate::train::recipe::{Method, Quantize};
use tch::{Device, Kind, Tensor};

pub use grid::Grid;
pub use network::{IntegerLayer, Quantized};

/// Values of an activation that are kept of a batch for the choice of its range.
const SAMPLE_A_BATCH: i64 = 50_000;

/// What quantization did to the network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fidelity {
    /// Root mean square of the difference of frame logits after calibration, over that of the
    /// logits themselves.
    pub calibrated: f64,
    /// The same after the training.
    pub tuned: f64,
}

/// Quantizes `student`, on inputs `(B, T, n_mels)` that `batch` makes by number.
///
/// # Errors
///
/// If the network has layers that cannot be quantized, libtorch reports an error, or the training
/// diverges.
pub fn quantize(
    student: &Student,
    settings: &Quantize,
    batch: impl Fn(u64) -> Result<Tensor>,
    device: Device,
) -> Result<(Quantized, Fidelity)> {
    let mut network = Quantized::of(student, device)?;
    calibrate(&mut network, settings, &batch)?;
    let check = batch(settings.calibration_batches)?;
    let difference = |network: &Quantized| relative_difference(network, student, &check);
    let calibrated = difference(&network)?;
    tune(&mut network, student, settings, |step| batch(settings.calibration_batches + 1 + step))?;
    let tuned = difference(&network)?;
    Ok((network, Fidelity { calibrated, tuned }))
}

/// Chooses the grids of input and activations.
fn calibrate(network: &mut Quantized, settings: &Quantize, batch: impl Fn(u64) -> Result<Tensor>) -> Result<()> {
    let mut seen: Vec<Vec<Tensor>> = Vec::new();
    for step in 0..settings.calibration_batches {
        let x = batch(step)?;
        let _ = tch::no_grad(|| {
            network.frame_logits(&x, |at, h| {
                seen.resize_with(seen.len().max(at + 1), Vec::new);
                let flat = h.f_contiguous()?.f_view([-1])?;
                // Evenly over the batch; an odd distance meets every band and channel.
                let distance = (flat.size()[0] / SAMPLE_A_BATCH).max(1) | 1;
                let n = flat.size()[0];
                seen[at].push(flat.f_slice(0, 0, n, distance)?.f_detach_copy()?);
                Ok(())
            })
        })?;
    }
    let grid = |values: &Vec<Tensor>| Grid::of_values(&Tensor::f_cat(values, 0)?, settings);
    let grids = tch::no_grad(|| seen.iter().map(grid).collect::<Result<Vec<_>>>())?;
    network.set_grids(grids);
    Ok(())
}

/// Trains weights and biases to say, rounded, what `student` says.
fn tune(
    network: &mut Quantized,
    student: &Student,
    settings: &Quantize,
    batch: impl Fn(u64) -> Result<Tensor>,
) -> Result<()> {
    for param in network.params_mut() {
        *param = param.f_set_requires_grad(true)?;
    }
    let mut optimizer = Optimizer::new(Method::Adamw, 0.0, network.params().iter())?;
    let bar = progress::bar(settings.steps, "quantizing");
    for step in 0..settings.steps {
        let x = batch(step)?;
        let expected = student.frame_logits(&x)?;
        let loss = network.frame_logits(&x, |_, _| Ok(()))?.f_sub(&expected)?.f_square()?.f_mean(Kind::Float)?;
        loss.f_backward()?;
        if !loss.f_double_value(&[])?.is_finite() {
            return Err(Error::Diverged { step });
        }
        let done = step as f64 / settings.steps as f64;
        let lr = settings.lr * 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
        optimizer.step(network.params_mut().iter_mut().map(|p| (p, 0.0)), lr, step)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    for param in network.params_mut() {
        *param = param.f_detach()?;
    }
    Ok(())
}

fn relative_difference(network: &Quantized, student: &Student, x: &Tensor) -> Result<f64> {
    tch::no_grad(|| {
        let (expected, actual) = (student.frame_logits(x)?, network.frame_logits(x, |_, _| Ok(()))?);
        let power = |t: &Tensor| Ok::<_, Error>(t.f_square()?.f_mean(Kind::Float)?.f_double_value(&[])?);
        Ok((power(&actual.f_sub(&expected)?)? / power(&expected)?.max(1e-12)).sqrt())
    })
}

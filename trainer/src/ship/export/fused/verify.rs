//! Compares an exported fusion with the networks it came from.
//!
//! Enters: a model folder, the networks in libtorch, log-mel frames. Leaves: the largest
//! difference, or an error. The folder is read and run by the daemon's own code.

use super::Member;
use crate::error::{Error, Result};
use crate::nets::Precision as TorchPrecision;
use crate::nets::slowfast::fused::min_max;
use crate::ship::export::TOLERANCE;
use edge::engine::{BatchEngine, Engine, Precision, WindowEngine};
use edge::model::Model;
use std::path::Path;
use tch::Tensor;

/// Differences between an exported fusion and libtorch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FusedAgreement {
    /// Largest absolute difference of a posterior.
    pub largest: f32,
    /// Patches compared.
    pub n_patches: usize,
}

/// Streams `frames` `(n_frames, n_mels)` through the model in `folder` and compares the posteriors
/// of all patches with those of `members`.
///
/// # Errors
///
/// If the model does not load or run, a difference exceeds [`TOLERANCE`], or streamed and direct
/// posteriors are not equal.
pub fn verify_fused(folder: &Path, members: &[Member], frames: &[f32]) -> Result<FusedAgreement> {
    let differs = |message: String| Err(Error::Verification { path: folder.to_owned(), message });
    let model = Model::load(folder)?;
    let mut engine = WindowEngine::load(&model, Precision::F32)?;
    let (n_classes, n_mels) = (engine.n_classes(), engine.n_mels());
    let (pulse, patch) = (engine.pulse_frames() * n_mels, engine.receptive_field_frames() * n_mels);
    let mut streamed = Vec::new();
    let mut patches = Vec::new();
    let mut logits = vec![0.0; n_classes];
    for chunk in frames.chunks_exact(pulse) {
        if engine.push(chunk, &mut logits)? {
            let start = streamed.len() / n_classes * pulse;
            streamed.extend_from_slice(&logits);
            patches.extend_from_slice(&frames[start..start + patch]);
        }
    }
    let n_patches = streamed.len() / n_classes;
    if n_patches == 0 {
        return differs("no posteriors came out".to_owned());
    }
    let expected = torch_posteriors(members, &patches, n_patches, n_mels)?;
    let difference = |(logit, expected): (&f32, &f32)| (logit.exp() - expected).abs();
    // Not f32::max, which would drop a NaN.
    let worse = |worst: f32, d: f32| if d > worst || d.is_nan() { d } else { worst };
    let largest = streamed.iter().zip(&expected).map(difference).fold(0.0, worse);
    if largest.is_nan() || largest > TOLERANCE {
        return differs(format!("a posterior differs by {largest:e}, allowed {TOLERANCE:e}"));
    }
    let direct = BatchEngine::load(&model, Precision::F32)?.run(frames)?;
    if direct.len() < streamed.len() || direct.iter().zip(&streamed).any(|(a, b)| a.to_bits() != b.to_bits()) {
        return differs("streamed patches differ from the same patches by themselves".to_owned());
    }
    Ok(FusedAgreement { largest, n_patches })
}

/// Fused posteriors `(n_patches, n_classes)` of `patches` `(n_patches, n_frames, n_mels)`, by
/// libtorch.
fn torch_posteriors(members: &[Member], patches: &[f32], n_patches: usize, n_mels: usize) -> Result<Vec<f32>> {
    let x = Tensor::f_from_slice(patches)?.f_view([n_patches as i64, -1, n_mels as i64])?;
    let total: f64 = members.iter().map(|m| m.weight).sum();
    let mut fused = vec![0.0; members.first().map_or(0, |m| m.network.n_classes()) * n_patches];
    for member in members {
        let x = if member.min_max { min_max(&x)? } else { x.shallow_clone() };
        let posteriors = member.network.posteriors(&x.f_unsqueeze(1)?, TorchPrecision::F32)?;
        let posteriors = Vec::<f32>::try_from(&posteriors.f_contiguous()?.f_view([-1])?)?;
        fused.iter_mut().zip(posteriors).for_each(|(sum, p)| *sum += member.weight / total * f64::from(p));
    }
    Ok(fused.into_iter().map(|p| p as f32).collect())
}

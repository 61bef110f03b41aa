//! How a network is trained: one [`recipe`], one loop ([`learner`]), one [`checkpoint`].
//!
//! The loop trains any [`learner::Learner`]: [`student`] on clips, the student on [`scenes`], and
//! [`slowfast`] each say what a batch is, what a step does and what a checkpoint holds. All use
//! [`optim`] and [`schedule`], and report [`metrics`]; [`loss`] compares with labels.

pub mod checkpoint;
pub mod learner;
pub mod loss;
pub mod metrics;
pub mod optim;
pub mod recipe;
pub mod scenes;
pub mod schedule;
pub mod slowfast;
pub mod student;

use crate::common::random::{Rng, uniform};
use crate::error::Result;
use optim::Optimizer;
use tch::Tensor;

/// Zeroes a random share of the features and scales up the rest.
fn drop_out(features: &Tensor, share: f64, rng: &mut Rng) -> Result<Tensor> {
    let share = share as f32;
    if share == 0.0 {
        return Ok(features.shallow_clone());
    }
    let kept = |_| if uniform(rng, 0.0, 1.0) < share { 0.0 } else { 1.0 / (1.0 - share) };
    let mask: Vec<f32> = (0..features.numel()).map(kept).collect();
    let mask = Tensor::f_from_slice(&mask)?.f_view(&features.size()[..])?;
    Ok(features.f_mul(&mask.f_to_device(features.device())?)?)
}

/// The state of an optimiser of the tensors called `names`, for a checkpoint.
fn optimizer_tensors(optimizer: &Optimizer, names: impl Iterator<Item = String>) -> Vec<(String, Tensor)> {
    let slots = names.zip(optimizer.slots()).flat_map(|(name, slots)| {
        slots.iter().enumerate().map(move |(i, slot)| (format!("optim/{name}/{i}"), slot.shallow_clone()))
    });
    slots.collect()
}

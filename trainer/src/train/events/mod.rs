//! The last training: from a network of clips to one of events.
//!
//! Enters: the clips and backgrounds of a training. Leaves: short scenes ([`scene`]) with the truth of each output of the network, and the
//! loss of what a student says of them. The stage goes on with the clips at the same time, from which the network knows the classes;
//! [`fit`](crate::chain::fit) runs it.

pub mod activity;
pub mod scene;

use crate::error::Result;
use crate::nets::student::Student;
use crate::train::recipe::{Events, Head, Optim, Recipe};
use crate::train::training::normalise;
use scene::SceneBatch;
use tch::{Device, Kind, Tensor};

/// The optimiser's settings in this stage: the recipe's, with the stage's own rate and average.
pub fn optim(settings: &Events, recipe: &Optim) -> Optim {
    Optim { lr: settings.lr, ema: settings.ema, cycles: 1, ..recipe.clone() }
}

/// The scenes of a batch as the network takes them, `(B, T, n_mels)`.
///
/// # Errors
///
/// If libtorch reports one.
pub fn input(batch: &SceneBatch, settings: &Events, recipe: &Recipe, device: Device) -> Result<Tensor> {
    normalise(&batch.power, settings.batch, recipe, device)
}

/// What the student says of a batch of scenes against the truth: the mean over scenes and outputs of the loss summed over classes.
///
/// # Errors
///
/// If libtorch reports one.
pub fn loss(
    student: &Student,
    batch: &SceneBatch,
    settings: &Events,
    recipe: &Recipe,
    device: Device,
) -> Result<Tensor> {
    let x = input(batch, settings, recipe, device)?;
    let features = student.embed(&x, recipe.train.precision, true)?.f_permute([0, 2, 1])?;
    let logits = student.classify(&features)?;
    let targets = Tensor::f_from_slice(&batch.targets)?.f_to_device(device)?.f_view(&logits.size()[..])?;
    let loss = match settings.head {
        // ln(1 + e^z) - y z
        Head::Sigmoid => logits.f_softplus()?.f_sub(&logits.f_mul(&targets)?)?,
        Head::Softmax => logits.f_log_softmax(2, Kind::Float)?.f_mul(&targets)?.f_neg()?,
    };
    Ok(loss.f_sum_dim_intlist([2i64].as_slice(), false, Kind::Float)?.f_mean(Kind::Float)?)
}

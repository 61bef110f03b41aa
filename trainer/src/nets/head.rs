//! A head of ours on CED-tiny's tokens, in libtorch: what `models/home-large` is.
//!
//! Enters: of each patch the embeddings of some steps one after another, `(B, Q + C - 1, 192)`, and
//! the mean of the embeddings of all its steps, `(B, 192)`. Leaves: logits `(B, Q, n_classes)` of Q
//! steps, each from C steps around it and the mean. CED-tiny itself keeps its weights.

use crate::common::array::of_tensor;
use crate::common::random::{Purpose, Rng, rng_for, uniform};
use crate::error::{Error, Result};
use assemble::ced::{self, EMBEDDING_WIDTH, PATCH};
use assemble::{Head, HeadShape, Linear};
use edge_frontend::{Activation, FrontendConfig, Network, NetworkKind};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

const D: i64 = EMBEDDING_WIDTH as i64;

/// Sizes of the head and of what it sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadConfig {
    /// Steps of 160 ms that CED-tiny hears at once.
    pub patch_steps: usize,
    /// Of these, steps after the one that an output describes.
    pub lookahead_steps: usize,
    /// Steps around that one whose embeddings the head sees; odd.
    pub context_steps: usize,
    /// Values of its hidden layer.
    pub hidden: usize,
}

impl HeadConfig {
    /// What the head sees.
    pub fn shape(&self) -> HeadShape {
        let Self { patch_steps, lookahead_steps, context_steps, .. } = *self;
        HeadShape { patch_steps, lookahead_steps, context_steps }
    }

    /// How a manifest describes the network: a whole patch is computed again for every step.
    pub fn described(&self, frontend: &FrontendConfig) -> Network {
        let n_frames = self.patch_steps * PATCH;
        let n_field = (n_frames - 1) * frontend.hop_length + frontend.win_length;
        let field_ms = n_field as f64 / f64::from(frontend.sample_rate) * 1e3;
        Network {
            kind: NetworkKind::Window,
            pulse_frames: PATCH,
            receptive_field_frames: n_frames,
            output_delay: self.patch_steps - 1,
            activation: Activation::Sigmoid,
            // To a thousandth, as it is written.
            lookahead_ms: Some(((field_ms - self.centre_s(self.shape().step()) * 1e3) * 1e3).round() / 1e3),
        }
    }

    /// The middle of step `step`, in seconds from the beginning of the patch: its 16 frames reach
    /// from the beginning of the first one's window to the end of the last one's.
    pub fn centre_s(&self, step: usize) -> f64 {
        let n_step = (PATCH - 1) * ced::HOP + ced::N_FFT;
        step as f64 * ced::STEP_S + n_step as f64 / 2.0 / f64::from(ced::SAMPLE_RATE)
    }
}

/// The patches of a scene that a head learns from. One begins [`Patches::HOP`] steps after the
/// other, and this number of its steps is learnt from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patches {
    /// Steps of a patch.
    pub n_steps: usize,
    /// The first step of a patch that is learnt from; the last is the one that an output describes.
    pub first: usize,
    /// Steps that the head sees of each side.
    pub half: usize,
}

impl Patches {
    /// Steps from one patch to the next.
    pub const HOP: usize = 4;

    /// Those of a head.
    pub fn of(config: &HeadConfig) -> Self {
        let shape = config.shape();
        let first = (shape.step() + 1).saturating_sub(Self::HOP);
        Self { n_steps: shape.patch_steps, first, half: shape.context_steps / 2 }
    }

    /// Whether a patch has the steps that are learnt from, with their context.
    pub fn fits(self) -> bool {
        self.first >= self.half && self.first + Self::HOP + self.half <= self.n_steps
    }

    /// Steps whose embeddings are kept: those that are learnt from, and their context.
    pub fn n_kept(self) -> usize {
        Self::HOP + 2 * self.half
    }
}

/// The head with its weights.
#[derive(Debug)]
pub struct HeadNetwork {
    config: HeadConfig,
    /// Mean and deviation of embeddings, `(192)`.
    statistics: (Tensor, Tensor),
    /// Names and values: weights and biases of both layers.
    params: Vec<(&'static str, Tensor)>,
}

const MEAN: &str = "statistics.mean";
const DEVIATION: &str = "statistics.deviation";
const NAMES: [&str; 4] = ["hidden.weight", "hidden.bias", "output.weight", "output.bias"];

impl HeadNetwork {
    /// A head with fresh weights drawn from `seed`, for embeddings of the given mean and deviation.
    ///
    /// # Errors
    ///
    /// If libtorch cannot allocate it.
    pub fn new(
        config: &HeadConfig,
        n_classes: usize,
        statistics: (Tensor, Tensor),
        seed: u64,
        device: Device,
    ) -> Result<Self> {
        let mut rng = rng_for(seed, Purpose::Weights, 0);
        let (n_in, n_hidden) = (config.shape().n_in(), config.hidden);
        let mut params = Vec::new();
        for (name, n_out, n_in, dims) in [
            (NAMES[0], n_hidden, n_in, 2),
            (NAMES[1], n_hidden, n_in, 1),
            (NAMES[2], n_classes, n_hidden, 2),
            (NAMES[3], n_classes, n_hidden, 1),
        ] {
            let shape = &[n_out as i64, n_in as i64][..dims];
            let value = draw(shape, 1.0 / (n_in as f32).sqrt(), &mut rng)?.f_to_device(device)?;
            params.push((name, value.f_set_requires_grad(true)?));
        }
        let (mean, deviation) = statistics;
        let statistics = (mean.f_to_device(device)?, deviation.f_to_device(device)?);
        Ok(Self { config: config.clone(), statistics, params })
    }

    /// A head of tensors, which `get` finds by the names of [`tensors`](Self::tensors).
    ///
    /// # Errors
    ///
    /// Those of `get`.
    pub fn of_tensors(config: &HeadConfig, get: impl Fn(&str) -> Result<Tensor>) -> Result<Self> {
        let params = NAMES.iter().map(|name| Ok((*name, get(name)?))).collect::<Result<_>>()?;
        Ok(Self { config: config.clone(), statistics: (get(MEAN)?, get(DEVIATION)?), params })
    }

    /// All that the head is, by name after `prefix`.
    pub fn tensors(&self, prefix: &str) -> Vec<(String, Tensor)> {
        let statistics = [(MEAN, &self.statistics.0), (DEVIATION, &self.statistics.1)];
        let all = self.params.iter().map(|(name, value)| (*name, value)).chain(statistics);
        all.map(|(name, value)| (format!("{prefix}{name}"), value.shallow_clone())).collect()
    }

    /// A copy without gradients.
    ///
    /// # Errors
    ///
    /// If libtorch cannot allocate it.
    pub fn frozen_copy(&self) -> Result<Self> {
        let copy = |(name, value): &(&'static str, Tensor)| Ok((*name, value.f_detach_copy()?));
        Ok(Self {
            config: self.config.clone(),
            statistics: (self.statistics.0.shallow_clone(), self.statistics.1.shallow_clone()),
            params: self.params.iter().map(copy).collect::<Result<_>>()?,
        })
    }

    /// Names and weights, in order.
    pub fn params(&self) -> &[(&'static str, Tensor)] {
        &self.params
    }

    /// The same, to be updated.
    pub fn params_mut(&mut self) -> &mut [(&'static str, Tensor)] {
        &mut self.params
    }

    /// Logits `(B, Q, n_classes)` of `steps` `(B, Q + C - 1, 192)` and the patches' means `(B,
    /// 192)`; `drop` is applied to the hidden values.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn logits(
        &self,
        steps: &Tensor,
        means: &Tensor,
        drop: impl FnOnce(Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let [steps, means] = [self.standardised(steps)?, self.standardised(means)?];
        let width = self.config.context_steps as i64;
        let (n, n_seen, _) = steps.size3()?;
        let n_steps = n_seen - width + 1;
        let context = steps.f_unfold(1, width, 1)?.f_permute([0, 1, 3, 2])?.f_reshape([n, n_steps, width * D])?;
        let seen = Tensor::f_cat(&[context, means.f_unsqueeze(1)?.f_expand([n, n_steps, D], false)?], 2)?;
        let [(_, hidden), (_, hidden_bias), (_, output), (_, output_bias)] = &self.params[..] else {
            return Err(Error::Usage("a head has two layers".to_owned()));
        };
        let hidden = drop(seen.f_linear(hidden, Some(hidden_bias))?.f_relu()?)?;
        Ok(hidden.f_linear(output, Some(output_bias))?)
    }

    fn standardised(&self, embeddings: &Tensor) -> Result<Tensor> {
        Ok(embeddings.f_to_kind(Kind::Float)?.f_sub(&self.statistics.0)?.f_div(&self.statistics.1)?)
    }

    /// The head as a model folder holds it: it sees embeddings as they are, and knows the classes
    /// `classes`.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn folded(&self, classes: &[usize]) -> Result<Head> {
        let shape = self.config.shape();
        let get = |name: &str| {
            let found = self.params.iter().find(|(n, _)| *n == name);
            let none = || Error::Usage(format!("the head has no tensor {name:?}"));
            found.map(|(_, value)| value.f_detach()).ok_or_else(none)
        };
        let repeated = |values: &Tensor| values.f_repeat([shape.context_steps as i64 + 1]);
        let (mean, deviation) = (repeated(&self.statistics.0)?, repeated(&self.statistics.1)?);
        let weight = get(NAMES[0])??.f_div(&deviation)?;
        let bias = get(NAMES[1])??.f_sub(&weight.f_mv(&mean)?)?;
        let rows: Vec<i64> = classes.iter().map(|&class| class as i64).collect();
        let rows = Tensor::f_from_slice(&rows)?.f_to_device(weight.device())?;
        let array = |tensor: Tensor| of_tensor(&tensor.f_to_device(Device::Cpu)?);
        Ok(Head {
            shape,
            hidden: Linear { weight: array(weight)?, bias: array(bias)? },
            output: Linear {
                weight: array(get(NAMES[2])??.f_index_select(0, &rows)?)?,
                bias: array(get(NAMES[3])??.f_index_select(0, &rows)?)?,
            },
        })
    }
}

fn draw(shape: &[i64], bound: f32, rng: &mut Rng) -> Result<Tensor> {
    let n = shape.iter().product::<i64>();
    let values: Vec<f32> = (0..n).map(|_| uniform(rng, -bound, bound)).collect();
    Ok(Tensor::f_from_slice(&values)?.f_view(shape)?)
}

//! The streaming student network in libtorch.
//!
//! Enters: normalised log-mel crops `(B, T, n_mels)`. Leaves: frame logits `(B, C, T')`, one per
//! pulse, and clip logits `(B, C)`, their mean over time. Convolutions pad in frequency only, so
//! frame j depends on input frames `[p j, p j + receptive_field)` alone, p being the frames of a
//! pulse, and the network can be run on a stream. Runs on the training thread.
//!
//! Convolution weights are stored `(out, kernel_t, kernel_f, in)` and viewed as `(out, in,
//! kernel_t, kernel_f)`: this is libtorch's channels-last layout, 1.3 times as fast as the usual
//! one on a CPU for such narrow layers.

mod config;
mod cost;
mod forward;

use crate::common::random::{Purpose, normal, rng_for, uniform};
use crate::error::{Error, Result};
use crate::nets::batch_norm::Norm;
use edge_frontend::Activation;
use std::collections::HashMap;
use std::path::Path;
use tch::{Device, Kind, Tensor};

pub use config::{ConvLayer, StudentConfig};
pub use cost::{Cost, cost, n_output_frames, receptive_field};

/// Added to the variance in batch norm.
pub const BN_EPSILON: f64 = 1e-5;

/// A named tensor of the network.
#[derive(Debug)]
pub struct Param {
    /// For example `conv2.bn.bias`.
    pub name: String,
    /// The value; in single precision.
    pub value: Tensor,
    /// Whether gradients flow into it (running statistics are not trained).
    pub trained: bool,
}

/// The network with its weights.
#[derive(Debug)]
pub struct Student {
    network: StudentConfig,
    n_mels: usize,
    n_classes: usize,
    n_teacher: usize,
    params: Vec<Param>,
}

impl Student {
    /// A network with fresh weights (He initialisation, fan-out), drawn from `seed`. `n_teacher` is
    /// the width of the teacher's embedding, which a second head learns to predict in training; 0
    /// without a teacher.
    ///
    /// # Errors
    ///
    /// If libtorch cannot allocate it.
    pub fn new(
        network: &StudentConfig,
        n_mels: usize,
        n_classes: usize,
        n_teacher: usize,
        seed: u64,
        device: Device,
    ) -> Result<Self> {
        let options = (Kind::Float, Device::Cpu);
        let mut rng = rng_for(seed, Purpose::Weights, 0);
        let mut params = Vec::new();
        let mut n_in = 1;
        for (i, layer) in network.layers.iter().enumerate() {
            let shape = [layer.channels, layer.kernel_t, layer.kernel_f, n_in].map(|s| s as i64);
            let std = (2.0 / (layer.channels * layer.kernel_t * layer.kernel_f) as f32).sqrt();
            let channels = layer.channels as i64;
            let mut add = |name: &str, value: Tensor, trained: bool| {
                params.push(Param {
                    name: format!("conv{i}.{name}"),
                    value: value.to_device(device).set_requires_grad(trained),
                    trained,
                });
            };
            add("weight", draw(&shape, || std * normal(&mut rng))?, true);
            add("bn.weight", Tensor::f_ones([channels], options)?, true);
            add("bn.bias", Tensor::f_zeros([channels], options)?, true);
            add("bn.mean", Tensor::f_zeros([channels], options)?, false);
            add("bn.variance", Tensor::f_ones([channels], options)?, false);
            n_in = layer.channels;
        }
        let bound = 1.0 / (n_in as f32).sqrt();
        for (name, n_out) in [("teacher", n_teacher), ("head", n_classes)] {
            if n_out == 0 {
                continue;
            }
            for (part, shape) in [("weight", vec![n_out as i64, n_in as i64]), ("bias", vec![n_out as i64])] {
                let value = draw(&shape, || uniform(&mut rng, -bound, bound))?;
                let value = value.to_device(device).set_requires_grad(true);
                params.push(Param { name: format!("{name}.{part}"), value, trained: true });
            }
        }
        Ok(Self { network: network.clone(), n_mels, n_classes, n_teacher, params })
    }

    /// Overwrites all tensors with those of a checkpoint, which are taken from `values` by name
    /// after `prefix`.
    ///
    /// # Errors
    ///
    /// If one is missing or has another shape; `path` is named.
    pub fn fill(&mut self, values: &HashMap<String, Tensor>, prefix: &str, path: &Path) -> Result<()> {
        for param in &mut self.params {
            let name = format!("{prefix}{}", param.name);
            let value = values.get(&name).ok_or_else(|| Error::content(path, format!("tensor {name:?} is missing")))?;
            if value.size() != param.value.size() {
                let message =
                    format!("tensor {name:?} has shape {:?}, expected {:?}", value.size(), param.value.size());
                return Err(Error::content(path, message));
            }
            tch::no_grad(|| param.value.f_copy_(value))?;
        }
        Ok(())
    }

    /// A copy with its own storage, without gradients.
    ///
    /// # Errors
    ///
    /// If libtorch cannot allocate it.
    pub fn frozen_copy(&self) -> Result<Self> {
        let copy = |p: &Param| Ok(Param { name: p.name.clone(), value: p.value.f_detach_copy()?, trained: false });
        let params = tch::no_grad(|| self.params.iter().map(copy).collect::<Result<_>>())?;
        Ok(Self {
            network: self.network.clone(),
            n_mels: self.n_mels,
            n_classes: self.n_classes,
            n_teacher: self.n_teacher,
            params,
        })
    }

    /// Moves every tensor towards `other`'s: `self = decay * self + (1 - decay) * other`.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn average_towards(&mut self, other: &Self, decay: f64) -> Result<()> {
        tch::no_grad(|| {
            for (mine, theirs) in self.params.iter_mut().zip(&other.params) {
                let _ = mine.value.f_lerp_(&theirs.value, 1.0 - decay)?;
            }
            Ok(())
        })
    }

    /// All tensors, in a fixed order.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// All tensors, in a fixed order.
    pub fn params_mut(&mut self) -> &mut [Param] {
        &mut self.params
    }

    /// The tensor called `name`.
    pub fn param(&self, name: &str) -> Option<&Tensor> {
        self.params.iter().find(|p| p.name == name).map(|p| &p.value)
    }

    /// Weight `(out, in, kernel_t, kernel_f)` and bias of layer `i` with its batch norm folded in,
    /// in double precision.
    ///
    /// # Errors
    ///
    /// If the network has no such layer, or libtorch reports an error.
    pub fn folded(&self, i: usize) -> Result<(Tensor, Tensor)> {
        let part = |name: &str| {
            let name = format!("conv{i}.{name}");
            self.param(&name).ok_or_else(|| Error::Usage(format!("network has no tensor {name:?}")))
        };
        let norm = Norm {
            weight: part("bn.weight")?,
            bias: part("bn.bias")?,
            mean: part("bn.mean")?,
            variance: part("bn.variance")?,
            epsilon: BN_EPSILON,
        };
        norm.fold(&part("weight")?.f_permute([0, 3, 1, 2])?)
    }

    /// The same network with other notes on what its outputs say.
    #[must_use]
    pub fn reading(mut self, activation: Activation, lookahead_ms: Option<f64>) -> Self {
        (self.network.activation, self.network.lookahead_ms) = (activation, lookahead_ms);
        self
    }

    /// Where the weights are.
    pub fn device(&self) -> Device {
        self.params[0].value.device()
    }

    /// The layers, and what the outputs say.
    pub fn network(&self) -> &StudentConfig {
        &self.network
    }

    /// Bands of the input.
    pub fn n_mels(&self) -> usize {
        self.n_mels
    }

    /// Classes of the output.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }
}

/// A tensor of independent draws.
fn draw(shape: &[i64], mut one: impl FnMut() -> f32) -> Result<Tensor> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|_: i64| one()).collect();
    Ok(Tensor::f_from_slice(&values)?.f_view(shape)?)
}

//! The forward pass.

use super::config::{ALPHA, FAST_KERNEL, N_STAGES, SLOW_KERNELS, STRIDES, SlowFastConfig, slow_frames};
use super::initial::initial;
use super::layout::{Named, Role, block_name, layout};
use crate::common::random::Rng;
use crate::error::{Error, Result};
use crate::nets::Precision;
use std::cell::RefCell;
use std::collections::HashMap;
use tch::{Device, Kind, Tensor};

/// Added to the variance in batch norm.
pub(crate) const BN_EPSILON: f64 = 1e-5;
/// Share of a batch's statistics in the running ones.
const BN_MOMENTUM: f64 = 0.1;
/// The norms that stay in training when batch norm is frozen: those of both stems and of the first
/// lateral connection.
const FIRST_NORMS: [&str; 3] = ["s1.pathway0_stem.bn", "s1.pathway1_stem.bn", "s1_fuse.bn"];

/// The network with its weights.
#[derive(Debug)]
pub struct SlowFast {
    config: SlowFastConfig,
    n_classes: usize,
    tensors: Vec<Named>,
    places: HashMap<String, usize>,
    slow_frames: Tensor,
}

/// Which batch norms use the batch's statistics, and update the running ones with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norms {
    /// All.
    Train,
    /// Those of the stems and of the first lateral connection, as in the published recipe.
    TrainFirst,
    /// None: evaluation, and a frozen backbone.
    Running,
}

impl Norms {
    /// Whether the batch norm `name` uses the batch's statistics.
    pub fn trains(self, name: &str) -> bool {
        match self {
            Norms::Train => true,
            Norms::TrainFirst => FIRST_NORMS.iter().any(|n| name.starts_with(n)),
            Norms::Running => false,
        }
    }
}

/// How a forward pass is done.
#[derive(Debug)]
pub struct Pass {
    /// Batch statistics or running ones.
    pub norms: Norms,
    /// Arithmetic of the convolutions; norms' statistics and the head are in single precision.
    pub precision: Precision,
    /// Whether views of any size are taken, and the head averages over the whole of them.
    pub any_size: bool,
    /// Share of a batch for which the last block is skipped, falling linearly to 0 at the first
    /// (Huang et al. 2016, section 3), with the generator that draws which.
    pub drop_path: Option<(f64, RefCell<Rng>)>,
}

impl Pass {
    /// As deployed: running statistics, nothing dropped.
    pub fn evaluation(precision: Precision) -> Self {
        Self { norms: Norms::Running, precision, any_size: false, drop_path: None }
    }
}

impl SlowFast {
    /// A network with fresh weights drawn from `seed`.
    ///
    /// # Errors
    ///
    /// If the configuration is out of range, or libtorch cannot allocate the network.
    pub fn new(config: &SlowFastConfig, n_classes: usize, seed: u64, device: Device) -> Result<Self> {
        config.check().map_err(|(key, message)| Error::Usage(format!("{key}: {message}")))?;
        let specs = layout(config, n_classes);
        let mut tensors = Vec::with_capacity(specs.len());
        for (i, spec) in specs.into_iter().enumerate() {
            let value = initial(&spec, seed, i as u64)?.f_to_device(device)?;
            tensors.push(Named { name: spec.name, role: spec.role, value });
        }
        Self::assemble(config.clone(), n_classes, tensors)
    }

    fn assemble(config: SlowFastConfig, n_classes: usize, mut tensors: Vec<Named>) -> Result<Self> {
        let places = tensors.iter().enumerate().map(|(i, t)| (t.name.clone(), i)).collect();
        let device = tensors.first().map_or(Device::Cpu, |t| t.value.device());
        if device.is_cuda() {
            for kernel in tensors.iter_mut().filter(|t| t.role == Role::Kernel) {
                kernel.value = channels_last(&kernel.value)?;
            }
        }
        let slow_frames = Tensor::f_from_slice(&slow_frames(config.n_frames))?.f_to_device(device)?;
        Ok(Self { config, n_classes, tensors, places, slow_frames })
    }

    /// A copy with its own storage, without gradients.
    ///
    /// # Errors
    ///
    /// If libtorch cannot allocate it.
    pub fn frozen_copy(&self) -> Result<Self> {
        let copy = |t: &Named| Ok(Named { name: t.name.clone(), role: t.role, value: t.value.f_detach_copy()? });
        let tensors = self.tensors.iter().map(copy).collect::<Result<_>>()?;
        Self::assemble(self.config.clone(), self.n_classes, tensors)
    }

    /// Whether `other` differs in its head at most, so that what one's backbone computes is the
    /// other's, too.
    pub fn shares_backbone(&self, other: &Self) -> bool {
        self.config == other.config
            && self.tensors.iter().zip(&other.tensors).all(|(a, b)| a.role.is_head() || a.value == b.value)
    }

    /// Sizes.
    pub fn config(&self) -> &SlowFastConfig {
        &self.config
    }

    /// Classes of the head.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// All tensors, in the order of published checkpoints.
    pub fn tensors(&self) -> &[Named] {
        &self.tensors
    }

    /// All tensors, to be changed.
    pub fn tensors_mut(&mut self) -> &mut [Named] {
        &mut self.tensors
    }

    /// The tensor called `name`.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.places.get(name).map(|&i| &self.tensors[i].value)
    }

    /// Posteriors of views `(B, 1, n_frames, n_mels)`: softmax at each position that the head's
    /// average leaves, then the mean over positions, `(B, n_classes)`. No gradients. More bands, or
    /// a few frames more, leave more positions than one; at most lengths the pathways leave
    /// different numbers of them, and the head has nothing to look at.
    ///
    /// # Errors
    ///
    /// If the shape does not fit.
    pub fn posteriors(&self, x: &Tensor, precision: Precision) -> Result<Tensor> {
        tch::no_grad(|| {
            let features = self.positions(x, &Pass::evaluation(precision))?;
            let posteriors = self.classify(&features)?.f_softmax(-1, Kind::Float)?;
            Ok(posteriors.f_mean_dim([1i64, 2].as_slice(), false, Kind::Float)?)
        })
    }

    /// Logits of views `(B, 1, n_frames, n_mels)`, of the features averaged over all positions:
    /// `(B, n_classes)`. No gradients.
    ///
    /// # Errors
    ///
    /// If the shape does not fit.
    pub fn logits(&self, x: &Tensor, precision: Precision) -> Result<Tensor> {
        tch::no_grad(|| self.classify(&self.features(x, &Pass::evaluation(precision))?))
    }

    /// What the head sees: `(B, n_features)`, the slow pathway's channels first, averaged over
    /// positions.
    ///
    /// # Errors
    ///
    /// If the shape does not fit.
    pub fn features(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        Ok(self.positions(x, pass)?.f_mean_dim([1i64, 2].as_slice(), false, Kind::Float)?)
    }

    /// The head, on features `(..., n_features)`: logits `(..., n_classes)`.
    ///
    /// # Errors
    ///
    /// If the shape does not fit.
    pub fn classify(&self, features: &Tensor) -> Result<Tensor> {
        let bias = self.get("head.projection.bias")?;
        Ok(features.f_linear(self.get("head.projection.weight")?, Some(bias))?)
    }

    /// Features at each position of the head: `(B, positions in time, positions in frequency,
    /// n_features)`.
    fn positions(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let size = x.size();
        let SlowFastConfig { n_frames, n_mels, .. } = self.config;
        let fits = |size: i64, least: usize, of: i64| {
            let least = if pass.any_size { of } else { least as i64 };
            size >= least && size % of == 0
        };
        if size.len() != 4 || size[1] != 1 || !fits(size[2], n_frames, ALPHA as i64) || !fits(size[3], n_mels, 1) {
            let expected = format!("(B, 1, {n_frames}, {n_mels}) or more frames, in fours, or bands");
            return Err(Error::Usage(format!("views have the shape {size:?}, expected {expected}")));
        }
        let walk = Walk { network: self, pass };
        let x = x.f_to_kind(walk.kind())?;
        let mut fast = walk.stem(1, &x)?;
        let mut slow = walk.stem(0, &self.slow_view(&x)?)?;
        for stage in 0..N_STAGES {
            slow = Tensor::f_cat(&[slow, walk.lateral(stage, &fast)?], 1)?;
            slow = walk.stage(stage, 0, slow)?;
            fast = walk.stage(stage, 1, fast)?;
        }
        let mut pooled = Vec::new();
        for (h, kernel) in [slow, fast].iter().zip(self.config.pool()) {
            let h = h.f_to_kind(Kind::Float)?;
            let kernel = if pass.any_size { [h.size()[2], h.size()[3]] } else { kernel };
            pooled.push(h.f_avg_pool2d(kernel, [1, 1], [0, 0], false, true, None)?);
        }
        let [slow, fast] = [0, 1].map(|i: usize| pooled[i].size()[2]);
        if slow != fast {
            let positions = format!("leave the slow pathway {slow} positions and the fast one {fast}");
            return Err(Error::Usage(format!("views of {} frames {positions}", size[2])));
        }
        Ok(Tensor::f_cat(&pooled, 1)?.f_permute([0, 2, 3, 1])?)
    }

    /// The frames that the slow pathway sees.
    fn slow_view(&self, x: &Tensor) -> Result<Tensor> {
        let n_frames = x.size()[2] as usize;
        if n_frames == self.config.n_frames {
            return Ok(x.f_index_select(2, &self.slow_frames)?);
        }
        let frames = Tensor::f_from_slice(&slow_frames(n_frames))?.f_to_device(x.device())?;
        Ok(x.f_index_select(2, &frames)?)
    }

    fn get(&self, name: &str) -> Result<&Tensor> {
        self.tensor(name).ok_or_else(|| Error::Usage(format!("the network has no tensor {name:?}")))
    }

    /// Names of the trainable tensors that training with `norms` fits: of frozen batch norms scale
    /// and offset stay, too.
    pub fn fitted(&self, norms: Norms, head_only: bool) -> impl Iterator<Item = usize> + '_ {
        let fits = move |t: &Named| match t.role {
            Role::NormMean | Role::NormVariance => false,
            Role::NormWeight | Role::NormBias => !head_only && norms.trains(&t.name),
            Role::Kernel => !head_only,
            Role::HeadWeight | Role::HeadBias => true,
        };
        self.tensors.iter().enumerate().filter(move |(_, t)| fits(t)).map(|(i, _)| i)
    }
}

/// The same `(B, C, T, F)` with the channels last in memory: the layout that tensor cores want;
/// what is computed of it takes it over. Not for CPUs, where libtorch 2.11 overruns its buffers
/// with it at such widths.
fn channels_last(x: &Tensor) -> Result<Tensor> {
    let size = x.size();
    let last = x.f_permute([0, 2, 3, 1])?.f_contiguous()?;
    // A single channel is not moved and keeps the strides of channels first; a new view of the
    // plain memory has others.
    let last = last.f_view([-1])?.f_view([size[0], size[2], size[3], size[1]])?;
    Ok(last.f_permute([0, 3, 1, 2])?)
}

/// One forward pass.
struct Walk<'a> {
    network: &'a SlowFast,
    pass: &'a Pass,
}

impl Walk<'_> {
    fn kind(&self) -> Kind {
        if self.pass.precision == Precision::Bf16 { Kind::BFloat16 } else { Kind::Float }
    }

    fn convolve(&self, name: &str, x: &Tensor, stride: [i64; 2], padding: [i64; 2]) -> Result<Tensor> {
        let kernel = self.network.get(&format!("{name}.weight"))?.f_to_kind(self.kind())?;
        Ok(x.f_conv2d(&kernel, None::<&Tensor>, stride, padding, [1, 1], 1)?)
    }

    fn normalise(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let part = |part: &str| self.network.get(&format!("{name}.{part}"));
        Ok(x.f_batch_norm(
            Some(part("weight")?),
            Some(part("bias")?),
            Some(part("running_mean")?),
            Some(part("running_var")?),
            self.pass.norms.trains(name),
            BN_MOMENTUM,
            BN_EPSILON,
            true,
        )?)
    }

    fn stem(&self, pathway: usize, x: &Tensor) -> Result<Tensor> {
        let name = format!("s1.pathway{pathway}_stem");
        let padding_t = if pathway == 0 { 0 } else { 2 };
        let x = if x.device().is_cuda() { channels_last(x)? } else { x.shallow_clone() };
        let h = self.convolve(&format!("{name}.conv"), &x, [2, 2], [padding_t, 3])?;
        let h = self.normalise(&format!("{name}.bn"), &h)?.f_relu_()?;
        Ok(h.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?)
    }

    /// What the fast pathway tells the slow one in front of `stage`.
    fn lateral(&self, stage: usize, fast: &Tensor) -> Result<Tensor> {
        let name = format!("s{}_fuse", stage + 1);
        let h = self.convolve(&format!("{name}.conv_f2s"), fast, [ALPHA as i64, 1], [3, 0])?;
        Ok(self.normalise(&format!("{name}.bn"), &h)?.f_relu_()?)
    }

    fn stage(&self, stage: usize, pathway: usize, mut h: Tensor) -> Result<Tensor> {
        let kernel_t = if pathway == 0 { SLOW_KERNELS[stage] } else { FAST_KERNEL };
        for block in 0..self.network.config.blocks()[stage] {
            let name = block_name(stage, pathway, block);
            let stride = [1, if block == 0 { STRIDES[stage] } else { 1 }];
            let branch = self.convolve(&format!("{name}.branch2.a"), &h, [1, 1], [kernel_t / 2, 0])?;
            let branch = self.normalise(&format!("{name}.branch2.a_bn"), &branch)?.f_relu_()?;
            let branch = self.convolve(&format!("{name}.branch2.b"), &branch, stride, [0, 1])?;
            let branch = self.normalise(&format!("{name}.branch2.b_bn"), &branch)?.f_relu_()?;
            let branch = self.convolve(&format!("{name}.branch2.c"), &branch, [1, 1], [0, 0])?;
            let mut branch = self.drop_path(self.normalise(&format!("{name}.branch2.c_bn"), &branch)?, stage, block)?;
            if self.network.tensor(&format!("{name}.branch1.weight")).is_some() {
                h = self.convolve(&format!("{name}.branch1"), &h, stride, [0, 0])?;
                h = self.normalise(&format!("{name}.branch1_bn"), &h)?;
            }
            h = branch.f_add_(&h)?.f_relu_()?;
        }
        Ok(h)
    }

    /// Zeroes the branch for a random share of the batch and scales up the rest.
    fn drop_path(&self, branch: Tensor, stage: usize, block: usize) -> Result<Tensor> {
        let Some((highest, rng)) = &self.pass.drop_path else { return Ok(branch) };
        let blocks = self.network.config.blocks();
        let place = blocks[..stage].iter().sum::<usize>() + block + 1;
        let share = highest * place as f64 / blocks.iter().sum::<usize>() as f64;
        if share <= 0.0 {
            return Ok(branch);
        }
        let mut rng = rng.borrow_mut();
        let kept = |_| {
            let dropped = f64::from(crate::common::random::uniform(&mut rng, 0.0, 1.0)) < share;
            if dropped { 0.0 } else { (1.0 / (1.0 - share)) as f32 }
        };
        let mask: Vec<f32> = (0..branch.size()[0]).map(kept).collect();
        let mask = Tensor::f_from_slice(&mask)?.f_view([-1, 1, 1, 1])?.f_to_device(branch.device())?;
        Ok(branch.f_mul(&mask.f_to_kind(branch.kind())?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_last_moves_memory_and_no_values() {
        for shape in [[2, 3, 4, 5], [2, 1, 4, 5], [6, 3, 1, 1], [6, 1, 1, 7]] {
            let x = Tensor::randn(shape, (Kind::Float, Device::Cpu));
            let y = channels_last(&x).unwrap();
            assert!(y.equal(&x));
            let [_, n_channels, n_frames, n_bands] = shape;
            let row = n_bands * n_channels;
            assert_eq!(y.stride(), [n_frames * row, 1, row, n_channels], "{shape:?}");
        }
    }
}

//! AdamW and SGD over a network's tensors.
//!
//! Enters: gradients and a learning rate. Leaves: updated weights. libtorch's own optimisers do not
//! give their state away through tch; here it is one or two tensors per weight, so a checkpoint
//! holds all of it and a resumed training continues bit for bit.

use crate::error::Result;
use crate::train::recipe::Method;
use tch::Tensor;

/// AdamW's decay of the first and second moment and its epsilon (Loshchilov and Hutter 2019,
/// section 3).
const BETAS: (f64, f64) = (0.9, 0.999);
const EPSILON: f64 = 1e-8;

/// An optimiser with its state.
#[derive(Debug)]
pub struct Optimizer {
    momentum: f64,
    /// By trained tensor: the velocity of SGD, or the two moments of AdamW.
    slots: Vec<Vec<Tensor>>,
}

impl Optimizer {
    /// An optimiser for `tensors`, with zero state. `momentum` is that of SGD.
    ///
    /// # Errors
    ///
    /// If libtorch cannot allocate the state.
    pub fn new<'a>(method: Method, momentum: f64, tensors: impl Iterator<Item = &'a Tensor>) -> Result<Self> {
        let n_slots = match method {
            Method::Adamw => 2,
            Method::Sgd => 1,
        };
        let slots = tensors.map(|t| (0..n_slots).map(|_| zeros_like(t)).collect()).collect::<Result<_>>()?;
        Ok(Self { momentum, slots })
    }

    /// Updates the tensors, which come with their weight decay, from their gradients, and clears
    /// these. Their order is that of [`Optimizer::new`]. Each becomes a new leaf of the next step's
    /// graph, with the same memory. `step` counts from 0.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn step<'a>(&mut self, tensors: impl Iterator<Item = (&'a mut Tensor, f64)>, lr: f64, step: u64) -> Result<()> {
        tch::no_grad(|| {
            let mut rule = None;
            for ((value, decay), slots) in tensors.zip(&mut self.slots) {
                let mut gradient = value.f_grad()?;
                // Nothing that this step learnt from depends on the tensor.
                if !gradient.defined() {
                    continue;
                }
                match &mut slots[..] {
                    [velocity] => {
                        let rule = match &mut rule {
                            Some(rule) => rule,
                            None => rule.insert(Nesterov::new(lr, self.momentum, value)?),
                        };
                        rule.update(value, &mut gradient, velocity, decay)?;
                    }
                    [m, v] => adamw(value, &gradient, [m, v], lr, decay, step)?,
                    _ => unreachable!("one slot or two"),
                }
                // Without a gradient of its own, so that the next backward pass leaves its result
                // there instead of adding it.
                *value = value.f_detach()?.f_set_requires_grad(true)?;
            }
            Ok(())
        })
    }

    /// The state: by trained tensor, in the order of [`Optimizer::new`].
    pub fn slots(&self) -> &[Vec<Tensor>] {
        &self.slots
    }
}

/// A trained tensor with its weight decay: only matrices and kernels decay, not batch norms and
/// biases.
pub fn with_decay(value: &mut Tensor, decay: f64) -> (&mut Tensor, f64) {
    let decay = if value.dim() > 1 { decay } else { 0.0 };
    (value, decay)
}

fn zeros_like(value: &Tensor) -> Result<Tensor> {
    Ok(value.f_detach()?.f_zeros_like()?)
}

fn adamw(
    weight: &mut Tensor,
    gradient: &Tensor,
    [m, v]: [&mut Tensor; 2],
    lr: f64,
    decay: f64,
    step: u64,
) -> Result<()> {
    let _ = m.f_lerp_(gradient, 1.0 - BETAS.0)?;
    let _ = v.f_lerp_(&gradient.f_square()?, 1.0 - BETAS.1)?;
    let t = (step + 1) as f64;
    let (correction_m, correction_v) = (1.0 - BETAS.0.powf(t), 1.0 - BETAS.1.powf(t));
    let denominator = v.f_sqrt()?.f_div_scalar(correction_v.sqrt())?.f_add_scalar(EPSILON)?;
    let update = m.f_div(&denominator)?.f_mul_scalar(lr / correction_m)?;
    let _ = weight.f_mul_scalar_(1.0 - lr * decay)?;
    let _ = weight.f_sub_(&update)?;
    Ok(())
}

/// SGD with Nesterov momentum, for one step. Factors are tensors because only then one operation
/// multiplies and adds in place.
struct Nesterov {
    minus_lr: Tensor,
    momentum: Tensor,
    /// The last decay met: a network has two at most, zero being one.
    decay: (f64, Tensor),
}

impl Nesterov {
    /// For tensors of the kind and on the device of `like`.
    fn new(lr: f64, momentum: f64, like: &Tensor) -> Result<Self> {
        let factor = |value| factor(value, like);
        Ok(Self { minus_lr: factor(-lr)?, momentum: factor(momentum)?, decay: (0.0, factor(0.0)?) })
    }

    /// Takes the gradient's memory for its own.
    fn update(&mut self, weight: &mut Tensor, gradient: &mut Tensor, velocity: &mut Tensor, decay: f64) -> Result<()> {
        if decay != self.decay.0 {
            self.decay = (decay, factor(decay, weight)?);
        }
        if decay != 0.0 {
            let _ = gradient.f_addcmul_(weight, &self.decay.1)?;
        }
        let _ = velocity.f_mul_(&self.momentum)?;
        let _ = velocity.f_add_(gradient)?;
        let _ = gradient.f_addcmul_(velocity, &self.momentum)?;
        let _ = weight.f_addcmul_(gradient, &self.minus_lr)?;
        Ok(())
    }
}

fn factor(value: f64, like: &Tensor) -> Result<Tensor> {
    Ok(Tensor::f_full(&[] as &[i64], value, (like.kind(), like.device()))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    /// Two steps from the weight 1 with the gradients 0.5 and -1, worked out by hand.
    fn after_two_steps(method: Method, decay: f64) -> f64 {
        let mut weight = Tensor::ones([1], (Kind::Double, Device::Cpu)).set_requires_grad(true);
        let mut optimizer = Optimizer::new(method, 0.9, std::iter::once(&weight)).unwrap();
        for (step, slope) in [0.5, -1.0].into_iter().enumerate() {
            (&weight * slope).sum(Kind::Double).backward();
            optimizer.step(std::iter::once((&mut weight, decay)), 0.1, step as u64).unwrap();
        }
        weight.double_value(&[0])
    }

    #[test]
    fn sgd_is_that_of_nesterov() {
        // v = 0.5, w = 1 - 0.1 (0.5 + 0.45) = 0.905; v = -0.55, w = 0.905 - 0.1 (-1 - 0.495) =
        // 1.0545.
        assert!((after_two_steps(Method::Sgd, 0.0) - 1.0545).abs() < 1e-12);
        // With decay 0.1: g = 0.6, w = 1 - 0.1 * 1.14 = 0.886; g = -0.9114, v = -0.3714, w = 0.886
        // + 0.1 * 1.24566.
        assert!((after_two_steps(Method::Sgd, 0.1) - 1.010566).abs() < 1e-12);
    }

    #[test]
    fn a_tensor_that_no_loss_depends_on_stays_as_it_is() {
        for method in [Method::Sgd, Method::Adamw] {
            let [mut used, mut unused] =
                [1.0, 2.0].map(|v| Tensor::full([1], v, (Kind::Double, Device::Cpu)).set_requires_grad(true));
            let mut optimizer = Optimizer::new(method, 0.9, [&used, &unused].into_iter()).unwrap();
            used.sum(Kind::Double).backward();
            optimizer.step([(&mut used, 0.1), (&mut unused, 0.1)].into_iter(), 0.1, 0).unwrap();
            assert!(used.double_value(&[0]) < 1.0 && unused.double_value(&[0]) == 2.0, "{method:?}");
        }
    }

    #[test]
    fn adamw_decays_apart_from_the_gradient() {
        // First step: the update is the sign of the gradient. Second: m = 0.9 * 0.05 - 0.1 =
        // -0.055, v = 0.00124975.
        let second = (-0.055 / 0.19) / ((0.001_249_75f64 / 0.001_999).sqrt() + EPSILON);
        let first = 1.0 - 0.1 * 0.5 / (0.5 + EPSILON);
        assert!((after_two_steps(Method::Adamw, 0.0) - (first - 0.1 * second)).abs() < 1e-9);
        let decayed = (1.0 * 0.99 - 0.1 * 0.5 / (0.5 + EPSILON)) * 0.99 - 0.1 * second;
        assert!((after_two_steps(Method::Adamw, 0.1) - decayed).abs() < 1e-9);
    }
}

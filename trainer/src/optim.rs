//! AdamW and SGD over the student's tensors.
//!
//! Enters: gradients and a learning rate. Leaves: updated weights. libtorch's own optimisers do not give their state away
//! through tch; here it is two tensors a weight, so a checkpoint holds all of it and a resumed training continues bit for bit.

use crate::error::Result;
use crate::recipe::{Method, Optim};
use crate::student::Student;
use tch::Tensor;

/// AdamW's decay of the first and second moment and its epsilon (Loshchilov and Hutter 2019, section 3).
const BETAS: (f64, f64) = (0.9, 0.999);
const EPSILON: f64 = 1e-8;

/// An optimiser with its state.
#[derive(Debug)]
pub struct Optimizer {
    optim: Optim,
    slots: Vec<[Tensor; 2]>,
}

impl Optimizer {
    /// An optimiser for the trained tensors of `student`, with zero state.
    ///
    /// # Errors
    ///
    /// If libtorch cannot allocate the state.
    pub fn new(optim: &Optim, student: &Student) -> Result<Self> {
        let trained = student.params().iter().filter(|p| p.trained);
        let slots = trained.map(|p| Ok([zeros_like(&p.value)?, zeros_like(&p.value)?])).collect::<Result<_>>()?;
        Ok(Self { optim: optim.clone(), slots })
    }

    /// Updates the trained tensors from their gradients and clears these. `step` counts from 0.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn step(&mut self, student: &mut Student, lr: f64, step: u64) -> Result<()> {
        tch::no_grad(|| {
            let trained = student.params_mut().iter_mut().filter(|p| p.trained);
            for (param, slots) in trained.zip(&mut self.slots) {
                // Only matrices and kernels decay, not batch norm and biases.
                let decay = if param.value.dim() > 1 { self.optim.weight_decay } else { 0.0 };
                let gradient = param.value.f_grad()?;
                match self.optim.method {
                    Method::Adamw => adamw(&mut param.value, &gradient, slots, lr, decay, step)?,
                    Method::Sgd => sgd(&mut param.value, &gradient, slots, lr, decay, self.optim.momentum)?,
                }
                param.value.zero_grad();
            }
            Ok(())
        })
    }

    /// The state: two tensors for each trained tensor, in the student's order.
    pub fn slots(&self) -> &[[Tensor; 2]] {
        &self.slots
    }

    /// The state, to be overwritten from a checkpoint.
    pub fn slots_mut(&mut self) -> &mut [[Tensor; 2]] {
        &mut self.slots
    }
}

fn zeros_like(value: &Tensor) -> Result<Tensor> {
    Ok(value.f_detach()?.f_zeros_like()?)
}

fn adamw(
    weight: &mut Tensor,
    gradient: &Tensor,
    [m, v]: &mut [Tensor; 2],
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

fn sgd(
    weight: &mut Tensor,
    gradient: &Tensor,
    [velocity, _]: &mut [Tensor; 2],
    lr: f64,
    decay: f64,
    momentum: f64,
) -> Result<()> {
    let gradient = gradient.f_add(&weight.f_mul_scalar(decay)?)?;
    let _ = velocity.f_mul_scalar_(momentum)?;
    let _ = velocity.f_add_(&gradient)?;
    let update = gradient.f_add(&velocity.f_mul_scalar(momentum)?)?;
    let _ = weight.f_sub_(&update.f_mul_scalar(lr)?)?;
    Ok(())
}

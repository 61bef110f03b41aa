//! Losses that compare the student with its teachers.
//!
//! Enters: what student and teachers say of a batch. Leaves: one number each, with a gradient into the student. Runs on the training
//! thread, on whatever device the tensors are.

use crate::error::Result;
use tch::{Kind, Tensor};

/// Cross-entropy of each row of logits `(B, C)` with targets `(B, C)`: `(B)`.
///
/// # Errors
///
/// If the shapes differ.
pub fn cross_entropy(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let log_posteriors = logits.f_log_softmax(1, Kind::Float)?;
    Ok(log_posteriors.f_mul(targets)?.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?.f_neg()?)
}

/// The soft loss of each row, `(B)`: the divergence of the student's posteriors from the teacher's `(B, C)`, both at `temperature`, times
/// its square, so that the gradient does not shrink with it (Hinton et al. 2015, section 2.1).
///
/// # Errors
///
/// If the shapes differ.
pub fn soft(logits: &Tensor, teacher: &Tensor, temperature: f64) -> Result<Tensor> {
    let log_teacher = teacher.f_clamp_min(1e-9)?.f_log()?;
    let own = teacher.f_mul(&log_teacher)?.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?;
    let crossed = cross_entropy(&logits.f_div_scalar(temperature)?, teacher)?;
    Ok(crossed.f_add(&own)?.f_mul_scalar(temperature * temperature)?)
}

/// Mean of `values` `(B)` over the rows that `mask` `(B)` marks with 1.
///
/// # Errors
///
/// If the shapes differ.
pub fn masked_mean(values: &Tensor, mask: &Tensor) -> Result<Tensor> {
    Ok(values.f_mul(mask)?.f_sum(Kind::Float)?.f_div(&mask.f_sum(Kind::Float)?.f_clamp_min(1.0)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_loss_vanishes_where_both_agree_and_is_the_divergence_elsewhere() {
        let logits = Tensor::from_slice(&[1.0f32, 2.0, 4.0, 0.0, 0.0, 0.0]).view([2, 3]);
        let same = (&logits / 2.0).softmax(1, Kind::Float);
        assert!(soft(&logits, &same, 2.0).unwrap().abs().max().double_value(&[]) < 1e-5);
        // Teacher (1, 0, 0) against thirds: ln 3, times 2^2.
        let sure = Tensor::from_slice(&[1.0f32, 0.0, 0.0, 1.0, 0.0, 0.0]).view([2, 3]);
        let loss = soft(&logits, &sure, 2.0).unwrap();
        assert!((loss.double_value(&[1]) - 4.0 * 3f64.ln()).abs() < 1e-4, "{loss}");
    }

    #[test]
    fn the_gradient_of_the_soft_loss_is_that_of_hinton() {
        // d/dz = T (q - p), with both at temperature T.
        let logits = Tensor::from_slice(&[0.5f32, -1.0, 2.0]).view([1, 3]).set_requires_grad(true);
        let teacher = Tensor::from_slice(&[0.2f32, 0.3, 0.5]).view([1, 3]);
        soft(&logits, &teacher, 3.0).unwrap().sum(Kind::Float).backward();
        let expected = ((logits.detach() / 3.0).softmax(1, Kind::Float) - &teacher) * 3.0;
        assert!((logits.grad() - expected).abs().max().double_value(&[]) < 1e-5);
    }
}

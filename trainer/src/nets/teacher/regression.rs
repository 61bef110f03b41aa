//! Multinomial logistic regression on embeddings, and how it becomes a part of a head.
//!
//! Enters: embeddings with their classes. Leaves: a linear classifier. A network that predicts
//! these embeddings by a linear layer on the features that its head sees can take the classifier
//! into its head: classification after prediction is one more linear layer on the same features,
//! which costs nothing at run time.

use crate::common::maths::Expr;
use crate::error::Result;
use tch::{Kind, Tensor};

/// Steps of the minimisation; its condition number is near 100, so that far fewer would do.
const N_STEPS: usize = 400;
/// Steps of the power iteration for the largest curvature.
const N_POWER_STEPS: usize = 20;

/// A linear layer: weights `(n_out, n_in)` and biases `(n_out)`.
#[derive(Debug)]
pub struct Linear {
    /// `(n_out, n_in)`.
    pub weight: Tensor,
    /// `(n_out)`.
    pub bias: Tensor,
}

impl Linear {
    /// What is added to a head so that it takes `share` of this classifier in, which stands after
    /// the layer `prediction` of the embeddings; `scale` is the mean length of the embeddings over
    /// that of the predicted ones.
    ///
    /// # Errors
    ///
    /// If the shapes do not fit.
    pub fn after(&self, prediction: &Self, scale: f64, share: f64) -> Result<Self> {
        let device = prediction.weight.device();
        let (weight, bias) = (self.weight.f_to_device(device)?, self.bias.f_to_device(device)?);
        let (weight, bias) = (Expr::of(&weight), Expr::of(&bias));
        let more_weight = weight.matmul(&Expr::of(&prediction.weight)) * (scale * share);
        let more_bias = (weight.map(|w| w.f_mv(&prediction.bias)) * scale + bias) * share;
        Ok(Self { weight: more_weight.tensor()?, bias: more_bias.tensor()? })
    }
}

/// Minimises `|W|^2 / 2 + c * sum(cross-entropy)` by Nesterov's accelerated gradient (Nesterov
/// 2004, section 2.2.1). Leaves a classifier whose rows are centred over the classes that occur;
/// the rows of others are zero, so that they add nothing.
///
/// # Errors
///
/// If libtorch reports one.
pub fn regress(x: &Tensor, labels: &Tensor, n_classes: usize, c: f64) -> Result<Linear> {
    tch::no_grad(|| {
        let one_hot = labels.f_one_hot(n_classes as i64)?.f_to_kind(Kind::Float)?;
        let occurs = Expr::of(&one_hot.f_amax([0i64], false)?);
        // A class that does not occur takes no part in the softmax.
        let excluded = (&occurs - 1.0) * 1e9;
        let ones = Tensor::f_ones([x.size()[0], 1], (Kind::Float, x.device()))?;
        let x = Tensor::f_cat(&[x, &ones], 1)?;
        let width = x.size()[1];
        let step = 1.0 / (1.0 + 0.5 * c * largest_curvature(&x)?);
        let momentum = (1.0 - step.sqrt()) / (1.0 + step.sqrt());
        // The bias, in the last row, is not held back.
        let decays = Tensor::f_ones([width, 1], (Kind::Float, x.device()))?;
        let _ = decays.f_get(width - 1)?.f_zero_()?;
        let (x, y, decays) = (Expr::of(&x), Expr::of(&one_hot), Expr::of(&decays));
        let mut w = Expr::of(&Tensor::f_zeros([width, n_classes as i64], (Kind::Float, one_hot.device()))?);
        let mut ahead = &w * 1.0;
        for _ in 0..N_STEPS {
            let p = (x.matmul(&ahead) + &excluded).softmax(1);
            let gradient = x.transposed().matmul(&(p - &y)) * c + &ahead * &decays;
            let next = ahead - gradient * step;
            ahead = &next + (&next - &w) * momentum;
            w = next;
        }
        let mean = (&w * &occurs).sum(1).unsqueeze(1) / occurs.sum_all();
        let centred = ((w - mean) * occurs).transposed().tensor()?;
        let (weight, bias) = (centred.f_narrow(1, 0, width - 1)?, centred.f_select(1, width - 1)?);
        Ok(Linear { weight: weight.f_contiguous()?, bias: bias.f_contiguous()? })
    })
}

/// Largest eigenvalue of `x' x`, by power iteration, a little above so that the step stays safe.
pub(crate) fn largest_curvature(x: &Tensor) -> Result<f64> {
    let mut v = Tensor::f_ones([x.size()[1]], (Kind::Float, x.device()))?;
    let mut norm = 1.0;
    for _ in 0..N_POWER_STEPS {
        v = x.f_tr()?.f_mv(&x.f_mv(&v)?)?;
        norm = v.f_norm()?.f_double_value(&[])?;
        v = v.f_div_scalar(norm)?;
    }
    Ok(1.1 * norm)
}

/// Mean length of the rows.
///
/// # Errors
///
/// If libtorch reports one.
pub fn mean_norm(rows: &Tensor) -> Result<f64> {
    Ok(Expr::of(rows).square().sum(1).sqrt().mean_all().tensor()?.f_double_value(&[])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn regression_reaches_the_minimum() {
        tch::manual_seed(3);
        let x = Tensor::randn([300, 5], (Kind::Float, Device::Cpu));
        let labels = x.select(1, 0).gt(0.3).to_kind(Kind::Int64) * 2;
        let (c, n_classes) = (0.1, 4);
        let Linear { weight, bias } = regress(&x, &labels, n_classes, c).unwrap();
        // At the minimum the gradient vanishes; classes 1 and 3 do not occur.
        let logits = x.linear(&weight, Some(&bias)) + Tensor::from_slice(&[0.0f32, -1e9, 0.0, -1e9]);
        let error = logits.softmax(1, Kind::Float) - labels.one_hot(4).to_kind(Kind::Float);
        let gradient = error.tr().matmul(&x) * c + &weight;
        assert!(gradient.abs().max().double_value(&[]) < 1e-3, "{gradient}");
        assert!(error.sum_dim_intlist([0i64].as_slice(), false, Kind::Float).abs().max().double_value(&[]) < 1e-2);
        assert_eq!(weight.get(1).abs().max().double_value(&[]), 0.0);
    }
}

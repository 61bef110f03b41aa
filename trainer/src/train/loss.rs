//! Losses.
//!
//! Enters: logits `(B, C)` and targets `(B, C)`, rows of which sum to 1 (one-hot, or mixed).
//! Leaves: a value per row, `(B)`, with a gradient. [`Loss`] compares with the labels. With p the
//! softmax of the logits, c the true class, eps the smoothing and gamma the focus:
//!
//! | kind | `form = "released"` | `form = "report"` |
//! |---|---|---|
//! | `cross_entropy` | `-ln p_c` | `-ln p_c - sum_{i != c} ln(1 - p_i)` (eq. 1) |
//! | `smoothed` | `-sum_i y_i ln p_i` | `-(1 - eps) ln p_c - sum_{i != c} eps / (C - 1) ln(1 - p_i)` (eq. 3, 4) |
//! | `focal` | `-sum_i y_i (1 - p_i)^gamma ln p_i` | the terms of eq. 4 times `(1 - p_c)^gamma` and `p_i^gamma` (eq. 5) |
//!
//! where `y = (1 - eps) onehot + eps / C`. The equations are those of the 2023 report; its released
//! code computes the other form. A mixed target gives the mixture of its classes' losses, since all
//! are linear in the target. [`soft`] and [`cosine_distance`] compare with a teacher.

use crate::common::maths::Expr;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Posteriors are kept this far from 0 and 1 inside the logarithms.
const MARGIN: f64 = 1e-7;

/// A loss with its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Loss {
    /// Which one.
    pub kind: LossKind,
    /// Share of the target spread over the classes (eps); for `smoothed` and `focal`.
    pub smoothing: f64,
    /// Exponent that plays down what is classified well already (gamma); for `focal`.
    pub gamma: f64,
    /// What is computed.
    pub form: Form,
}

/// The losses there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossKind {
    /// Cross-entropy with the true class.
    #[default]
    CrossEntropy,
    /// Cross-entropy with label smoothing.
    Smoothed,
    /// Focal loss with label smoothing.
    Focal,
}

/// What is computed under a loss's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// What the report's released code computes.
    #[default]
    Released,
    /// The equations of the report.
    Report,
}

impl Default for Loss {
    fn default() -> Self {
        Self { kind: LossKind::CrossEntropy, smoothing: 0.06, gamma: 0.3, form: Form::Released }
    }
}

impl Loss {
    /// The mean over the batch of the loss of `logits` `(B, C)` against `targets` `(B, C)`.
    ///
    /// # Errors
    ///
    /// If the shapes do not fit.
    pub fn of(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        self.of_rows(logits, targets).mean_all().tensor()
    }

    /// The loss of each row, `(B)`.
    pub fn of_rows(&self, logits: &Tensor, targets: &Tensor) -> Expr {
        let n_classes = targets.size().get(1).copied().unwrap_or(1) as f64;
        let (logits, y) = (Expr::of(logits), Expr::of(targets));
        let (eps, gamma) = match self.kind {
            LossKind::CrossEntropy => (0.0, 0.0),
            LossKind::Smoothed => (self.smoothing, 0.0),
            LossKind::Focal => (self.smoothing, self.gamma),
        };
        if self.form == Form::Released && self.kind == LossKind::CrossEntropy {
            // Plain cross-entropy needs no margin.
            return -(y * logits.log_softmax(1)).sum(1);
        }
        let p = logits.softmax(1).clamp(MARGIN, 1.0 - MARGIN);
        let rest = 1.0 - &p;
        if self.form == Form::Released {
            let y = (1.0 - eps) * y + eps / n_classes;
            return -(y * rest.pow(gamma) * p.ln()).sum(1);
        }
        let others = 1.0 - &y;
        let weight = if self.kind == LossKind::CrossEntropy { 1.0 } else { eps / (n_classes - 1.0).max(1.0) };
        let of_true = (1.0 - eps) * (y * rest.pow(gamma) * p.ln());
        let of_others = weight * (others * p.pow(gamma) * rest.ln());
        -(of_true + of_others).sum(1)
    }
}

/// The soft loss of each row, `(B)`: the divergence of the student's posteriors from the teacher's
/// `(B, C)`, both at temperature `t`, times its square, so that the gradient does not shrink with
/// it (Hinton et al. 2015, section 2.1).
pub fn soft(logits: &Tensor, teacher: &Tensor, t: f64) -> Expr {
    let q = Expr::of(teacher);
    let ln_p = (Expr::of(logits) / t).log_softmax(1);
    (&q * (q.at_least(1e-9).ln() - ln_p)).sum(1) * (t * t)
}

/// The distance of each row from the teacher's, `(B)`: one minus the cosine of the angle between
/// them.
pub fn cosine_distance(predicted: &Tensor, given: &Tensor) -> Expr {
    1.0 - Expr::of(predicted).cosine(&Expr::of(given))
}

/// Mean of `values` `(B)` over the rows that `mask` `(B)` marks with 1.
pub fn masked_mean(values: &Expr, mask: &Tensor) -> Expr {
    let mask = Expr::of(mask);
    (values * &mask).sum_all() / mask.sum_all().at_least(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    fn all() -> Vec<Loss> {
        let kinds = [LossKind::CrossEntropy, LossKind::Smoothed, LossKind::Focal];
        let forms = [Form::Released, Form::Report];
        forms.into_iter().flat_map(|form| kinds.map(|kind| Loss { kind, form, ..Loss::default() })).collect()
    }

    /// One row of logits that give the posteriors 0.7, 0.2 and 0.1; the first class is the true
    /// one.
    fn example() -> (Tensor, Tensor) {
        let logits = Tensor::from_slice(&[0.7f64, 0.2, 0.1]).log().view([1, 3]);
        (logits, Tensor::from_slice(&[1.0f64, 0.0, 0.0]).view([1, 3]))
    }

    #[test]
    fn values_are_those_computed_by_hand() {
        let (logits, targets) = example();
        let (eps, gamma) = (0.06f64, 0.3f64);
        let [p, q, r] = [0.7f64, 0.2, 0.1];
        let y = [1.0 - eps + eps / 3.0, eps / 3.0, eps / 3.0];
        let expected = [
            -p.ln(),
            -(y[0] * p.ln() + y[1] * q.ln() + y[2] * r.ln()),
            -(y[0] * (1.0 - p).powf(gamma) * p.ln()
                + y[1] * (1.0 - q).powf(gamma) * q.ln()
                + y[2] * (1.0 - r).powf(gamma) * r.ln()),
            -(p.ln() + (1.0 - q).ln() + (1.0 - r).ln()),
            -((1.0 - eps) * p.ln() + eps / 2.0 * ((1.0 - q).ln() + (1.0 - r).ln())),
            -((1.0 - eps) * (1.0 - p).powf(gamma) * p.ln()
                + eps / 2.0 * (q.powf(gamma) * (1.0 - q).ln() + r.powf(gamma) * (1.0 - r).ln())),
        ];
        // The first two and the last by a pocket calculator.
        assert!((expected[0] - 0.356675).abs() < 1e-6 && (expected[1] - 0.420648).abs() < 1e-6);
        assert!((expected[5] - 0.239349).abs() < 1e-6, "{}", expected[5]);
        for (loss, expected) in all().iter().zip(expected) {
            let actual = loss.of(&logits, &targets).unwrap().double_value(&[]);
            assert!((actual - expected).abs() < 1e-9, "{loss:?}: {actual}, expected {expected}");
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let logits = Tensor::from_slice(&[0.3f64, -1.2, 0.8, 2.0, 0.1, -0.4, 0.9, 1.1]).view([2, 4]);
        let targets = Tensor::from_slice(&[0.0f64, 0.0, 1.0, 0.0, 0.7, 0.0, 0.0, 0.3]).view([2, 4]);
        for loss in all() {
            let x = logits.copy().set_requires_grad(true);
            loss.of(&x, &targets).unwrap().backward();
            for i in 0..8 {
                let h = 1e-6;
                let at = |step: f64| {
                    let moved = logits.copy();
                    let _ = moved.view([-1]).get(i).g_add_scalar_(step);
                    loss.of(&moved, &targets).unwrap().double_value(&[])
                };
                let (numeric, exact) = ((at(h) - at(-h)) / (2.0 * h), x.grad().view([-1]).double_value(&[i]));
                assert!((numeric - exact).abs() < 1e-7, "{loss:?}, logit {i}: {exact}, expected {numeric}");
            }
        }
    }

    #[test]
    fn without_focus_and_smoothing_the_released_form_is_cross_entropy() {
        let (logits, targets) = example();
        let plain = Loss::default().of(&logits, &targets).unwrap().double_value(&[]);
        for kind in [LossKind::Smoothed, LossKind::Focal] {
            let loss = Loss { kind, smoothing: 0.0, gamma: 0.0, ..Loss::default() };
            assert!((loss.of(&logits, &targets).unwrap().double_value(&[]) - plain).abs() < 1e-12);
        }
    }

    #[test]
    fn mixed_targets_mix_losses() {
        let (logits, _) = example();
        let target = |v: [f64; 3]| Tensor::from_slice(&v).view([1, 3]);
        for loss in all() {
            let of = |v| loss.of(&logits, &target(v)).unwrap().double_value(&[]);
            let expected = 0.6 * of([0.0, 1.0, 0.0]) + 0.4 * of([0.0, 0.0, 1.0]);
            assert!((of([0.0, 0.6, 0.4]) - expected).abs() < 1e-9, "{loss:?}");
        }
    }

    #[test]
    fn certain_mistakes_stay_finite() {
        let logits = Tensor::from_slice(&[200.0f32, -200.0]).view([1, 2]);
        let targets = Tensor::from_slice(&[0.0f32, 1.0]).view([1, 2]);
        for loss in all() {
            let x = logits.copy().set_requires_grad(true);
            let value = loss.of(&x, &targets).unwrap();
            value.backward();
            assert!(value.double_value(&[]).is_finite() && x.grad().isfinite().all().int64_value(&[]) == 1, "{loss:?}");
        }
    }

    #[test]
    fn the_soft_loss_vanishes_where_both_agree_and_is_the_divergence_elsewhere() {
        let logits = Tensor::from_slice(&[1.0f32, 2.0, 4.0, 0.0, 0.0, 0.0]).view([2, 3]);
        let same = (&logits / 2.0).softmax(1, Kind::Float);
        assert!(soft(&logits, &same, 2.0).tensor().unwrap().abs().max().double_value(&[]) < 1e-5);
        // Teacher (1, 0, 0) against thirds: ln 3, times 2^2.
        let sure = Tensor::from_slice(&[1.0f32, 0.0, 0.0, 1.0, 0.0, 0.0]).view([2, 3]);
        let loss = soft(&logits, &sure, 2.0).tensor().unwrap();
        assert!((loss.double_value(&[1]) - 4.0 * 3f64.ln()).abs() < 1e-4, "{loss}");
    }

    #[test]
    fn the_gradient_of_the_soft_loss_is_that_of_hinton() {
        // d/dz = T (q - p), with both at temperature T.
        let logits = Tensor::from_slice(&[0.5f32, -1.0, 2.0]).view([1, 3]).set_requires_grad(true);
        let teacher = Tensor::from_slice(&[0.2f32, 0.3, 0.5]).view([1, 3]);
        soft(&logits, &teacher, 3.0).tensor().unwrap().sum(Kind::Float).backward();
        let expected = ((logits.detach() / 3.0).softmax(1, Kind::Float) - &teacher) * 3.0;
        assert!((logits.grad() - expected).abs().max().double_value(&[]) < 1e-5);
    }

    #[test]
    fn the_distance_of_embeddings_ignores_their_length_and_masked_rows() {
        let given = Tensor::from_slice(&[3.0f32, 0.0, 0.0, 2.0, 1.0, 1.0]).view([3, 2]);
        let predicted = Tensor::from_slice(&[0.5f32, 0.0, 5.0, 0.0, -2.0, -2.0]).view([3, 2]);
        let distances = cosine_distance(&predicted, &given).tensor().unwrap();
        let rows = Vec::<f32>::try_from(&distances).unwrap();
        assert!(rows.iter().zip([0.0, 1.0, 2.0]).all(|(a, b)| (a - b).abs() < 1e-6), "{rows:?}");
        let mean = |mask: [f32; 3]| {
            masked_mean(&Expr::of(&distances), &Tensor::from_slice(&mask)).tensor().unwrap().double_value(&[])
        };
        assert!((mean([0.0, 1.0, 1.0]) - 1.5).abs() < 1e-6);
        assert_eq!(mean([0.0; 3]), 0.0, "nothing is known");
    }
}

//! The training of a head: a convex problem with one answer for every seed.
//!
//! Enters: features with what they are, and the head that is started from. Leaves: that head with
//! the rows of some classes trained and all others as they were. What is one of the user's sounds
//! is to be called so; what is not is to be called what the start calls it, so the old classes'
//! answers are kept and the new classes stay silent where they have nothing to say. Trained is the
//! difference from the start: `sum(weight * loss) + DECAY / 2 * |difference|^2`, on features of
//! mean 0 and deviation 1.

use super::start::{Classes, Head};
use crate::error::Result;
use crate::nets::teacher::regression::largest_curvature;
use edge_frontend::Activation;
use tch::{Kind, Tensor};

/// Weight of the difference from the start.
const DECAY: f64 = 0.01;
/// Steps of Nesterov's accelerated gradient (Nesterov 2004, section 2.2.1).
pub const N_STEPS: usize = 400;
/// In place of the logit of what does not exist.
pub(super) const NEVER: f64 = -1e9;

/// What a head learns from.
#[derive(Debug)]
pub struct Rows {
    /// `(N, n_channels)`.
    pub features: Tensor,
    /// For each the class that it is of; none if it is not one of the user's sounds.
    pub classes: Vec<Option<usize>>,
    /// What each counts.
    pub weights: Vec<f32>,
}

/// From a head's logits to posteriors.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// Of the model's manifest.
    pub activation: Activation,
    /// Logits are divided by this.
    pub temperature: f64,
}

/// `start` with the rows `classes.trained` trained on `rows`.
///
/// # Errors
///
/// If libtorch reports one.
pub fn train(start: &Head, classes: &Classes, reading: Reading, rows: &Rows) -> Result<Head> {
    tch::no_grad(|| {
        let problem = Problem::new(start, classes, reading, rows)?;
        let difference = problem.minimise()?.f_mul_scalar(reading.temperature)?;
        let (weight, bias) = problem.unscaled(&difference)?;
        let mut head = Head { weight: start.weight.f_detach_copy()?, bias: start.bias.f_detach_copy()? };
        let at = &problem.trained;
        head.weight = head.weight.f_index_add(0, at, &weight)?;
        head.bias = head.bias.f_index_add(0, at, &bias)?;
        Ok(head)
    })
}

struct Problem {
    /// `(N, n_channels + 1)`: features of mean 0 and deviation 1, and a column of 1.
    x: Tensor,
    mean: Tensor,
    deviation: Tensor,
    /// `(N, 1)`.
    weights: Tensor,
    /// `(K)`: rows that are trained.
    trained: Tensor,
    /// `(N, K)`: their logits in the start.
    base: Tensor,
    /// `(N, 1)`: logarithm of the sum of the exponentials of the other logits, which stay.
    rest: Tensor,
    /// `(N, K)`.
    targets: Tensor,
    activation: Activation,
}

impl Problem {
    fn new(start: &Head, classes: &Classes, reading: Reading, rows: &Rows) -> Result<Self> {
        let Reading { activation, temperature } = reading;
        let n = rows.classes.len() as i64;
        let weights = Tensor::f_from_slice(&rows.weights)?.f_view([n, 1])?;
        let share = weights.f_div(&weights.f_sum(Kind::Float)?)?;
        let mean_of = |x: &Tensor| x.f_mul(&share)?.f_sum_dim_intlist([0i64].as_slice(), true, Kind::Float);
        let mean = mean_of(&rows.features)?;
        let centred = rows.features.f_sub(&mean)?;
        let deviation = mean_of(&centred.f_square()?)?.f_sqrt()?.f_add_scalar(1e-3)?;
        let one = Tensor::f_ones([n, 1], (Kind::Float, centred.device()))?;
        let x = Tensor::f_cat(&[centred.f_div(&deviation)?, one], 1)?;

        let logits = rows.features.f_linear(&start.weight, Some(&start.bias))?.f_div_scalar(temperature)?;
        let hidden = |hide: &dyn Fn(usize) -> bool| {
            let masked: Vec<f32> =
                (0..classes.labels.len()).map(|c| if hide(c) { NEVER as f32 } else { 0.0 }).collect();
            logits.f_add(&Tensor::f_from_slice(&masked)?)
        };
        let known = hidden(&|c| classes.row[c].is_none())?;
        let said = match activation {
            Activation::Sigmoid => known.f_sigmoid()?,
            _ => known.f_softmax(1, Kind::Float)?,
        };
        let targets = targets(&said, classes, rows)?;
        let stays = hidden(&|c| classes.row[c].is_none() || classes.trained.contains(&c))?;
        let trained: Vec<i64> = classes.trained.iter().map(|&c| c as i64).collect();
        let trained = Tensor::f_from_slice(&trained)?;
        Ok(Self {
            x,
            mean,
            deviation,
            weights,
            base: logits.f_index_select(1, &trained)?,
            rest: stays.f_logsumexp([1i64].as_slice(), true)?,
            targets: targets.f_index_select(1, &trained)?,
            trained,
            activation,
        })
    }

    /// `(n_channels + 1, K)`: difference of the trained logits from the start's, for features of
    /// mean 0 and deviation 1.
    fn minimise(&self) -> Result<Tensor> {
        let curvature = largest_curvature(&self.x.f_mul(&self.weights.f_sqrt()?)?)?;
        let step = 1.0 / (0.5 * curvature + DECAY);
        let momentum = (1.0 - (step * DECAY).sqrt()) / (1.0 + (step * DECAY).sqrt());
        let size = [self.x.size()[1], self.base.size()[1]];
        let options = (Kind::Float, self.x.device());
        // The bias is not held back.
        let decays = Tensor::f_full([size[0], 1], DECAY, options)?;
        let _ = decays.f_get(size[0] - 1)?.f_zero_()?;
        let mut w = Tensor::f_zeros(size, options)?;
        let mut ahead = w.f_detach_copy()?;
        for _ in 0..N_STEPS {
            let gradient = self.gradient(&ahead)?.f_add(&ahead.f_mul(&decays)?)?;
            let next = ahead.f_sub(&gradient.f_mul_scalar(step)?)?;
            ahead = next.f_add(&next.f_sub(&w)?.f_mul_scalar(momentum)?)?;
            w = next;
        }
        Ok(w)
    }

    /// Of the weighted cross-entropy, which has the same form for both activations.
    fn gradient(&self, w: &Tensor) -> Result<Tensor> {
        let logits = self.base.f_add(&self.x.f_matmul(w)?)?;
        let posteriors = match self.activation {
            Activation::Sigmoid => logits.f_sigmoid()?,
            _ => {
                let all = Tensor::f_cat(&[&logits, &self.rest], 1)?.f_softmax(1, Kind::Float)?;
                all.f_narrow(1, 0, logits.size()[1])?
            }
        };
        let errors = posteriors.f_sub(&self.targets)?.f_mul(&self.weights)?;
        Ok(self.x.f_t_copy()?.f_matmul(&errors)?)
    }

    /// The same difference for features as they are: weights `(K, n_channels)` and biases `(K)`.
    fn unscaled(&self, difference: &Tensor) -> Result<(Tensor, Tensor)> {
        let n_channels = difference.size()[0] - 1;
        let weight = difference.f_narrow(0, 0, n_channels)?.f_t_copy()?.f_div(&self.deviation)?;
        let bias = difference.f_get(n_channels)?.f_sub(&weight.f_mv(&self.mean.f_view([-1])?)?)?;
        Ok((weight, bias))
    }
}

/// `(N, C)`: the class of the user's sounds, and of all else what the start says; where nothing of
/// it is left, background.
fn targets(said: &Tensor, classes: &Classes, rows: &Rows) -> Result<Tensor> {
    let n_classes = classes.labels.len();
    let otherwise = classes.background.filter(|_| classes.are_all_new());
    let mut one_hot = vec![0.0f32; rows.classes.len() * n_classes];
    let mut is_given = vec![0.0f32; rows.classes.len()];
    for (i, class) in rows.classes.iter().enumerate() {
        if let Some(class) = class.or(otherwise) {
            one_hot[i * n_classes + class] = 1.0;
            is_given[i] = 1.0;
        }
    }
    let one_hot = Tensor::f_from_slice(&one_hot)?.f_view([-1, n_classes as i64])?;
    Ok(said.f_lerp_tensor(&one_hot, &Tensor::f_from_slice(&is_given)?.f_view([-1, 1])?.f_expand_as(said)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    /// Two old classes that the first two features stand for; a third feature stands for the new
    /// sound.
    fn setting() -> (Head, Classes, Rows) {
        let weight = Tensor::from_slice(&[4.0f32, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 0.0]).view([3, 3]);
        let head = Head { weight, bias: Tensor::zeros([3], (Kind::Float, Device::Cpu)) };
        let classes = Classes {
            labels: ["a", "b", "new"].map(str::to_owned).to_vec(),
            row: vec![Some(0), Some(1), None],
            trained: vec![2],
            background: None,
            own: vec![2],
        };
        tch::manual_seed(5);
        let noise = Tensor::rand([90, 3], (Kind::Float, Device::Cpu)) * 0.2;
        let kind = Tensor::arange(90, (Kind::Int64, Device::Cpu)).remainder(3).one_hot(3).to_kind(Kind::Float);
        let rows = Rows {
            features: noise + kind,
            classes: (0..90).map(|i| (i % 3 == 2).then_some(2)).collect(),
            weights: vec![1.0 / 30.0; 90],
        };
        (head, classes, rows)
    }

    #[test]
    fn a_new_class_is_learnt_and_old_rows_are_untouched() {
        for activation in [Activation::Softmax, Activation::Sigmoid] {
            for temperature in [1.0, 2.0] {
                let (start, classes, rows) = setting();
                let reading = Reading { activation, temperature };
                let head = train(&start, &classes, reading, &rows).unwrap();
                assert_eq!(head.weight.narrow(0, 0, 2), start.weight.narrow(0, 0, 2));
                let said = rows.features.linear(&head.weight, Some(&head.bias)).argmax(1, false);
                let said = Vec::<i64>::try_from(said).unwrap();
                assert!(said.iter().enumerate().all(|(i, &class)| class == i as i64 % 3), "{activation:?} {said:?}");
            }
        }
    }

    #[test]
    fn the_gradient_vanishes_at_the_answer() {
        let (start, classes, rows) = setting();
        let reading = Reading { activation: Activation::Softmax, temperature: 1.0 };
        let problem = Problem::new(&start, &classes, reading, &rows).unwrap();
        let w = problem.minimise().unwrap();
        let gradient = problem.gradient(&w).unwrap() + &w * DECAY;
        assert!(gradient.narrow(0, 0, 3).abs().max().double_value(&[]) < 1e-3, "{gradient}");
    }
}

//! What the teacher's embedding says about the classes, merged into the student's head.
//!
//! Enters: the teacher's embeddings of the training clips with their labels, and a trained student. Leaves: the student with
//! another head. A logistic regression on the teacher's embeddings classifies better than the student's own head. The student
//! predicts these embeddings by a linear layer on the features its head sees, so regression after prediction is one more linear
//! layer on the same features: added to the head it costs nothing at run time. It gained about 5 points on Kitchen20.

use super::EMBEDDING_WIDTH;
use crate::data::Clip;
use crate::error::{Error, Result};
use crate::judge::evaluate::clip_input;
use crate::nets::student::Student;
use crate::train::recipe::{Precision, Teacher};
use tch::{Device, Kind, Tensor};

/// Steps of the regression's minimisation; its condition number is near 100, so that far fewer would do.
const N_STEPS: usize = 400;
/// Steps of the power iteration for the largest curvature.
const N_POWER_STEPS: usize = 20;
/// One clip in this many is shown to the student to find the scale of its predictions.
const SAMPLE_EVERY: usize = 7;

/// What the regression learns from.
#[derive(Debug)]
pub struct Lessons {
    labels: Vec<i64>,
    /// `(labels.len(), EMBEDDING_WIDTH)`, standardised.
    embeddings: Vec<f32>,
    /// Frames of some clips.
    sample: Vec<Vec<f32>>,
}

impl Lessons {
    /// Gathers the targets of training clips; none if they have none.
    pub fn gather(clips: &[Clip]) -> Option<Self> {
        let mut lessons = Self { labels: Vec::new(), embeddings: Vec::new(), sample: Vec::new() };
        let taught = clips.iter().filter_map(|clip| Some((clip, clip.targets.as_ref()?)));
        for (i, (clip, targets)) in taught.enumerate() {
            lessons.labels.extend(std::iter::repeat_n(clip.label as i64, targets.centres.len()));
            lessons.embeddings.extend(&targets.values);
            if i % SAMPLE_EVERY == 0 {
                lessons.sample.push(clip.frames.clone());
            }
        }
        (!lessons.labels.is_empty()).then_some(lessons)
    }

    /// A logistic regression on the embeddings: weights `(n_classes, EMBEDDING_WIDTH)` and biases `(n_classes)`, zero for classes
    /// that no clip has. Minimises `|W|^2 / 2 + c * sum(cross-entropy)`.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn regress(&self, n_classes: usize, c: f64) -> Result<(Tensor, Tensor)> {
        regress(&self.embeddings()?, &Tensor::f_from_slice(&self.labels)?, n_classes, c)
    }

    fn embeddings(&self) -> Result<Tensor> {
        Ok(Tensor::f_from_slice(&self.embeddings)?.f_view([-1, EMBEDDING_WIDTH as i64])?)
    }
}

/// The student with `settings.probe_share` of the regression's logits added to its own.
///
/// # Errors
///
/// If the student has no teacher's head, or libtorch reports an error.
pub fn merge(
    student: &Student,
    lessons: &Lessons,
    settings: &Teacher,
    background: Option<usize>,
    silence: f32,
    device: Device,
) -> Result<Student> {
    let embeddings = lessons.embeddings()?;
    let (weight, bias) = lessons.regress(student.n_classes(), settings.probe_c)?;
    let mut merged = student.frozen_copy()?;
    tch::no_grad(|| {
        let part = |name: &str| student.param(name).ok_or_else(|| Error::Usage(format!("the student has no {name}")));
        let (predict, offset) = (part("teacher.weight")?, part("teacher.bias")?);
        let scale = mean_norm(&embeddings)? / predicted_norm(student, &lessons.sample, silence, device)?;
        let (weight, bias) = (weight.f_to_device(device)?, bias.f_to_device(device)?);
        let more_weight = weight.f_matmul(predict)?.f_mul_scalar(scale * settings.probe_share)?;
        let more_bias = weight.f_mv(offset)?.f_mul_scalar(scale)?.f_add(&bias)?.f_mul_scalar(settings.probe_share)?;
        if let Some(background) = background {
            let _ = more_bias.f_get(background as i64)?.f_add_scalar_(settings.background_offset)?;
        }
        for param in merged.params_mut() {
            let more = match param.name.as_str() {
                "head.weight" => &more_weight,
                "head.bias" => &more_bias,
                _ => continue,
            };
            let _ = param.value.f_add_(more)?;
        }
        Ok(merged)
    })
}

/// Multinomial logistic regression: minimises `|W|^2 / 2 + c * sum(cross-entropy)` by Nesterov's accelerated gradient
/// (Nesterov 2004, section 2.2.1). Leaves weights `(n_classes, width)` and biases `(n_classes)`, centred over the classes that
/// occur; the rows of others are zero, so that they keep what the student says.
pub(crate) fn regress(x: &Tensor, labels: &Tensor, n_classes: usize, c: f64) -> Result<(Tensor, Tensor)> {
    tch::no_grad(|| {
        let one_hot = labels.f_one_hot(n_classes as i64)?.f_to_kind(Kind::Float)?;
        let occurs = one_hot.f_amax([0i64], false)?;
        // A class that does not occur takes no part in the softmax.
        let excluded = occurs.f_sub_scalar(1.0)?.f_mul_scalar(1e9)?;
        let n = x.size()[0];
        let x = Tensor::f_cat(&[x.shallow_clone(), Tensor::f_ones([n, 1], (Kind::Float, x.device()))?], 1)?;
        let width = x.size()[1];
        let step = 1.0 / (1.0 + 0.5 * c * largest_curvature(&x)?);
        let momentum = (1.0 - step.sqrt()) / (1.0 + step.sqrt());
        // The bias, in the last row, is not held back.
        let decays = Tensor::f_ones([width, 1], (Kind::Float, x.device()))?;
        let _ = decays.f_get(width - 1)?.f_zero_()?;
        let mut w = Tensor::f_zeros([width, n_classes as i64], (Kind::Float, x.device()))?;
        let mut ahead = w.f_detach_copy()?;
        for _ in 0..N_STEPS {
            let posteriors = x.f_matmul(&ahead)?.f_add(&excluded)?.f_softmax(1, Kind::Float)?;
            let gradient =
                x.f_t_copy()?.f_matmul(&posteriors.f_sub(&one_hot)?)?.f_mul_scalar(c)?.f_add(&ahead.f_mul(&decays)?)?;
            let next = ahead.f_sub(&gradient.f_mul_scalar(step)?)?;
            ahead = next.f_add(&next.f_sub(&w)?.f_mul_scalar(momentum)?)?;
            w = next;
        }
        let mean = w
            .f_mul(&occurs)?
            .f_sum_dim_intlist([1i64].as_slice(), true, Kind::Float)?
            .f_div(&occurs.f_sum(Kind::Float)?)?;
        let centred = w.f_sub(&mean)?.f_mul(&occurs)?.f_t_copy()?;
        let weight = centred.f_narrow(1, 0, width - 1)?.f_contiguous()?;
        Ok((weight, centred.f_select(1, width - 1)?.f_contiguous()?))
    })
}

/// Largest eigenvalue of `x' x`, by power iteration, a little above so that the step stays safe.
pub(crate) fn largest_curvature(x: &Tensor) -> Result<f64> {
    let mut v = Tensor::f_ones([x.size()[1]], (Kind::Float, x.device()))?;
    let mut norm = 1.0;
    for _ in 0..N_POWER_STEPS {
        v = x.f_t_copy()?.f_mv(&x.f_mv(&v)?)?;
        norm = v.f_norm()?.f_double_value(&[])?;
        v = v.f_div_scalar(norm)?;
    }
    Ok(1.1 * norm)
}

/// Mean length of the rows.
pub(crate) fn mean_norm(rows: &Tensor) -> Result<f64> {
    Ok(rows
        .f_square()?
        .f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?
        .f_sqrt()?
        .f_mean(Kind::Float)?
        .f_double_value(&[])?)
}

/// Mean length of the embeddings that the student predicts: the cosine it was trained with leaves their length open.
fn predicted_norm(student: &Student, sample: &[Vec<f32>], silence: f32, device: Device) -> Result<f64> {
    let mut sum = 0.0;
    for frames in sample {
        let features = student.embed(&clip_input(student, frames, silence, device)?, Precision::F32, false)?;
        let features = features.f_mean_dim([2i64].as_slice(), false, Kind::Float)?;
        if let Some(predicted) = student.imitate(&features)? {
            sum += mean_norm(&predicted)?;
        }
    }
    Ok((sum / sample.len().max(1) as f64).max(1e-6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regression_reaches_the_minimum() {
        tch::manual_seed(3);
        let x = Tensor::randn([300, 5], (Kind::Float, Device::Cpu));
        let labels = x.select(1, 0).gt(0.3).to_kind(Kind::Int64) * 2;
        let (c, n_classes) = (0.1, 4);
        let (weight, bias) = regress(&x, &labels, n_classes, c).unwrap();
        // At the minimum the gradient vanishes; classes 1 and 3 do not occur.
        let logits = x.linear(&weight, Some(&bias)) + Tensor::from_slice(&[0.0f32, -1e9, 0.0, -1e9]);
        let error = logits.softmax(1, Kind::Float) - labels.one_hot(4).to_kind(Kind::Float);
        let gradient = error.tr().matmul(&x) * c + &weight;
        assert!(gradient.abs().max().double_value(&[]) < 1e-3, "{gradient}");
        assert!(error.sum_dim_intlist([0i64].as_slice(), false, Kind::Float).abs().max().double_value(&[]) < 1e-2);
        assert_eq!(weight.get(1).abs().max().double_value(&[]), 0.0);
    }
}

//! Learning from other networks.
//!
//! Enters: batches with what teachers said of them or can hear of them, and what the student says. Leaves: the losses of
//! `[teacher]` and `[distill]`: the distance to the teacher's embedding and the divergence from soft teachers' posteriors. No teacher has
//! seen the held-out fold: EfficientAT mn04 was trained on AudioSet, its classifier is fitted to the training clips, and scores files name their fold. Runs on the training thread.

pub mod loss;
pub mod scores;

use crate::error::Result;
use crate::nets::teacher::{EMBEDDING_WIDTH, Listener, probe};
use crate::train::augment::Batch;
use crate::train::recipe::Distill;
use tch::{Device, Kind, Tensor};

/// What a training asks besides the labels.
#[derive(Debug, Default)]
pub struct Teachers {
    /// Hears crops as the student does.
    pub listener: Option<Listener>,
    /// Posteriors from embeddings; none where the recipe gives them no weight.
    pub classifier: Option<Classifier>,
    /// Weights of the losses.
    pub settings: Option<Distill>,
}

/// A classifier of the teacher's embeddings: multinomial logistic regression on those of the training clips.
#[derive(Debug)]
pub struct Classifier {
    /// `(n_classes, EMBEDDING_WIDTH)`.
    weight: Tensor,
    /// `(n_classes)`; far below 0 where no training clip has the class.
    bias: Tensor,
}

/// What the teachers say of a batch.
#[derive(Debug)]
pub struct Lesson {
    /// `(B, EMBEDDING_WIDTH)` and which rows hold something, `(B)`.
    pub embedding: Option<(Tensor, Tensor)>,
    /// Posteriors `(B, n_classes)` at the temperature of the distillation, and which rows hold something, `(B)`.
    pub soft: Option<(Tensor, Tensor)>,
}

impl Classifier {
    /// Fits one; see [`probe::Lessons::regress`].
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn fit(lessons: &probe::Lessons, n_classes: usize, c: f64, device: Device) -> Result<Self> {
        let (weight, bias) = lessons.regress(n_classes, c)?;
        // Rows of classes that no clip has are zero: they would otherwise stand for a middling probability.
        let absent = weight.f_abs()?.f_amax([1i64], false)?.f_eq(0.0)?.f_to_kind(Kind::Float)?;
        let bias = bias.f_sub(&absent.f_mul_scalar(1e4)?)?;
        Ok(Self { weight: weight.f_to_device(device)?, bias: bias.f_to_device(device)? })
    }

    /// Posteriors `(B, n_classes)` of embeddings `(B, EMBEDDING_WIDTH)`.
    fn posteriors(&self, embeddings: &Tensor, temperature: f64) -> Result<Tensor> {
        let logits = embeddings.f_linear(&self.weight, Some(&self.bias))?;
        Ok(logits.f_div_scalar(temperature)?.f_softmax(1, Kind::Float)?)
    }
}

impl Teachers {
    /// Asks the teachers about a batch.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn ask(&self, batch: &Batch, n_classes: usize, device: Device) -> Result<Lesson> {
        let n_batch = batch.negative.len() as i64;
        let mut embedding = None;
        if !batch.has_teacher.is_empty() {
            let given = column(&batch.teacher, device)?.f_view([n_batch, EMBEDDING_WIDTH as i64])?;
            let mask = column(&batch.has_teacher, device)?;
            embedding = Some(match &self.listener {
                Some(listener) if !batch.heard.is_empty() => {
                    let rows = Tensor::f_from_slice(&batch.heard)?.f_to_device(device)?;
                    let heard = listener.hear(&batch.heard_power, batch.heard.len())?;
                    (given.f_index_copy(0, &rows, &heard)?, mask.f_index_fill(0, &rows, 1.0)?)
                }
                _ => (given, mask),
            });
        }
        let soft = match &self.settings {
            Some(settings) if settings.soft_weight > 0.0 => {
                Some(self.soft(settings, batch, n_classes, embedding.as_ref(), device)?)
            }
            _ => None,
        };
        Ok(Lesson { embedding, soft })
    }

    /// The weighted mean of what classifier and scores files say; of negatives nothing, since neither knows them.
    fn soft(
        &self,
        settings: &Distill,
        batch: &Batch,
        n_classes: usize,
        embedding: Option<&(Tensor, Tensor)>,
        device: Device,
    ) -> Result<(Tensor, Tensor)> {
        let n_batch = batch.negative.len() as i64;
        let weight = settings.scores.iter().map(|s| s.weight).sum::<f64>();
        let mut total = column(&batch.has_soft, device)?.f_mul_scalar(weight)?;
        let mut sum = column(&batch.soft, device)?.f_view([n_batch, n_classes as i64])?.f_mul_scalar(weight)?;
        if let (Some(classifier), Some((embedding, known))) = (&self.classifier, embedding) {
            let known = known.f_mul(&no_negatives(batch, device)?)?;
            let known = known.f_mul_scalar(settings.classifier)?;
            let said = classifier.posteriors(embedding, settings.temperature)?;
            sum = sum.f_add(&said.f_mul(&known.f_unsqueeze(1)?)?)?;
            total = total.f_add(&known)?;
        }
        let mask = total.f_gt(0.0)?.f_to_kind(Kind::Float)?;
        let posteriors = sum.f_div(&total.f_clamp_min(1e-6)?.f_unsqueeze(1)?)?;
        Ok((posteriors, mask))
    }
}

fn column(values: &[f32], device: Device) -> Result<Tensor> {
    Ok(Tensor::f_from_slice(values)?.f_to_device(device)?)
}

/// `(B)`: 0 where the item is a negative, else 1.
fn no_negatives(batch: &Batch, device: Device) -> Result<Tensor> {
    Ok(column(&batch.negative, device)?.f_neg()?.f_add_scalar(1.0)?)
}

//! How the student is trained on composed scenes.
//!
//! [`corpus`] composes scenes and keeps them; [`batcher`] makes batches of crops of them, with the
//! [`truth`] of each output; [`SceneLearner`] is the student in training: each of its outputs
//! learns what sounds in its slot of 80 ms, with one sigmoid per label, and what the tagger outputs
//! for it.

pub mod batcher;
pub mod corpus;
pub mod head;
pub mod truth;

use super::checkpoint::Header;
use super::drop_out;
use super::learner::Learner;
use super::loss::cosine_distance;
use super::metrics::Step;
use super::recipe::{Recipe, Scenes, Stage, Tagger};
use super::student::{Evaluate, Weights};
use crate::common::maths::Expr;
use crate::common::random::{Purpose, rng_for};
use crate::error::{Error, Result};
use crate::nets::student::Student;
use crate::nets::teacher::ced;
use batcher::{Batch, SceneBatcher};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

/// Outputs of the head that imitates the tagger: its embedding, then logits of its posteriors.
pub const TAGGER_WIDTH: usize = ced::EMBEDDING_WIDTH + ced::N_TAGS;

/// The student in training on scenes.
pub struct SceneLearner<'a> {
    recipe: Recipe,
    stage: Stage,
    scenes: Scenes,
    tagger: Tagger,
    seed: u64,
    n_steps: u64,
    weights: Weights,
    batcher: SceneBatcher,
    /// Mean and deviation of the tagger's embeddings.
    statistics: (Tensor, Tensor),
    evaluate: Box<Evaluate<'a>>,
    device: Device,
}

impl<'a> SceneLearner<'a> {
    /// Starts stage number `index` of `header`'s recipe from the weights of `student`.
    ///
    /// # Errors
    ///
    /// If it is not a stage on scenes, a scene cannot be made, or libtorch cannot allocate the
    /// state of the optimiser.
    pub fn new(
        header: &Header,
        index: usize,
        student: Student,
        batcher: SceneBatcher,
        evaluate: Box<Evaluate<'a>>,
    ) -> Result<Self> {
        let (recipe, stage) = (header.recipe.clone(), header.recipe.stages[index].clone());
        let none = || Error::Usage(format!("stage {:?} has no [stage.scenes] table", stage.name));
        let device = student.device();
        let (mean, std) = batcher.statistics()?;
        Ok(Self {
            scenes: stage.scenes.clone().ok_or_else(none)?,
            tagger: recipe.tagger.clone().ok_or_else(none)?,
            seed: recipe.stage_seed(index),
            n_steps: header.n_steps,
            weights: Weights::new(student, &stage, &recipe.train)?,
            statistics: (mean.f_to_device(device)?, std.f_to_device(device)?),
            device,
            batcher,
            evaluate,
            recipe,
            stage,
        })
    }

    /// The moving average of the weights.
    pub fn averaged(&self) -> &Student {
        self.weights.averaged()
    }

    /// The crops of step `step` as the network takes them, `(B, T, n_mels)`.
    ///
    /// # Errors
    ///
    /// If a scene cannot be made.
    pub fn crops(&self, step: u64) -> Result<Tensor> {
        Ok(self.batcher.batch(step)?.crops.f_to_device(self.device)?)
    }

    /// Distance from the tagger's embedding, and cross-entropy with its posteriors summed over the
    /// classes, means over the outputs.
    fn tagger_losses(&self, predicted: &Tensor, batch: &Batch) -> Result<(Tensor, Tensor)> {
        let (embedding, tags) = (
            predicted.f_narrow(2, 0, ced::EMBEDDING_WIDTH as i64)?,
            predicted.f_narrow(2, ced::EMBEDDING_WIDTH as i64, ced::N_TAGS as i64)?,
        );
        let given = batch.embeddings.f_to_device(self.device)?.f_sub(&self.statistics.0)?.f_div(&self.statistics.1)?;
        let rows = [-1, ced::EMBEDDING_WIDTH as i64];
        let distance = cosine_distance(&embedding.f_reshape(rows)?, &given.f_reshape(rows)?).mean_all().tensor()?;
        let posteriors = batch.tags.f_to_device(self.device)?;
        let of_tags = binary_cross_entropy(&tags, &posteriors).mean_all() * ced::N_TAGS as f64;
        Ok((distance, of_tags.tensor()?))
    }
}

/// Cross-entropy of each label where the truth is known, summed over the labels, mean over the
/// outputs. All are `(B, T', L)`.
fn label_loss(logits: &Tensor, truth: &Tensor, known: &Tensor) -> Result<Tensor> {
    let n_outputs = (logits.numel() / logits.size()[2] as usize) as f64;
    let loss = binary_cross_entropy(logits, truth);
    (loss * Expr::of(known)).sum_all().map(|sum| sum.f_div_scalar(n_outputs)).tensor()
}

/// Elementwise binary cross-entropy of logits with targets from 0 to 1:
/// `max(x, 0) - x y + ln(1 + exp(-|x|))`.
fn binary_cross_entropy(logits: &Tensor, targets: &Tensor) -> Expr {
    let loss = |x: &Tensor| x.f_binary_cross_entropy_with_logits::<Tensor>(targets, None, None, tch::Reduction::None);
    Expr::of(logits).map(loss)
}

impl Learner for SceneLearner<'_> {
    type Batch = Batch;

    fn steps_per_epoch(&self) -> u64 {
        self.batcher.steps_per_epoch()
    }

    fn batch(&mut self, step: u64) -> Result<Batch> {
        self.batcher.batch(step)
    }

    fn step(&mut self, batch: Batch, step: u64) -> Result<Step> {
        let x = batch.crops.f_to_device(self.device)?;
        let student = self.weights.student();
        let features = student.embed(&x, self.recipe.train.precision, true)?.f_permute([0, 2, 1])?;
        let kept = drop_out(&features, self.stage.dropout, &mut rng_for(self.seed, Purpose::Dropout, step))?;
        let logits = student.classify(&kept)?;
        let none = || Error::Usage("the student has no head for the tagger".to_owned());
        let predicted = student.imitate(&features)?.ok_or_else(none)?;

        let (distance, of_tags) = self.tagger_losses(&predicted, &batch)?;
        let (truth, known) = (batch.truth.f_to_device(self.device)?, batch.known.f_to_device(self.device)?);
        let of_labels = label_loss(&logits, &truth, &known)?;
        let value = |loss: &Tensor| loss.f_double_value(&[]);
        let losses =
            vec![("loss", value(&of_labels)?), ("teacher_loss", value(&distance)?), ("tags_loss", value(&of_tags)?)];
        let whole = Expr::of(&of_labels) * self.scenes.label_weight
            + Expr::of(&distance) * self.tagger.embedding_weight
            + Expr::of(&of_tags) * self.tagger.tags_weight;
        whole.tensor()?.f_backward()?;
        let lr = self.weights.update(step, self.n_steps, self.steps_per_epoch())?;
        Ok(Step { losses, accuracy: found(&logits, &truth, self.batcher.background())?, lr })
    }

    fn tensors(&self) -> Vec<(String, Tensor)> {
        self.weights.tensors()
    }

    fn evaluate(&self) -> Result<Option<(String, Value)>> {
        (self.evaluate)(self.averaged())
    }
}

/// Share of the outputs in which a label sounds whose surest label is one that sounds. The
/// background is no such label.
fn found(logits: &Tensor, truth: &Tensor, background: Option<usize>) -> Result<f64> {
    let without = |values: &Tensor, fill: f64| -> Result<Tensor> {
        let at = background.map(|at| at as i64);
        Ok(values.f_index_fill(2, &Tensor::f_from_slice(at.as_slice())?.f_to_device(values.device())?, fill)?)
    };
    let (logits, truth) = (without(logits, f64::NEG_INFINITY)?, without(truth, 0.0)?);
    let surest = logits.f_argmax(2, true)?;
    let right = truth.f_gather(2, &surest, false)?.f_sum(Kind::Float)?.f_double_value(&[])?;
    let n = truth.f_amax([2i64], false)?.f_sum(Kind::Float)?.f_double_value(&[])?;
    Ok(right / n.max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_without_a_label_do_not_count_as_found() {
        // Four outputs of the labels tone, noise and background: one of tone, one of noise, and two
        // of background alone.
        let truth = Tensor::from_slice(&[1.0f32, 0., 0., 0., 1., 0., 0., 0., 1., 0., 0., 1.]).view([1, 4, 3]);
        let logits = Tensor::from_slice(&[1.0f32, 0., 2., 0., 3., 1., 0., 0., 9., 0., 0., 9.]).view([1, 4, 3]);
        assert_eq!(found(&logits, &truth, Some(2)).unwrap(), 1.0);
        // As a label like others, the background is right twice, and wrong in the first output.
        assert_eq!(found(&logits, &truth, None).unwrap(), 0.75);
    }
}

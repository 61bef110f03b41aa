//! How the student is trained.
//!
//! The modules in the order of the data: [`teach`] asks teachers about clips; [`source`] cuts crops
//! of them, in the [`bands`] of each network that hears them; [`noise`] and [`treatment`] change
//! them; [`batcher`] makes batches; [`teachers`] says what is to be learned from them besides the
//! labels, [`score_files`] reads other networks' scores, and [`probe`] merges what the teacher's
//! embedding says into the head. [`StudentLearner`] is the network in training.

mod bands;
pub mod batcher;
mod noise;
pub mod probe;
pub mod score_files;
mod source;
pub mod teach;
pub mod teachers;
mod treatment;
mod weights;

use super::checkpoint::{Checkpoint, Header};
use super::drop_out;
use super::learner::Learner;
use super::loss::soft;
use super::metrics::Step;
use super::recipe::{Recipe, Stage};
use crate::common::maths::Expr;
use crate::common::random::{Purpose, rng_for};
use crate::error::Result;
use crate::nets::student::Student;
use batcher::{Batch, Batcher};
use edge::classify::surrounded;
use edge_frontend::{FrontendConfig, Network};
use serde_json::Value;
use std::borrow::Cow;
use tch::{Device, Kind, Tensor};
use teachers::{Lesson, Teachers};

pub(super) use noise::Equaliser;
pub(super) use source::shift_bands;

pub use bands::Bands;
pub use weights::Weights;

/// Evaluates the network during the training: a line for the reader and an object for the record.
pub type Evaluate<'a> = dyn Fn(&Student) -> Result<Option<(String, Value)>> + 'a;

/// The student in training.
pub struct StudentLearner<'a> {
    recipe: Recipe,
    stage: Stage,
    seed: u64,
    n_steps: u64,
    n_classes: usize,
    weights: Weights,
    teachers: Teachers,
    batcher: Batcher,
    evaluate: Box<Evaluate<'a>>,
    device: Device,
}

impl<'a> StudentLearner<'a> {
    /// Starts stage number `index` of `header`'s recipe from the weights of `student`.
    ///
    /// # Errors
    ///
    /// If libtorch cannot allocate the state of the optimiser.
    pub fn new(
        header: &Header,
        index: usize,
        student: Student,
        batcher: Batcher,
        teachers: Teachers,
        evaluate: Box<Evaluate<'a>>,
    ) -> Result<Self> {
        let (recipe, stage) = (header.recipe.clone(), header.recipe.stages[index].clone());
        Ok(Self {
            device: student.device(),
            weights: Weights::new(student, &stage, &recipe.train)?,
            seed: recipe.stage_seed(index),
            n_steps: header.n_steps,
            n_classes: header.labels.len(),
            recipe,
            stage,
            teachers,
            batcher,
            evaluate,
        })
    }

    /// The moving average of the weights: better than the weights themselves.
    pub fn averaged(&self) -> &Student {
        self.weights.averaged()
    }

    /// The crops of step `step` as the network takes them, `(B, T, n_mels)`.
    ///
    /// # Errors
    ///
    /// If a clip cannot be read.
    pub fn crops(&self, step: u64) -> Result<Tensor> {
        self.normalised(&self.batcher.batch(step)?)
    }

    /// Powers of crops through the front end's logarithm and normalisation, `(B, T, n_mels)`.
    fn normalised(&self, batch: &Batch) -> Result<Tensor> {
        let frontend = &self.recipe.frontend;
        let shape = [self.stage.batch as i64, -1, frontend.n_mels as i64];
        let power = Expr::of(&Tensor::f_from_slice(&batch.power)?.f_to_device(self.device)?.f_view(shape)?);
        ((power + frontend.log_offset).ln() - f64::from(frontend.mean))
            .map(|x| x.f_div_scalar(f64::from(frontend.std)))
            .tensor()
    }

    /// The loss of the labels, which the soft loss replaces to the share that the recipe says,
    /// where there is one.
    fn label_loss(&self, logits: &Tensor, targets: &Tensor, lesson: &Lesson) -> Result<Tensor> {
        let hard = self.stage.loss.of_rows(logits, targets);
        let loss = match (&self.recipe.distill, &lesson.soft) {
            (Some(distill), Some(teacher)) => {
                let share = Expr::of(&teacher.mask) * distill.soft_weight;
                hard.lerp(&soft(logits, &teacher.rows, distill.temperature), &share)
            }
            _ => hard,
        };
        loss.mean_all().tensor()
    }
}

impl Learner for StudentLearner<'_> {
    type Batch = Batch;

    fn steps_per_epoch(&self) -> u64 {
        self.batcher.steps_per_epoch()
    }

    fn batch(&mut self, step: u64) -> Result<Batch> {
        self.batcher.batch(step)
    }

    fn step(&mut self, batch: Batch, step: u64) -> Result<Step> {
        let n_batch = self.stage.batch as i64;
        let x = self.normalised(&batch)?;
        let student = self.weights.student();
        let features = student.embed(&x, self.recipe.train.precision, true)?;
        let features = features.f_mean_dim([2i64].as_slice(), false, Kind::Float)?;
        let kept = drop_out(&features, self.stage.dropout, &mut rng_for(self.seed, Purpose::Dropout, step))?;
        let logits = student.classify(&kept)?;
        let lesson = self.teachers.ask(&batch, self.n_classes, self.device)?;
        let targets = Tensor::f_from_slice(&batch.targets)?.f_view([n_batch, -1])?.f_to_device(self.device)?;

        let loss = self.label_loss(&logits, &targets, &lesson)?;
        let mut losses = vec![("loss", loss.f_double_value(&[])?)];
        let mut whole = loss;
        if let (Some(predicted), Some(embeddings)) = (student.imitate(&features)?, &lesson.embeddings) {
            let distance = embeddings.distance(&predicted)?;
            losses.push(("teacher_loss", distance.f_double_value(&[])?));
            whole = whole.f_add(&distance.f_mul_scalar(embedding_weight(&self.recipe))?)?;
        }
        whole.f_backward()?;

        let lr = self.weights.update(step, self.n_steps, self.steps_per_epoch())?;
        let right = logits.f_argmax(1, false)?.f_eq_tensor(&targets.f_argmax(1, false)?)?;
        let accuracy = right.f_sum(Kind::Float)?.f_double_value(&[])? / n_batch as f64;
        Ok(Step { losses, accuracy, lr })
    }

    fn tensors(&self) -> Vec<(String, Tensor)> {
        self.weights.tensors()
    }

    fn evaluate(&self) -> Result<Option<(String, Value)>> {
        (self.evaluate)(self.averaged())
    }
}

/// Weight of the distance from teachers' embeddings in the loss.
fn embedding_weight(recipe: &Recipe) -> f64 {
    let fused = recipe.distill.iter().flat_map(|d| &d.fused).map(|f| f.embedding_weight).fold(0.0, f64::max);
    recipe.teacher.as_ref().map_or(fused, |teacher| teacher.loss_weight)
}

/// The student in a checkpoint, from the tensors after `prefix`: `final/`, `ema/` or `model/`.
///
/// # Errors
///
/// If it is a checkpoint of another network, or a tensor is missing or has another shape than the
/// recipe says.
pub fn student_of(checkpoint: &Checkpoint, prefix: &str, device: Device) -> Result<Student> {
    let Header { recipe, labels, .. } = &checkpoint.header;
    let n_embedding = checkpoint.values().get(&format!("{prefix}teacher.bias")).map_or(0, Tensor::numel);
    let mut student = Student::new(recipe.student()?, recipe.frontend.n_mels, labels.len(), n_embedding, 0, device)?;
    student.fill(checkpoint.values(), prefix, checkpoint.path())?;
    Ok(student)
}

/// The result of a finished training, without gradients.
///
/// # Errors
///
/// If the training is not finished, or as [`student_of`].
pub fn finished_student(checkpoint: &Checkpoint, device: Device) -> Result<Student> {
    checkpoint.finished()?;
    student_of(checkpoint, "final/", device)?.frozen_copy()
}

/// What the network is given of a whole clip `(n_frames, n_mels)` row-major: the clip with the
/// silence around it that a look-ahead needs ([`surrounded`]), followed by silence up to the
/// receptive field.
pub fn whole_clip<'a>(frontend: &FrontendConfig, network: &Network, frames: &'a [f32]) -> Cow<'a, [f32]> {
    let (mut frames, shortest) = (surrounded(frontend, network, frames), network.receptive_field_frames);
    if frames.len() < shortest * frontend.n_mels {
        frames.to_mut().resize(shortest * frontend.n_mels, frontend.silence());
    }
    frames
}

/// Frames `(T, n_mels)` row-major as the network takes them, `(1, T, n_mels)`.
///
/// # Errors
///
/// If libtorch reports one.
pub fn input(student: &Student, frames: &[f32], device: Device) -> Result<Tensor> {
    Ok(Tensor::f_from_slice(frames)?.f_view([1, -1, student.n_mels() as i64])?.f_to_device(device)?)
}

/// The power of a normalised log-mel value.
pub(crate) fn power_of(value: f32, frontend: &FrontendConfig) -> f32 {
    ((value * frontend.std + frontend.mean).exp() - frontend.log_offset as f32).max(0.0)
}

/// A ratio of powers.
pub(crate) fn decibels(db: f32) -> f32 {
    10f32.powf(db / 10.0)
}

//! One training step after another.
//!
//! Enters: batches. Leaves: weights and their moving average. Holds all state of a training, so that what [`Training::save`]
//! writes and [`Training::resume`] reads continues it bit for bit on a CPU.

use crate::common::random::{Purpose, Rng, rng_for, uniform};
use crate::error::{Error, Result};
use crate::nets::student::Student;
use crate::train::augment::Batch;
use crate::train::checkpoint::{self, Checkpoint, Finished, Header};
use crate::train::distill::{Lesson, Teachers, loss};
use crate::train::optim::Optimizer;
use crate::train::recipe::Recipe;
use crate::train::schedule::learning_rate;
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// A training in progress.
#[derive(Debug)]
pub struct Training {
    /// What is trained, and how far it has come.
    pub header: Header,
    student: Student,
    average: Student,
    optimizer: Optimizer,
    teachers: Teachers,
    device: Device,
}

/// What a step tells.
#[derive(Debug, Clone, Copy)]
pub struct StepReport {
    /// The loss with the labels, smoothed and mixed as the recipe says.
    pub loss: f64,
    /// Cosine distance to the teacher's embedding; 0 without a teacher.
    pub teacher_loss: f64,
    /// Share of crops or views whose most likely class is the heavier of their labels.
    pub accuracy: f64,
    /// Learning rate used.
    pub lr: f64,
}

impl Training {
    /// Starts a training with fresh weights.
    ///
    /// # Errors
    ///
    /// If libtorch cannot allocate the network.
    pub fn start(header: Header, device: Device) -> Result<Self> {
        let recipe = &header.recipe;
        let (n_mels, n_classes, n_teacher) = (recipe.frontend.n_mels, header.labels.len(), recipe.n_teacher());
        let student = Student::new(&recipe.network, n_mels, n_classes, n_teacher, recipe.seed, device)?;
        let optimizer = optimizer_for(recipe, &student)?;
        let teachers = Teachers::default();
        Ok(Self { average: student.frozen_copy()?, student, optimizer, teachers, header, device })
    }

    /// Continues the training saved at `path`.
    ///
    /// # Errors
    ///
    /// If the checkpoint cannot be read, or belongs to another recipe, fold or label list than `expected` says.
    pub fn resume(path: &Path, expected: &Header, device: Device) -> Result<Self> {
        let checkpoint = Checkpoint::load(path)?;
        let mut header = Header { step: expected.step, ..checkpoint.header.clone() };
        header.recipe.take_last_stage(&expected.recipe);
        if header != *expected {
            return Err(Error::content(
                path,
                "belongs to another recipe, fold or data; start anew or choose another --out",
            ));
        }
        let (student, average) = (checkpoint.model(device)?, checkpoint.averaged(device)?);
        let mut optimizer = optimizer_for(&expected.recipe, &student)?;
        checkpoint.restore_optimizer(&student, &mut optimizer)?;
        let header = Header { step: checkpoint.header.step, ..expected.clone() };
        Ok(Self { header, student, average, optimizer, teachers: Teachers::default(), device })
    }

    /// From now on learns from `teachers`, too.
    pub fn learn_from(&mut self, teachers: Teachers) {
        self.teachers = teachers;
    }

    /// Saves the state, and with it the result once there is one.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn save(&self, path: &Path, finished: Option<&Finished>) -> Result<()> {
        checkpoint::save(path, &self.header, &self.student, &self.average, finished, &self.optimizer)
    }

    /// The moving average of the weights: better than the weights themselves.
    pub fn averaged(&self) -> &Student {
        &self.average
    }

    /// Does the next step on `batch`, which must be the one of that step.
    ///
    /// # Errors
    ///
    /// If libtorch reports one, or the loss is no number any more.
    pub fn step(&mut self, batch: &Batch) -> Result<StepReport> {
        let (recipe, step) = (&self.header.recipe, self.header.step);
        let n_batch = recipe.train.batch as i64;
        let x = crops(batch, recipe, self.device)?;
        let features = self.student.embed(&x, recipe.train.precision, true)?;
        let features = features.f_mean_dim([2i64].as_slice(), false, Kind::Float)?;
        let logits = self.student.classify(&drop_out(
            &features,
            recipe.network.dropout,
            &mut rng_for(recipe.seed, Purpose::Dropout, step),
        )?)?;
        let lesson = self.teachers.ask(batch, self.header.labels.len(), self.device)?;
        let targets = self.tensor(&batch.targets, &[n_batch, -1])?;
        let loss = self.label_loss(&logits, &targets, &lesson)?;
        let teacher_loss = self.teacher_loss(&features, &lesson)?;
        let mut whole = loss.shallow_clone();
        if let (Some(distance), Some(teacher)) = (&teacher_loss, &recipe.teacher) {
            whole = whole.f_add(&distance.f_mul_scalar(teacher.loss_weight)?)?;
        }
        whole.f_backward()?;
        let lr = learning_rate(&recipe.optim, step, self.header.n_steps);
        // Only matrices and kernels decay, not batch norm and biases.
        let decay = |value: &Tensor| if value.dim() > 1 { recipe.optim.weight_decay } else { 0.0 };
        let trained = self.student.params_mut().iter_mut().filter(|p| p.trained);
        let trained = trained.map(|p| {
            let decay = decay(&p.value);
            (&mut p.value, decay)
        });
        self.optimizer.step(trained, lr, step)?;
        // A short memory at first: the fresh weights say nothing.
        let decay = recipe.optim.ema.min((step + 1) as f64 / (step + 10) as f64);
        self.average.average_towards(&self.student, decay)?;
        self.header.step += 1;
        let right = logits.f_argmax(1, false)?.f_eq_tensor(&targets.f_argmax(1, false)?)?;
        let loss = loss.f_double_value(&[])?;
        if !loss.is_finite() {
            return Err(Error::Diverged { step });
        }
        let accuracy = right.f_sum(Kind::Float)?.f_double_value(&[])? / n_batch as f64;
        let teacher_loss = teacher_loss.map(|t| t.f_double_value(&[])).transpose()?.unwrap_or(0.0);
        Ok(StepReport { loss, teacher_loss, accuracy, lr })
    }

    /// Cross-entropy with the labels, and in its place, as far as the recipe says and where there is one, the soft loss.
    fn label_loss(&self, logits: &Tensor, targets: &Tensor, lesson: &Lesson) -> Result<Tensor> {
        let smoothing = self.header.recipe.optim.label_smoothing;
        let smoothed =
            targets.f_mul_scalar(1.0 - smoothing)?.f_add_scalar(smoothing / self.header.labels.len() as f64)?;
        let hard = loss::cross_entropy(logits, &smoothed)?;
        let (Some(distill), Some((teacher, mask))) = (&self.header.recipe.distill, &lesson.soft) else {
            return Ok(hard.f_mean(Kind::Float)?);
        };
        let share = mask.f_mul_scalar(distill.soft_weight)?;
        let soft = loss::soft(logits, teacher, distill.temperature)?;
        Ok(hard.f_lerp_tensor(&soft, &share)?.f_mean(Kind::Float)?)
    }

    /// Mean cosine distance between the predicted and the given embeddings, over the crops that have one.
    fn teacher_loss(&self, features: &Tensor, lesson: &Lesson) -> Result<Option<Tensor>> {
        let (Some(predicted), Some((given, mask))) = (self.student.imitate(features)?, &lesson.embedding) else {
            return Ok(None);
        };
        let similarity: Tensor = Tensor::f_cosine_similarity(&predicted, given, 1, 1e-8)?;
        loss::masked_mean(&similarity.f_neg()?.f_add_scalar(1.0)?, mask).map(Some)
    }

    fn tensor(&self, values: &[f32], shape: &[i64]) -> Result<Tensor> {
        Ok(Tensor::f_from_slice(values)?.f_view(shape)?.f_to_device(self.device)?)
    }
}

/// Zeroes a random share of the features and scales up the rest.
pub(crate) fn drop_out(features: &Tensor, share: f64, rng: &mut Rng) -> Result<Tensor> {
    let share = share as f32;
    if share == 0.0 {
        return Ok(features.shallow_clone());
    }
    let kept = |_| if uniform(rng, 0.0, 1.0) < share { 0.0 } else { 1.0 / (1.0 - share) };
    let mask: Vec<f32> = (0..features.numel()).map(kept).collect();
    let mask = Tensor::f_from_slice(&mask)?.f_view(&features.size()[..])?;
    Ok(features.f_mul(&mask.f_to_device(features.device())?)?)
}

fn optimizer_for(recipe: &Recipe, student: &Student) -> Result<Optimizer> {
    let trained = student.params().iter().filter(|p| p.trained).map(|p| &p.value);
    Optimizer::new(recipe.optim.method, recipe.optim.momentum, trained)
}

/// The crops of a batch as the network takes them, `(B, T, n_mels)`: their powers through the front end's logarithm and normalisation.
pub(crate) fn crops(batch: &Batch, recipe: &Recipe, device: Device) -> Result<Tensor> {
    let frontend = &recipe.frontend;
    let power = Tensor::f_from_slice(&batch.power)?.f_to_device(device)?;
    let power = power.f_view([recipe.train.batch as i64, -1, frontend.n_mels as i64])?;
    let log = power.f_add_scalar(frontend.log_offset)?.f_log()?;
    Ok(log.f_sub_scalar(f64::from(frontend.mean))?.f_div_scalar(f64::from(frontend.std))?)
}

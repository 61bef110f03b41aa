//! The last training: from a network of clips to one of events.
//!
//! Enters: a finished student, and the clips and backgrounds of its training. Leaves: the same network, which says of every output
//! which classes sound in its slot. Trained on short scenes ([`scene`]) with the truth of each output. Saves its state into
//! `events.safetensors` of the run folder and goes on from there. Runs on the training thread; scenes on the pool's.

pub mod activity;
pub mod scene;

use crate::checkpoint::{self, Checkpoint, Header};
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::optim::Optimizer;
use crate::progress::TrainingProgress;
use crate::recipe::{Events, Head, Method, Recipe};
use crate::student::Student;
use crate::training::normalise;
use scene::{SceneBatch, SceneBatcher};
use serde_json::json;
use std::path::Path;
use std::time::Instant;
use tch::{Device, Kind, Tensor};

/// Name of the stage's checkpoint in a run folder.
pub const CHECKPOINT: &str = "events.safetensors";
/// Share of the steps in which the learning rate rises.
const WARM_UP: f64 = 0.1;
/// Weight decay of matrices and kernels.
const WEIGHT_DECAY: f64 = 0.02;

/// A ratio of powers.
pub(crate) fn ratio(db: f32) -> f32 {
    10f32.powf(db / 10.0)
}

/// The stage with its data.
pub struct Stage<'a> {
    /// Of the whole training; its steps are replaced by the stage's.
    pub header: &'a Header,
    /// The recipe's table.
    pub settings: &'a Events,
    /// Scenes.
    pub batcher: &'a SceneBatcher<'a>,
    /// Where to compute.
    pub device: Device,
}

impl Stage<'_> {
    /// Trains on from `start`, or from what the run folder `out` holds of this stage.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read or written, the loss is no number any more, or with [`Error::Interrupted`] if `stopped` says so;
    /// the state is saved then.
    pub fn run(&self, start: &Student, out: &Path, stopped: impl Fn() -> bool) -> Result<Student> {
        let recipe = &self.header.recipe;
        let steps_per_epoch = self.batcher.steps_per_epoch();
        let n_steps = self.settings.epochs * steps_per_epoch;
        let mut header = Header { step: 0, n_steps, ..self.header.clone() };
        let path = out.join(CHECKPOINT);
        let mut student = start.thawed()?;
        let mut average = start.frozen_copy()?;
        let trained = student.params().iter().filter(|p| p.trained).map(|p| &p.value);
        let mut optimizer = Optimizer::new(Method::Adamw, 0.0, trained)?;
        if path.exists() {
            let saved = Checkpoint::load(&path)?;
            if (Header { step: 0, ..saved.header.clone() }) != header {
                let message = "belongs to another recipe, fold or data; delete it to train this stage anew";
                return Err(Error::content(&path, message));
            }
            header.step = saved.header.step;
            saved.fill(&mut student, "model/")?;
            saved.fill(&mut average, "ema/")?;
            saved.restore_optimizer(&student, &mut optimizer)?;
        }
        let mut metrics = Metrics::open(&out.join("events.jsonl"), header.step)?;
        let mut progress = TrainingProgress::new(header.step, n_steps);
        let (mut sum, mut n, mut epoch_started) = (0.0, 0u64, Instant::now());
        while header.step < n_steps {
            let step = header.step;
            let loss = self.loss(&student, &self.batcher.batch(step))?;
            loss.f_backward()?;
            let lr = learning_rate(self.settings.lr, step, n_steps);
            let parameters = student.params_mut().iter_mut().filter(|p| p.trained);
            let parameters = parameters.map(|p| {
                let decay = if p.value.dim() > 1 { WEIGHT_DECAY } else { 0.0 };
                (&mut p.value, decay)
            });
            optimizer.step(parameters, lr, step)?;
            average.average_towards(&student, self.settings.ema.min((step + 1) as f64 / (step + 10) as f64))?;
            header.step += 1;
            let loss = loss.f_double_value(&[])?;
            if !loss.is_finite() {
                return Err(Error::Diverged { step });
            }
            (sum, n) = (sum + loss, n + 1);
            let epoch = header.step.div_ceil(steps_per_epoch);
            progress.update(epoch, header.step, sum / n as f64, 0.0);
            let epoch_done = header.step.is_multiple_of(steps_per_epoch);
            if epoch_done {
                let seconds = epoch_started.elapsed().as_secs_f64();
                let mean = sum / n as f64;
                metrics.write(&json!({
                    "kind": "events", "epoch": epoch, "step": header.step, "loss": mean, "lr": lr, "seconds": seconds,
                }))?;
                (sum, n, epoch_started) = (0.0, 0, Instant::now());
            }
            let stop = stopped();
            if stop || header.step == n_steps || epoch_done && epoch.is_multiple_of(recipe.train.save_every) {
                checkpoint::save(&path, &header, &student, &average, None, &optimizer)?;
            }
            if stop && header.step < n_steps {
                progress.finish();
                return Err(Error::Interrupted);
            }
        }
        progress.finish();
        average.frozen_copy()
    }

    /// Mean over scenes and outputs of the loss summed over classes.
    fn loss(&self, student: &Student, batch: &SceneBatch) -> Result<Tensor> {
        let recipe = &self.header.recipe;
        let x = scenes(batch, self.settings, recipe, self.device)?;
        let features = student.embed(&x, recipe.train.precision, true)?.f_permute([0, 2, 1])?;
        let logits = student.classify(&features)?;
        let targets = Tensor::f_from_slice(&batch.targets)?.f_to_device(self.device)?.f_view(&logits.size()[..])?;
        match self.settings.head {
            Head::Sigmoid => {
                // ln(1 + e^z) - y z
                let loss = logits.f_softplus()?.f_sub(&logits.f_mul(&targets)?)?;
                Ok(loss.f_sum_dim_intlist([2i64].as_slice(), false, Kind::Float)?.f_mean(Kind::Float)?)
            }
            Head::Softmax => {
                let loss = logits.f_log_softmax(2, Kind::Float)?.f_mul(&targets)?;
                Ok(loss.f_sum_dim_intlist([2i64].as_slice(), false, Kind::Float)?.f_mean(Kind::Float)?.f_neg()?)
            }
        }
    }
}

/// The scenes of a batch as the network takes them, `(B, T, n_mels)`.
///
/// # Errors
///
/// If libtorch reports one.
pub fn scenes(batch: &SceneBatch, settings: &Events, recipe: &Recipe, device: Device) -> Result<Tensor> {
    normalise(&batch.power, settings.batch, recipe, device)
}

/// Linear warm-up, then half a cosine to zero.
fn learning_rate(peak: f64, step: u64, n_steps: u64) -> f64 {
    let done = step as f64 / n_steps.max(1) as f64;
    if done < WARM_UP {
        return peak * (done + 1.0 / n_steps as f64) / WARM_UP;
    }
    peak * 0.5 * (1.0 + (std::f64::consts::PI * (done - WARM_UP) / (1.0 - WARM_UP)).cos())
}

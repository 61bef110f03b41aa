//! The steps of a training, with what surrounds them: progress, records, checkpoints, evaluations on the way.
//!
//! Enters: a training and its batches by number. Leaves: the trained state, in memory and in the checkpoint; a line of
//! `metrics.jsonl` an epoch. Runs on the training thread.

use super::{FitOptions, describe};
use crate::common::progress::TrainingProgress;
use crate::error::{Error, Result};
use crate::judge::evaluate::HeldOut;
use crate::train::augment::Batch;
use crate::train::metrics::{Metrics, Running};
use crate::train::training::Training;
use serde_json::json;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// What the steps of a training have in common.
pub struct Steps<'a> {
    /// Evaluation, saving, stopping.
    pub options: &'a FitOptions,
    /// Evaluated on now and then; chooses nothing.
    pub held_out: &'a HeldOut,
    /// Where the state is saved.
    pub checkpoint: &'a Path,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
}

impl Steps<'_> {
    /// Does the steps of `training` that are left.
    ///
    /// # Errors
    ///
    /// Those of a step or of writing, or [`Error::Interrupted`] if it was stopped; the state is saved then.
    pub fn finish(&self, training: &mut Training, metrics: &mut Metrics, batch: impl Fn(u64) -> Batch) -> Result<()> {
        let (options, settings, n_steps) = (self.options, &self.options.recipe.train, training.header.n_steps);
        let mut progress = TrainingProgress::new(training.header.step, n_steps);
        let mut running = Running::default();
        let mut epoch_started = Instant::now();
        while training.header.step < n_steps {
            let report = training.step(&batch(training.header.step))?;
            let step = training.header.step;
            let epoch = step.div_ceil(self.steps_per_epoch);
            running.add(&report);
            let [loss, teacher_loss, accuracy] = running.means();
            progress.update(epoch, step, loss, accuracy);
            let epoch_done = step.is_multiple_of(self.steps_per_epoch);
            if epoch_done {
                metrics.write(&json!({
                    "kind": "train", "epoch": epoch, "step": step, "loss": loss, "teacher_loss": teacher_loss,
                    "accuracy": accuracy, "lr": report.lr,
                    "seconds": epoch_started.elapsed().as_secs_f64(),
                }))?;
                running = Running::default();
            }
            let stopped = options.stop.load(Ordering::Relaxed) || options.stop_after.is_some_and(|n| step >= n);
            if stopped || step == n_steps || (epoch_done && epoch.is_multiple_of(settings.save_every)) {
                training.save(self.checkpoint, None)?;
            }
            if stopped && step < n_steps {
                progress.finish();
                return Err(Error::Interrupted);
            }
            let due = settings.evaluate_every > 0 && epoch.is_multiple_of(settings.evaluate_every) && step < n_steps;
            if epoch_done
                && due
                && let Some(evaluation) = self.held_out.evaluate(training.averaged())?
            {
                progress.say(&format!("epoch {epoch}: {}", describe(&evaluation)));
                let object = json!({"kind": "evaluation", "epoch": epoch, "step": step, "evaluation": evaluation});
                metrics.write(&object)?;
            }
            if epoch_done {
                epoch_started = Instant::now();
            }
        }
        progress.finish();
        Ok(())
    }
}

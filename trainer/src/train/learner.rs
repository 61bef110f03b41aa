//! The one training loop.
//!
//! Enters: a network in training, as a [`Learner`]. Leaves: its trained state, in memory and in the
//! checkpoint, and a line of `metrics.jsonl` per epoch. The loop knows progress, records,
//! checkpoints and stopping; the learner knows its batches, its losses and its weights. A step
//! depends on the state and its own number alone, so what [`train`] saves and resumes continues bit
//! for bit on a CPU. The line of the epoch in which a training was resumed covers the steps after
//! that. Runs on the training thread.

use super::checkpoint::{CHECKPOINT, Checkpoint, Header, save};
use super::metrics::{Metrics, Running, Step};
use crate::common::progress::TrainingProgress;
use crate::error::{Error, Result};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tch::Tensor;

/// Name of the record of a stage in its folder.
pub const METRICS: &str = "metrics.jsonl";

/// A network in training: all that the loop needs to know of it.
pub trait Learner {
    /// What one step learns from.
    type Batch;

    /// Steps that see each segment once.
    fn steps_per_epoch(&self) -> u64;

    /// The batch of step `step`, from 0. Steps are asked for in order.
    ///
    /// # Errors
    ///
    /// If the data cannot be read.
    fn batch(&mut self, step: u64) -> Result<Self::Batch>;

    /// Does step `step` on its batch.
    ///
    /// # Errors
    ///
    /// If libtorch reports one, or with [`Error::Diverged`] if a loss is not a number any more.
    fn step(&mut self, batch: Self::Batch, step: u64) -> Result<Step>;

    /// What a checkpoint holds, by name: handles of the tensors themselves.
    fn tensors(&self) -> Vec<(String, Tensor)>;

    /// Evaluates on what is held out: a line for the reader and an object for the record. It
    /// chooses nothing.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    fn evaluate(&self) -> Result<Option<(String, Value)>> {
        Ok(None)
    }
}

/// How the loop is stopped from outside.
#[derive(Debug, Clone, Copy)]
pub struct Stop<'a> {
    /// Set to save and stop after the current step.
    pub flag: &'a AtomicBool,
    /// Save and stop after this many steps of a stage.
    pub after: Option<u64>,
}

/// Does the steps of the stage that are left after those of `resumed`. `header` says what is
/// trained; its `step` is kept.
///
/// # Errors
///
/// Those of a step or of writing, or [`Error::Interrupted`] if it was stopped; the state is saved
/// then.
pub fn train(
    learner: &mut impl Learner,
    header: &mut Header,
    resumed: Option<&Checkpoint>,
    folder: &Path,
    stop: Stop,
) -> Result<()> {
    if let Some(checkpoint) = resumed {
        checkpoint.restore(&learner.tensors())?;
        header.step = checkpoint.header.step;
    }
    let settings = header.recipe.train.clone();
    let (path, steps_per_epoch, n_steps) = (folder.join(CHECKPOINT), learner.steps_per_epoch(), header.n_steps);
    let mut metrics = Metrics::open(&folder.join(METRICS), header.step)?;
    let mut progress = TrainingProgress::new(header.step, n_steps);
    let mut running = Running::default();
    let mut epoch_started = Instant::now();
    while header.step < n_steps {
        let batch = learner.batch(header.step)?;
        let report = learner.step(batch, header.step)?;
        if report.losses.iter().any(|(_, loss)| !loss.is_finite()) {
            return Err(Error::Diverged { step: header.step });
        }
        header.step += 1;
        let step = header.step;
        let epoch = step.div_ceil(steps_per_epoch);
        running.add(&report);
        let loss = running.losses().next().map_or(0.0, |(_, loss)| loss);
        progress.update(epoch, step, loss, running.accuracy());
        let epoch_done = step.is_multiple_of(steps_per_epoch);
        if epoch_done {
            let mut line = Map::new();
            line.insert("kind".to_owned(), json!("train"));
            line.insert("epoch".to_owned(), json!(epoch));
            line.insert("step".to_owned(), json!(step));
            line.extend(running.losses().map(|(name, loss)| (name.to_owned(), json!(loss))));
            line.insert("accuracy".to_owned(), json!(running.accuracy()));
            line.insert("lr".to_owned(), json!(report.lr));
            line.insert("seconds".to_owned(), json!(epoch_started.elapsed().as_secs_f64()));
            metrics.write(&Value::Object(line))?;
            running = Running::default();
        }
        let stopped = stop.flag.load(Ordering::Relaxed) || stop.after.is_some_and(|n| step >= n);
        if stopped || step == n_steps || (epoch_done && epoch.is_multiple_of(settings.save_every)) {
            save(&path, header, &learner.tensors())?;
        }
        let due = settings.evaluate_every > 0 && epoch.is_multiple_of(settings.evaluate_every) && step < n_steps;
        if epoch_done
            && due
            && let Some((line, evaluation)) = learner.evaluate()?
        {
            progress.say(&format!("epoch {epoch}: {line}"));
            metrics.write(&json!({"kind": "evaluation", "epoch": epoch, "step": step, "evaluation": evaluation}))?;
        }
        if stopped && step < n_steps {
            progress.finish();
            return Err(Error::Interrupted);
        }
        if epoch_done {
            epoch_started = Instant::now();
        }
    }
    progress.finish();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::folds::FoldMode;
    use crate::train::recipe::Recipe;
    use tch::{Device, Kind};

    /// A "network" of one weight, to which each step adds its batch.
    struct Sum {
        weight: Tensor,
        asked: Vec<u64>,
        diverges_at: u64,
    }

    impl Sum {
        fn new() -> Self {
            Self { weight: Tensor::zeros([1], (Kind::Double, Device::Cpu)), asked: Vec::new(), diverges_at: u64::MAX }
        }
    }

    impl Learner for Sum {
        type Batch = f64;

        fn steps_per_epoch(&self) -> u64 {
            3
        }

        fn batch(&mut self, step: u64) -> Result<f64> {
            self.asked.push(step);
            Ok((step + 1) as f64)
        }

        fn step(&mut self, batch: f64, step: u64) -> Result<Step> {
            let _ = self.weight.f_add_scalar_(batch)?;
            let loss = if step == self.diverges_at { f64::NAN } else { batch };
            Ok(Step { losses: vec![("loss", loss), ("other", 1.0)], accuracy: 0.5, lr: 0.1 })
        }

        fn tensors(&self) -> Vec<(String, Tensor)> {
            vec![("weight".to_owned(), self.weight.shallow_clone())]
        }

        fn evaluate(&self) -> Result<Option<(String, Value)>> {
            Ok(Some((String::new(), json!(self.weight.double_value(&[0])))))
        }
    }

    fn header() -> Header {
        let text = "name = \"x\"\n[[data]]\nname = \"d\"\ncsv = \"c\"\naudio = \"a\"\n[network]\nkind = \"slowfast\"\n\
                    [train]\nevaluate_every = 1\n[[stage]]\nname = \"a\"\nepochs = 3\nlr = 0.1\n";
        Header {
            recipe: Recipe::parse(text, Path::new("x.toml")).unwrap(),
            stage: "a".to_owned(),
            labels: Vec::new(),
            fold: None,
            folds: FoldMode::Official,
            step: 0,
            n_steps: 9,
            finished: false,
        }
    }

    fn lines(folder: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(folder.join(METRICS)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_stopped_training_continues_at_its_step() {
        let folder = tempfile::tempdir().unwrap();
        let (flag, path) = (AtomicBool::new(false), folder.path().join(CHECKPOINT));
        let mut sum = Sum::new();
        let stop = Stop { flag: &flag, after: Some(4) };
        assert!(matches!(train(&mut sum, &mut header(), None, folder.path(), stop), Err(Error::Interrupted)));
        assert_eq!(sum.asked, [0, 1, 2, 3]);
        // A line that the saved state does not know is done again.
        let known = std::fs::read_to_string(folder.path().join(METRICS)).unwrap();
        std::fs::write(folder.path().join(METRICS), format!("{known}{{\"step\": 6}}\n")).unwrap();

        let mut again = Sum::new();
        let (mut header, checkpoint) = (header(), Checkpoint::load(&path).unwrap());
        let stop = Stop { flag: &flag, after: None };
        train(&mut again, &mut header, Some(&checkpoint), folder.path(), stop).unwrap();
        assert_eq!((again.asked.first(), again.weight.double_value(&[0]), header.step), (Some(&4), 45.0, 9));
        assert_eq!(Checkpoint::load(&path).unwrap().header.step, 9);
        let lines = lines(folder.path());
        let of = |kind: &str| lines.iter().filter(|l| l["kind"] == kind).collect::<Vec<_>>();
        assert_eq!(of("train").iter().map(|l| l["step"].as_u64()).collect::<Vec<_>>(), [Some(3), Some(6), Some(9)]);
        assert_eq!(of("train")[0]["loss"], 2.0, "the mean over the epoch");
        assert_eq!(of("train")[2]["other"], 1.0);
        // After the last step, what follows the training evaluates.
        assert_eq!(
            of("evaluation").iter().map(|l| l["evaluation"].as_f64()).collect::<Vec<_>>(),
            [Some(6.0), Some(21.0)]
        );
    }

    #[test]
    fn a_flag_stops_after_the_step_and_a_loss_that_is_no_number_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let flag = AtomicBool::new(true);
        let mut sum = Sum::new();
        let stop = Stop { flag: &flag, after: None };
        assert!(matches!(train(&mut sum, &mut header(), None, folder.path(), stop), Err(Error::Interrupted)));
        assert_eq!(Checkpoint::load(&folder.path().join(CHECKPOINT)).unwrap().header.step, 1);
        flag.store(false, Ordering::Relaxed);
        let mut sum = Sum { diverges_at: 5, ..Sum::new() };
        let stop = Stop { flag: &flag, after: None };
        let error = train(&mut sum, &mut header(), None, folder.path(), stop).unwrap_err();
        assert!(matches!(error, Error::Diverged { step: 5 }), "{error}");
        assert_eq!(Checkpoint::load(&folder.path().join(CHECKPOINT)).unwrap().header.step, 3, "the last good epoch");
    }
}

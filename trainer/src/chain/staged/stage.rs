//! One stage of one fold, from its first weights to its result.
//!
//! Enters: the fold's segments. Leaves, in the stage's folder: `checkpoint.safetensors` and `metrics.jsonl` (one object an epoch).
//! Runs on the calling thread; features on the pool's.

use super::plan::Plan;
use super::recipe::{Init, StagedRecipe};
use super::run::RunOptions;
use super::sets::Sets;
use super::state::{CHECKPOINT, Header, State};
use super::training::Training;
use super::tutor::Lessons;
use crate::common::progress::{TrainingProgress, device_name};
use crate::data::segments::{Loader, SegmentSet, View};
use crate::error::{Error, Result};
use crate::nets::slowfast::{Pass, SlowFast};
use crate::train::metrics::{Metrics, Running};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tch::{Device, Kind, Tensor};

/// Batches whose features are computed ahead of the training.
const BATCHES_AHEAD: usize = 4;
/// One segment in this many shows how long the predicted embeddings are.
const SAMPLE_EVERY: usize = 7;

/// Trains stage number `index`, continues it, or takes its result from its folder.
///
/// # Errors
///
/// If data or run folder fail, the stage it starts from is not finished, or with [`Error::Interrupted`] if it was stopped; the
/// state is saved then.
pub fn fit(options: &RunOptions, sets: &Sets, index: usize) -> Result<SlowFast> {
    let recipe = &options.recipe;
    let stage = &recipe.stages[index];
    let folder = options.out.join(&stage.name);
    std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    let path = folder.join(CHECKPOINT);
    let seed = stage_seed(recipe, index);
    let train = Arc::new(sets.train.clone());
    let plan = Plan::new(stage, seed, train.segments().len());
    let expected = Header {
        recipe: recipe.clone(),
        stage: stage.name.clone(),
        labels: sets.labels.clone(),
        fold: options.fold,
        folds: options.folds,
        step: 0,
        n_steps: plan.n_steps,
        finished: false,
    };
    let mut training = if path.exists() {
        if !options.resume {
            let message = "holds a training already; continue it with --resume or choose another --out";
            return Err(Error::Usage(format!("{}: {message}", folder.display())));
        }
        let training = Training::resume(&path, &expected, seed, plan, options.device)?;
        if training.header.finished {
            return training.network().frozen_copy();
        }
        training
    } else {
        let network = first_weights(options, &stage.init, sets.labels.len(), seed)?;
        let mut training = Training::start(expected, seed, plan, network, options.device)?;
        if let Init::File(path) = &stage.init
            && path.extension().is_some_and(|e| e == "safetensors")
        {
            training.take_prediction(&State::load(&options.places.data_root.join(path))?)?;
        }
        training
    };
    let lessons = if stage.teacher { Some(Lessons::prepare(recipe, &options.places, &train)?) } else { None };
    announce(options, &training, train.segments().len());
    let mut metrics = Metrics::open(&folder.join("metrics.jsonl"), training.header.step)?;
    train_steps(options, &mut training, &train, plan, lessons.as_ref(), &path, &mut metrics)?;
    let more = match (&lessons, training.prediction()) {
        (Some(lessons), Some(prediction)) => {
            let norm = predicted_norm(&training, &train, options.device)?;
            Some(lessons.classifier(prediction, sets.labels.len(), norm)?)
        }
        _ => None,
    };
    training.finish(more, &path)
}

/// Each stage draws its own random numbers.
fn stage_seed(recipe: &StagedRecipe, index: usize) -> u64 {
    recipe.seed.wrapping_mul(1000).wrapping_add(index as u64)
}

/// The weights that a stage starts from.
fn first_weights(options: &RunOptions, init: &Init, n_classes: usize, seed: u64) -> Result<SlowFast> {
    let (recipe, device) = (&options.recipe, options.device);
    let fresh = || SlowFast::new(&recipe.network, n_classes, seed, device);
    match init {
        Init::Scratch => fresh(),
        Init::Stage(name) => State::load(&options.out.join(name).join(CHECKPOINT))?.finished(device),
        Init::File(path) => {
            let (mut network, path) = (fresh()?, options.places.data_root.join(path));
            let loaded = if path.extension().is_some_and(|e| e == "safetensors") {
                network.fill(State::load(&path)?.model(), &path)?
            } else {
                network.load(&path)?
            };
            for warning in &loaded.warnings {
                eprintln!("warning: {}: {warning}", path.display());
            }
            Ok(network)
        }
    }
}

fn train_steps(
    options: &RunOptions,
    training: &mut Training,
    train: &Arc<SegmentSet>,
    plan: Plan,
    lessons: Option<&Lessons>,
    path: &Path,
    metrics: &mut Metrics,
) -> Result<()> {
    let first = training.header.step;
    let views = move |step: u64| {
        let items = || plan.items(step).into_iter().map(|(i, draw)| (i, View::Start(draw))).collect();
        (step < plan.n_steps).then(items)
    };
    let mut loader = Loader::new(train.clone(), views, first, BATCHES_AHEAD);
    let mut progress = TrainingProgress::new(first, plan.n_steps);
    let mut running = Running::default();
    let mut epoch_started = Instant::now();
    while let Some(batch) = loader.next() {
        let report = training.step(&batch?, train, lessons)?;
        let step = training.header.step;
        let epoch = step.div_ceil(plan.steps_per_epoch);
        running.add(&report);
        let [loss, teacher_loss, accuracy] = running.means();
        progress.update(epoch, step, loss, accuracy);
        let epoch_done = step.is_multiple_of(plan.steps_per_epoch);
        if epoch_done {
            metrics.write(&json!({
                "kind": "train", "epoch": epoch, "step": step, "loss": loss, "teacher_loss": teacher_loss,
                "accuracy": accuracy, "lr": report.lr, "seconds": epoch_started.elapsed().as_secs_f64(),
            }))?;
            running = Running::default();
            epoch_started = Instant::now();
        }
        let stopped = options.stop.load(Ordering::Relaxed) || options.stop_after.is_some_and(|n| step >= n);
        let due = epoch_done && epoch.is_multiple_of(options.recipe.train.save_every);
        if stopped || due || step == plan.n_steps {
            training.save(path)?;
        }
        if stopped && step < plan.n_steps {
            progress.finish();
            return Err(Error::Interrupted);
        }
    }
    progress.finish();
    Ok(())
}

/// Mean length of the embeddings that the network predicts: the cosine it was trained with leaves their length open.
fn predicted_norm(training: &Training, train: &SegmentSet, device: Device) -> Result<f64> {
    let Some(prediction) = training.prediction() else { return Ok(1.0) };
    let (mut sum, mut n) = (0.0, 0);
    for segment in (0..train.segments().len()).step_by(SAMPLE_EVERY) {
        let features = train.view(segment, View::Test { index: 0, n_views: 1 })?;
        let shape = [1, 1, train.n_frames() as i64, train.n_mels() as i64];
        let x = Tensor::f_from_slice(&features)?.f_view(shape)?.f_to_device(device)?;
        let pass = Pass::evaluation(crate::train::recipe::Precision::F32);
        let length = tch::no_grad(|| {
            let predicted = prediction.of(&training.network().features(&x, &pass)?)?;
            Ok::<_, Error>(predicted.f_norm()?.f_to_kind(Kind::Double)?.f_double_value(&[])?)
        })?;
        sum += length;
        n += 1;
    }
    Ok(sum / f64::from(n.max(1)))
}

fn announce(options: &RunOptions, training: &Training, n_train: usize) {
    let Header { recipe, stage, step, n_steps, .. } = &training.header;
    let device = device_name(options.device);
    let fold = options.fold.map_or(String::new(), |k| format!(", fold {k} held out ({:?} folds)", options.folds));
    let continuing = if *step > 0 { format!(", continuing at step {step}") } else { String::new() };
    eprintln!("{}, stage {stage}: {n_train} segments{fold}, {n_steps} steps on {device}{continuing}", recipe.name);
}

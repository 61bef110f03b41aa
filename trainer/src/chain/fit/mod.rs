//! One training of one fold, from recipe to result.
//!
//! Enters: a recipe and a run folder. Leaves, in the folder: `checkpoint.safetensors`, `metrics.jsonl` (one object an epoch and
//! an evaluation), and, at the end, `model/`, `environment.json`, `result.json` and, of a held-out fold, `peaks.json` and
//! `predictions.npz`. The held-out fold chooses nothing: the result is that of the last step's averaged weights. Runs on the calling
//! thread; batches and features on the pool's.

mod steps;

use crate::common::environment::Environment;
use crate::common::json;
use crate::common::progress::device_name;
use crate::data::{Corpus, Places};
use crate::error::{Error, Result};
use crate::judge::evaluate::{self, Evaluation, HeldOut};
use crate::judge::thresholds::{self, PEAKS};
use crate::nets::student::{Cost, Student, cost};
use crate::nets::teacher::probe::{self, Lessons};
use crate::nets::teacher::{self, Listener, Statistics};
use crate::ship::export::{self, ExportOptions};
use crate::ship::quantize::{Fidelity, Quantized, quantize};
use crate::train::augment::Batcher;
use crate::train::checkpoint::{Finished, Header};
use crate::train::distill::{self, Classifier, Teachers};
use crate::train::metrics::Metrics;
use crate::train::recipe::{FoldMode, Recipe};
use crate::train::training::{Training, crops};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use steps::Steps;
use tch::Device;

/// Name of the checkpoint in a run folder.
pub const CHECKPOINT: &str = "checkpoint.safetensors";
/// Name of the result in a run folder.
pub const RESULT: &str = "result.json";
/// Name of the model in a run folder, as the daemon takes it.
pub const MODEL: &str = "model";
/// Name of the record of epochs and evaluations in a run folder.
pub const METRICS: &str = "metrics.jsonl";
/// Name of what the finished network says of the held-out fold, in a run folder.
pub const PREDICTIONS: &str = "predictions.npz";
/// What to train, and where.
#[derive(Debug, Clone)]
pub struct FitOptions<R = Recipe> {
    /// The checked recipe: of a student, or a staged one.
    pub recipe: R,
    /// Held-out fold; none to train on everything.
    pub fold: Option<u32>,
    /// What the fold refers to.
    pub folds: FoldMode,
    /// Data and cache.
    pub places: Places,
    /// Run folder.
    pub out: PathBuf,
    /// Continue from what the folder holds, if there is anything.
    pub resume: bool,
    /// Where to compute.
    pub device: Device,
    /// Set from outside to save and stop after the current step.
    pub stop: Arc<AtomicBool>,
    /// Save and stop after this many steps (of a stage).
    pub stop_after: Option<u64>,
}

/// What a finished training leaves behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FitResult {
    /// Name of the recipe.
    pub recipe: String,
    /// Held-out fold.
    pub fold: Option<u32>,
    /// What the fold refers to.
    pub folds: FoldMode,
    /// Steps done.
    pub n_steps: u64,
    /// On the held-out fold; none if nothing was held out.
    pub evaluation: Option<Evaluation>,
    /// The same of the 8-bit network, run as the daemon runs it.
    #[serde(default)]
    pub int8: Option<Evaluation>,
}

/// Trains, evaluates, and leaves the result in the run folder.
///
/// # Errors
///
/// If data, cache or run folder fail, or with [`Error::Interrupted`] if it was stopped; the state is saved then.
pub fn fit(options: &FitOptions) -> Result<FitResult> {
    let mut run = Run::set_up(options)?;
    run.train()?;
    run.finish()
}

/// A training with its data.
struct Run<'a> {
    options: &'a FitOptions,
    checkpoint: PathBuf,
    training: Training,
    batcher: Batcher,
    lessons: Option<Lessons>,
    held_out: HeldOut,
    metrics: Metrics,
}

impl<'a> Run<'a> {
    /// Reads the data and starts or resumes the training.
    fn set_up(options: &'a FitOptions) -> Result<Self> {
        let recipe = &options.recipe;
        std::fs::create_dir_all(&options.out).map_err(Error::io(&options.out))?;
        let checkpoint = options.out.join(CHECKPOINT);
        if checkpoint.exists() && !options.resume {
            let message = "holds a training already; continue it with --resume or choose another --out";
            return Err(Error::Usage(format!("{}: {message}", options.out.display())));
        }
        let mut corpus = Corpus::load(recipe, &options.places, options.folds)?;
        if let Some(distill) = &recipe.distill {
            let run = run_name(options.folds, options.fold);
            distill::scores::attach(&mut corpus, distill, &options.places.recipe_folder, &run)?;
        }
        let (labels, sets, background) = (corpus.labels.clone(), corpus.sets.clone(), corpus.background);
        let mut split = corpus.split(options.fold, recipe.frontend.n_mels)?;
        let statistics = teacher::standardise(split.train.iter_mut().filter_map(|c| c.targets.as_mut()));
        let lessons = Lessons::gather(&split.train);
        let n_train = split.train.len();
        let held_out = HeldOut {
            sets,
            clips: split.held_out,
            negatives: split.held_out_negatives,
            background,
            frontend: recipe.frontend.clone(),
            device: options.device,
        };
        let n_classes = labels.len();
        let batcher = Batcher::new(recipe, n_classes, background, recipe.n_teacher(), split.train, split.negatives);
        let header = Header {
            recipe: recipe.clone(),
            labels,
            fold: options.fold,
            folds: options.folds,
            step: 0,
            n_steps: recipe.train.epochs * batcher.steps_per_epoch(),
        };
        let teachers = gather_teachers(options, lessons.as_ref(), &statistics, n_classes)?;
        let mut training = if checkpoint.exists() {
            Training::resume(&checkpoint, &header, options.device)?
        } else {
            Training::start(header, options.device)?
        };
        training.learn_from(teachers);
        let metrics = Metrics::open(&options.out.join(METRICS), training.header.step)?;
        announce(options, &training, &network_cost(recipe, n_classes), n_train, held_out.clips.len());
        Ok(Self { options, checkpoint, training, batcher, lessons, held_out, metrics })
    }

    /// Does the steps that are left, saving now and then.
    fn train(&mut self) -> Result<()> {
        let batcher = &self.batcher;
        let steps = Steps {
            options: self.options,
            held_out: &self.held_out,
            checkpoint: &self.checkpoint,
            steps_per_epoch: batcher.steps_per_epoch(),
        };
        steps.finish(&mut self.training, &mut self.metrics, |step| batcher.batch(step))
    }

    /// The last stage: merges the teacher's classifier, evaluates and writes the result.
    fn finish(self) -> Result<FitResult> {
        let options = self.options;
        let mut finished = self.training.averaged().frozen_copy()?;
        let teacher = options.recipe.teacher.as_ref().filter(|t| t.probe_share > 0.0);
        if let (Some(lessons), Some(teacher)) = (&self.lessons, teacher) {
            let held_out = &self.held_out;
            if let Some(evaluation) = held_out.evaluate(&finished)? {
                eprintln!("before merging the teacher's classifier: {}", describe(&evaluation));
            }
            let (background, silence) = (held_out.background, evaluate::silence(&held_out.frontend));
            finished = probe::merge(&finished, lessons, teacher, background, silence, options.device)?;
        }
        let finished = Finished { int8: self.quantize(&finished)?, student: finished };
        let held_out = &self.held_out;
        self.training.save(&self.checkpoint, Some(&finished))?;
        let evaluation = held_out.evaluate(&finished.student)?;
        if let Some(evaluation) = &evaluation {
            eprintln!("result: {}", describe(evaluation));
        }
        let model = options.out.join(MODEL);
        export::export(&self.checkpoint, &model, &ExportOptions::default())?;
        if !held_out.clips.is_empty() {
            let recordings = [&held_out.clips[..], &held_out.negatives[..]].concat();
            json::write(&options.out.join(PEAKS), &thresholds::peaks(&model, &recordings)?)?;
        }
        let predictions = held_out.predict(&model)?;
        if let Some(predictions) = &predictions {
            predictions.write(&options.out.join(PREDICTIONS))?;
        }
        let int8 = predictions.and_then(|p| Some(held_out.measure(p.activation, p.logits_int8.as_ref()?)));
        if let Some(evaluation) = &int8 {
            eprintln!("8 bits: {}", describe(evaluation));
        }
        let result = FitResult {
            recipe: options.recipe.name.clone(),
            fold: options.fold,
            folds: options.folds,
            n_steps: self.training.header.n_steps,
            evaluation,
            int8,
        };
        Environment::here(options.device, &options.places.data_root).write(&options.out)?;
        json::write(&options.out.join(RESULT), &result)?;
        Ok(result)
    }

    /// The 8-bit form of the result, if the recipe wants one.
    fn quantize(&self, finished: &Student) -> Result<Option<Quantized>> {
        let (recipe, device) = (&self.options.recipe, self.options.device);
        let Some(settings) = &recipe.quantize else { return Ok(None) };
        // Other crops than the training's.
        let first = self.training.header.n_steps;
        let batch = |step| crops(&self.batcher.batch(first + step), recipe, device);
        let (network, fidelity) = quantize(finished, settings, batch, device)?;
        let Fidelity { calibrated, tuned } = fidelity;
        eprintln!("8 bits: logits differ by {:.2} % calibrated, {:.2} % tuned", calibrated * 100.0, tuned * 100.0);
        Ok(Some(network))
    }
}

/// What the recipe's teachers need in training: weights, and a classifier of the training clips' embeddings.
fn gather_teachers(
    options: &FitOptions,
    lessons: Option<&Lessons>,
    statistics: &Statistics,
    n_classes: usize,
) -> Result<Teachers> {
    let recipe = &options.recipe;
    let mut teachers = Teachers { settings: recipe.distill.clone(), ..Teachers::default() };
    let (Some(teacher), Some(lessons)) = (&recipe.teacher, lessons) else { return Ok(teachers) };
    if teacher.online > 0.0 {
        let path = options.places.data_root.join(&teacher.weights);
        teachers.listener = Some(Listener::load(&path, statistics, options.device)?);
    }
    if recipe.distill.as_ref().is_some_and(|d| d.soft_weight > 0.0 && d.classifier > 0.0) {
        teachers.classifier = Some(Classifier::fit(lessons, n_classes, teacher.probe_c, options.device)?);
    }
    Ok(teachers)
}

/// Name of a run's folder: `official-3`, `source-3`, or `all` if nothing is held out.
pub fn run_name(folds: FoldMode, fold: Option<u32>) -> String {
    match (folds, fold) {
        (_, None) => "all".to_owned(),
        (FoldMode::Official, Some(fold)) => format!("official-{fold}"),
        (FoldMode::Source, Some(fold)) => format!("source-{fold}"),
    }
}

/// Size and cost of a recipe's network for `n_classes` classes.
pub fn network_cost(recipe: &Recipe, n_classes: usize) -> Cost {
    cost(&recipe.network.layers, recipe.frontend.n_mels, n_classes, recipe.frontend.hop_seconds())
}

/// An evaluation in one line.
pub fn describe(evaluation: &Evaluation) -> String {
    let set = |(name, r): (&String, &crate::judge::evaluate::SetResult)| {
        let [own, all] = [r.top1_own_labels, r.top1].map(|share| share * 100.0);
        format!("{name} {own:.1} % ({all:.1} % of all classes, nll {:.2}, {} clips)", r.nll, r.n)
    };
    let mut parts: Vec<String> = evaluation.sets.iter().map(set).collect();
    if let Some(b) = &evaluation.background {
        parts.push(format!("background false alarms {:.1} % of {} s", b.false_alarms * 100.0, b.n_windows));
    }
    parts.join(", ")
}

fn announce(options: &FitOptions, training: &Training, cost: &Cost, n_train: usize, n_held_out: usize) {
    let Header { recipe, labels, step, n_steps, .. } = &training.header;
    let device = device_name(options.device);
    let fold = options
        .fold
        .map_or("no fold held out".to_owned(), |k| format!("fold {k} held out ({:?} folds)", options.folds));
    eprintln!("{}: {} classes, {n_train} clips, {n_held_out} held out, {fold}", recipe.name, labels.len());
    eprintln!(
        "network: {} parameters, {:.1} MMAC a second, receptive field {} frames; device: {device}",
        cost.n_params, cost.mmac_per_second, cost.receptive_field
    );
    if *step > 0 {
        eprintln!("continuing at step {step} of {n_steps}");
    }
}

//! One training of one fold, from recipe to result.
//!
//! Enters: a recipe and a run folder. Leaves, in the folder: `checkpoint.safetensors`, `metrics.jsonl` (one object an epoch and
//! an evaluation) and, at the end, `result.json`. The held-out fold chooses nothing: the result is that of the last step's
//! averaged weights. Runs on the calling thread; batches and features on the pool's.

use crate::augment::Batcher;
use crate::checkpoint::Header;
use crate::data::{Corpus, Places, Split};
use crate::error::{Error, Result};
use crate::evaluate::{Evaluation, evaluate};
use crate::progress::TrainingProgress;
use crate::recipe::{FoldMode, Recipe};
use crate::student::{Cost, Student, cost};
use crate::teacher;
use crate::teacher::probe::{self, Lessons};
use crate::training::Training;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tch::Device;

/// Name of the checkpoint in a run folder.
pub const CHECKPOINT: &str = "checkpoint.safetensors";
/// Name of the result in a run folder.
pub const RESULT: &str = "result.json";
const METRICS: &str = "metrics.jsonl";

/// What to train, and where.
#[derive(Debug, Clone)]
pub struct FitOptions {
    /// The checked recipe.
    pub recipe: Recipe,
    /// Held-out fold; none to train on everything.
    pub fold: Option<u32>,
    /// What the fold refers to.
    pub folds: FoldMode,
    /// Data and cache.
    pub places: Places,
    /// Run folder.
    pub out: PathBuf,
    /// Continue from the folder's checkpoint, if there is one.
    pub resume: bool,
    /// Where to compute.
    pub device: Device,
    /// Set from outside to save and stop after the current step.
    pub stop: Arc<AtomicBool>,
    /// Save and stop after this many steps in all.
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
}

/// Trains, evaluates, and leaves the result in the run folder.
///
/// # Errors
///
/// If data, cache or run folder fail, or with [`Error::Interrupted`] if it was stopped; the state is saved then.
pub fn fit(options: &FitOptions) -> Result<FitResult> {
    let recipe = &options.recipe;
    std::fs::create_dir_all(&options.out).map_err(Error::io(&options.out))?;
    let checkpoint = options.out.join(CHECKPOINT);
    if checkpoint.exists() && !options.resume {
        let message = "holds a training already; continue it with --resume or choose another --out";
        return Err(Error::Usage(format!("{}: {message}", options.out.display())));
    }
    let corpus = Corpus::load(recipe, &options.places, options.folds)?;
    let (labels, sets, background) = (corpus.labels.clone(), corpus.sets.clone(), corpus.background);
    let mut split = corpus.split(options.fold, recipe.frontend.n_mels)?;
    teacher::standardise(split.train.iter_mut().filter_map(|c| c.targets.as_mut()));
    let lessons = Lessons::gather(&split.train);
    let (n_train, n_held_out) = (split.train.len(), split.held_out.len());
    let Split { train, held_out, negatives, held_out_negatives } = split;
    let batcher = Batcher::new(recipe, labels.len(), background, recipe.n_teacher(), train, negatives);
    let steps_per_epoch = batcher.steps_per_epoch();
    let header = Header {
        recipe: recipe.clone(),
        labels,
        fold: options.fold,
        folds: options.folds,
        step: 0,
        n_steps: recipe.train.epochs * steps_per_epoch,
    };
    let mut training = if checkpoint.exists() {
        Training::resume(&checkpoint, &header, options.device)?
    } else {
        Training::start(header, options.device)?
    };
    let mut metrics = Metrics::open(&options.out.join(METRICS), training.header.step)?;
    let cost = network_cost(recipe, training.header.labels.len());
    announce(options, &training, &cost, n_train, n_held_out);

    let frontend = &recipe.frontend;
    let silence = ((frontend.log_offset as f32).ln() - frontend.mean) / frontend.std;
    let evaluate_now = |student: &Student| -> Result<Option<Evaluation>> {
        if held_out.is_empty() {
            return Ok(None);
        }
        evaluate(
            student,
            &sets,
            &held_out,
            &held_out_negatives,
            background,
            frontend.hop_seconds(),
            silence,
            options.device,
        )
        .map(Some)
    };
    let mut progress = TrainingProgress::new(training.header.step, training.header.n_steps);
    let mut running = Running::default();
    let mut epoch_started = Instant::now();
    while training.header.step < training.header.n_steps {
        let step = training.header.step;
        let report = training.step(&batcher.batch(step))?;
        running.add(report.loss, report.teacher_loss, report.accuracy);
        let (step, epoch) = (step + 1, step / steps_per_epoch + 1);
        let [loss, teacher_loss, accuracy] = running.means();
        progress.update(epoch, step, loss, accuracy);
        let epoch_done = step % steps_per_epoch == 0;
        if epoch_done {
            let seconds = epoch_started.elapsed().as_secs_f64();
            metrics.write(
                &json!({"kind": "train", "epoch": epoch, "step": step, "loss": loss, "teacher_loss": teacher_loss,
                "accuracy": accuracy, "lr": report.lr, "seconds": seconds}),
            )?;
            running = Running::default();
            epoch_started = Instant::now();
        }
        let stopped = options.stop.load(Ordering::Relaxed) || options.stop_after.is_some_and(|n| step >= n);
        let finished = step == training.header.n_steps;
        if stopped || finished || (epoch_done && epoch % recipe.train.save_every == 0) {
            training.save(&checkpoint, None)?;
        }
        if stopped && !finished {
            progress.finish();
            return Err(Error::Interrupted);
        }
        let every = recipe.train.evaluate_every;
        if epoch_done && !finished && every > 0 && epoch % every == 0 {
            if let Some(evaluation) = evaluate_now(training.averaged())? {
                progress.say(&format!("epoch {epoch}: {}", describe(&evaluation)));
                metrics
                    .write(&json!({"kind": "evaluation", "epoch": epoch, "step": step, "evaluation": evaluation}))?;
            }
            epoch_started = Instant::now();
        }
    }
    progress.finish();
    let mut finished = training.averaged().frozen_copy()?;
    if let (Some(lessons), Some(teacher)) = (&lessons, recipe.teacher.as_ref().filter(|t| t.probe_share > 0.0)) {
        if let Some(evaluation) = evaluate_now(&finished)? {
            eprintln!("before merging the teacher's classifier: {}", describe(&evaluation));
        }
        finished = probe::merge(&finished, lessons, teacher, background, silence, options.device)?;
    }
    training.save(&checkpoint, Some(&finished))?;
    let evaluation = evaluate_now(&finished)?;
    if let Some(evaluation) = &evaluation {
        eprintln!("result: {}", describe(evaluation));
    }
    let result = FitResult {
        recipe: recipe.name.clone(),
        fold: options.fold,
        folds: options.folds,
        n_steps: training.header.n_steps,
        evaluation,
    };
    let path = options.out.join(RESULT);
    let text = serde_json::to_string_pretty(&result).map_err(|e| Error::content(&path, e.to_string()))?;
    std::fs::write(&path, text + "\n").map_err(Error::io(&path))?;
    Ok(result)
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
    let set = |(name, r): (&String, &crate::evaluate::SetResult)| {
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
    let device = match options.device {
        Device::Cpu => format!("CPU, {} threads", tch::get_num_threads()),
        other => format!("{other:?}"),
    };
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

/// Means over the steps of an epoch.
#[derive(Debug, Default)]
struct Running {
    sums: [f64; 3],
    n: u64,
}

impl Running {
    fn add(&mut self, loss: f64, teacher_loss: f64, accuracy: f64) {
        self.sums.iter_mut().zip([loss, teacher_loss, accuracy]).for_each(|(s, v)| *s += v);
        self.n += 1;
    }

    fn means(&self) -> [f64; 3] {
        self.sums.map(|s| s / self.n.max(1) as f64)
    }
}

/// Appends to `metrics.jsonl`.
struct Metrics {
    path: PathBuf,
    file: std::fs::File,
}

impl Metrics {
    /// Opens the file; lines of steps after `step`, which a resumed training does again, are dropped.
    fn open(path: &Path, step: u64) -> Result<Self> {
        let text = if step > 0 { std::fs::read_to_string(path).unwrap_or_default() } else { String::new() };
        let step_of =
            |line: &str| serde_json::from_str::<serde_json::Value>(line).ok().and_then(|v| v["step"].as_u64());
        let kept = text.lines().filter(|line| step_of(line).is_some_and(|s| s <= step));
        let kept: String = kept.map(|line| format!("{line}\n")).collect();
        std::fs::write(path, kept).map_err(Error::io(path))?;
        let file = std::fs::OpenOptions::new().append(true).open(path).map_err(Error::io(path))?;
        Ok(Self { path: path.to_owned(), file })
    }

    fn write(&mut self, object: &serde_json::Value) -> Result<()> {
        writeln!(self.file, "{object}").map_err(Error::io(&self.path))
    }
}

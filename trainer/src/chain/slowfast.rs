//! The stages of Auditory SlowFast, their scores and their fusion.
//!
//! The third-place entry of the EPIC-SOUNDS challenge of 2023 is four trainings of one network,
//! each from where an earlier one ended, whose scores are added with fixed weights. Enters: a
//! recipe and a run folder. Leaves, in the folder of each stage, `scores.npz` (held-out segments,
//! posteriors summed over views), `logits.npz` and `train-logits.npz` (view by view); the scores of
//! the weights' average and of the fusion with the recipe's weights; and the measures of each.

use super::FitOptions;
use super::predict::predict;
use crate::common::progress::device_name;
use crate::data::folds::FoldMode;
use crate::data::segments::{Options, SegmentSet};
use crate::error::{Error, Result};
use crate::judge::scores::{Scores, fuse, measure};
use crate::judge::summary::{FitResult, Model};
use crate::nets::slowfast::SlowFast;
use crate::nets::slowfast::fused::{Ensemble, Member};
use crate::train::checkpoint::{Checkpoint, Header, save};
use crate::train::learner::train;
use crate::train::recipe::{Init, Recipe};
use crate::train::slowfast::tutor::Lessons;
use crate::train::slowfast::{SlowFastLearner, network_tensors, slowfast_of};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Name of the held-out segments' scores in a stage's folder.
pub const SCORES: &str = "scores.npz";
/// Name of the held-out segments' logits in a stage's folder, view by view.
const LOGITS: &str = "logits.npz";
/// Name of the training segments' logits: what a smaller network may be taught with.
pub const TRAIN_LOGITS: &str = "train-logits.npz";
/// Folder of the fusion.
pub const FUSED: &str = "fused";
/// Folder of the mean of several stages' weights.
pub const AVERAGE: &str = "average";

/// One fold's division of the recipe's segments.
#[derive(Debug, Clone)]
pub struct Sets {
    /// Names of the classes.
    pub labels: Vec<String>,
    /// Trained on.
    pub train: SegmentSet,
    /// Evaluated on; none if nothing is held out.
    pub held_out: Option<SegmentSet>,
}

impl Sets {
    /// Opens the data of `recipe`; `fold` is held out of a table of clips.
    ///
    /// # Errors
    ///
    /// If a table or its audio is wrong, or there is no such fold.
    pub fn open(recipe: &Recipe, options: &FitOptions) -> Result<Self> {
        let [set] = &recipe.data[..] else {
            return Err(Error::Usage("SlowFast takes one data set".to_owned()));
        };
        let segments = segment_options(recipe, Some(&options.places.cache));
        let opened = set.open(&options.places.data_root, &recipe.frontend, &segments)?;
        let labels = opened.labels;
        let all = opened.segments.ok_or_else(|| Error::Usage(format!("data set {:?} has no labels", set.name)))?;
        if let Some(validation) = opened.validation {
            if options.fold.is_some() {
                let message = format!("--fold: data set {:?} has its own division and no folds", set.name);
                return Err(Error::Usage(message));
            }
            return Ok(Self { labels, train: all, held_out: Some(validation) });
        }
        let all = if options.folds == FoldMode::Source { all.with_source_folds()? } else { all };
        let Some(fold) = options.fold else { return Ok(Self { labels, train: all, held_out: None }) };
        if !all.folds().contains(&fold) {
            return Err(Error::Usage(format!("fold {fold} does not exist; the data has folds {:?}", all.folds())));
        }
        let (train, held_out) = (all.filter(|s| s.fold != fold), all.filter(|s| s.fold == fold));
        if train.segments().is_empty() {
            return Err(Error::Usage(format!("no clip is left to train on: every clip is in fold {fold}")));
        }
        Ok(Self { labels, train, held_out: Some(held_out) })
    }
}

/// How a recipe's segments are read.
pub fn segment_options(recipe: &Recipe, cache: Option<&Path>) -> Options {
    let bytes = recipe.train.memory_mb << 20;
    Options {
        view_seconds: recipe.train.view_seconds,
        audio_bytes: bytes / 2,
        feature_bytes: bytes / 2,
        cache: cache.map(PathBuf::from),
        ..Options::default()
    }
}

/// Trains only stage number `index`.
///
/// # Errors
///
/// If data or run folder fail, the stage it starts from is not finished, or with
/// [`Error::Interrupted`] if it was stopped; the state is saved then.
pub fn fit_stage(options: &FitOptions, index: usize) -> Result<()> {
    stage(options, &Sets::open(&options.recipe, options)?, index).map(drop)
}

/// Trains all stages, predicts, fuses and measures.
///
/// # Errors
///
/// As [`fit_stage`].
pub fn fit(options: &FitOptions) -> Result<FitResult> {
    let recipe = &options.recipe;
    let sets = Sets::open(recipe, options)?;
    let mut stages: Vec<(String, SlowFast)> = Vec::new();
    for (index, of) in recipe.stages.iter().enumerate() {
        stages.push((of.name.clone(), stage(options, &sets, index)?));
    }
    let mut models = vec![];
    let average = (!recipe.average.is_empty()).then(|| averaged(options, &sets, &stages)).transpose()?;
    let stages = ensemble(recipe, stages)?;
    let n_views = recipe.train.train_views.unwrap_or(recipe.train.views);
    let on_train = predict(&stages, &sets.train, n_views, options.device, &options.stop)?;
    for (of, predicted) in recipe.stages.iter().zip(&on_train) {
        let path = options.stage_folder(&of.name).join(TRAIN_LOGITS);
        predicted.logits(&sets.train, n_views, &path)?.write(&path)?;
    }
    if let Some(held_out) = &sets.held_out {
        models = evaluate(options, held_out, &stages, average, sets.labels.len())?;
        for Model { name, measures } in &models {
            eprintln!("{name:<12} {}", measures.line());
        }
    }
    Ok(FitResult { models, ..FitResult::new(&recipe.name, options.fold, options.folds) })
}

/// Networks of stages, which score together.
fn ensemble(recipe: &Recipe, networks: Vec<(String, SlowFast)>) -> Result<Ensemble> {
    let member =
        |(name, network): (String, SlowFast)| Member { network, min_max: is_min_max(recipe, &name), weight: 1.0 };
    Ensemble::new(networks.into_iter().map(member).collect())
}

/// Trains a stage, continues it, or takes its result from its folder.
fn stage(options: &FitOptions, sets: &Sets, index: usize) -> Result<SlowFast> {
    let (recipe, device) = (&options.recipe, options.device);
    let of = &recipe.stages[index];
    let (folder, exists) = options.existing(&of.name)?;
    let path = options.checkpoint(&of.name);
    let n_steps = crate::train::slowfast::plan::Plan::new(of, 0, sets.train.segments().len()).n_steps;
    let mut header = options.header(&of.name, &sets.labels, n_steps);
    let resumed = exists.then(|| Checkpoint::resume(&path, &header)).transpose()?;
    if let Some(checkpoint) = resumed.as_ref().filter(|c| c.header.finished) {
        return slowfast_of(checkpoint, device)?.frozen_copy();
    }
    let (network, earlier) = first_weights(options, index, sets.labels.len())?;
    let train_set = Arc::new(sets.train.clone());
    let lessons = of.teacher.then(|| Lessons::prepare(recipe, &options.places, &train_set)).transpose()?;
    let mut learner = SlowFastLearner::new(recipe, index, train_set, network, lessons, device)?;
    if let Some(checkpoint) = &earlier {
        learner.take_second_head(checkpoint)?;
    }
    let step = resumed.as_ref().map_or(0, |c| c.header.step);
    let continuing = if step > 0 { format!(", continuing at step {step}") } else { String::new() };
    eprintln!(
        "{}, stage {}: {} segments{}, {n_steps} steps on {}{continuing}",
        recipe.name,
        of.name,
        sets.train.segments().len(),
        options.described_fold(),
        device_name(device)
    );
    train(&mut learner, &mut header, resumed.as_ref(), &folder, options.stop())?;
    let (network, tensors) = learner.finish()?;
    save(&path, &Header { finished: true, ..header }, &tensors)?;
    Ok(network)
}

/// The weights that a stage starts from, and the checkpoint of this trainer that its file is, if it
/// is one.
fn first_weights(options: &FitOptions, index: usize, n_classes: usize) -> Result<(SlowFast, Option<Checkpoint>)> {
    let (recipe, device) = (&options.recipe, options.device);
    let fresh = || SlowFast::new(recipe.slowfast()?, n_classes, recipe.stage_seed(index), device);
    match &recipe.stages[index].init {
        Init::Scratch => Ok((fresh()?, None)),
        Init::Stage(name) => {
            let checkpoint = Checkpoint::load(&options.checkpoint(name))?;
            checkpoint.finished()?;
            Ok((slowfast_of(&checkpoint, device)?, None))
        }
        Init::File(path) => {
            let (mut network, path) = (fresh()?, options.places.data_root.join(path));
            let own = path.extension().is_some_and(|e| e == "safetensors");
            let checkpoint = own.then(|| Checkpoint::load(&path)).transpose()?;
            let loaded = match &checkpoint {
                Some(checkpoint) => network.fill(checkpoint.part("model/"), &path)?,
                None => network.load(&path)?,
            };
            for warning in &loaded.warnings {
                eprintln!("warning: {}: {warning}", path.display());
            }
            Ok((network, checkpoint))
        }
    }
}

/// The mean of the weights of the recipe's `average` stages, saved like a stage.
fn averaged(options: &FitOptions, sets: &Sets, models: &[(String, SlowFast)]) -> Result<SlowFast> {
    let recipe = &options.recipe;
    let networks: Vec<&SlowFast> = models.iter().filter(|m| recipe.average.contains(&m.0)).map(|m| &m.1).collect();
    let network = SlowFast::average(&networks)?;
    let folder = options.stage_folder(AVERAGE);
    std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    let header = Header { finished: true, ..options.header(AVERAGE, &sets.labels, 0) };
    save(&options.checkpoint(AVERAGE), &header, &network_tensors(&network))?;
    Ok(network)
}

/// Whether the views of the stage called `name` are scaled to [0, 1]; those of an average are if
/// the first stage's are.
pub fn is_min_max(recipe: &Recipe, name: &str) -> bool {
    let stage = recipe.stages.iter().find(|s| s.name == name).or(recipe.stages.first());
    stage.is_some_and(|s| s.augment().min_max)
}

/// Scores and logits of the held-out segments by the `stages`, scores by their `average` and of
/// their fusion; measures by model.
fn evaluate(
    options: &FitOptions,
    held_out: &SegmentSet,
    stages: &Ensemble,
    average: Option<SlowFast>,
    n_classes: usize,
) -> Result<Vec<Model>> {
    let (recipe, n_views) = (&options.recipe, options.recipe.train.views);
    let truth = classes(held_out)?;
    let score = |ensemble: &Ensemble| predict(ensemble, held_out, n_views, options.device, &options.stop);
    let mut measured = Vec::new();
    let mut take = |name: &str, scores: &Scores| {
        let measures = measure(&scores.scores, n_classes, &truth, None)?;
        measured.push(Model { name: name.to_owned(), measures });
        let folder = options.stage_folder(name);
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        scores.write(&folder.join(SCORES))
    };
    let mut by_stage: Vec<Scores> = Vec::new();
    for (of, predicted) in recipe.stages.iter().zip(score(stages)?) {
        let folder = options.stage_folder(&of.name);
        predicted.logits(held_out, n_views, &folder.join(LOGITS))?.write(&folder.join(LOGITS))?;
        let scores = predicted.scores(held_out, n_views, &folder.join(SCORES))?;
        take(&of.name, &scores)?;
        by_stage.push(scores);
    }
    if let Some(network) = average {
        let average = ensemble(recipe, vec![(AVERAGE.to_owned(), network)])?;
        for predicted in score(&average)? {
            take(AVERAGE, &predicted.scores(held_out, n_views, &options.stage_folder(AVERAGE).join(SCORES))?)?;
        }
    }
    let fused = recipe.stages.iter().zip(by_stage).filter(|(of, _)| of.weight > 0.0);
    let (weights, chosen): (Vec<f64>, Vec<Scores>) = fused.map(|(of, scores)| (of.weight, scores)).unzip();
    if chosen.len() > 1 {
        take(FUSED, &fuse(&chosen, &weights)?)?;
    }
    Ok(measured)
}

/// The class of each segment.
///
/// # Errors
///
/// If one has none; table and line are named.
pub fn classes(set: &SegmentSet) -> Result<Vec<usize>> {
    (0..set.segments().len()).map(|i| set.class(i)).collect()
}

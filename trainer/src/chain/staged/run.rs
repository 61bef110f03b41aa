//! All stages of a staged recipe on one fold, and their fusion.
//!
//! Enters: a recipe and a run folder. Leaves, in the folder: a folder a stage with its checkpoint, `scores.npz` (held-out
//! segments, posteriors summed over views), `logits.npz` and `train-logits.npz` (view by view); the scores of the weights' average
//! and of the fusion with the recipe's weights; and `result.json` with the measures of each.

use super::predict::{Model, predict};
use super::recipe::StagedRecipe;
use super::sets::{self, Sets};
use super::stage;
use super::state::{self, CHECKPOINT, Header};
use crate::chain::fit::FitOptions;
use crate::common::json;
use crate::data::segments::SegmentSet;
use crate::error::{Error, Result};
use crate::judge::scores::{Measures, Scores, fuse, measure};
use crate::nets::slowfast::SlowFast;
use crate::train::recipe::FoldMode;
use serde::{Deserialize, Serialize};

/// Name of the result in a run folder.
pub const RESULT: &str = "result.json";
/// Name of the held-out segments' scores in a stage's folder.
pub const SCORES: &str = "scores.npz";
/// Name of the held-out segments' logits in a stage's folder, view by view.
const LOGITS: &str = "logits.npz";
/// Name of the training segments' logits: with `logits.npz` of all folds, what a smaller network may be taught with.
const TRAIN_LOGITS: &str = "train-logits.npz";
/// Folder of the fusion.
pub const FUSED: &str = "fused";
/// Folder of the mean of several stages' weights.
pub const AVERAGE: &str = "average";

/// What to train, and where.
pub type RunOptions = FitOptions<StagedRecipe>;

/// What a finished run leaves behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// Name of the recipe.
    pub recipe: String,
    /// Held-out fold.
    pub fold: Option<u32>,
    /// What the fold refers to.
    pub folds: FoldMode,
    /// Measures on the held-out segments, by model: the stages in order, the weights' average, the fusion.
    pub models: Vec<(String, Measures)>,
}

/// Trains one stage alone.
///
/// # Errors
///
/// As [`stage::fit`].
pub fn fit_stage(options: &RunOptions, name: &str) -> Result<()> {
    let index = options.recipe.stage(name)?;
    let sets = sets::open(&options.recipe, &options.places, options.folds, options.fold)?;
    stage::fit(options, &sets, index).map(drop)
}

/// Trains all stages, predicts, fuses and measures. None of it is done twice when the run is resumed.
///
/// # Errors
///
/// As [`stage::fit`].
pub fn run(options: &RunOptions) -> Result<RunResult> {
    let recipe = &options.recipe;
    let sets = sets::open(recipe, &options.places, options.folds, options.fold)?;
    let mut models: Vec<(String, SlowFast)> = Vec::new();
    for (index, stage) in recipe.stages.iter().enumerate() {
        models.push((stage.name.clone(), stage::fit(options, &sets, index)?));
    }
    if !recipe.average.is_empty() {
        models.push((AVERAGE.to_owned(), averaged(options, &sets, &models)?));
    }
    let mut result =
        RunResult { recipe: recipe.name.clone(), fold: options.fold, folds: options.folds, models: Vec::new() };
    if let Some(held_out) = &sets.held_out {
        result.models = evaluate(options, &sets, held_out, &models)?;
        for (name, measures) in &result.models {
            eprintln!("{name:<12} {}", measures.line());
        }
    }
    json::write(&options.out.join(RESULT), &result)?;
    Ok(result)
}

/// The mean of the weights of the recipe's `average` stages, saved like a stage.
fn averaged(options: &RunOptions, sets: &Sets, models: &[(String, SlowFast)]) -> Result<SlowFast> {
    let recipe = &options.recipe;
    let networks: Vec<&SlowFast> = models.iter().filter(|m| recipe.average.contains(&m.0)).map(|m| &m.1).collect();
    let network = SlowFast::average(&networks)?;
    let header = Header {
        recipe: recipe.clone(),
        stage: AVERAGE.to_owned(),
        labels: sets.labels.clone(),
        fold: options.fold,
        folds: options.folds,
        step: 0,
        n_steps: 0,
        finished: true,
    };
    let folder = options.out.join(AVERAGE);
    std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    state::save(&folder.join(CHECKPOINT), &header, &network, &[])?;
    Ok(network)
}

/// Scores of the held-out segments, logits of all; measures by model.
fn evaluate(
    options: &RunOptions,
    sets: &Sets,
    held_out: &SegmentSet,
    models: &[(String, SlowFast)],
) -> Result<Vec<(String, Measures)>> {
    let recipe = &options.recipe;
    let min_max = |name: &str| {
        let stage = recipe.stages.iter().find(|s| s.name == name || name == AVERAGE);
        stage.and_then(|s| s.augment.as_ref()).is_some_and(|a| a.min_max)
    };
    let networks: Vec<Model> = models.iter().map(|(name, network)| Model { network, min_max: min_max(name) }).collect();
    let n_views = recipe.train.views;
    let truth = classes(held_out)?;
    let said = predict(&networks, held_out, n_views, options.device, &options.stop)?;
    // The fusion's models alone: what a smaller network would be taught with.
    let n_taught = networks.len() - usize::from(models.last().is_some_and(|m| m.0 == AVERAGE));
    let train_views = recipe.train.train_views.unwrap_or(n_views);
    let on_train = predict(&networks[..n_taught], &sets.train, train_views, options.device, &options.stop)?;
    let mut measured = Vec::new();
    let mut by_stage: Vec<Scores> = Vec::new();
    for (i, ((name, _), said)) in models.iter().zip(&said).enumerate() {
        let folder = options.out.join(name);
        let scores = said.scores(held_out, n_views, &folder.join(SCORES))?;
        scores.write(&folder.join(SCORES))?;
        if let Some(on_train) = on_train.get(i) {
            let path = folder.join(LOGITS);
            said.logits(held_out, n_views, &path)?.write(&path)?;
            let path = folder.join(TRAIN_LOGITS);
            on_train.logits(&sets.train, train_views, &path)?.write(&path)?;
        }
        measured.push((name.clone(), measure(&scores.scores, sets.labels.len(), &truth, None)?));
        by_stage.push(scores);
    }
    let fusion = recipe.fusion();
    if fusion.len() > 1 {
        let chosen: Vec<Scores> = fusion
            .iter()
            .filter_map(|(name, _)| models.iter().position(|m| m.0 == *name))
            .map(|i| by_stage[i].clone())
            .collect();
        let weights: Vec<f64> = fusion.iter().map(|f| f.1).collect();
        let fused = fuse(&chosen, &weights)?;
        let folder = options.out.join(FUSED);
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        fused.write(&folder.join(SCORES))?;
        measured.push((FUSED.to_owned(), measure(&fused.scores, sets.labels.len(), &truth, None)?));
    }
    Ok(measured)
}

/// The class of each segment.
///
/// # Errors
///
/// If one has none; table and line are named.
pub fn classes(set: &SegmentSet) -> Result<Vec<usize>> {
    let class = |s: &crate::data::segments::Segment| {
        s.class.ok_or_else(|| Error::input(set.path(), Some(s.line), "class_id: evaluation needs a class"))
    };
    set.segments().iter().map(class).collect()
}

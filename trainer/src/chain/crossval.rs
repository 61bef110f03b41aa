//! All folds of a recipe, and the summary of their results.
//!
//! Enters: options of a training without a fold. Leaves: one result per fold, and means and spreads
//! over the folds. For SlowFast the fusion is summarised once more, with weights that were found on
//! the other folds' held-out scores. A fold that is finished is not trained again, and one that was
//! interrupted resumes.

use super::FitOptions;
use super::fit::fit;
use super::slowfast::{FUSED, SCORES};
use crate::common::json;
use crate::data::folds::{FoldMode, N_FOLDS, run_name};
use crate::data::scores::Scores;
use crate::data::sets::Tables;
use crate::error::Result;
use crate::judge::scores::{Ensemble, Truth, search};
use crate::judge::summary::{FitResult, RESULT, Summary};
use std::path::Path;

/// Name of the fusion with weights found on the other folds.
const SEARCHED: &str = "fused, searched";

/// Trains every fold, or those in `only`, in its own folder under `base`, or takes its result from
/// there; then summarises, into `summary-official.json` or `summary-source.json`.
///
/// # Errors
///
/// As [`fit`].
pub fn crossval(options: &FitOptions, base: &Path, only: Option<&[u32]>) -> Result<Summary> {
    let mut results: Vec<FitResult> = Vec::new();
    for fold in only.map_or_else(|| (1..=N_FOLDS).collect(), <[u32]>::to_vec) {
        let out = base.join(run_name(options.folds, Some(fold)));
        let of_fold = FitOptions { fold: Some(fold), out, ..options.clone() };
        let finished = options.resume && of_fold.finished()?;
        results.push(if finished { json::read(&of_fold.out.join(RESULT))? } else { fit(&of_fold)? });
    }
    let mut summary = Summary::of(&results);
    add_searched(options, base, &results, &mut summary)?;
    let folds = if options.folds == FoldMode::Source { "source" } else { "official" };
    json::write(&base.join(format!("summary-{folds}.json")), &summary)?;
    Ok(summary)
}

/// Adds each fold's fusion with weights that were found on the held-out scores of the others.
fn add_searched(options: &FitOptions, base: &Path, results: &[FitResult], summary: &mut Summary) -> Result<()> {
    let recipe = &options.recipe;
    let fused = results.len() > 1 && results.iter().all(|r| r.models.iter().any(|m| m.name == FUSED));
    let [Tables::Clips(csv)] = &recipe.data.iter().map(|set| set.tables.clone()).collect::<Vec<_>>()[..] else {
        return Ok(());
    };
    if !fused {
        return Ok(());
    }
    let annotated = Truth::read(&options.places.data_root.join(csv))?;
    let fusion = recipe.fusion();
    let mut by_stage: Vec<Vec<f32>> = vec![Vec::new(); fusion.len()];
    let (mut truth, mut folds, mut n_classes) = (Vec::new(), Vec::new(), 0);
    for (place, result) in results.iter().enumerate() {
        let folder = base.join(run_name(result.folds, result.fold));
        for (i, (stage, _)) in fusion.iter().enumerate() {
            let scores = Scores::read(&folder.join(stage).join(SCORES))?;
            if i == 0 {
                truth.extend(annotated.classes_among(&scores)?);
                folds.extend(vec![place; scores.len()]);
                n_classes = scores.n_classes;
            }
            by_stage[i].extend(&scores.scores);
        }
    }
    let values: Vec<&[f32]> = by_stage.iter().map(Vec::as_slice).collect();
    let ensemble = Ensemble { sets: &values, n_classes, truth: &truth };
    let given: Vec<f64> = fusion.iter().map(|f| f.1).collect();
    let Some(held_out) = search(&ensemble, &given, &folds, None)?.held_out else { return Ok(()) };
    let top1 = results.iter().zip(&held_out.folds).filter_map(|(r, found)| Some((r.fold?, found.top1)));
    summary.add(&recipe.name, options.folds, &format!("{SEARCHED} top1"), top1.collect());
    for (result, found) in results.iter().zip(held_out.folds) {
        let weights: Vec<String> = found.weights.iter().map(|w| format!("{w:.3}")).collect();
        let fold = result.fold.unwrap_or(0);
        summary.notes.push(format!("weights found without fold {fold}: {}", weights.join(" ")));
    }
    Ok(())
}

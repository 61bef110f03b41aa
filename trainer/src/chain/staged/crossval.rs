//! All folds of a staged recipe, and the summary of their results.
//!
//! Enters: options of a run without a fold, or run folders. Leaves: one result a fold, and means and spreads over the folds, by
//! model, with the fusion's weights as the recipe has them and as found on the other folds' held-out scores. A fold that is
//! finished is not trained again, one that was interrupted goes on.

use super::recipe::StagedData;
use super::run::{FUSED, RESULT, RunOptions, RunResult, SCORES, run};
use crate::chain::fit::run_name;
use crate::common::json;
use crate::common::spread::Spread;
use crate::data::folds::N_FOLDS;
use crate::error::{Error, Result};
use crate::judge::scores::{Ensemble, HeldOut, Measures, Scores, Truth, search};
use crate::train::recipe::FoldMode;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::path::Path;

/// Name of the summary in the folder of all folds.
const SUMMARY: &str = "summary";
/// Name of the fusion with weights found on the other folds.
const SEARCHED: &str = "fused, searched";

/// Results over folds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Name of the recipe.
    pub recipe: String,
    /// What its folds are.
    pub folds: FoldMode,
    /// Segments in all.
    pub n: usize,
    /// One line a model.
    pub rows: Vec<Row>,
    /// Weights found for each fold on the others, in the order of the fused stages.
    pub searched_weights: Vec<Vec<f64>>,
}

/// One model over the folds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Stage, `average`, `fused` or `fused, searched`.
    pub model: String,
    /// Mean of top-1 over the folds, and sample standard deviation.
    pub top1: f64,
    /// See `top1`.
    pub top1_std: f64,
    /// Top-1 by fold.
    pub top1_by_fold: Vec<f64>,
    /// Means of top-5, mCA, mAP and mAUC over the folds; absent where only top-1 was measured.
    pub others: Option<[f64; 4]>,
}

/// Trains every fold in its own folder under `base`, or takes its result from there; then summarises.
///
/// # Errors
///
/// As [`run`].
pub fn crossval(options: &RunOptions, base: &Path, only: Option<&[u32]>) -> Result<Summary> {
    let mut results = Vec::new();
    let folds: Vec<u32> = only.map_or_else(|| (1..=N_FOLDS).collect(), <[u32]>::to_vec);
    for &fold in &folds {
        let out = base.join(run_name(options.folds, Some(fold)));
        let result = out.join(RESULT);
        if options.resume && result.exists() {
            results.push(read(&result)?);
            continue;
        }
        results.push(run(&RunOptions { fold: Some(fold), out, ..options.clone() })?);
    }
    let summary = summarise(options, base, &results)?;
    json::write(&base.join(format!("{SUMMARY}-{}.json", run_name_of(options.folds))), &summary)?;
    Ok(summary)
}

fn run_name_of(folds: FoldMode) -> &'static str {
    if folds == FoldMode::Source { "source" } else { "official" }
}

/// Reads the result at `path`.
///
/// # Errors
///
/// If it cannot be read or is no result of a staged run.
pub fn read(path: &Path) -> Result<RunResult> {
    json::read(path)
}

fn summarise(options: &RunOptions, base: &Path, results: &[RunResult]) -> Result<Summary> {
    let first = results.first().ok_or_else(|| Error::Usage("no fold to summarise".to_owned()))?;
    let mut rows = Vec::new();
    for (model, _) in &first.models {
        let of = |r: &RunResult| r.models.iter().find(|m| m.0 == *model).map(|m| m.1.clone());
        let measures: Vec<Measures> = results.iter().filter_map(of).collect();
        let mean = |value: &dyn Fn(&Measures) -> f64| Spread::of(measures.iter().map(value)).mean;
        let others = [mean(&|m| m.top5), mean(&|m| m.mca), mean(&|m| m.map), mean(&|m| m.mauc.unwrap_or(f64::NAN))];
        rows.push(Row::new(model, measures.iter().map(|m| m.top1).collect(), Some(others)));
    }
    let mut searched_weights = Vec::new();
    if results.len() > 1
        && first.models.iter().any(|m| m.0 == FUSED)
        && let Some(held_out) = searched(options, base, results)?
    {
        rows.push(Row::new(SEARCHED, held_out.folds.iter().map(|f| f.top1).collect(), None));
        searched_weights = held_out.folds.into_iter().map(|f| f.weights).collect();
    }
    let n = results.iter().filter_map(|r| r.models.first()).map(|m| m.1.n).sum();
    Ok(Summary { recipe: first.recipe.clone(), folds: options.folds, n, rows, searched_weights })
}

/// Each fold fused with weights that were found on the held-out scores of the others.
fn searched(options: &RunOptions, base: &Path, results: &[RunResult]) -> Result<Option<HeldOut>> {
    let recipe = &options.recipe;
    let StagedData::Clips { csv, .. } = &recipe.data else { return Ok(None) };
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
    Ok(search(&ensemble, &given, &folds, None)?.held_out)
}

impl Row {
    fn new(model: &str, top1_by_fold: Vec<f64>, others: Option<[f64; 4]>) -> Self {
        let Spread { mean: top1, std: top1_std } = Spread::of(top1_by_fold.iter().copied());
        Self { model: model.to_owned(), top1, top1_std, top1_by_fold, others }
    }
}

impl Summary {
    /// The summary as a table; shares in percent.
    pub fn table(&self) -> String {
        let mut text = format!("{}, {} folds, {} segments\n", self.recipe, run_name_of(self.folds), self.n);
        let _ = writeln!(
            text,
            "{:<16} {:>14}  {:>6} {:>6} {:>6} {:>6}  by fold",
            "model", "top-1", "top-5", "mCA", "mAP", "mAUC"
        );
        for row in &self.rows {
            let percent = |v: f64| format!("{:.1}", v * 100.0);
            let others = row.others.map(|o| [percent(o[0]), percent(o[1]), percent(o[2]), format!("{:.3}", o[3])]);
            let [top5, mca, map, mauc] = others.unwrap_or([const { String::new() }; 4]);
            let folds: Vec<String> = row.top1_by_fold.iter().map(|&v| percent(v)).collect();
            let top1 = format!("{} +- {}", percent(row.top1), percent(row.top1_std));
            let _ = writeln!(
                text,
                "{:<16} {top1:>14}  {top5:>6} {mca:>6} {map:>6} {mauc:>6}  {}",
                row.model,
                folds.join(" ")
            );
        }
        for (place, weights) in self.searched_weights.iter().enumerate() {
            let weights: Vec<String> = weights.iter().map(|w| format!("{w:.3}")).collect();
            let _ = writeln!(text, "weights found without fold number {}: {}", place + 1, weights.join(" "));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_mean_and_sample_deviation() {
        let row = Row::new("baseline", vec![0.8, 0.9, 0.7], None);
        assert!((row.top1 - 0.8).abs() < 1e-12 && (row.top1_std - 0.1).abs() < 1e-12);
    }
}

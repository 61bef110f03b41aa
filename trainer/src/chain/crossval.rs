//! All folds of a recipe, and the summary of their results.
//!
//! Enters: options of a training without a fold, or folders of finished runs. Leaves: one result a fold, and means and spreads
//! over the folds. A fold that is finished is not trained again, one that was interrupted goes on.

use crate::chain::fit::{FitOptions, FitResult, RESULT, fit, run_name};
use crate::common::json;
use crate::common::spread::Spread;
use crate::data::folds::N_FOLDS;
use crate::error::{Error, Result};
use crate::train::recipe::FoldMode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Ends the name of a measure of the 8-bit network.
pub const INT8: &str = " int8";

/// Results over folds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// One line each.
    pub rows: Vec<SummaryRow>,
}

/// One measure over the folds of one recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SummaryRow {
    /// Recipe.
    pub recipe: String,
    /// What its folds are.
    pub folds: FoldMode,
    /// What is measured, for example `kitchen20 top1_own_labels`.
    pub measure: String,
    /// Mean over the folds.
    pub mean: f64,
    /// Sample standard deviation over the folds.
    pub std: f64,
    /// By fold.
    pub by_fold: BTreeMap<u32, f64>,
}

/// Trains every fold, or those in `only`, in its own folder under `base`, or takes its result from there.
///
/// # Errors
///
/// As [`fit`].
pub fn run(options: &FitOptions, base: &Path, only: Option<&[u32]>) -> Result<Vec<FitResult>> {
    let mut results = Vec::new();
    let folds: Vec<u32> = only.map_or_else(|| (1..=N_FOLDS).collect(), <[u32]>::to_vec);
    for fold in folds {
        let out = base.join(run_name(options.folds, Some(fold)));
        let result = out.join(RESULT);
        if options.resume && result.exists() {
            results.push(json::read(&result)?);
            continue;
        }
        results.push(fit(&FitOptions { fold: Some(fold), out, ..options.clone() })?);
    }
    Ok(results)
}

/// Reads the results in `runs` and in the folders right under them.
///
/// # Errors
///
/// If a folder or a result cannot be read, or there is no result.
pub fn collect(runs: &[PathBuf]) -> Result<Vec<FitResult>> {
    let results = files(runs, RESULT)?.iter().map(|p| json::read(p)).collect::<Result<Vec<_>>>()?;
    if results.is_empty() {
        return Err(Error::Usage("no finished run: no result.json in the folders given".to_owned()));
    }
    Ok(results)
}

/// The files called `name` in the run folders `runs`, or, of folders that have none, in the folders right under them.
///
/// # Errors
///
/// If a folder cannot be read.
pub(crate) fn files(runs: &[PathBuf], name: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for run in runs {
        if run.join(name).exists() {
            files.push(run.join(name));
            continue;
        }
        let entries = std::fs::read_dir(run).map_err(Error::io(run))?;
        let mut paths: Vec<PathBuf> =
            entries.filter_map(|e| Some(e.ok()?.path().join(name))).filter(|p| p.exists()).collect();
        paths.sort();
        files.extend(paths);
    }
    Ok(files)
}

impl Summary {
    /// Gathers results of any recipes and folds.
    pub fn of(results: &[FitResult]) -> Self {
        let mut measures: BTreeMap<(String, bool, String), BTreeMap<u32, f64>> = BTreeMap::new();
        for result in results {
            let Some(fold) = result.fold else { continue };
            let mut add = |measure: String, value: f64| {
                let key = (result.recipe.clone(), result.folds == FoldMode::Source, measure);
                measures.entry(key).or_default().insert(fold, value);
            };
            for (evaluation, network) in [(&result.evaluation, ""), (&result.int8, INT8)] {
                let Some(evaluation) = evaluation else { continue };
                for (set, r) in &evaluation.sets {
                    add(format!("{set} top1_own_labels{network}"), r.top1_own_labels);
                    add(format!("{set} top1{network}"), r.top1);
                    add(format!("{set} nll{network}"), r.nll);
                }
                if let Some(b) = &evaluation.background {
                    add(format!("background false_alarms{network}"), b.false_alarms);
                }
            }
        }
        let row = |((recipe, source, measure), by_fold): ((String, bool, String), BTreeMap<u32, f64>)| {
            let Spread { mean, std } = Spread::of(by_fold.values().copied());
            let folds = if source { FoldMode::Source } else { FoldMode::Official };
            SummaryRow { recipe, folds, measure, mean, std, by_fold }
        };
        Self { rows: measures.into_iter().map(row).collect() }
    }

    /// The summary as a table; shares in percent.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for row in &self.rows {
            let scale = if row.measure.contains("nll") { 1.0 } else { 100.0 };
            let folds: Vec<String> = row.by_fold.iter().map(|(fold, v)| format!("{fold}: {:.2}", v * scale)).collect();
            let name = format!("{} ({:?} folds) {}", row.recipe, row.folds, row.measure);
            let _ = writeln!(
                text,
                "{name:<60} {:>6.2} +- {:<5.2} [{}]",
                row.mean * scale,
                row.std * scale,
                folds.join("  ")
            );
        }
        text
    }
}

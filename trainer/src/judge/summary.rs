//! Results of trainings, and means and spreads over folds.
//!
//! Enters: the results that trainings left in their run folders. Leaves: a [`Summary`], one row per
//! measure.

use super::evaluate::Evaluation;
use super::scores::Measures;
use crate::common::json;
use crate::common::spread::Spread;
use crate::data::folds::FoldMode;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Name of the result in a run folder.
pub const RESULT: &str = "result.json";
/// Ends the name of a measure of the 8-bit network.
pub const INT8: &str = " int8";

/// What a finished training leaves behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FitResult {
    /// Name of the recipe.
    pub recipe: String,
    /// Held-out fold.
    pub fold: Option<u32>,
    /// What the fold refers to.
    pub folds: FoldMode,
    /// Steps of the last stage of a student.
    #[serde(default)]
    pub n_steps: u64,
    /// Of a student, on what is held out; none if nothing is.
    #[serde(default)]
    pub evaluation: Option<Evaluation>,
    /// The same of its 8-bit form, run as the daemon runs it.
    #[serde(default)]
    pub int8: Option<Evaluation>,
    /// Of SlowFast, on what is held out: the stages in order, the average of weights, the fusion.
    #[serde(default)]
    pub models: Vec<Model>,
}

/// The measures of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Stage, `average` or `fused`.
    pub name: String,
    /// On the held-out segments.
    pub measures: Measures,
}

impl FitResult {
    /// A result without measures.
    pub fn new(recipe: &str, fold: Option<u32>, folds: FoldMode) -> Self {
        let recipe = recipe.to_owned();
        Self { recipe, fold, folds, n_steps: 0, evaluation: None, int8: None, models: Vec::new() }
    }

    /// Every measure by its name.
    fn measures(&self) -> Vec<(String, f64)> {
        let mut all = Vec::new();
        for (evaluation, network) in [(&self.evaluation, ""), (&self.int8, INT8)] {
            let Some(evaluation) = evaluation else { continue };
            for (set, r) in &evaluation.sets {
                all.push((format!("{set} top1_own_labels{network}"), r.top1_own_labels));
                all.push((format!("{set} top1{network}"), r.top1));
                all.push((format!("{set} nll{network}"), r.nll));
            }
            if let Some(b) = &evaluation.background {
                all.push((format!("background false_alarms{network}"), b.false_alarms));
            }
        }
        for Model { name, measures: m } in &self.models {
            let values = [("top1", m.top1), ("top5", m.top5), ("mCA", m.mca), ("mAP", m.map)];
            let mauc = m.mauc.map(|value| ("mAUC", value));
            all.extend(values.into_iter().chain(mauc).map(|(measure, value)| (format!("{name} {measure}"), value)));
        }
        all
    }
}

/// Results over folds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// One per measure.
    pub rows: Vec<SummaryRow>,
    /// What else there is to say, a line each.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// One measure over the folds of one recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SummaryRow {
    /// Recipe.
    pub recipe: String,
    /// What its folds are.
    pub folds: FoldMode,
    /// What is measured, for example `kitchen20 top1_own_labels` or `fused mAP`.
    pub measure: String,
    /// Mean over the folds.
    pub mean: f64,
    /// Sample standard deviation over the folds.
    pub std: f64,
    /// By fold; fold 0 is a validation set of its own.
    pub by_fold: BTreeMap<u32, f64>,
}

/// Reads the results in `runs` and in the folders right under them.
///
/// # Errors
///
/// If a folder or a result cannot be read, or there is no result.
pub fn collect(runs: &[PathBuf]) -> Result<Vec<FitResult>> {
    let results = json::files(runs, RESULT)?.iter().map(|p| json::read(p)).collect::<Result<Vec<_>>>()?;
    if results.is_empty() {
        return Err(Error::Usage("no finished run: no result.json in the folders given".to_owned()));
    }
    Ok(results)
}

impl Summary {
    /// Gathers results of any recipes and folds.
    pub fn of(results: &[FitResult]) -> Self {
        let mut order: Vec<(&str, FoldMode, String)> = Vec::new();
        let mut values: Vec<BTreeMap<u32, f64>> = Vec::new();
        let mut twice = BTreeSet::new();
        for result in results {
            for (measure, value) in result.measures() {
                let key = (result.recipe.as_str(), result.folds, measure);
                let at = order.iter().position(|k| *k == key).unwrap_or_else(|| {
                    order.push(key);
                    values.push(BTreeMap::new());
                    order.len() - 1
                });
                if values[at].insert(result.fold.unwrap_or(0), value).is_some() {
                    let fold = result.fold.map_or("all data".to_owned(), |fold| format!("fold {fold}"));
                    twice.insert(format!("{}, {fold}: there are two runs, and the later folder counts", result.recipe));
                }
            }
        }
        let mut summary = Self { rows: Vec::new(), notes: twice.into_iter().collect() };
        for ((recipe, folds, measure), by_fold) in order.into_iter().zip(values) {
            summary.add(recipe, folds, &measure, by_fold);
        }
        summary
    }

    /// Adds a measure.
    pub fn add(&mut self, recipe: &str, folds: FoldMode, measure: &str, by_fold: BTreeMap<u32, f64>) {
        let Spread { mean, std } = Spread::of(by_fold.values().copied());
        let (recipe, measure) = (recipe.to_owned(), measure.to_owned());
        self.rows.push(SummaryRow { recipe, folds, measure, mean, std, by_fold });
    }

    /// The summary as a table; shares in percent.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let width = self.rows.iter().map(|row| row.name().len()).max().unwrap_or(0);
        for row in &self.rows {
            // A loss and an area are not shares in percent.
            let is_share = !row.measure.contains("nll") && !row.measure.ends_with("mAUC");
            let scale = if is_share { 100.0 } else { 1.0 };
            let folds: Vec<String> = row.by_fold.iter().map(|(fold, v)| format!("{fold}: {:.2}", v * scale)).collect();
            let (mean, std) = (row.mean * scale, row.std * scale);
            let _ = writeln!(text, "{:<width$} {mean:>6.2} +- {std:<5.2} [{}]", row.name(), folds.join("  "));
        }
        for note in &self.notes {
            let _ = writeln!(text, "{note}");
        }
        text
    }
}

impl SummaryRow {
    fn name(&self) -> String {
        format!("{} ({:?} folds) {}", self.recipe, self.folds, self.measure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_mean_and_sample_deviation() {
        let mut summary = Summary::of(&[]);
        summary.add("r", FoldMode::Official, "baseline top1", BTreeMap::from([(1, 0.8), (2, 0.9), (3, 0.7)]));
        let row = &summary.rows[0];
        assert!((row.mean - 0.8).abs() < 1e-12 && (row.std - 0.1).abs() < 1e-12);
        assert_eq!(
            summary.table(),
            "r (Official folds) baseline top1  80.00 +- 10.00 [1: 80.00  2: 90.00  3: 70.00]\n"
        );
    }
}

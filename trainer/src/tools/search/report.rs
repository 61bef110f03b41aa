//! What a search has found.
//!
//! Enters: the variants with their trainings and times. Leaves: one row each, with the marks of the Pareto fronts, as a table and as
//! JSON.

use super::pareto::front;
use super::space::Candidate;
use super::timing::Speed;
use crate::chain::fit::FitResult;
use crate::error::{Error, Result};
use crate::train::recipe::FoldMode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was the same for all variants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Name of the base recipe.
    pub base: String,
    /// Passes over the training clips.
    pub epochs: u64,
    /// What the folds are.
    pub folds: FoldMode,
    /// Folds held out, one after another.
    pub held_out: Vec<u32>,
    /// Seeds trained with, one after another.
    pub seeds: Vec<u64>,
    /// Rounds of the timing.
    pub rounds: usize,
    /// Pulses of each variant in a round.
    pub pulses: usize,
}

impl Settings {
    /// Seed and fold of each training of a variant, in order.
    pub fn trainings(&self) -> impl Iterator<Item = (u64, u32)> {
        self.seeds.iter().flat_map(|&seed| self.held_out.iter().map(move |&fold| (seed, fold)))
    }

    /// Trainings of a variant.
    pub fn n_runs(&self) -> usize {
        self.seeds.len() * self.held_out.len()
    }
}

/// One training of a variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its seed.
    pub seed: u64,
    /// Its result.
    pub result: FitResult,
}

/// What a search has found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What was the same for all.
    pub settings: Settings,
    /// One each, in the space's order.
    pub variants: Vec<Row>,
}

/// What was found of one variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Trained values, batch norm folded.
    pub n_params: usize,
    /// Multiply-accumulates for a second of sound, in millions.
    pub mmac_per_second: f64,
    /// Sound that one output depends on.
    pub receptive_field_ms: f64,
    /// Its times.
    #[serde(flatten)]
    pub speed: Speed,
    /// Largest difference of a logit pulse by pulse from that of a whole clip; 0 is equal bit for bit.
    pub streamed_to_batch: f32,
    /// By data set: share of clips whose most likely class among the set's own is right, mean over the trainings.
    pub top1_own_labels: BTreeMap<String, f64>,
    /// Mean of that over the sets: what the fronts are drawn with.
    pub accuracy: f64,
    /// Whether no other is as accurate at fewer multiplications, or more accurate at as few.
    pub on_front_by_mmac: bool,
    /// The same by microseconds a pulse.
    pub on_front_by_us: bool,
    /// The trainings.
    pub runs: Vec<Run>,
}

impl Report {
    /// Gathers what was measured of each candidate: trainings, times, and how far streamed is from batch.
    ///
    /// # Errors
    ///
    /// If a training has evaluated nothing.
    pub fn new<'a>(
        settings: &Settings,
        measured: impl Iterator<Item = (&'a Candidate, ((Vec<Run>, Speed), f32))>,
    ) -> Result<Self> {
        let mut variants = Vec::new();
        for (candidate, ((runs, speed), streamed_to_batch)) in measured {
            let top1_own_labels = means(&candidate.name, &runs)?;
            let accuracy = top1_own_labels.values().sum::<f64>() / top1_own_labels.len() as f64;
            variants.push(Row {
                name: candidate.name.clone(),
                n_params: candidate.cost.n_params,
                mmac_per_second: candidate.cost.mmac_per_second,
                receptive_field_ms: candidate.receptive_field_ms(),
                speed,
                streamed_to_batch,
                top1_own_labels,
                accuracy,
                on_front_by_mmac: false,
                on_front_by_us: false,
                runs,
            });
        }
        let marks = |cost: fn(&Row) -> f64| front(&variants.iter().map(|v| (cost(v), v.accuracy)).collect::<Vec<_>>());
        let (by_mmac, by_us) = (marks(|v| v.mmac_per_second), marks(|v| v.speed.us_per_pulse));
        for (row, (by_mmac, by_us)) in variants.iter_mut().zip(by_mmac.into_iter().zip(by_us)) {
            (row.on_front_by_mmac, row.on_front_by_us) = (by_mmac, by_us);
        }
        Ok(Self { settings: settings.clone(), variants })
    }

    /// The report as a table; accuracies in percent, a star where a variant is on a front.
    pub fn table(&self) -> String {
        let sets: Vec<&String> = self.variants.first().map(|v| v.top1_own_labels.keys().collect()).unwrap_or_default();
        let mut rows = vec![COSTS.iter().map(|&title| title.to_owned()).collect::<Vec<_>>()];
        rows[0].extend(["us a pulse", "log-mel us"].map(str::to_owned));
        rows[0].extend(sets.iter().map(|set| format!("{set} %")));
        rows[0].extend(["mean %", "front by MMAC", "front by us"].map(str::to_owned));
        let percent = |share: f64| format!("{:.1}", share * 100.0);
        let mark = |on: bool| if on { "*" } else { "" }.to_owned();
        for v in &self.variants {
            let mut row = costs(&v.name, v.n_params, v.mmac_per_second, v.receptive_field_ms);
            row.extend([v.speed.us_per_pulse, v.speed.log_mel_us_per_pulse].map(|us| format!("{us:.1}")));
            row.extend(
                sets.iter().map(|set| v.top1_own_labels.get(*set).map_or(String::new(), |&share| percent(share))),
            );
            row.extend([percent(v.accuracy), mark(v.on_front_by_mmac), mark(v.on_front_by_us)]);
            rows.push(row);
        }
        aligned(&rows)
    }
}

/// What is known of the candidates before they are trained, as a table.
pub fn plan(candidates: &[Candidate]) -> String {
    let mut rows = vec![COSTS.iter().map(|&title| title.to_owned()).collect::<Vec<_>>()];
    rows.extend(
        candidates.iter().map(|c| costs(&c.name, c.cost.n_params, c.cost.mmac_per_second, c.receptive_field_ms())),
    );
    aligned(&rows)
}

const COSTS: [&str; 4] = ["variant", "parameters", "MMAC/s", "field ms"];

fn costs(name: &str, n_params: usize, mmac_per_second: f64, receptive_field_ms: f64) -> Vec<String> {
    vec![name.to_owned(), n_params.to_string(), format!("{mmac_per_second:.2}"), format!("{receptive_field_ms:.0}")]
}

/// By data set, the mean over the trainings of a variant.
fn means(variant: &str, runs: &[Run]) -> Result<BTreeMap<String, f64>> {
    let mut means = BTreeMap::new();
    for run in runs {
        let evaluation = run.result.evaluation.as_ref().filter(|e| !e.sets.is_empty()).ok_or_else(|| {
            let fold = run.result.fold.unwrap_or_default();
            Error::Usage(format!("variant {variant:?}: fold {fold} has no labelled clips to be evaluated on"))
        })?;
        for (set, result) in &evaluation.sets {
            *means.entry(set.clone()).or_insert(0.0) += result.top1_own_labels / runs.len() as f64;
        }
    }
    Ok(means)
}

/// Rows of equally many cells: the first column to the left, the others to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let n_columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> =
        (0..n_columns).map(|i| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(i, (cell, &width))| match i {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

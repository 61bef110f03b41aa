//! The predictions of all folds side by side.
//!
//! Enters: runs with predictions. Leaves: one row per held-out recording: what it is, where it
//! comes from, and what the network that was not trained on it puts out. Every clip is in one fold,
//! so the rows are one test set of the whole recipe.

use super::run::{Notes, Run};
use crate::judge::scores::Predictions;
use edge::engine::Precision;
use edge_frontend::Activation;
use std::collections::{BTreeMap, BTreeSet};

/// All held-out recordings: the labelled clips of all folds, then the stretches of background.
#[derive(Debug, Clone)]
pub struct Pool {
    /// Classes in order.
    pub labels: Vec<String>,
    /// Index of the background label.
    pub background: Option<usize>,
    /// From logits to posteriors.
    pub activation: Activation,
    /// Of the network whose logits the rows hold.
    pub precision: Precision,
    /// The data sets.
    pub sets: Vec<Set>,
    /// One per recording.
    pub rows: Vec<Row>,
}

/// A data set with the indices of its own classes, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    pub name: String,
    pub own: Vec<usize>,
}

/// A held-out recording.
#[derive(Debug, Clone)]
pub struct Row {
    /// Index of the run that held it out.
    pub run: usize,
    /// Data set and file.
    pub id: String,
    /// Index of the data set; none for a stretch of background.
    pub set: Option<usize>,
    /// Index of the source that it was cut from.
    pub source: usize,
    pub label: usize,
    pub logits: Vec<f64>,
    pub posteriors: Vec<f64>,
    /// Logits of the network in the other precision, where there is one.
    pub other: Option<Vec<f64>>,
}

impl Row {
    /// The most likely class.
    pub fn said(&self) -> usize {
        most_likely(&self.logits, 0..self.logits.len())
    }
}

impl Pool {
    /// Pools the runs' predictions; none if no run has any. Runs with other classes than the first,
    /// or without the wanted precision, are noted and left out.
    pub fn gather(runs: &[Run], precision: Precision, notes: &mut Notes) -> Option<Self> {
        let first = runs.iter().find_map(|run| run.predictions.as_ref())?;
        let (labels, background, activation) = (first.labels.clone(), first.background, first.activation);
        let mut pool = Self { labels, background, activation, precision, sets: Vec::new(), rows: Vec::new() };
        let mut sources = BTreeMap::new();
        for (at, run) in runs.iter().enumerate() {
            let Some(predictions) = &run.predictions else { continue };
            if predictions.labels != pool.labels || predictions.activation != pool.activation {
                let message = "left out, its classes or its activation are not those of the first training here";
                notes.push(format!("{}: {message}.", run.name));
            } else if pool.add(at, predictions, &mut sources).is_none() {
                notes.push(format!("{}: left out, it has no 8-bit predictions.", run.name));
            }
        }
        pool.rows.sort_by_key(|row| row.set.is_none());
        (!pool.rows.is_empty()).then_some(pool)
    }

    /// None if there are no predictions in the pool's precision.
    fn add(&mut self, run: usize, predictions: &Predictions, sources: &mut BTreeMap<String, usize>) -> Option<()> {
        let (f32, int8) = (Some(&predictions.logits), predictions.logits_int8.as_ref());
        let (logits, other) = if self.precision == Precision::F32 { (f32, int8) } else { (int8, f32) };
        let logits = logits?;
        for (name, class) in &predictions.own {
            let set = self.set(name);
            let own = &mut self.sets[set].own;
            if let Err(at) = own.binary_search(class) {
                own.insert(at, *class);
            }
        }
        let n_classes = self.labels.len();
        let of_row = |values: &[f32], at: usize| -> Vec<f64> {
            values[at * n_classes..][..n_classes].iter().map(|&v| f64::from(v)).collect()
        };
        for (at, recording) in predictions.recordings.iter().enumerate() {
            let next = sources.len();
            let logits = of_row(logits, at);
            let set = (!recording.set.is_empty()).then(|| self.set(&recording.set));
            self.rows.push(Row {
                run,
                id: recording.id.clone(),
                set,
                source: *sources.entry(recording.source.clone()).or_insert(next),
                label: recording.label,
                posteriors: posteriors(self.activation, &logits, 1.0),
                logits,
                other: other.map(|values| of_row(values, at)),
            });
        }
        Some(())
    }

    /// Index of the data set `name`, which is added if it is new.
    fn set(&mut self, name: &str) -> usize {
        self.sets.iter().position(|set| set.name == name).unwrap_or_else(|| {
            self.sets.push(Set { name: name.to_owned(), own: Vec::new() });
            self.sets.len() - 1
        })
    }

    /// The same rows as the network in the other precision sees them; none if a row has no logits
    /// of it.
    pub fn other(&self) -> Option<Self> {
        let precision = if self.precision == Precision::F32 { Precision::Int8 } else { Precision::F32 };
        let turned = self.rows.iter().map(|row| {
            let logits = row.other.clone()?;
            let posteriors = posteriors(self.activation, &logits, 1.0);
            Some(Row { logits, posteriors, other: Some(row.logits.clone()), ..row.clone() })
        });
        Some(Self { precision, rows: turned.collect::<Option<_>>()?, ..self.clone() })
    }

    /// Number of runs that have rows.
    pub fn n_runs(&self) -> usize {
        self.rows.iter().map(|row| row.run).collect::<BTreeSet<_>>().len()
    }

    /// Number of sources of the rows.
    pub fn n_sources(&self) -> usize {
        self.rows.iter().map(|row| row.source).collect::<BTreeSet<_>>().len()
    }
}

/// The class with the greatest logit; of equal ones the last, as in the trainer's evaluation.
pub fn most_likely(logits: &[f64], among: impl IntoIterator<Item = usize>) -> usize {
    among.into_iter().max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or(0)
}

/// Posteriors of `logits` divided by `temperature`.
pub fn posteriors(activation: Activation, logits: &[f64], temperature: f64) -> Vec<f64> {
    log_posteriors(activation, logits, temperature).into_iter().map(f64::exp).collect()
}

/// Their natural logarithms, exact even where a posterior is close to 0.
pub fn log_posteriors(activation: Activation, logits: &[f64], temperature: f64) -> Vec<f64> {
    match activation {
        Activation::Softmax | Activation::Posterior => {
            let greatest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = logits.iter().map(|l| ((l - greatest) / temperature).exp()).sum();
            logits.iter().map(|l| (l - greatest) / temperature - sum.ln()).collect()
        }
        Activation::Sigmoid => logits.iter().map(|l| -(-l / temperature).exp().ln_1p()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn posteriors_add_up_and_follow_the_temperature() {
        let logits = [2.0, 0.0, -800.0];
        let p = posteriors(Activation::Softmax, &logits, 1.0);
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((p[0] / p[1] - 2f64.exp()).abs() < 1e-9);
        assert!((log_posteriors(Activation::Softmax, &logits, 1.0)[2] + 802.0).abs() < 0.2);
        let soft = posteriors(Activation::Softmax, &logits, 2.0);
        assert!((soft[0] / soft[1] - 1f64.exp()).abs() < 1e-9);
        let each = posteriors(Activation::Sigmoid, &[0.0, 1e4, -1e4], 1.0);
        assert_eq!(each, [0.5, 1.0, 0.0]);
    }
}

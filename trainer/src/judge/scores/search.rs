//! Fusion weights that suit validation rows.
//!
//! Enters: several models' posteriors of the same rows, and the rows' classes. Leaves: weights from
//! 0 that add up to 1, the best for top-1 accuracy, of equally good ones those of lower negative
//! log likelihood; how they measure against given ones, on the same rows and, because that is
//! optimistic, on rows held out. The same input gives the same weights on any number of threads.

#[cfg(test)]
mod tests;

use super::fuse::{check_weights, weigh, weighted_sum};
use super::measures::{Measures, measure, rank};
use crate::error::{Error, Result};
use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

/// Folds of [`folds_of`].
pub const N_FOLDS: usize = 5;
/// Units that all weights together have. Weights are counted in units, so that no rounding adds up.
const N_UNITS: u32 = 640;
/// Least share of a true class in its row, so that a posterior of 0 does not outweigh all other
/// rows.
const FLOOR: f64 = 1e-12;

/// What several models say of the same rows.
#[derive(Debug, Clone, Copy)]
pub struct Ensemble<'a> {
    /// Posteriors of each model, `(N, n_classes)`, row-major, views summed, all in one order of the
    /// rows. They may add up to any number, for example that of the views, but none is negative.
    pub sets: &'a [&'a [f32]],
    /// Classes.
    pub n_classes: usize,
    /// Class of each row: N.
    pub truth: &'a [usize],
}

/// Weights, and how the scores fused with them measure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Weighed {
    /// One a model.
    pub weights: Vec<f64>,
    /// Measures on all rows.
    pub measures: Measures,
}

/// Result of a search.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// With the given weights, scaled to add up to 1.
    pub given: Weighed,
    /// With the found ones, measured on the rows on which they were found; their top-1 accuracy is
    /// at least that of `given`.
    pub found: Weighed,
    /// With weights found without the rows measured; none if the rows are of one fold.
    pub held_out: Option<HeldOut>,
}

/// An honest estimate: each row is fused with weights that were found on the other folds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeldOut {
    /// On all rows together; top-1 and top-5 accuracy are so the means over folds, each weighed by
    /// its rows.
    pub measures: Measures,
    /// Each fold.
    pub folds: Vec<HeldOutFold>,
}

/// One fold held out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeldOutFold {
    /// The fold.
    pub fold: usize,
    /// Its rows.
    pub n: usize,
    /// Weights found on the others.
    pub weights: Vec<f64>,
    /// Its top-1 accuracy with them.
    pub top1: f64,
    /// Its top-1 accuracy with the given weights.
    pub top1_given: f64,
}

/// Finds weights on all rows of `ensemble`.
///
/// The search begins at the best of equal weights and each model and pair alone, and moves weight
/// from one model to another in steps from 1/4 down to 1/640 as long as that is better. `given`
/// takes part, so the weights found are at least as good on these rows.
///
/// # Errors
///
/// If the ensemble has no models, no classes or no rows, sizes do not fit each other, a class is
/// not below `n_classes`, a posterior is negative or not finite, or `given` are no weights for it.
pub fn search_on(ensemble: &Ensemble, given: Option<&[f64]>) -> Result<Vec<f64>> {
    ensemble.check()?;
    given.map_or(Ok(()), |given| check_weights(given, ensemble.sets.len()))?;
    Ok(ensemble.best(&ensemble.rows(None), given))
}

/// Finds weights, and measures them beside `given` on the same rows and on folds held out. `folds`
/// says the fold of each row, any numbers; rows of class `redact` are left out throughout, as by
/// [`measure`].
///
/// # Errors
///
/// As [`search_on`] and [`measure`].
pub fn search(ensemble: &Ensemble, given: &[f64], folds: &[usize], redact: Option<usize>) -> Result<Found> {
    ensemble.check()?;
    check_weights(given, ensemble.sets.len())?;
    if folds.len() != ensemble.truth.len() {
        return Err(Error::Usage(format!("{} folds for {} rows", folds.len(), ensemble.truth.len())));
    }
    let weighed = |weights: Vec<f64>| -> Result<Weighed> {
        let measures = measure(&weighted_sum(ensemble.sets, &weights)?, ensemble.n_classes, ensemble.truth, redact)?;
        Ok(Weighed { weights, measures })
    };
    let sum: f64 = given.iter().sum();
    let given = weighed(given.iter().map(|weight| weight / sum).collect())?;
    let found = weighed(ensemble.best(&ensemble.rows(redact), Some(&given.weights)))?;
    let held_out = ensemble.held_out(&given.weights, folds, redact)?;
    Ok(Found { given, found, held_out })
}

/// Folds of rows, from 0, by a hash of their ids: the same for every file that has the row.
pub fn folds_of(annotation_ids: &[String]) -> Vec<usize> {
    let fold = |id: &String| {
        let hash = Sha256::digest(id.as_bytes());
        hash[..8].iter().fold(0, |fold, &byte| (fold * 256 + usize::from(byte)) % N_FOLDS)
    };
    annotation_ids.iter().map(fold).collect()
}

impl Ensemble<'_> {
    fn check(&self) -> Result<()> {
        let (n, n_classes) = (self.truth.len(), self.n_classes);
        if self.sets.is_empty() || n == 0 || n_classes == 0 {
            let n_sets = self.sets.len();
            return Err(Error::Usage(format!("nothing to search on: {n_sets} models, {n} rows, {n_classes} classes")));
        }
        if let Some(row) = self.truth.iter().position(|&class| class >= n_classes) {
            return Err(Error::Usage(format!("row {row}: class {} of {n_classes} classes", self.truth[row])));
        }
        for (model, set) in self.sets.iter().enumerate() {
            if n_classes.checked_mul(n) != Some(set.len()) {
                let message = format!("model {model}: {} scores for {n} rows of {n_classes} classes", set.len());
                return Err(Error::Usage(message));
            }
            if let Some(at) = set.iter().position(|&p| !(p.is_finite() && p >= 0.0)) {
                let (row, class, score) = (at / n_classes, at % n_classes, set[at]);
                let message = format!("model {model}, row {row}: score {score} of class {class} is not a posterior");
                return Err(Error::Usage(message));
            }
        }
        Ok(())
    }

    fn rows(&self, redact: Option<usize>) -> Vec<usize> {
        (0..self.truth.len()).filter(|&row| Some(self.truth[row]) != redact).collect()
    }

    fn best(&self, rows: &[usize], given: Option<&[f64]>) -> Vec<f64> {
        best(self.sets.len(), given, |weights| self.outcome(rows, weights))
    }

    /// What `weights` achieve on `rows`.
    fn outcome(&self, rows: &[usize], weights: &[f64]) -> Outcome {
        let mut outcome = Outcome { n_right: 0, nll: 0.0 };
        let mut fused = vec![0.0; self.n_classes];
        for &row in rows {
            for (class, score) in fused.iter_mut().enumerate() {
                *score = weigh(self.sets.iter().map(|set| set[row * self.n_classes + class]), weights);
            }
            let own = self.truth[row];
            outcome.n_right += usize::from(rank(&fused, own) == 0);
            let total: f64 = fused.iter().map(|&score| f64::from(score)).sum();
            outcome.nll -= (f64::from(fused[own]) / total).max(FLOOR).ln();
        }
        outcome
    }

    fn held_out(&self, given: &[f64], folds: &[usize], redact: Option<usize>) -> Result<Option<HeldOut>> {
        let rows = self.rows(redact);
        let present: BTreeSet<usize> = rows.iter().map(|&row| folds[row]).collect();
        if present.len() < 2 {
            return Ok(None);
        }
        let mut fused = weighted_sum(self.sets, given)?;
        let mut results = Vec::new();
        for fold in present {
            let (tested, searched): (Vec<usize>, Vec<usize>) = rows.iter().partition(|&&row| folds[row] == fold);
            let weights = self.best(&searched, Some(given));
            let with_found = weighted_sum(self.sets, &weights)?;
            for &row in &tested {
                let at = row * self.n_classes..(row + 1) * self.n_classes;
                fused[at.clone()].copy_from_slice(&with_found[at]);
            }
            let top1 = |weights: &[f64]| self.outcome(&tested, weights).n_right as f64 / tested.len() as f64;
            let (top1, top1_given) = (top1(&weights), top1(given));
            results.push(HeldOutFold { fold, n: tested.len(), weights, top1, top1_given });
        }
        let measures = measure(&fused, self.n_classes, self.truth, redact)?;
        Ok(Some(HeldOut { measures, folds: results }))
    }
}

/// How good weights are.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Outcome {
    /// Rows whose class has rank 0.
    n_right: usize,
    /// Sum of negative log likelihoods.
    nll: f64,
}

impl Outcome {
    /// Right more often, or as often and more likely.
    fn beats(&self, other: &Self) -> bool {
        (self.n_right, -self.nll) > (other.n_right, -other.nll)
    }
}

type Units = Vec<u32>;

/// Best weights of `n`, at least as good as `given`.
fn best(n: usize, given: Option<&[f64]>, outcome: impl Fn(&[f64]) -> Outcome + Sync) -> Vec<f64> {
    let of = |units: &Units| outcome(&weights(units));
    let Some(mut best) = first_best(starts(n), &of) else { return Vec::new() };
    let mut step = N_UNITS / 4;
    while step > 0 {
        match first_best(transfers(&best.0, step), &of).filter(|moved| moved.1.beats(&best.1)) {
            Some(moved) => best = moved,
            None => step /= 2,
        }
    }
    if let Some(given) = given {
        let sum: f64 = given.iter().sum();
        let given: Vec<f64> = given.iter().map(|weight| weight / sum).collect();
        if outcome(&given).beats(&best.1) {
            return given;
        }
    }
    weights(&best.0)
}

fn weights(units: &Units) -> Vec<f64> {
    units.iter().map(|&unit| f64::from(unit) / f64::from(N_UNITS)).collect()
}

/// The best of `candidates`; of equally good ones the first, regardless of the threads.
fn first_best(candidates: Vec<Units>, of: &(impl Fn(&Units) -> Outcome + Sync)) -> Option<(Units, Outcome)> {
    let outcomes: Vec<Outcome> = candidates.par_iter().map(of).collect();
    candidates.into_iter().zip(outcomes).reduce(|best, next| if next.1.beats(&best.1) { next } else { best })
}

/// Equal weights, and every weight and every pair alone.
fn starts(n: usize) -> Vec<Units> {
    let equal = |place: usize| N_UNITS / n as u32 + u32::from(place < N_UNITS as usize % n);
    let mut points = vec![(0..n).map(equal).collect()];
    for i in 0..n {
        for j in i..n {
            let mut point = vec![0; n];
            point[i] += N_UNITS / 2;
            point[j] += N_UNITS / 2;
            points.push(point);
        }
    }
    points
}

/// The points that `step` units, or what there is of them, moved from one weight to another lead
/// to.
fn transfers(from: &Units, step: u32) -> Vec<Units> {
    let pairs = (0..from.len()).flat_map(|i| (0..from.len()).map(move |j| (i, j)));
    let moved = pairs.filter(|&(i, j)| i != j && from[i] > 0).map(|(i, j)| {
        let mut to = from.clone();
        let amount = step.min(to[i]);
        to[i] -= amount;
        to[j] += amount;
        to
    });
    moved.collect()
}

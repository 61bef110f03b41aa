//! Fusion weights that suit validation rows.
//!
//! Enters: several models' posteriors of the same rows, and the rows' classes. Leaves: weights from 0 that add up to 1, the best
//! for top-1 accuracy, of equally good ones those of lower negative log likelihood; how they measure against given ones, on the
//! same rows and, because that is optimistic, on rows held out. The same input gives the same weights on any number of threads.

mod board;
mod simplex;

use super::fuse::{check_weights, weighted_sum};
use super::measures::{Measures, measure, rank};
use crate::error::{Error, Result};
use board::Board;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

/// Folds of [`folds_of`].
pub const N_FOLDS: usize = 5;

/// What several models say of the same rows.
#[derive(Debug, Clone, Copy)]
pub struct Ensemble<'a> {
    /// Posteriors of each model, `(N, n_classes)`, row-major, views summed, all in one order of the rows. They may add up to
    /// any number, for example that of the views, but none is negative.
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
    /// With the found ones, measured on the rows on which they were found; their top-1 accuracy is at least that of `given`.
    pub found: Weighed,
    /// With weights found without the rows measured; none if the rows are of one fold.
    pub held_out: Option<HeldOut>,
}

/// An honest estimate: each row is fused with weights that were found on the other folds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeldOut {
    /// On all rows together; top-1 and top-5 accuracy are so the means over folds, each weighed by its rows.
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
/// Up to four models: every weight in steps of 0.05, then steps down to 1/640 around the best. More models: a descent in the
/// same steps that begins with larger ones at the best of equal weights and each model and pair alone. `given` takes part, so
/// the weights found are at least as good on these rows.
///
/// # Errors
///
/// If the ensemble has no models, no classes or no rows, sizes do not fit each other, a class is not below `n_classes`, a
/// posterior is negative or not finite, or `given` are no weights for it.
pub fn search_on(ensemble: &Ensemble, given: Option<&[f64]>) -> Result<Vec<f64>> {
    ensemble.check()?;
    given.map_or(Ok(()), |given| check_weights(given, ensemble.sets.len()))?;
    Ok(ensemble.best(&ensemble.rows(None), given))
}

/// Finds weights, and measures them beside `given` on the same rows and on folds held out. `folds` says the fold of each row,
/// any numbers; rows of class `redact` are left out throughout, as by [`measure`].
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
                let message = format!("model {model}, row {row}: score {score} of class {class} is no posterior");
                return Err(Error::Usage(message));
            }
        }
        Ok(())
    }

    fn rows(&self, redact: Option<usize>) -> Vec<usize> {
        (0..self.truth.len()).filter(|&row| Some(self.truth[row]) != redact).collect()
    }

    fn best(&self, rows: &[usize], given: Option<&[f64]>) -> Vec<f64> {
        let board = Board::new(self, rows);
        simplex::best(self.sets.len(), given, |weights| board.result(weights))
    }

    fn held_out(&self, given: &[f64], folds: &[usize], redact: Option<usize>) -> Result<Option<HeldOut>> {
        let rows = self.rows(redact);
        let present: BTreeSet<usize> = rows.iter().map(|&row| folds[row]).collect();
        if present.len() < 2 {
            return Ok(None);
        }
        let with_given = weighted_sum(self.sets, given)?;
        let mut fused = with_given.clone();
        let mut results = Vec::new();
        for fold in present {
            let (tested, searched): (Vec<usize>, Vec<usize>) = rows.iter().partition(|&&row| folds[row] == fold);
            let weights = self.best(&searched, Some(given));
            let with_found = weighted_sum(self.sets, &weights)?;
            for &row in &tested {
                let at = row * self.n_classes..(row + 1) * self.n_classes;
                fused[at.clone()].copy_from_slice(&with_found[at]);
            }
            let (top1, top1_given) = (self.top1(&fused, &tested), self.top1(&with_given, &tested));
            results.push(HeldOutFold { fold, n: tested.len(), weights, top1, top1_given });
        }
        let measures = measure(&fused, self.n_classes, self.truth, redact)?;
        Ok(Some(HeldOut { measures, folds: results }))
    }

    fn top1(&self, fused: &[f32], rows: &[usize]) -> f64 {
        let hit = |&&row: &&usize| rank(&fused[row * self.n_classes..][..self.n_classes], self.truth[row]) == 0;
        rows.iter().filter(hit).count() as f64 / rows.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng as _, SeedableRng};

    /// Posteriors of a model that is right where `right` says so and sure by `margin`.
    fn model(truth: &[usize], right: impl Fn(usize) -> bool, margin: f32) -> Vec<f32> {
        let row = |(row, &class): (usize, &usize)| {
            let taken = if right(row) { class } else { 1 - class };
            let mut out = [0.5 - margin; 2];
            out[taken] = 0.5 + margin;
            out
        };
        truth.iter().enumerate().flat_map(row).collect()
    }

    #[test]
    fn complementary_models_are_better_together() {
        let truth: Vec<usize> = (0..60).map(|row| row % 2).collect();
        // Sure where right, unsure where wrong: any weights not too far from equal are right everywhere.
        let first = model(&truth, |row| row < 40, 0.1);
        let mut second = model(&truth, |row| row >= 30, 0.1);
        second[60..].iter_mut().for_each(|p| *p = 0.5 + 3.0 * (*p - 0.5));
        let ensemble = Ensemble { sets: &[&first, &second], n_classes: 2, truth: &truth };
        let folds: Vec<usize> = (0..60).map(|row| row / 2 % 3).collect();
        let found = search(&ensemble, &[1.0, 0.0], &folds, None).unwrap();
        assert!((found.given.measures.top1 - 40.0 / 60.0).abs() < 1e-12);
        assert_eq!(found.found.measures.top1, 1.0);
        assert!((found.found.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let held_out = found.held_out.unwrap();
        assert_eq!(held_out.folds.iter().map(|f| f.n).collect::<Vec<_>>(), [20, 20, 20]);
        let mean = held_out.folds.iter().map(|f| f.top1).sum::<f64>() / 3.0;
        assert!((held_out.measures.top1 - mean).abs() < 1e-12);
        assert_eq!(held_out.measures.top1, 1.0);
    }

    #[test]
    fn equal_accuracy_is_decided_by_likelihood() {
        let truth = [0, 1, 0, 1];
        let (sure, unsure) = (model(&truth, |_| true, 0.4), model(&truth, |_| true, 0.1));
        let ensemble = Ensemble { sets: &[&unsure, &sure, &unsure], n_classes: 2, truth: &truth };
        assert_eq!(search_on(&ensemble, None).unwrap(), [0.0, 1.0, 0.0]);
    }

    fn random(seed: u64, n_sets: usize, n: usize, n_classes: usize) -> (Vec<Vec<f32>>, Vec<usize>) {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let truth: Vec<usize> = (0..n).map(|_| rng.random_range(0..n_classes)).collect();
        let mut set = || {
            let mut values: Vec<f32> = (0..n * n_classes).map(|_| rng.random::<f32>().powi(3)).collect();
            for (row, &class) in truth.iter().enumerate() {
                values[row * n_classes + class] += 0.3 * rng.random::<f32>();
            }
            values
        };
        ((0..n_sets).map(|_| set()).collect(), truth)
    }

    #[test]
    fn found_weights_beat_a_grid_of_ours_and_the_given_ones() {
        for n_sets in 1..=6 {
            let (sets, truth) = random(n_sets as u64, n_sets, 150, 5);
            let sets: Vec<&[f32]> = sets.iter().map(Vec::as_slice).collect();
            let ensemble = Ensemble { sets: &sets, n_classes: 5, truth: &truth };
            let top1 = |weights: &[f64]| measure(&weighted_sum(&sets, weights).unwrap(), 5, &truth, None).unwrap().top1;
            // Off every step of the search.
            let given: Vec<f64> = (0..n_sets).map(|i| 0.3 + 0.071 * i as f64).collect();
            let found = search_on(&ensemble, Some(&given)).unwrap();
            assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-12 && found.iter().all(|&w| w >= 0.0));
            assert!(top1(&found) >= top1(&given), "{n_sets} sets");
            for set in 0..n_sets {
                let alone: Vec<f64> = (0..n_sets).map(|i| f64::from(i == set)).collect();
                assert!(top1(&found) >= top1(&alone), "{n_sets} sets");
            }
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
            assert_eq!(pool.install(|| search_on(&ensemble, Some(&given)).unwrap()), found, "threads do not matter");
        }
    }

    #[test]
    fn redacted_rows_do_not_count() {
        let (mut sets, mut truth) = random(9, 2, 80, 4);
        let (before, before_truth) = (sets.clone(), truth.clone());
        for set in &mut sets {
            set.extend([0.9, 0.05, 0.05, 0.0].repeat(20));
        }
        truth.extend([3; 20]);
        truth.iter_mut().take(80).filter(|class| **class == 3).for_each(|class| *class = 0);
        let before_truth: Vec<usize> = before_truth.iter().map(|&c| if c == 3 { 0 } else { c }).collect();
        let with = |sets: &[Vec<f32>], truth: &[usize], redact| {
            let sets: Vec<&[f32]> = sets.iter().map(Vec::as_slice).collect();
            let folds: Vec<usize> = (0..truth.len()).map(|row| row % 4).collect();
            search(&Ensemble { sets: &sets, n_classes: 4, truth }, &[0.5, 0.5], &folds, redact).unwrap()
        };
        let mut redacted = with(&sets, &truth, Some(3));
        assert_eq!(redacted.found.measures.n_redacted, 20);
        let plain = with(&before, &before_truth, None);
        assert_eq!(redacted.held_out.as_ref().unwrap().folds, plain.held_out.unwrap().folds);
        redacted.found.measures.n_redacted = 0;
        assert_eq!(redacted.found, plain.found);
    }

    #[test]
    fn folds_depend_on_ids_alone_and_are_even() {
        let ids: Vec<String> = (0..5000).map(|i| format!("P01_11_{i}")).collect();
        let folds = folds_of(&ids);
        assert_eq!(folds_of(&ids[7..8])[0], folds[7]);
        // sha256("abc") begins with ba7816bf 8f01cfea; by hand (Python): int(..., 16) % 5 = 4.
        assert_eq!(folds_of(&["abc".to_owned()]), [4]);
        for fold in 0..N_FOLDS {
            let n = folds.iter().filter(|&&f| f == fold).count();
            assert!((900..1100).contains(&n), "fold {fold}: {n}");
        }
    }

    #[test]
    fn what_cannot_be_searched_is_refused() {
        let message = |sets: &[&[f32]], truth: &[usize]| {
            search_on(&Ensemble { sets, n_classes: 2, truth }, None).unwrap_err().to_string()
        };
        assert!(message(&[], &[0]).contains("0 models"));
        assert!(message(&[&[]], &[]).contains("0 rows"));
        assert!(message(&[&[0.5, 0.5], &[0.5]], &[0]).contains("model 1: 1 scores"));
        assert!(message(&[&[0.5, -0.5]], &[0]).contains("model 0, row 0: score -0.5 of class 1 is no posterior"));
        assert!(message(&[&[0.5, f32::NAN]], &[0]).contains("no posterior"));
        assert!(message(&[&[0.5, 0.5]], &[2]).contains("class 2 of 2"));
        let ensemble = Ensemble { sets: &[&[0.5, 0.5]], n_classes: 2, truth: &[0] };
        assert!(search_on(&ensemble, Some(&[0.5, 0.5])).is_err());
        assert!(search(&ensemble, &[1.0], &[], None).is_err());
        assert!(search(&ensemble, &[1.0], &[0], Some(0)).unwrap_err().to_string().contains("no rows"));
        assert_eq!(search(&ensemble, &[1.0], &[0], None).unwrap().held_out, None);
    }
}

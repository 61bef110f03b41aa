//! Fusion: the weighted sum of several models' scores.
//!
//! Enters: scores of the same segments, in any order. Leaves: one set of scores in the first one's
//! order. Rows are joined by annotation_id and their views summed first. Sums are computed in
//! double precision and rounded once.

use crate::data::scores::Scores;
use crate::error::{Error, Result};
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

/// The 2023 report's weights of its four models (EPIC-SOUNDS challenge, Team AcieLee).
pub const REPORT_WEIGHTS: [f64; 4] = [0.1, 0.4, 0.25, 0.25];

/// How many ids an error names.
const N_NAMED: usize = 3;

/// The report's weights for four sets of scores, equal ones that add up to 1 for any other number.
pub fn default_weights(n: usize) -> Vec<f64> {
    if n == REPORT_WEIGHTS.len() { REPORT_WEIGHTS.to_vec() } else { vec![1.0 / n as f64; n] }
}

/// Weighted sum of `sets`: `(N, n_classes)`, in the order of the first.
///
/// # Errors
///
/// As [`aligned`] and [`weighted_sum`].
pub fn fuse(sets: &[Scores], weights: &[f64]) -> Result<Scores> {
    let sets = aligned(sets)?;
    let values: Vec<&[f32]> = sets.iter().map(|set| set.scores.as_slice()).collect();
    let scores = weighted_sum(&values, weights)?;
    let first = &sets[0];
    Scores::new(&first.path, first.annotation_id.clone(), 1, first.n_classes, scores)
}

/// The same scores with views summed and all rows in the order of the first set.
///
/// # Errors
///
/// If there is no set, or sets differ in their number of classes or in their annotation_ids; the
/// message names the file and some of the ids.
pub fn aligned(sets: &[Scores]) -> Result<Vec<Scores>> {
    let Some(first) = sets.first() else {
        return Err(Error::Usage("no scores to fuse".to_owned()));
    };
    let mut out = vec![first.summed()];
    for set in &sets[1..] {
        if set.n_classes != first.n_classes {
            let message = format!("{} classes, {} has {}", set.n_classes, first.path.display(), first.n_classes);
            return Err(Error::content(&set.path, message));
        }
        let row_of: HashMap<&str, usize> =
            set.annotation_id.iter().enumerate().map(|(row, id)| (id.as_str(), row)).collect();
        let rows: Option<Vec<usize>> = first.annotation_id.iter().map(|id| row_of.get(id.as_str()).copied()).collect();
        let rows = rows.filter(|rows| rows.len() == set.len()).ok_or_else(|| differ(set, first))?;
        let summed = set.summed();
        let scores = rows.iter().flat_map(|&row| &summed.scores[row * set.n_classes..][..set.n_classes]);
        out.push(Scores { scores: scores.copied().collect(), annotation_id: first.annotation_id.clone(), ..summed });
    }
    Ok(out)
}

/// Weighted sum of arrays of one size.
///
/// # Errors
///
/// If there is not one finite weight from 0 for each array, all weights are 0, or sizes differ.
pub fn weighted_sum(sets: &[&[f32]], weights: &[f64]) -> Result<Vec<f32>> {
    check_weights(weights, sets.len())?;
    let n = sets.first().map_or(0, |set| set.len());
    if sets.iter().any(|set| set.len() != n) {
        return Err(Error::Usage("sets of scores differ in size".to_owned()));
    }
    Ok((0..n).map(|at| weigh(sets.iter().map(|set| set[at]), weights)).collect())
}

/// The one way in which scores are weighed, so that what a search measures is what fusion writes.
#[inline]
pub(super) fn weigh(scores: impl Iterator<Item = f32>, weights: &[f64]) -> f32 {
    scores.zip(weights).map(|(score, weight)| weight * f64::from(score)).sum::<f64>() as f32
}

pub(super) fn check_weights(weights: &[f64], n: usize) -> Result<()> {
    if weights.len() != n {
        return Err(Error::Usage(format!("{} weights for {n} sets of scores", weights.len())));
    }
    if let Some(weight) = weights.iter().find(|w| !(w.is_finite() && **w >= 0.0)) {
        return Err(Error::Usage(format!("weight {weight} must be a number from 0")));
    }
    if weights.iter().all(|&w| w == 0.0) {
        return Err(Error::Usage("all weights are 0".to_owned()));
    }
    Ok(())
}

fn differ(set: &Scores, first: &Scores) -> Error {
    let mut message = format!("annotation_ids are not those of {}:", first.path.display());
    let mut clause = |only: &str, of: &Scores, other: &Scores| {
        let others: HashSet<&String> = other.annotation_id.iter().collect();
        let missing: Vec<&String> = of.annotation_id.iter().filter(|id| !others.contains(id)).collect();
        if !missing.is_empty() {
            let named: Vec<&str> = missing.iter().take(N_NAMED).map(|id| id.as_str()).collect();
            let more = missing.len().saturating_sub(N_NAMED);
            let and = if more > 0 { format!(" and {more} more") } else { String::new() };
            let _ = write!(message, " {only} {}{and};", named.join(", "));
        }
    };
    clause("only here", set, first);
    clause("only there", first, set);
    Error::content(&set.path, message.trim_end_matches(';'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(path: &str, ids: &[&str], n_views: usize, values: &[f32]) -> Scores {
        let n_classes = values.len() / ids.len() / n_views;
        Scores::new(path, ids.iter().map(|id| id.to_string()).collect(), n_views, n_classes, values.to_vec()).unwrap()
    }

    #[test]
    fn rows_meet_by_id_and_views_are_summed() {
        let a = scores("a.npz", &["x", "y"], 1, &[1.0, 2.0, 3.0, 4.0]);
        let b = scores("b.npz", &["y", "x"], 2, &[10.0, 20.0, 30.0, 40.0, 1.0, 2.0, 3.0, 4.0]);
        let fused = fuse(&[a, b], &[0.5, 0.25]).unwrap();
        assert_eq!(fused.annotation_id, ["x", "y"]);
        assert_eq!((fused.n_views, fused.n_classes), (1, 2));
        // x: a (1, 2), b (1 + 3, 2 + 4); y: a (3, 4), b (40, 60).
        assert_eq!(fused.scores, [1.5, 2.5, 11.5, 17.0]);
    }

    #[test]
    fn one_set_alone_is_scaled() {
        assert_eq!(fuse(&[scores("a.npz", &["x"], 2, &[1.0, 2.0])], &[2.0]).unwrap().scores, [6.0]);
    }

    #[test]
    fn different_sets_are_refused_by_name() {
        let a = scores("a.npz", &["p", "q", "r", "s", "t"], 1, &[0.0; 5]);
        let message = |ids: &[&str], n_classes: usize| {
            let b = scores("b.npz", ids, 1, &vec![0.0; ids.len() * n_classes]);
            fuse(&[a.clone(), b], &[0.5, 0.5]).unwrap_err().to_string()
        };
        let fewer = message(&["t", "s", "r", "q"], 1);
        assert_eq!(fewer, "b.npz: annotation_ids are not those of a.npz: only there p");
        let more = message(&["p", "q", "r", "s", "t", "u"], 1);
        assert_eq!(more, "b.npz: annotation_ids are not those of a.npz: only here u");
        let other = message(&["z", "q", "r", "s", "t"], 1);
        assert_eq!(other, "b.npz: annotation_ids are not those of a.npz: only here z; only there p");
        assert!(message(&["z"], 1).ends_with("only there p, q, r and 2 more"));
        assert_eq!(message(&["p", "q", "r", "s", "t"], 2), "b.npz: 2 classes, a.npz has 1");
    }

    #[test]
    fn weights_are_checked() {
        let a = scores("a.npz", &["x"], 1, &[1.0]);
        let message = |weights: &[f64]| fuse(&[a.clone(), a.clone()], weights).unwrap_err().to_string();
        assert_eq!(message(&[1.0]), "1 weights for 2 sets of scores");
        assert_eq!(message(&[1.0, -0.5]), "weight -0.5 must be a number from 0");
        assert!(message(&[1.0, f64::NAN]).contains("NaN"));
        assert_eq!(message(&[0.0, 0.0]), "all weights are 0");
        assert_eq!(default_weights(4), REPORT_WEIGHTS);
        assert_eq!(default_weights(2), [0.5, 0.5]);
        assert!(fuse(&[], &[]).is_err());
    }

    #[test]
    fn sizes_of_plain_arrays_must_agree() {
        assert!(weighted_sum(&[&[1.0], &[1.0, 2.0]], &[0.5, 0.5]).is_err());
        assert_eq!(weighted_sum(&[&[1.0, 0.0], &[0.0, 1.0]], &[0.25, 0.75]).unwrap(), [0.25, 0.75]);
    }

    #[test]
    fn huge_weights_do_not_write_infinity() {
        let a = scores("a.npz", &["x"], 1, &[f32::MAX]);
        assert!(fuse(&[a], &[2.0]).unwrap_err().to_string().contains("row 0"));
    }
}

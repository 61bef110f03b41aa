//! What any weights achieve on the rows of a search, fast.
//!
//! Enters: an ensemble and some of its rows, once; then weights, often. Leaves: how many rows they get right and how likely they
//! find the truth. A row keeps only the classes that some weights could let win: a few of 44 (a test compares with all).

use super::Ensemble;
use crate::judge::scores::fuse::weigh;

/// A class is dropped if every model puts it below the true one by more than this share. That covers the rounding of both
/// sums to single precision, 6e-8 each.
const MARGIN: f32 = 1e-6;
/// Below this, sums may lose digits to underflow, so nothing is dropped.
const SMALL: f32 = 1e-30;
/// Least share of a true class in its row, so that a posterior of 0 does not outweigh all other rows.
const FLOOR: f64 = 1e-12;

/// How good weights are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Outcome {
    /// Rows whose class has rank 0.
    pub(super) n_right: usize,
    /// Sum of negative log likelihoods.
    pub(super) nll: f64,
}

impl Outcome {
    /// Right more often, or as often and more likely.
    pub(super) fn beats(&self, other: &Self) -> bool {
        (self.n_right, -self.nll) > (other.n_right, -other.nll)
    }
}

/// Rows, prepared.
pub(super) struct Board {
    n_sets: usize,
    /// Of each row the true class and then its contenders, `(n, n_sets)`.
    scores: Vec<f32>,
    /// Of each row the sums over all classes, `(n, n_sets)`.
    sums: Vec<f64>,
    /// Of each row its contenders in `scores`: how many below the true class, which win ties, and how many above.
    contenders: Vec<(usize, usize)>,
}

impl Board {
    /// Prepares `rows` of a checked ensemble.
    pub(super) fn new(ensemble: &Ensemble, rows: &[usize]) -> Self {
        let Ensemble { sets, n_classes, truth } = *ensemble;
        let mut board = Self { n_sets: sets.len(), scores: Vec::new(), sums: Vec::new(), contenders: Vec::new() };
        for &row in rows {
            let of = |class: usize| sets.iter().map(move |set| set[row * n_classes + class]);
            let loses = |class: usize| of(class).zip(of(truth[row])).all(|(c, t)| t > SMALL && c < t * (1.0 - MARGIN));
            board.scores.extend(of(truth[row]));
            let (mut n_below, mut n_above) = (0, 0);
            for class in (0..n_classes).filter(|&class| class != truth[row] && !loses(class)) {
                board.scores.extend(of(class));
                *if class < truth[row] { &mut n_below } else { &mut n_above } += 1;
            }
            board.contenders.push((n_below, n_above));
            let sum = |set: &&[f32]| set[row * n_classes..][..n_classes].iter().map(|&s| f64::from(s)).sum::<f64>();
            board.sums.extend(sets.iter().map(sum));
        }
        board
    }

    /// What `weights` achieve; they add up to 1.
    pub(super) fn result(&self, weights: &[f64]) -> Outcome {
        let mut fused = self.scores.chunks_exact(self.n_sets).map(|scores| weigh(scores.iter().copied(), weights));
        let mut outcome = Outcome { n_right: 0, nll: 0.0 };
        for (&(n_below, n_above), sums) in self.contenders.iter().zip(self.sums.chunks_exact(self.n_sets)) {
            let own = fused.next().unwrap_or_default();
            // Both run to their end: the next row begins there.
            let below = fused.by_ref().take(n_below).filter(|&score| score >= own).count();
            let above = fused.by_ref().take(n_above).filter(|&score| score > own).count();
            outcome.n_right += usize::from(below + above == 0);
            let total: f64 = sums.iter().zip(weights).map(|(sum, weight)| sum * weight).sum();
            outcome.nll -= (f64::from(own) / total).max(FLOOR).ln();
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::scores::fuse::weighted_sum;
    use crate::judge::scores::measures::rank;
    use rand::{Rng as _, SeedableRng};

    #[test]
    fn the_short_way_counts_as_the_long_one() {
        for seed in 0..60 {
            let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
            let (n, n_classes, n_sets) = (50, rng.random_range(1..9), rng.random_range(1..5));
            // Few levels make ties; 1e-44 makes sums that underflow.
            let scale = [1.0, 1e-44, 0.1][seed as usize % 3];
            let n_levels = [3, 5, 1 << 22][seed as usize / 3 % 3];
            let sets: Vec<Vec<f32>> = (0..n_sets)
                .map(|_| (0..n * n_classes).map(|_| rng.random_range(0..n_levels) as f32 * scale).collect())
                .collect();
            let sets: Vec<&[f32]> = sets.iter().map(Vec::as_slice).collect();
            let truth: Vec<usize> = (0..n).map(|_| rng.random_range(0..n_classes)).collect();
            let rows: Vec<usize> = (0..n).filter(|row| row % 3 != 1).collect();
            let board = Board::new(&Ensemble { sets: &sets, n_classes, truth: &truth }, &rows);
            for _ in 0..20 {
                let weights: Vec<f64> = (0..n_sets).map(|_| f64::from(rng.random_range(0..4_u8))).collect();
                let sum: f64 = weights.iter().sum();
                let weights: Vec<f64> = weights.iter().map(|w| w / sum.max(1.0)).collect();
                let Ok(fused) = weighted_sum(&sets, &weights) else { continue };
                let of = |row: usize| &fused[row * n_classes..][..n_classes];
                let n_right = rows.iter().filter(|&&row| rank(of(row), truth[row]) == 0).count();
                let nll = |&row: &usize| {
                    let total: f64 = of(row).iter().map(|&s| f64::from(s)).sum();
                    -(f64::from(of(row)[truth[row]]) / total).max(FLOOR).ln()
                };
                let result = board.result(&weights);
                assert_eq!(result.n_right, n_right, "seed {seed}, {weights:?}");
                let nll: f64 = rows.iter().map(nll).sum();
                assert!(
                    scale < 1e-40 || (result.nll - nll).abs() < 1e-4 * nll.abs() + 1e-4,
                    "seed {seed}: {} {nll}",
                    result.nll
                );
            }
        }
    }

    #[test]
    fn right_comes_before_likely() {
        let outcome = |n_right, nll| Outcome { n_right, nll };
        assert!(outcome(2, 9.0).beats(&outcome(1, 1.0)));
        assert!(outcome(2, 1.0).beats(&outcome(2, 2.0)));
        assert!(!outcome(2, 1.0).beats(&outcome(2, 1.0)));
    }
}

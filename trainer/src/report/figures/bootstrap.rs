//! Intervals of figures.
//!
//! Enters: rows in clusters, and figures as a function of how often each row counts. Leaves: each
//! figure with a percentile interval of the cluster bootstrap (Davison and Hinkley 1997, 3.8):
//! clusters are drawn with replacement, as many as there are, with all of their rows. Takes of one
//! recording are alike; to draw them one by one would make intervals too narrow.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Share of the resamples that lies within an interval.
pub const LEVEL: f64 = 0.95;

/// How many resamples, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bootstrap {
    /// Resamples.
    pub n_resamples: usize,
    /// Seed of the draws.
    pub seed: u64,
}

/// A figure with its interval. Not a number where it is not defined.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Of the rows themselves.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Bootstrap {
    /// Estimates what `figures` makes of the rows' weights. `clusters` has the cluster of each row,
    /// numbered from 0. The result depends on the seed alone, not on threads. Resamples in which a
    /// figure is not defined are left out for that figure.
    pub fn estimates(&self, clusters: &[usize], figures: impl Fn(&[u32]) -> Vec<f64> + Sync) -> Vec<Estimate> {
        let values = figures(&vec![1; clusters.len()]);
        let n_clusters = clusters.iter().map(|c| c + 1).max().unwrap_or(0);
        let resample = |at: usize| {
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            rng.set_stream(at as u64);
            let mut n_drawn = vec![0u32; n_clusters];
            for _ in 0..n_clusters {
                n_drawn[rng.random_range(0..n_clusters as u32) as usize] += 1;
            }
            figures(&clusters.iter().map(|&c| n_drawn[c]).collect::<Vec<u32>>())
        };
        let resamples: Vec<Vec<f64>> = (0..self.n_resamples).into_par_iter().map(resample).collect();
        let estimate = |(at, value): (usize, f64)| {
            let mut drawn: Vec<f64> = resamples.iter().map(|r| r[at]).filter(|v| v.is_finite()).collect();
            drawn.sort_unstable_by(f64::total_cmp);
            let tail = (1.0 - LEVEL) / 2.0;
            Estimate { value, low: quantile(&drawn, tail), high: quantile(&drawn, 1.0 - tail) }
        };
        values.into_iter().enumerate().map(estimate).collect()
    }
}

/// Quantile of sorted values, between two of them by interpolation; not a number if there are none.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = share * last as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOTSTRAP: Bootstrap = Bootstrap { n_resamples: 2000, seed: 1 };

    /// The interval of a share: every fifth of `n` rows is wrong, rows come in clusters of `size`
    /// equal ones.
    fn share(n: usize, size: usize) -> Estimate {
        let right: Vec<f64> = (0..n).map(|row| f64::from(u8::from(!(row / size).is_multiple_of(5)))).collect();
        let clusters: Vec<usize> = (0..n).map(|row| row / size).collect();
        let mean = |weights: &[u32]| {
            let sum: f64 = right.iter().zip(weights).map(|(r, &w)| r * f64::from(w)).sum();
            vec![sum / f64::from(weights.iter().sum::<u32>())]
        };
        BOOTSTRAP.estimates(&clusters, mean)[0]
    }

    #[test]
    fn a_shares_interval_is_that_of_its_standard_error() {
        for n in [100, 400, 1600] {
            let Estimate { value, low, high } = share(n, 1);
            let expected = 1.96 * (0.8 * 0.2 / n as f64).sqrt();
            assert!(low <= value && value <= high);
            // Twice the standard error of a quantile of 2000 draws is 8 % of its distance; a share
            // has steps of 1 / n.
            let tolerance = 0.1 * expected + 1.0 / n as f64;
            assert!((value - low - expected).abs() < tolerance, "{n}: {low} {value} {high}, half width {expected}");
            assert!((high - value - expected).abs() < tolerance, "{n}: {low} {value} {high}, half width {expected}");
        }
    }

    #[test]
    fn equal_takes_of_a_recording_count_once() {
        let (of_takes, of_recordings) = (share(1000, 10), share(100, 1));
        assert_eq!(of_takes.value, of_recordings.value);
        let width = |e: Estimate| e.high - e.low;
        assert!((width(of_takes) / width(of_recordings) - 1.0).abs() < 1e-9, "{of_takes:?} {of_recordings:?}");
        assert!(width(of_takes) > 2.5 * width(share(1000, 1)));
    }

    #[test]
    fn what_is_not_defined_says_so() {
        let estimates = BOOTSTRAP.estimates(&[0, 1], |w| vec![f64::NAN, f64::from(w[0]) / f64::from(w[0])]);
        assert!(estimates[0].value.is_nan() && estimates[0].low.is_nan());
        assert_eq!(estimates[1], Estimate { value: 1.0, low: 1.0, high: 1.0 }, "resamples without row 0 are left out");
        assert!(BOOTSTRAP.estimates(&[], |_| vec![]).is_empty());
    }
}

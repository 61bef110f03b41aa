//! Search for the best point of a simplex.
//!
//! Enters: how good weights are. Leaves: weights from 0 that add up to 1. Weights are counted in units, so that no rounding adds
//! up; of equally good ones the first tried stays, whatever the threads do.

use super::board::Outcome;
use rayon::prelude::*;

/// Units that all weights together have: finest steps of 1/640.
const N_UNITS: u32 = 640;
/// Step of the grid: 0.05.
const GRID_STEP: u32 = 32;
/// Up to so many weights there is a grid: 1,771 points for four, but 10,626 for five.
const MAX_GRID: usize = 4;

type Units = Vec<u32>;

/// Best weights of `n`, at least as good as `given`.
pub(super) fn best(n: usize, given: Option<&[f64]>, outcome: impl Fn(&[f64]) -> Outcome + Sync) -> Vec<f64> {
    let of = |units: &Units| outcome(&weights(units));
    let (candidates, first_step) = if n <= MAX_GRID { (grid(n), GRID_STEP / 2) } else { (starts(n), N_UNITS / 4) };
    let Some(mut best) = first_best(candidates, &of) else { return Vec::new() };
    let mut step = first_step;
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

/// The best of `candidates`, of equally good ones the first.
fn first_best(candidates: Vec<Units>, of: &(impl Fn(&Units) -> Outcome + Sync)) -> Option<(Units, Outcome)> {
    let outcomes: Vec<Outcome> = candidates.par_iter().map(of).collect();
    candidates.into_iter().zip(outcomes).reduce(|best, next| if next.1.beats(&best.1) { next } else { best })
}

/// All points whose weights are multiples of the grid's step.
fn grid(n: usize) -> Vec<Units> {
    let mut points: Vec<Units> = vec![Vec::new()];
    for place in 0..n {
        let rest = |point: &Units| N_UNITS - point.iter().sum::<u32>();
        let steps = |point: &Units| {
            let rest = rest(point);
            let first = if place + 1 == n { rest } else { 0 };
            (first..=rest).step_by(GRID_STEP as usize).collect::<Vec<u32>>()
        };
        let extend =
            |point: &Units| steps(point).into_iter().map(|unit| [point.as_slice(), &[unit]].concat()).collect();
        points = points.iter().flat_map(|point| -> Vec<Units> { extend(point) }).collect();
    }
    points
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

/// The points that `step` units, or what there is of them, moved from one weight to another lead to.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_has_every_point_once() {
        // (20 + n - 1 choose n - 1)
        for (n, n_points) in [(1, 1), (2, 21), (3, 231), (4, 1771)] {
            let mut points = grid(n);
            assert!(points.iter().all(|p| p.iter().sum::<u32>() == N_UNITS && p.iter().all(|u| u % GRID_STEP == 0)));
            points.dedup();
            assert_eq!(points.len(), n_points);
        }
        assert!(grid(4).iter().any(|p| weights(p) == [0.1, 0.4, 0.25, 0.25]), "the report's weights are on it");
    }

    #[test]
    fn many_weights_start_on_the_simplex() {
        for n in [5, 7, 50] {
            let points = starts(n);
            assert_eq!(points.len(), 1 + n * (n + 1) / 2);
            assert!(points.iter().all(|p| p.iter().sum::<u32>() == N_UNITS));
        }
    }

    /// A smooth hill at `peak`: nothing but likelihood.
    fn hill(peak: &[f64]) -> impl Fn(&[f64]) -> Outcome {
        move |w| Outcome { n_right: 0, nll: w.iter().zip(peak).map(|(a, b)| (a - b).powi(2)).sum() }
    }

    #[test]
    fn refinement_climbs_between_the_grid_points() {
        for peak in [vec![0.133, 0.4, 0.217, 0.25], vec![0.3, 0.7], vec![0.02, 0.31, 0.07, 0.4, 0.15, 0.05]] {
            let found = best(peak.len(), None, hill(&peak));
            assert!(found.iter().zip(&peak).all(|(a, b)| (a - b).abs() <= 1.0 / 640.0), "{found:?} {peak:?}");
        }
    }

    #[test]
    fn given_weights_are_never_worse_than_found() {
        let peak = [0.123456, 0.876544];
        assert_eq!(best(2, Some(&peak), hill(&peak)), peak);
        let twice = [2.0 * peak[0], 2.0 * peak[1]];
        assert_eq!(best(2, Some(&twice), hill(&peak)), peak, "scaled to add up to 1");
    }
}

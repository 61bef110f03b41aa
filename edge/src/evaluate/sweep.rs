//! Operating points: what was heard enters, the detections at each of 50 thresholds leave.

use std::num::NonZero;
use std::thread;

use super::{Detection, Heard, decide};
use crate::decide::Rules;

/// As many as DCASE's evaluations take.
pub const N_OPERATING_POINTS: usize = 50;

/// The thresholds of the operating points: 0.01, 0.03 .. 0.99.
pub fn operating_points() -> impl DoubleEndedIterator<Item = f32> + ExactSizeIterator {
    (0..N_OPERATING_POINTS).map(|at| (at as f32 + 0.5) / N_OPERATING_POINTS as f32)
}

/// The same rules with `threshold_on` for every class. A class's `threshold_off` keeps its ratio to its `threshold_on`; all
/// else stays.
pub fn at_threshold(rules: &Rules, threshold_on: f32) -> Rules {
    let mut rules = rules.clone();
    for class in rules.classes.iter_mut().flatten() {
        class.threshold_off = threshold_on * (class.threshold_off / class.threshold_on);
        class.threshold_on = threshold_on;
    }
    rules
}

/// The detections at each operating point, `[threshold][recording]`. Takes all cores.
pub fn sweep(rules: &Rules, heard: &[Heard]) -> Vec<Vec<Vec<Detection>>> {
    let rules: Vec<Rules> = operating_points().map(|threshold| at_threshold(rules, threshold)).collect();
    let point = |rules: &Rules| -> Vec<Vec<Detection>> { heard.iter().map(|heard| decide(rules, heard)).collect() };
    let n_threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        // Low thresholds cost more than high ones: deal them out.
        let deal = |first: usize| rules.iter().skip(first).step_by(n_threads).map(point).collect::<Vec<_>>();
        let threads: Vec<_> = (0..n_threads).map(|first| scope.spawn(move || deal(first).into_iter())).collect();
        let joined =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        let mut hands: Vec<_> = joined.collect();
        (0..rules.len()).filter_map(|at| hands[at % n_threads].next()).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_cover_the_unit_interval_evenly() {
        let points: Vec<f32> = operating_points().collect();
        assert_eq!((points.len(), points[0]), (50, 0.01));
        assert!(
            (points[49] - 0.99).abs() < 1e-6 && points.windows(2).all(|pair| (pair[1] - pair[0] - 0.02).abs() < 1e-6)
        );
    }
}

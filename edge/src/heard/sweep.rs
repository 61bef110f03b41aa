//! Operating points: what was heard enters, the detections at each of 50 thresholds leave.

use std::num::NonZero;
use std::thread;

use edge_evaluate::{Detection, operating_points};

use super::{Heard, decide};
use crate::decide::Rules;

/// The same rules with `threshold_on` for every class. A class's `threshold_off` keeps its ratio to
/// its `threshold_on`; all else stays.
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

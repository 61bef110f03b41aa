//! Which views a training step sees.
//!
//! Enters: the number of training segments, and a step's number. Leaves: segments with the place of
//! their view. Derives from the seed and the step alone.

use crate::common::random::{Purpose, rng_for};
use crate::train::recipe::Stage;
use rand::Rng as _;
use rand::seq::SliceRandom;

/// The steps of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    seed: u64,
    n_segments: usize,
    /// Segments per step.
    pub batch: usize,
    /// Steps that see each segment once; the last, smaller batch of an epoch is left out.
    pub steps_per_epoch: u64,
    /// Steps in all.
    pub n_steps: u64,
}

impl Plan {
    /// The plan of `stage` on `n_segments` segments. `seed` is the stage's own.
    pub fn new(stage: &Stage, seed: u64, n_segments: usize) -> Self {
        let batch = stage.batch.min(n_segments).max(1);
        let steps_per_epoch = (n_segments / batch).max(1) as u64;
        Self { seed, n_segments, batch, steps_per_epoch, n_steps: steps_per_epoch * stage.epochs }
    }

    /// Segments of step `step` (from 0), each with a draw in [0, 1) that places its view.
    pub fn items(&self, step: u64) -> Vec<(usize, f64)> {
        let (epoch, place) = (step / self.steps_per_epoch, (step % self.steps_per_epoch) as usize);
        let mut order: Vec<usize> = (0..self.n_segments).collect();
        order.shuffle(&mut rng_for(self.seed, Purpose::Order, epoch));
        let mut rng = rng_for(self.seed, Purpose::View, step);
        order[place * self.batch..(place + 1) * self.batch].iter().map(|&i| (i, rng.random::<f64>())).collect()
    }

    /// Epochs done before step `step`, with the part of the running one.
    pub fn epoch(&self, step: u64) -> f64 {
        step as f64 / self.steps_per_epoch as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::recipe::Recipe;

    #[test]
    fn an_epoch_sees_each_segment_at_most_once() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/epic-sounds.toml");
        let mut stage = Recipe::load(&path).unwrap().0.stages[0].clone();
        stage.batch = 8;
        let plan = Plan::new(&stage, 5, 30);
        assert_eq!((plan.steps_per_epoch, plan.n_steps), (3, 90));
        let mut seen: Vec<usize> = (3..6).flat_map(|step| plan.items(step)).map(|item| item.0).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 24);
        assert_eq!(plan.items(4), plan.items(4));
        assert_ne!(plan.items(0), plan.items(3));
        assert!(plan.items(7).iter().all(|(_, draw)| (0.0..1.0).contains(draw)));
        assert_eq!(Plan::new(&stage, 5, 3).batch, 3);
    }
}

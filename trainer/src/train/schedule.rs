//! Learning rate and memory of the averaged weights as functions of the step.
//!
//! Enters: the step and the stage. Leaves: a number. Stateless, so that a resumed training
//! continues on the same curve.

use super::recipe::{Schedule, Stage};

/// Learning rate of step `step` (from 0) of `n_steps`: linear warm-up, then the stage's curve; the
/// cosine again in each cycle (warm restarts, Loshchilov and Hutter 2017).
pub fn learning_rate(stage: &Stage, step: u64, n_steps: u64, steps_per_epoch: u64) -> f64 {
    let epoch = step as f64 / steps_per_epoch as f64;
    let n_steps = n_steps.div_ceil(stage.cycles).max(1);
    let step = step % n_steps;
    if step < stage.warmup_steps {
        return stage.lr * (step + 1) as f64 / stage.warmup_steps as f64;
    }
    match stage.schedule {
        Schedule::Step => {
            let passed = stage.steps.iter().filter(|&&at| epoch >= at).count().max(1);
            let warm = if epoch < stage.warmup_epochs { epoch / stage.warmup_epochs } else { 1.0 };
            stage.lr * stage.factors[passed - 1] * warm
        }
        Schedule::Cosine => {
            let span = n_steps.saturating_sub(stage.warmup_steps).max(1);
            let progress = ((step - stage.warmup_steps) as f64 / span as f64).min(1.0);
            let wave = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
            stage.lr * (stage.final_lr + (1.0 - stage.final_lr) * wave)
        }
    }
}

/// How much of the moving average of the weights remains after step `step`: that of the stage, and
/// less at first, because the fresh weights say nothing.
pub fn memory(stage: &Stage, step: u64) -> f64 {
    stage.ema.min((step + 1) as f64 / (step + 10) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(keys: &str) -> Stage {
        toml::from_str(&format!("name = \"s\"\nepochs = 10\nlr = 1.0\n{keys}")).unwrap()
    }

    #[test]
    fn cosine_warms_up_peaks_and_ends_low() {
        let stage = stage("schedule = \"cosine\"\nwarmup_steps = 10");
        let rate = |step| learning_rate(&stage, step, 110, 11);
        assert!((rate(0) - 0.1).abs() < 1e-12);
        assert!((rate(10) - 1.0).abs() < 1e-12);
        assert!((rate(60) - 0.505).abs() < 1e-12);
        assert!((rate(109) - 0.01).abs() < 1e-3);
    }

    #[test]
    fn cycles_repeat_the_curve() {
        let twice = stage("schedule = \"cosine\"\nwarmup_steps = 10\ncycles = 2");
        let once = Stage { cycles: 1, ..twice.clone() };
        for step in 0..110 {
            let expected = learning_rate(&once, step, 110, 11);
            assert_eq!([step, step + 110].map(|s| learning_rate(&twice, s, 220, 11)), [expected; 2]);
        }
    }

    #[test]
    fn a_last_cycle_that_is_shorter_ends_low_too() {
        let stage = stage("schedule = \"cosine\"\nwarmup_steps = 2\ncycles = 3");
        let last: Vec<f64> = (95..100).map(|step| learning_rate(&stage, step, 100, 10)).collect();
        assert!(last.iter().all(|&rate| rate < 0.2) && last.is_sorted_by(|a, b| a > b), "{last:?}");
    }

    #[test]
    fn factors_hold_from_their_epochs_on() {
        let stage = stage("steps = [0, 6, 8]\nfactors = [1, 0.5, 0.1]\nwarmup_epochs = 2");
        let rate = |step| learning_rate(&stage, step, 100, 10);
        assert_eq!([rate(0), rate(10), rate(20), rate(59), rate(60)], [0.0, 0.5, 1.0, 1.0, 0.5]);
        assert!((rate(85) - 0.1).abs() < 1e-12);
    }
}

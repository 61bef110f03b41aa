//! Learning rate as a function of the step.
//!
//! Enters: the step and the recipe's `[optim]`. Leaves: a learning rate. Stateless, so that a resumed training continues
//! on the same curve.

use crate::train::recipe::{Optim, Schedule};

/// Learning rate of step `step` (from 0) of `n_steps`: linear warm-up, then the recipe's curve; the same again in each cycle (warm
/// restarts, Loshchilov and Hutter 2017).
pub fn learning_rate(optim: &Optim, step: u64, n_steps: u64) -> f64 {
    let n_steps = (n_steps / optim.cycles).max(1);
    let step = step % n_steps;
    if step < optim.warmup_steps {
        return optim.lr * (step + 1) as f64 / optim.warmup_steps as f64;
    }
    match optim.schedule {
        Schedule::Cosine => {
            let span = n_steps.saturating_sub(optim.warmup_steps).max(1);
            let progress = ((step - optim.warmup_steps) as f64 / span as f64).min(1.0);
            let wave = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
            optim.lr * (optim.final_lr + (1.0 - optim.final_lr) * wave)
        }
        Schedule::Step => {
            let progress = step as f64 / n_steps.max(1) as f64;
            let passed = optim.step_at.iter().filter(|&&at| progress >= at).count();
            optim.lr * optim.step_factor.powi(passed as i32)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_warms_up_peaks_and_ends_low() {
        let optim = Optim { lr: 1.0, warmup_steps: 10, final_lr: 0.01, ..Optim::default() };
        assert!((learning_rate(&optim, 0, 110) - 0.1).abs() < 1e-12);
        assert!((learning_rate(&optim, 10, 110) - 1.0).abs() < 1e-12);
        assert!((learning_rate(&optim, 60, 110) - 0.505).abs() < 1e-12);
        assert!((learning_rate(&optim, 109, 110) - 0.01).abs() < 1e-3);
    }

    #[test]
    fn cycles_repeat_the_curve() {
        let optim = Optim { lr: 1.0, warmup_steps: 10, cycles: 2, ..Optim::default() };
        let once = Optim { cycles: 1, ..optim.clone() };
        for step in 0..110 {
            let expected = learning_rate(&once, step, 110);
            assert_eq!([step, step + 110].map(|s| learning_rate(&optim, s, 220)), [expected; 2]);
        }
    }

    #[test]
    fn step_schedule_drops_at_its_marks() {
        let optim = Optim { lr: 1.0, warmup_steps: 0, schedule: Schedule::Step, ..Optim::default() };
        let at = |step| learning_rate(&optim, step, 100);
        assert_eq!(at(59), 1.0);
        assert!((at(60) - 0.1).abs() < 1e-12);
        assert!((at(85) - 0.01).abs() < 1e-12);
    }
}

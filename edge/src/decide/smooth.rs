//! Scores of the classes from the last frames of logits: a window of frames enters, one score a class leaves.
//!
//! Classes may have windows of different lengths. Each length that occurs is averaged once, for all classes, since a softmax of
//! means needs the means of all.

use edge_frontend::{Activation, Smoothing};

use super::window::{Window, activate};
use super::{Average, Rules};

/// Share of the frames of a window that must reach a threshold under [`Smoothing::NOfM`].
const QUORUM: f32 = 0.75;

/// Turns windows into scores. Allocates nothing after construction.
#[derive(Debug)]
pub(super) struct Smoother {
    activation: Activation,
    average: Average,
    smoothing: Smoothing,
    background: Option<usize>,
    wants_energy: bool,
    groups: Vec<Group>,
    /// `(n_classes)`.
    means: Vec<f32>,
    /// Posteriors of one class in the frames of a window.
    sorted: Vec<f32>,
}

/// Classes whose windows are equally long.
#[derive(Debug)]
struct Group {
    n_frames: usize,
    /// One a frame that is averaged, the oldest first.
    weights: Vec<f32>,
    classes: Vec<usize>,
}

impl Smoother {
    pub(super) fn new(rules: &Rules) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for (class_id, class) in rules.classes.iter().enumerate() {
            // Those that are never an event have scores to be shown, too.
            let n_frames = class.map_or(rules.longest_window(), |class| class.window_frames);
            match groups.iter_mut().find(|group| group.n_frames == n_frames) {
                Some(group) => group.classes.push(class_id),
                None => groups.push(Group {
                    n_frames,
                    weights: weights(rules.smoothing, n_frames),
                    classes: vec![class_id],
                }),
            }
        }
        Smoother {
            activation: rules.activation,
            average: rules.average,
            smoothing: rules.smoothing,
            background: rules.background,
            wants_energy: rules.min_energy.is_some(),
            groups,
            means: vec![0.0; rules.classes.len()],
            sorted: Vec::with_capacity(rules.longest_window()),
        }
    }

    /// Frames that any score looks back on.
    pub(super) fn span(&self) -> usize {
        self.groups.iter().map(|group| group.weights.len()).max().unwrap_or(1)
    }

    /// Writes the scores of the newest windows and, where the rules ask for them, their energies: `(n_classes)` each.
    pub(super) fn scores(&mut self, window: &Window, scores: &mut [f32], energies: &mut [f32]) {
        let Smoother { activation, average, smoothing, means, sorted, .. } = self;
        for group in &self.groups {
            if self.wants_energy {
                let n_weights = group.weights.len().min(group.n_frames);
                window.mean(Average::Logits, &group.weights[group.weights.len() - n_weights..], means);
                let energy = energy(means, self.background);
                group.classes.iter().for_each(|&class_id| energies[class_id] = energy);
            }
            match smoothing {
                Smoothing::Mean | Smoothing::Ema => {
                    window.mean(*average, &group.weights, means);
                    if *average == Average::Logits {
                        activate(*activation, means);
                    }
                    group.classes.iter().for_each(|&class_id| scores[class_id] = means[class_id]);
                }
                Smoothing::Median => {
                    for &class_id in &group.classes {
                        scores[class_id] = reached_by(window, class_id, group.n_frames, sorted, |n| n / 2 + 1);
                    }
                }
                Smoothing::NOfM => {
                    let quorum = |n: usize| (n as f32 * QUORUM).ceil() as usize;
                    for &class_id in &group.classes {
                        scores[class_id] = reached_by(window, class_id, group.n_frames, sorted, quorum);
                    }
                }
            }
        }
    }
}

/// Weights of a window of `n_frames`, the oldest first.
fn weights(smoothing: Smoothing, n_frames: usize) -> Vec<f32> {
    match smoothing {
        Smoothing::Mean | Smoothing::Median | Smoothing::NOfM => vec![1.0; n_frames],
        Smoothing::Ema => {
            let kept = 1.0 - 2.0 / (n_frames as f32 + 1.0);
            (0..2 * n_frames).rev().map(|age| kept.powi(age as i32)).filter(|weight| *weight > 0.0).collect()
        }
    }
}

/// The posterior that `quorum(n)` of the last `n` frames reach, `n` at most `n_frames`. A NaN reaches nothing.
fn reached_by(
    window: &Window,
    class_id: usize,
    n_frames: usize,
    sorted: &mut Vec<f32>,
    quorum: impl Fn(usize) -> usize,
) -> f32 {
    sorted.clear();
    let posteriors = window.newest_frames(n_frames).map(|index| window.posterior(index, class_id));
    sorted.extend(posteriors.map(|p| if p.is_nan() { 0.0 } else { p }));
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    sorted.get(quorum(sorted.len()).max(1) - 1).copied().unwrap_or(0.0)
}

/// Logarithm of the sum of the exponentials of all logits but the background's.
fn energy(logits: &[f32], background: Option<usize>) -> f32 {
    let others = || logits.iter().enumerate().filter(|(class_id, _)| Some(*class_id) != background).map(|(_, l)| *l);
    let max = others().fold(f32::NEG_INFINITY, f32::max);
    max + others().map(|logit| (logit - max).exp()).sum::<f32>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::{class, rules};

    /// Score of class 0 of one, after frames with these logits.
    fn score(smoothing: Smoothing, n_frames: usize, logits: &[f32]) -> f32 {
        let rules = super::Rules { smoothing, ..rules(n_frames, vec![Some(class(0.5, 0.5))]) };
        let mut smoother = Smoother::new(&rules);
        let mut window = Window::new(&rules, smoother.span());
        logits.iter().for_each(|logit| window.push(0.0, &[*logit]));
        let (mut scores, mut energies) = ([0.0], [0.0]);
        smoother.scores(&window, &mut scores, &mut energies);
        scores[0]
    }

    fn sigmoid(logit: f32) -> f32 {
        1.0 / (1.0 + (-logit).exp())
    }

    #[test]
    fn each_smoothing_is_its_formula() {
        let logits = [9.0, -1.0, 3.0, 0.5, 2.0];
        let near = |a: f32, b: f32| assert!((a - b).abs() < 1e-6, "{a} is not {b}");
        near(score(Smoothing::Mean, 4, &logits), sigmoid((-1.0 + 3.0 + 0.5 + 2.0) / 4.0));
        near(score(Smoothing::Median, 4, &logits), sigmoid(0.5));
        near(score(Smoothing::Median, 3, &logits), sigmoid(2.0));
        near(score(Smoothing::NOfM, 4, &logits), sigmoid(0.5));
        near(score(Smoothing::NOfM, 5, &logits), sigmoid(0.5));
        // Three frames: a half is kept a frame.
        let (mut sum, mut weights) = (0.0, 0.0);
        for (age, logit) in [2.0, 0.5, 3.0, -1.0, 9.0].into_iter().enumerate() {
            sum += logit * 0.5f32.powi(age as i32);
            weights += 0.5f32.powi(age as i32);
        }
        near(score(Smoothing::Ema, 3, &logits), sigmoid(sum / weights));
        for smoothing in [Smoothing::Mean, Smoothing::Ema, Smoothing::Median, Smoothing::NOfM] {
            near(score(smoothing, 1, &logits), sigmoid(2.0));
        }
    }

    #[test]
    fn a_frame_that_is_no_number_speaks_for_nothing() {
        assert_eq!(score(Smoothing::Median, 3, &[4.0, f32::NAN, f32::NAN]), 0.0);
        assert!(score(Smoothing::Median, 3, &[4.0, 4.0, f32::NAN]) > 0.9);
        assert!(score(Smoothing::Mean, 3, &[4.0, 4.0, f32::NAN]).is_nan());
    }

    #[test]
    fn energy_is_the_sum_of_all_but_the_background() {
        let e = energy(&[1.0, 2.0, 50.0], Some(2));
        assert!((e - (1f32.exp() + 2f32.exp()).ln()).abs() < 1e-6);
    }
}

//! Scores of the classes from the last frames of logits: a window of frames enters, one score per
//! class leaves.
//!
//! Classes may have windows of different lengths. Each length that occurs is averaged once, for all
//! classes, since a softmax of means needs the means of all.

use edge_frontend::Activation;

use super::window::{Window, activate};
use super::{Average, Rules};

/// Turns windows into scores. Allocates nothing after construction.
#[derive(Debug)]
pub(super) struct Scorer {
    activation: Activation,
    average: Average,
    background: Option<usize>,
    wants_energy: bool,
    groups: Vec<Group>,
    /// `(n_classes)`.
    means: Vec<f32>,
}

/// Classes whose windows are equally long.
#[derive(Debug)]
struct Group {
    n_frames: usize,
    classes: Vec<usize>,
}

impl Scorer {
    pub(super) fn new(rules: &Rules) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for (class_id, class) in rules.classes.iter().enumerate() {
            // Those that are never an event have scores to be shown, too.
            let n_frames = class.map_or(rules.longest_window(), |class| class.window_frames);
            match groups.iter_mut().find(|group| group.n_frames == n_frames) {
                Some(group) => group.classes.push(class_id),
                None => groups.push(Group { n_frames, classes: vec![class_id] }),
            }
        }
        Scorer {
            activation: rules.activation,
            average: rules.average,
            background: rules.background,
            wants_energy: rules.min_energy.is_some(),
            groups,
            means: vec![0.0; rules.classes.len()],
        }
    }

    /// Writes the scores of the newest windows and, where the rules ask for them, their energies:
    /// `(n_classes)` each.
    pub(super) fn scores(&mut self, window: &Window, scores: &mut [f32], energies: &mut [f32]) {
        let Scorer { activation, average, means, .. } = self;
        for group in &self.groups {
            if self.wants_energy {
                window.mean(Average::Logits, group.n_frames, means);
                let energy = energy(means, self.background);
                group.classes.iter().for_each(|&class_id| energies[class_id] = energy);
            }
            window.mean(*average, group.n_frames, means);
            if *average == Average::Logits {
                activate(*activation, means);
            }
            group.classes.iter().for_each(|&class_id| scores[class_id] = means[class_id]);
        }
    }
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
    fn score(n_frames: usize, logits: &[f32]) -> f32 {
        let rules = rules(n_frames, vec![Some(class(0.5, 0.5))]);
        let mut scorer = Scorer::new(&rules);
        let mut window = Window::new(&rules, n_frames);
        logits.iter().for_each(|logit| window.push(0.0, &[*logit]));
        let (mut scores, mut energies) = ([0.0], [0.0]);
        scorer.scores(&window, &mut scores, &mut energies);
        scores[0]
    }

    fn sigmoid(logit: f32) -> f32 {
        1.0 / (1.0 + (-logit).exp())
    }

    #[test]
    fn a_score_is_the_posterior_of_the_mean_of_the_window() {
        let logits = [9.0, -1.0, 3.0, 0.5, 2.0];
        let near = |a: f32, b: f32| assert!((a - b).abs() < 1e-6, "{a} is not {b}");
        near(score(4, &logits), sigmoid((-1.0 + 3.0 + 0.5 + 2.0) / 4.0));
        near(score(1, &logits), sigmoid(2.0));
        near(score(9, &logits), sigmoid((9.0 - 1.0 + 3.0 + 0.5 + 2.0) / 5.0));
    }

    #[test]
    fn a_frame_that_is_no_number_gives_a_score_that_reaches_no_threshold() {
        assert!(score(3, &[4.0, 4.0, f32::NAN]).is_nan());
    }

    #[test]
    fn energy_is_the_sum_of_all_but_the_background() {
        let e = energy(&[1.0, 2.0, 50.0], Some(2));
        assert!((e - (1f32.exp() + 2f32.exp()).ln()).abs() < 1e-6);
    }
}

//! Temperature scaling (Guo et al. 2017, section 4.2), frame by frame.
//!
//! Enters: what networks put out for scenes, with the truth. Leaves: the temperature at which the
//! truth is most likely.

use super::Material;
use crate::common::golden_section::minimise;
use edge::decide::Rules;
use edge::heard::Heard;
use edge_evaluate::Sound;
use edge_frontend::{Activation, Manifest};
use rayon::prelude::*;

/// Range of the logarithm of the temperature that is searched.
const RANGE: [f64; 2] = [-2.0, 2.0];
/// Width of the interval at which the search ends.
const WIDTH: f64 = 1e-4;

/// The temperature with the least [`nll`] on the scenes of `parts`; 1 where there are none.
pub fn temperature(manifest: &Manifest, parts: &[&Material]) -> f32 {
    if parts.iter().all(|part| part.scenes.heard.is_empty()) {
        return 1.0;
    }
    let log = minimise(RANGE, WIDTH, |log| nll(manifest, parts, log.exp() as f32));
    // Three digits are enough for messages and for a manifest.
    (log.exp() as f32 * 1e3).round() / 1e3
}

/// Mean negative log likelihood of what sounds in an output's slot, summed over classes.
pub fn nll(manifest: &Manifest, parts: &[&Material], temperature: f32) -> f64 {
    let rules = Rules::new(manifest, &manifest.decision);
    let recordings: Vec<_> = parts.iter().flat_map(|part| part.scenes.heard.iter().zip(&part.scenes.truth)).collect();
    let sums = recordings.par_iter().map(|(heard, truth)| recording_nll(&rules, heard, truth, temperature));
    let (sum, n) = sums.reduce(|| (0.0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    sum / n.max(1) as f64
}

fn recording_nll(rules: &Rules, heard: &Heard, truth: &[Sound], temperature: f32) -> (f64, usize) {
    let n_classes = heard.n_classes;
    let (mut sum, mut target) = (0.0, vec![0.0f32; n_classes]);
    for (at, logits) in heard.logits.chunks_exact(n_classes).enumerate() {
        let t_slot_s = heard.t_start_s[at] + rules.slot_offset_s;
        target.fill(0.0);
        for sound in truth {
            let overlap_s = sound.offset_s.min(t_slot_s + rules.frame_period_s) - sound.onset_s.max(t_slot_s);
            let share = (overlap_s / rules.frame_period_s).clamp(0.0, 1.0) as f32;
            target[sound.class_id] = target[sound.class_id].max(share);
        }
        let most = target.iter().copied().fold(0.0, f32::max);
        if let Some(background) = rules.background {
            target[background] = 1.0 - most;
        }
        sum += frame_nll(rules.activation, logits, &target, temperature);
    }
    (sum, heard.n_outputs())
}

fn frame_nll(activation: Activation, logits: &[f32], target: &[f32], temperature: f32) -> f64 {
    let scaled = || logits.iter().map(|logit| f64::from(logit / temperature));
    match activation {
        Activation::Sigmoid => {
            let loss = |z: f64, y: f64| z.max(0.0) - z * y + (-z.abs()).exp().ln_1p();
            scaled().zip(target).map(|(z, y)| loss(z, f64::from(*y))).sum()
        }
        Activation::Softmax | Activation::Posterior => {
            let max = scaled().fold(f64::NEG_INFINITY, f64::max);
            let normaliser = max + scaled().map(|z| (z - max).exp()).sum::<f64>().ln();
            let total: f64 = target.iter().map(|y| f64::from(*y)).sum::<f64>().max(1e-9);
            scaled().zip(target).map(|(z, y)| f64::from(*y) / total * (normaliser - z)).sum()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_is_its_formula() {
        let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
        let expected = -(sigmoid(1.0).ln()) - (1.0 - sigmoid(-0.5)).ln();
        let loss = frame_nll(Activation::Sigmoid, &[2.0, -1.0], &[1.0, 0.0], 2.0);
        assert!((loss - expected).abs() < 1e-9);
        let loss = frame_nll(Activation::Softmax, &[2.0, 0.0], &[0.5, 0.5], 2.0);
        let normaliser = (1f64.exp() + 1.0).ln();
        assert!((loss - (normaliser - 0.5)).abs() < 1e-9);
    }
}

//! Voiced sound: a pulse train enters a few resonances, a vowel or a bark leaves.
//!
//! The source-filter model (G. Fant, "Acoustic theory of speech production", 1960), with the source
//! as a sum of harmonics so that nothing aliases, and formants in parallel (D. Klatt, "Software for
//! a cascade/parallel formant synthesizer", J. Acoust. Soc. Am. 67, 1980).

use crate::filter::Biquad;
use crate::math::{self, TAU};
use crate::noise;
use crate::rng::Rng;

/// One resonance.
#[derive(Clone, Copy)]
pub(crate) struct Formant {
    pub(crate) hz: f32,
    pub(crate) width_hz: f32,
    pub(crate) gain_db: f32,
}

/// How the folds vibrate.
#[derive(Clone, Copy)]
pub(crate) struct Phonation {
    /// Harmonic k has amplitude k^-tilt; 2 is calm (12 dB an octave), 1 is a shout.
    pub(crate) tilt: f32,
    /// Breath noise beside the tone, 0-1.
    pub(crate) breath: f32,
    /// Irregularity of period and amplitude, 0-1: above a third it sounds hoarse.
    pub(crate) rough: f32,
}

/// Utters a contour: `pitch_hz` and `loudness` a sample, of equal length.
pub(crate) fn utter(
    rng: &mut Rng,
    sample_rate: f32,
    pitch_hz: &[f32],
    loudness: &[f32],
    phonation: Phonation,
    formants: &[Formant],
) -> Vec<f32> {
    let n = pitch_hz.len();
    let highest = 64;
    let amplitudes: Vec<f32> = (1..=highest).map(|k| math::pow(k as f32, -phonation.tilt)).collect();
    let shimmer = noise::drift(rng, sample_rate, n, 90.0, 5.0 * phonation.rough);
    // 8.69 dB is a factor e.
    let jitter = noise::drift(rng, sample_rate, n, 120.0, 8.69 * 0.12 * phonation.rough);
    let mut bank: Vec<(Biquad, f32)> = formants
        .iter()
        .filter(|formant| formant.hz < 0.45 * sample_rate)
        .map(|formant| {
            let filter = Biquad::band_pass(sample_rate, formant.hz, formant.hz / formant.width_hz);
            (filter, math::from_db(formant.gain_db))
        })
        .collect();
    let mut phase = 0.0;
    (0..n)
        .map(|i| {
            let hz = pitch_hz[i] * jitter[i];
            phase += hz / sample_rate;
            phase -= math::floor(phase);
            let n_harmonics = (0.45 * sample_rate / hz) as usize;
            let tone = harmonics(phase, &amplitudes[..n_harmonics.min(amplitudes.len())]);
            // Breath comes in puffs, with the open glottis.
            let breath = phonation.breath * rng.bipolar() * (0.6 + 0.4 * math::sin(TAU * phase));
            let source = loudness[i] * shimmer[i] * (tone + breath);
            bank.iter_mut().map(|(filter, gain)| *gain * filter.process(source)).sum()
        })
        .collect()
}

/// Sum of `amplitudes[k - 1] * sin(k 2 pi phase)`, by Chebyshev's recurrence.
pub(crate) fn harmonics(phase: f32, amplitudes: &[f32]) -> f32 {
    let (sin, turn) = (math::sin(TAU * phase), 2.0 * math::cos(TAU * phase));
    let (mut before, mut now, mut sum) = (0.0, sin, 0.0);
    for amplitude in amplitudes {
        sum += amplitude * now;
        (before, now) = (now, turn * now - before);
    }
    sum
}

/// A curve through `(t, value)` points with t in 0-1 over `n` samples, linear between them.
pub(crate) fn contour(n: usize, points: &[(f32, f32)]) -> Vec<f32> {
    (0..n).map(|i| math::interpolate(points, i as f32 / n as f32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recurrence_equals_the_sum_of_sines() {
        let amplitudes: Vec<f32> = (1..=40).map(|k| 1.0 / k as f32).collect();
        for phase in [0.0, 0.013, 0.25, 0.5, 0.77] {
            let slow: f32 = amplitudes.iter().enumerate().map(|(i, a)| a * (TAU * phase * (i + 1) as f32).sin()).sum();
            assert!((harmonics(phase, &amplitudes) - slow).abs() < 1e-3);
        }
    }
}

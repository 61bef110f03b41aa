//! Noise and equalisers on mel power spectra.
//!
//! Enters: a crop `(T, n_mels)`. Leaves: the crop filled with coloured noise, or coloured.

use super::decibels;
use crate::random::{Rng, normal, uniform};
use rand::Rng as _;

/// Knots of the random equaliser.
const N_KNOTS: usize = 5;

/// Fills the crop with noise of a random smooth spectrum near power 1: white noise's fluctuation in each band, tilted by up
/// to 0.3 dB a band, as rooms, fans and microphones have it.
pub fn coloured(rng: &mut Rng, n_mels: usize, out: &mut [f32]) {
    let tilt = uniform(rng, -0.07, 0.03);
    let mut walk = 0.0;
    let shape: Vec<f32> = (0..n_mels)
        .map(|band| {
            walk += 0.15 * normal(rng);
            (tilt * band as f32 + walk).exp()
        })
        .collect();
    // A band's power is exponentially distributed where it holds one spectral bin; wide bands average over many.
    let spread: Vec<f32> = (0..n_mels).map(|band| 1.0 / (1.0 + band as f32 / 8.0).sqrt()).collect();
    for frame in out.chunks_exact_mut(n_mels) {
        for ((value, shape), spread) in frame.iter_mut().zip(&shape).zip(&spread) {
            let exponential = -(1.0 - rng.random::<f32>()).ln();
            *value = shape * (1.0 + (exponential - 1.0) * spread).max(0.02);
        }
    }
}

/// Multiplies every frame by a random smooth curve within `range_db` either way.
pub fn equalise(rng: &mut Rng, range_db: f32, n_mels: usize, out: &mut [f32]) {
    let knots: Vec<f32> = (0..N_KNOTS).map(|_| uniform(rng, -range_db, range_db)).collect();
    let curve: Vec<f32> = (0..n_mels)
        .map(|band| {
            let at = band as f32 * (N_KNOTS - 1) as f32 / (n_mels - 1).max(1) as f32;
            let low = (at as usize).min(N_KNOTS - 2);
            decibels(knots[low] + (knots[low + 1] - knots[low]) * (at - low as f32))
        })
        .collect();
    for frame in out.chunks_exact_mut(n_mels) {
        frame.iter_mut().zip(&curve).for_each(|(value, gain)| *value *= gain);
    }
}

//! Noise and equalisers on mel power spectra.
//!
//! Enters: random numbers. Leaves: a noise or a curve, and with it a crop `(T, n_mels)` filled or
//! coloured, for the student and for a teacher that hears the crop beside it.

use super::{Bands, decibels};
use crate::common::random::{Rng, normal, uniform};
use rand::{Rng as _, SeedableRng};

/// Knots of the random equaliser.
const N_KNOTS: usize = 5;

/// Noise of a random smooth spectrum near power 1: white noise's fluctuation in each band, tilted
/// by up to 0.3 dB a band, as rooms, fans and microphones have it.
#[derive(Debug, Clone)]
pub struct Coloured {
    /// Power in each of the student's bands.
    shape: Vec<f32>,
    /// Of the fluctuation.
    seed: u64,
}

impl Coloured {
    /// Draws one, for `n_mels` bands of the student.
    pub fn draw(rng: &mut Rng, n_mels: usize) -> Self {
        let tilt = uniform(rng, -0.07, 0.03);
        let mut walk = 0.0;
        let shape = (0..n_mels)
            .map(|band| {
                walk += 0.15 * normal(rng);
                (tilt * band as f32 + walk).exp()
            })
            .collect();
        Self { shape, seed: rng.random() }
    }

    /// Fills a crop with it. Another network's bands fluctuate on their own.
    pub fn fill(&self, bands: &Bands, out: &mut [f32]) {
        let mut rng = Rng::seed_from_u64(self.seed);
        let shape: Vec<f32> = bands.interpolate(&self.shape).zip(&bands.factors).map(|(s, f)| s * f).collect();
        // A band's power is exponentially distributed where it holds one spectral bin; wide bands
        // average over many.
        let spread: Vec<f32> = bands.places.iter().map(|place| 1.0 / (1.0 + place / 8.0).sqrt()).collect();
        for frame in out.chunks_exact_mut(bands.n_mels) {
            for ((value, shape), spread) in frame.iter_mut().zip(&shape).zip(&spread) {
                let exponential = -(1.0 - rng.random::<f32>()).ln();
                *value = shape * (1.0 + (exponential - 1.0) * spread).max(0.02);
            }
        }
    }
}

/// A random smooth curve over the bands.
#[derive(Debug, Clone)]
pub struct Equaliser {
    /// Factor of the power in each of the student's bands.
    curve: Vec<f32>,
}

impl Equaliser {
    /// Draws one within `range_db` either way, for `n_mels` bands of the student.
    pub fn draw(rng: &mut Rng, range_db: f32, n_mels: usize) -> Self {
        let knots: Vec<f32> = (0..N_KNOTS).map(|_| uniform(rng, -range_db, range_db)).collect();
        let curve = (0..n_mels).map(|band| {
            let at = band as f32 * (N_KNOTS - 1) as f32 / (n_mels - 1).max(1) as f32;
            let low = (at as usize).min(N_KNOTS - 2);
            decibels(knots[low] + (knots[low + 1] - knots[low]) * (at - low as f32))
        });
        Self { curve: curve.collect() }
    }

    /// Multiplies every frame by it.
    pub fn apply(&self, bands: &Bands, out: &mut [f32]) {
        let curve: Vec<f32> = bands.interpolate(&self.curve).collect();
        for frame in out.chunks_exact_mut(bands.n_mels) {
            frame.iter_mut().zip(&curve).for_each(|(value, gain)| *value *= gain);
        }
    }
}

//! Noise: white, coloured by a drawn spectrum, and the slow random curves that move levels.

use crate::filter::{Bank, Biquad};
use crate::math;
use crate::rng::Rng;

/// White noise whose spectral density does not depend on the sample rate (unit variance at 24 kHz).
pub(crate) fn white(rng: &mut Rng, sample_rate: f32) -> f32 {
    // A uniform draw in [-1, 1) has variance 1/3.
    rng.bipolar() * (3.0 * sample_rate / 24_000.0).sqrt()
}

/// Noise with the spectral density given as `(Hz, dB)` points, linear in log frequency between
/// them.
///
/// One white source through octave bands in parallel; it follows the points within 3 dB while they
/// fall or rise by no more than 12 dB an octave.
pub(crate) fn coloured(rng: &mut Rng, sample_rate: f32, n: usize, density: &[(f32, f32)]) -> Vec<f32> {
    let log_density: Vec<(f32, f32)> = density.iter().map(|&(hz, db)| (math::ln(hz), db)).collect();
    let centres: Vec<f32> =
        (0..10).map(|octave| 31.25 * (1_u32 << octave) as f32).filter(|&hz| hz < 0.36 * sample_rate).collect();
    let bands: Vec<(Biquad, f32)> = centres
        .iter()
        .enumerate()
        .map(|(i, &hz)| {
            // The uppermost band reaches up to Nyquist. Neighbours have opposite signs, for at the
            // frequency where they cross their phases differ by more than a quarter turn; with
            // these quality factors they then sum to a flat response within 2.5 dB.
            let band = if i + 1 == centres.len() {
                Biquad::high_pass(sample_rate, 0.7 * hz, 0.8)
            } else {
                Biquad::band_pass(sample_rate, hz, 1.2)
            };
            let sign = if i % 2 == 0 { 1.0 } else { -1.0 };
            (band, sign * math::from_db(math::interpolate(&log_density, math::ln(hz))))
        })
        .collect();
    let mut bank = Bank::new(&bands);
    (0..n).map(|_| bank.process(white(rng, sample_rate))).collect()
}

/// White noise through one band pass.
pub(crate) fn band(rng: &mut Rng, sample_rate: f32, n: usize, hz: f32, q: f32) -> Vec<f32> {
    let mut filter = Biquad::band_pass(sample_rate, hz, q);
    (0..n).map(|_| filter.process(white(rng, sample_rate))).collect()
}

/// A gain that wanders smoothly around 1: new targets about `rate_hz` times per second, normally
/// distributed in dB with deviation `depth_db`, joined by half cosines.
pub(crate) fn drift(rng: &mut Rng, sample_rate: f32, n: usize, rate_hz: f32, depth_db: f32) -> Vec<f32> {
    let mut curve = Vec::with_capacity(n);
    let mut from = math::from_db(depth_db * rng.normal());
    while curve.len() < n {
        let to = math::from_db(depth_db * rng.normal());
        let span = (sample_rate / (rate_hz * rng.uniform(0.6, 1.6))).max(1.0) as usize;
        for i in 0..span.min(n - curve.len()) {
            // Smoothstep polynomial: the half cosine's shape without its cost.
            let x = i as f32 / span as f32;
            curve.push(from + (to - from) * x * x * (3.0 - 2.0 * x));
        }
        from = to;
    }
    curve
}

/// A burst of coloured noise: linear attack, then exponential decay with time constant `decay_s`;
/// six of these long.
pub(crate) fn burst(rng: &mut Rng, sample_rate: f32, attack_s: f32, decay_s: f32, density: &[(f32, f32)]) -> Vec<f32> {
    let n = ((attack_s + 6.0 * decay_s) * sample_rate) as usize + 1;
    let mut noise = coloured(rng, sample_rate, n, density);
    let attack = (attack_s * sample_rate).max(1.0);
    let step = math::exp(-1.0 / (decay_s * sample_rate));
    let mut gain = 1.0;
    for (i, x) in noise.iter_mut().enumerate() {
        *x *= gain * (i as f32 / attack).min(1.0);
        if i as f32 >= attack {
            gain *= step;
        }
    }
    noise
}

/// Poisson impulses, `rate_hz` a second, of random sign and log-normal size with deviation
/// `spread_db`: what crackles, drops and grains feed into a body.
pub(crate) fn crackle(rng: &mut Rng, sample_rate: f32, n: usize, rate_hz: f32, spread_db: f32) -> Vec<f32> {
    let mut track = vec![0.0; n];
    let mut at_s = rng.gap(rate_hz);
    while ((at_s * sample_rate) as usize) < n {
        let size = math::from_db(spread_db * rng.normal());
        track[(at_s * sample_rate) as usize] += rng.pick(&[-1.0, 1.0]) * size;
        at_s += rng.gap(rate_hz);
    }
    track
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coloured_noise_follows_its_density() {
        let density = [(60.0, 0.0), (500.0, 0.0), (4000.0, -24.0)];
        let noise = coloured(&mut Rng::new(3), 24_000.0, 96_000, &density);
        let level = |hz: f32| {
            let mut probe = noise.clone();
            Biquad::band_pass(24_000.0, hz, 8.0).run(&mut probe);
            // Equal Q: the band widens with its frequency.
            20.0 * (math::rms(&probe) / hz.sqrt()).log10()
        };
        assert!((level(250.0) - level(500.0)).abs() < 3.0);
        let fall = level(250.0) - level(4000.0);
        assert!((21.0..27.0).contains(&fall), "{fall}");
    }

    #[test]
    fn drift_is_positive_and_wanders_around_one() {
        let curve = drift(&mut Rng::new(4), 24_000.0, 240_000, 4.0, 3.0);
        assert_eq!(curve.len(), 240_000);
        assert!(curve.iter().all(|&gain| gain > 0.0));
        let mean = curve.iter().sum::<f32>() / 240_000.0;
        assert!((0.8..1.4).contains(&mean), "{mean}");
    }
}

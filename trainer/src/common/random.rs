//! Random numbers that depend on nothing but the seed, a purpose and a counter: not on threads, and
//! not on what was drawn before, so that a resumed training needs no state of a generator.

use rand::{Rng as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The generator used throughout: the same on every platform.
pub type Rng = ChaCha8Rng;

/// What a stream of random numbers is for; streams of different purposes are independent.
#[derive(Debug, Clone, Copy)]
pub enum Purpose {
    /// Order of the clips in an epoch.
    Order,
    /// Pairs of a batch.
    Batch,
    /// Crop of an item.
    Crop,
    /// Mixing, noise and masks of an item.
    Mix,
    /// Fresh weights of a tensor.
    Weights,
    /// Dropped features of a batch.
    Dropout,
    /// Start of a segment's view.
    View,
    /// Skipped branches of a batch.
    DropPath,
    /// A part of a composed recording, or the seed of one. Its number is what it was before two
    /// purposes were removed, so that the same seed composes the same recording.
    Composition = 10,
}

/// The generator of `purpose` number `counter`.
pub fn rng_for(seed: u64, purpose: Purpose, counter: u64) -> Rng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8] = purpose as u8 + 1;
    bytes[16..24].copy_from_slice(&counter.to_le_bytes());
    Rng::from_seed(bytes)
}

/// Uniform between two bounds, which may be equal.
pub fn uniform(rng: &mut Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * rng.random::<f32>()
}

/// Beta(a, a), by Johnk's method (Devroye 1986, IX.3.5).
pub fn beta(rng: &mut Rng, a: f32) -> f32 {
    loop {
        let x = rng.random::<f32>().powf(1.0 / a);
        let y = rng.random::<f32>().powf(1.0 / a);
        if x + y > 0.0 && x + y <= 1.0 {
            return x / (x + y);
        }
    }
}

/// Standard normal, by Box and Muller.
pub fn normal(rng: &mut Rng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f32>()).ln()).sqrt();
    radius * (std::f32::consts::TAU * rng.random::<f32>()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beta_is_symmetric_with_the_right_variance() {
        let mut rng = rng_for(1, Purpose::Mix, 0);
        for a in [0.2f32, 0.4, 1.0] {
            let draws: Vec<f32> = (0..20_000).map(|_| beta(&mut rng, a)).collect();
            let mean = draws.iter().sum::<f32>() / draws.len() as f32;
            let variance = draws.iter().map(|d| (d - mean).powi(2)).sum::<f32>() / draws.len() as f32;
            assert!((mean - 0.5).abs() < 0.01, "mean {mean} for {a}");
            assert!((variance - 0.25 / (2.0 * a + 1.0)).abs() < 0.01, "variance {variance} for {a}");
        }
    }

    #[test]
    fn streams_differ_by_purpose_and_counter() {
        let first = |purpose, counter| rng_for(3, purpose, counter).random::<u64>();
        assert_eq!(first(Purpose::Crop, 5), first(Purpose::Crop, 5));
        assert_ne!(first(Purpose::Crop, 5), first(Purpose::Crop, 6));
        assert_ne!(first(Purpose::Crop, 5), first(Purpose::Mix, 5));
    }
}

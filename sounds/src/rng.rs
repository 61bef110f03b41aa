//! Random draws by seed: ChaCha8, whose stream is defined, so that a seed names the same sound
//! everywhere and always.

use rand::RngCore;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::math;

/// A source of random draws. Distributions are written out here, because those of `rand` may change
/// between versions.
pub(crate) struct Rng(ChaCha8Rng);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// An independent generator, so that one part's number of draws does not shift the draws of the
    /// next.
    pub(crate) fn fork(&mut self) -> Self {
        Self::new(self.0.next_u64())
    }

    pub(crate) fn seed(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `[0, 1)`, 24 bits.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / 16_777_216.0
    }

    /// Uniform in `[low, high)`.
    pub(crate) fn uniform(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Uniform on a logarithmic scale in `[low, high)`; for frequencies, sizes and durations.
    pub(crate) fn log_uniform(&mut self, low: f32, high: f32) -> f32 {
        low * math::exp(math::ln(high / low) * self.unit())
    }

    /// Uniform in `[-1, 1)`.
    pub(crate) fn bipolar(&mut self) -> f32 {
        2.0 * self.unit() - 1.0
    }

    /// Standard normal, nearly: the sum of twelve uniforms (Irwin-Hall), bounded at 6.
    pub(crate) fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }

    pub(crate) fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// Seconds to the next event of a Poisson process of `rate_hz`.
    pub(crate) fn gap(&mut self, rate_hz: f32) -> f32 {
        -math::ln(1.0 - self.unit()) / rate_hz
    }

    /// A whole number in `low..=high`.
    pub(crate) fn whole(&mut self, low: usize, high: usize) -> usize {
        low + (self.unit() * (high - low + 1) as f32) as usize
    }

    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.whole(0, items.len() - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_keep_their_bounds_and_means() {
        let mut rng = Rng::new(1);
        let n = 20_000;
        let mut sums = [0.0_f64; 3];
        for _ in 0..n {
            let whole = rng.whole(2, 4);
            assert!((2..=4).contains(&whole));
            let octave = rng.log_uniform(100.0, 400.0);
            assert!((100.0..400.01).contains(&octave));
            sums[0] += f64::from(rng.normal());
            sums[1] += f64::from(rng.gap(10.0));
            sums[2] += whole as f64;
        }
        let means = sums.map(|sum| sum / f64::from(n));
        assert!(means[0].abs() < 0.03);
        assert!((means[1] - 0.1).abs() < 0.005);
        assert!((means[2] - 3.0).abs() < 0.03);
    }
}

//! A take: the mono track a generator writes into, with its own random source.

use crate::rng::Rng;

/// One recording being made: `samples` start silent and generators add to them.
pub(crate) struct Take {
    /// Hz.
    pub(crate) sample_rate: f32,
    pub(crate) samples: Vec<f32>,
    pub(crate) rng: Rng,
}

impl Take {
    pub(crate) fn new(sample_rate: f32, n: usize, rng: Rng) -> Self {
        Self { sample_rate, samples: vec![0.0; n], rng }
    }

    pub(crate) fn n(&self) -> usize {
        self.samples.len()
    }

    pub(crate) fn seconds(&self) -> f32 {
        self.n() as f32 / self.sample_rate
    }

    /// Samples in `seconds`.
    pub(crate) fn count(&self, seconds: f32) -> usize {
        (seconds.max(0.0) * self.sample_rate) as usize
    }

    /// Adds `signal` times `gain`, starting at `at_s` seconds; what lies beyond the end is cut.
    pub(crate) fn add(&mut self, at_s: f32, signal: &[f32], gain: f32) {
        let start = self.count(at_s).min(self.n());
        for (out, x) in self.samples[start..].iter_mut().zip(signal) {
            *out += gain * x;
        }
    }

    /// A silent track of this take's length: the force signal of a struck body, or a curve.
    pub(crate) fn track(&self) -> Vec<f32> {
        vec![0.0; self.n()]
    }
}

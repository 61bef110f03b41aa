//! How the channels of a source compare: frames and their mean enter on the thread that captures,
//! what is wrong with them leaves on any.
//!
//! | finding | in each second |
//! |---|---|
//! | they cancel each other | their mean has less than a tenth of the energy that it would have if they had nothing to do with each other |
//! | they are unequal | one has a hundred times the energy of another, 20 dB |
//!
//! # Real-time
//!
//! Measuring allocates nothing, and hands over by atomics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Below this mean square there is no verdict: -60 dBFS.
const AUDIBLE: f64 = 1e-6;

/// Seconds in a row that make a finding.
const N_CANCELLING: u32 = 3;
const N_UNEQUAL: u32 = 10;

/// What is known by now.
#[derive(Debug, Default)]
pub(crate) struct Balance {
    /// Seconds in a row in which the channels cancelled each other.
    n_cancelling: AtomicU32,
    /// Seconds in a row in which they were unequal.
    n_unequal: AtomicU32,
    /// The loudest channel then, and the faintest, counted from 1.
    loudest: AtomicU32,
    faintest: AtomicU32,
}

impl Balance {
    /// Whether the channels cancel each other.
    pub(crate) fn is_cancelling(&self) -> bool {
        self.n_cancelling.load(Relaxed) >= N_CANCELLING
    }

    /// The loudest channel and the faintest, counted from 1, if they differ much.
    pub(crate) fn unequal(&self) -> Option<(u32, u32)> {
        let is_unequal = self.n_unequal.load(Relaxed) >= N_UNEQUAL;
        is_unequal.then(|| (self.loudest.load(Relaxed), self.faintest.load(Relaxed)))
    }
}

/// Measures; belongs to the one who mixes.
pub(super) struct Meter {
    balance: Arc<Balance>,
    /// Of each channel; none where there is nothing to compare.
    energies: Box<[f64]>,
    mean_energy: f64,
    n_frames: usize,
    window_len: usize,
}

impl Meter {
    /// For frames of `n_channels`; `is_mean` says that all of them are heard.
    pub(super) fn new(n_channels: usize, is_mean: bool, sample_rate: u32) -> Self {
        let n_compared = if is_mean && n_channels > 1 { n_channels } else { 0 };
        Meter {
            balance: Arc::default(),
            energies: vec![0.0; n_compared].into(),
            mean_energy: 0.0,
            n_frames: 0,
            window_len: sample_rate.max(1) as usize,
        }
    }

    pub(super) fn report_to(&mut self, balance: Arc<Balance>) {
        self.balance = balance;
    }

    pub(super) fn balance(&self) -> Arc<Balance> {
        self.balance.clone()
    }

    /// Takes the next frames and their mean.
    pub(super) fn measure<T: Copy>(&mut self, frames: &[T], to_f32: impl Fn(T) -> f32, mean: &[f32]) {
        let n_channels = self.energies.len();
        if n_channels == 0 {
            return;
        }
        let square = |sample: f32| f64::from(sample) * f64::from(sample);
        for (channel, energy) in self.energies.iter_mut().enumerate() {
            *energy += frames.iter().skip(channel).step_by(n_channels).map(|&x| square(to_f32(x))).sum::<f64>();
        }
        self.mean_energy += mean.iter().map(|&x| square(x)).sum::<f64>();
        self.n_frames += mean.len();
        if self.n_frames >= self.window_len {
            self.end_window();
        }
    }

    fn end_window(&mut self) {
        let n_channels = self.energies.len() as f64;
        let mean_of_channels = self.energies.iter().sum::<f64>() / n_channels;
        let (mut loudest, mut faintest) = (0, 0);
        for channel in 1..self.energies.len() {
            if self.energies[channel] > self.energies[loudest] {
                loudest = channel;
            }
            if self.energies[channel] < self.energies[faintest] {
                faintest = channel;
            }
        }
        let is_audible = self.energies[loudest] > AUDIBLE * self.n_frames as f64;
        // Channels that have nothing to do with each other leave an nth of their energy in the
        // mean.
        let cancels = is_audible && self.mean_energy < 0.1 * mean_of_channels / n_channels;
        let is_unequal = is_audible && self.energies[loudest] > 100.0 * self.energies[faintest];
        let count = |counter: &AtomicU32, holds: bool| {
            counter.store(if holds { counter.load(Relaxed).saturating_add(1) } else { 0 }, Relaxed);
        };
        self.balance.loudest.store(loudest as u32 + 1, Relaxed);
        self.balance.faintest.store(faintest as u32 + 1, Relaxed);
        count(&self.balance.n_cancelling, cancels);
        count(&self.balance.n_unequal, is_unequal);
        self.energies.fill(0.0);
        self.mean_energy = 0.0;
        self.n_frames = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Channels, Mono};
    use super::*;

    fn after(n_seconds: usize, channels: &Channels, frame: impl Fn(usize) -> Vec<f32>) -> Arc<Balance> {
        let n_channels = frame(0).len();
        let mut mono = Mono::of(n_channels, channels, 1000);
        let frames: Vec<f32> = (0..n_seconds * 1000).flat_map(frame).collect();
        frames.chunks(77 * n_channels).for_each(|block| mono.mix(block, |_| {}));
        mono.balance()
    }

    fn tone(n: usize) -> f32 {
        0.3 * (n as f32 * 0.7).sin()
    }

    #[test]
    fn channels_of_opposite_polarity_are_found_out() {
        let opposite = |n| vec![tone(n), -tone(n)];
        assert!(!after(2, &Channels::Mean, opposite).is_cancelling());
        assert!(after(5, &Channels::Mean, opposite).is_cancelling());
        assert!(!after(5, &Channels::only(&[1]).unwrap(), opposite).is_cancelling(), "one is heard");
        // Not the channels of an array of which each has its own noise.
        let other = |n: usize, k: usize| 0.3 * ((n * (2 * k + 1) * 31) as f32 * 0.37).sin();
        let array = after(5, &Channels::Mean, |n| (0..8).map(|k| other(n, k)).collect());
        assert!(!array.is_cancelling() && array.unequal().is_none());
        assert!(!after(5, &Channels::Mean, |_| vec![0.0, 0.0]).is_cancelling(), "silence");
    }

    #[test]
    fn a_channel_that_is_not_connected_is_named() {
        let balance = after(12, &Channels::Mean, |n| vec![0.01 * tone(n), tone(n)]);
        assert_eq!(balance.unequal(), Some((2, 1)));
        assert!(after(12, &Channels::Mean, |n| vec![0.5 * tone(n), tone(n)]).unequal().is_none());
    }
}

//! Spectra of single frames. Enters: the `win_length` samples of a frame; leaves: `n_fft / 2 + 1`
//! magnitudes or powers. Runs on the worker thread.

use std::sync::Arc;

use realfft::num_complex::Complex32;
use realfft::{RealFftPlanner, RealToComplex};

use crate::window::hann_periodic;
use crate::{FrontendConfig, Power};

/// The short-time Fourier transform of one frame at a time, with all buffers that it needs.
pub struct Spectrum {
    window: Vec<f32>,
    power: Power,
    fft: Arc<dyn RealToComplex<f32>>,
    input: Vec<f32>,
    output: Vec<Complex32>,
    scratch: Vec<Complex32>,
    bins: Vec<f32>,
}

impl Spectrum {
    /// Plans the transform and allocates the buffers; `config` must be valid.
    pub fn new(config: &FrontendConfig) -> Self {
        let fft = RealFftPlanner::<f32>::new().plan_fft_forward(config.n_fft);
        Self {
            window: hann_periodic(config.win_length),
            power: config.power,
            input: fft.make_input_vec(),
            output: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            bins: vec![0.0; config.n_fft / 2 + 1],
            fft,
        }
    }

    /// The spectrum of `samples` (`win_length`): `n_fft / 2 + 1` bins, from 0 Hz on. The window
    /// starts the transform's input: its place there changes the phase only.
    ///
    /// # Panics
    ///
    /// When there are not `win_length` samples.
    ///
    /// # Real-time
    ///
    /// Does not allocate or block.
    pub fn apply(&mut self, samples: &[f32]) -> &[f32] {
        assert_eq!(samples.len(), self.window.len(), "samples of a frame");
        let (windowed, padding) = self.input.split_at_mut(self.window.len());
        for ((value, sample), weight) in windowed.iter_mut().zip(samples).zip(&self.window) {
            *value = sample * weight;
        }
        padding.fill(0.0);
        self.fft
            .process_with_scratch(&mut self.input, &mut self.output, &mut self.scratch)
            .expect("the buffers were made by the plan");
        for (value, bin) in self.bins.iter_mut().zip(&self.output) {
            let power = bin.norm_sqr();
            *value = match self.power {
                Power::Magnitude => power.sqrt(),
                Power::Power => power,
            };
        }
        &self.bins
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    #[test]
    fn a_tone_between_two_bins_has_its_power_in_both() {
        let config = FrontendConfig { power: Power::Power, ..FrontendConfig::student() };
        let at_bin = 40.5;
        let tone: Vec<f32> =
            (0..config.win_length).map(|n| (TAU * at_bin * n as f64 / config.n_fft as f64).sin() as f32).collect();
        let mut spectrum = Spectrum::new(&config);
        let bins = spectrum.apply(&tone);
        assert_eq!(bins.len(), config.n_fft / 2 + 1);
        let others = bins[..40].iter().chain(&bins[42..]).copied().fold(0.0, f32::max);
        assert!((bins[40] / bins[41] - 1.0).abs() < 0.01 && others < bins[40] / 2.0, "{:?}", &bins[38..44]);
        // The sum of the window's squares, by Parseval's theorem.
        let of_window: f64 = hann_periodic(config.win_length).iter().map(|w| f64::from(*w).powi(2)).sum();
        let sum: f64 = bins.iter().map(|bin| f64::from(*bin)).sum();
        assert!((sum / (of_window / 4.0 * config.n_fft as f64) - 1.0).abs() < 0.01, "{sum}");
    }
}

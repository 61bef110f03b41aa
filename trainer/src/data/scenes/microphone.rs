//! A microphone: samples at its membrane enter, what it makes of them leaves.
//!
//! A smooth random frequency response with a low and a high cut, as a minimum-phase filter, so that
//! nothing sounds before its time; its own white noise; and the level at which it clips.

use super::active::from_db;
use super::fft::Fft;
use super::settings::MicrophoneSettings;
use crate::common::random::{Rng, normal};
use rand::Rng as _;
use realfft::num_complex::Complex;
use serde::Serialize;

/// Frequencies at which the response is drawn; between them it is interpolated over the logarithm
/// of frequency.
const ANCHORS_HZ: [f64; 8] = [50.0, 120.0, 300.0, 700.0, 1600.0, 3600.0, 8000.0, 16_000.0];
/// Length of the filter; the low cut rings longest.
const FILTER_S: f64 = 0.08;

/// A microphone with its properties drawn.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Microphone {
    /// Gain in dB at 50 Hz, 120 Hz, 300 Hz, 700 Hz, 1.6 kHz, 3.6 kHz, 8 kHz and 16 kHz, before the
    /// cuts.
    response_db: [f64; 8],
    low_cut_hz: f64,
    high_cut_hz: f64,
    noise_dbfs: f64,
    clip_dbfs: f64,
}

impl Microphone {
    pub(super) fn draw(settings: &MicrophoneSettings, rng: &mut Rng) -> Self {
        Self {
            response_db: ANCHORS_HZ.map(|_| settings.eq_db * f64::from(normal(rng))),
            low_cut_hz: settings.low_cut_hz.draw_log(rng),
            high_cut_hz: settings.high_cut_hz.draw_log(rng),
            noise_dbfs: settings.noise_dbfs.draw(rng),
            clip_dbfs: settings.clip_dbfs.draw(rng),
        }
    }

    /// Its impulse response.
    pub(super) fn filter(&self, sample_rate: u32, fft: &mut Fft) -> Vec<f32> {
        let rate = f64::from(sample_rate);
        let n_taps = (FILTER_S * rate) as usize;
        let n = (4 * n_taps).next_power_of_two();
        let log_gains = (0..=n / 2).map(|bin| {
            let db = self.gain_db(bin as f64 * rate / n as f64).max(-80.0);
            Complex::new((db / 20.0 * std::f64::consts::LN_10) as f32, 0.0)
        });
        // The minimum phase is the Hilbert transform of the log gain: its cepstrum without the
        // past, doubled (A. Oppenheim and R. Schafer, "Discrete-Time Signal Processing", 3rd ed.,
        // section 13.5).
        let mut cepstrum = fft.inverse(log_gains.collect(), n);
        cepstrum[1..n / 2].iter_mut().for_each(|c| *c *= 2.0);
        cepstrum[n / 2 + 1..].fill(0.0);
        let spectrum = fft.forward(cepstrum).into_iter().map(Complex::exp).collect();
        let mut taps = fft.inverse(spectrum, n);
        taps.truncate(n_taps);
        let fade = n_taps / 8;
        for (i, tap) in taps.iter_mut().rev().take(fade).enumerate() {
            *tap *= i as f32 / fade as f32;
        }
        taps
    }

    /// Adds its noise.
    pub(super) fn hiss(&self, samples: &mut [f32], rng: &mut Rng) {
        // A uniform draw in [-a, a) has variance a^2 / 3.
        let amplitude = (3.0 * from_db(self.noise_dbfs)).sqrt() as f32;
        for x in samples {
            *x += amplitude * (2.0 * rng.random::<f32>() - 1.0);
        }
    }

    /// Holds samples within its range; returns how many were outside.
    pub(super) fn clip(&self, samples: &mut [f32]) -> usize {
        let limit = from_db(self.clip_dbfs).sqrt() as f32;
        let mut n_clipped = 0;
        for x in samples {
            n_clipped += usize::from(x.abs() > limit);
            *x = x.clamp(-limit, limit);
        }
        n_clipped
    }

    fn gain_db(&self, hz: f64) -> f64 {
        let hz = hz.max(1.0);
        let right = ANCHORS_HZ.iter().position(|&anchor| anchor > hz).unwrap_or(ANCHORS_HZ.len());
        let drawn = match right {
            0 => self.response_db[0],
            right if right == ANCHORS_HZ.len() => self.response_db[right - 1],
            right => {
                let part = (hz / ANCHORS_HZ[right - 1]).ln() / (ANCHORS_HZ[right] / ANCHORS_HZ[right - 1]).ln();
                let part = 0.5 - 0.5 * (std::f64::consts::PI * part).cos();
                self.response_db[right - 1] * (1.0 - part) + self.response_db[right] * part
            }
        };
        // Butterworth, second order: |H|^2 = 1 / (1 + (f / f_c)^4) and its mirror image.
        let loss = |ratio: f64| 10.0 * (1.0 + ratio.powi(4)).log10();
        drawn - loss(self.low_cut_hz / hz) - loss(hz / self.high_cut_hz)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::random::{Purpose, rng_for};
    use crate::data::scenes::active::{mean_square, to_db};

    const RATE: u32 = 24_000;

    fn microphone() -> Microphone {
        Microphone::draw(&MicrophoneSettings::default(), &mut rng_for(3, Purpose::Composition, 0))
    }

    #[test]
    fn the_filter_has_the_response_that_was_drawn_and_starts_at_once() {
        let microphone = microphone();
        let mut taps = microphone.filter(RATE, &mut Fft::new());
        let early: f64 = taps[..24].iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        let all: f64 = taps.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        assert!(early > 0.9 * all, "{early} of {all} within a millisecond");
        taps.resize(24_000, 0.0);
        let spectrum = Fft::new().forward(taps);
        for hz in [60, 200, 1000, 3000, 6000, 9000, 11_000] {
            let found = f64::from(20.0 * spectrum[hz].norm().log10());
            let drawn = microphone.gain_db(hz as f64);
            assert!((found - drawn).abs() < 0.5, "{hz} Hz: {found} dB, drawn {drawn}");
        }
    }

    #[test]
    fn noise_and_clipping_have_their_levels() {
        let microphone = Microphone { noise_dbfs: -40.0, clip_dbfs: -20.0, ..microphone() };
        let mut samples = vec![0.0; 48_000];
        microphone.hiss(&mut samples, &mut rng_for(4, Purpose::Composition, 0));
        assert!((to_db(mean_square(&samples)) + 40.0).abs() < 0.1);
        assert_eq!(microphone.clip(&mut samples), 0);
        samples[7] = 0.3;
        samples[8] = -0.11;
        assert_eq!(microphone.clip(&mut samples), 2);
        assert!((samples[7] - 0.1).abs() < 1e-6 && (samples[8] + 0.1).abs() < 1e-6);
    }
}

//! Whose ears a crop is made for.
//!
//! Enters: the student's front end. Leaves: the bands of a network that hears the crop, placed among the student's, so that one and the
//! same treatment (shift, equaliser, noise) can be done to both networks' spectra.

use crate::nets::teacher::mn04;
use edge_frontend::FrontendConfig;

/// Bands of a network's front end.
#[derive(Debug, Clone)]
pub struct Bands {
    /// How many.
    pub n_mels: usize,
    /// For each band, its place among the student's, in bands; within these.
    pub places: Vec<f32>,
    /// For each band, the power that noise has in it which has power 1 in the student's band at its place.
    pub factors: Vec<f32>,
    /// Bands that are as wide as one of the student's.
    pub per_student_band: f32,
}

impl Bands {
    /// The student's own.
    pub fn student(frontend: &FrontendConfig) -> Self {
        let n_mels = frontend.n_mels;
        let places = (0..n_mels).map(|band| band as f32).collect();
        Self { n_mels, places, factors: vec![1.0; n_mels], per_student_band: 1.0 }
    }

    /// Those of EfficientAT mn04, for a student with HTK bands of the power spectrum.
    ///
    /// A band's power for noise of the density `s` is `s * n_fft * sum(window^2) * area`, with the area of its triangle in Hz, and with
    /// the pre-emphasis that mn04 has.
    pub fn mn04(frontend: &FrontendConfig) -> Self {
        let (low, high) = (mn04::mel(frontend.f_min_hz), mn04::mel(frontend.f_max_hz));
        let own = Triangles { low, step: (high - low) / (frontend.n_mels + 1) as f64 };
        let theirs = Triangles { low: 0.0, step: mn04::mel_step() };
        let own_gain = (frontend.n_fft * frontend.win_length) as f64;
        let their_gain = (mn04::N_FFT as usize * mn04::WINDOW) as f64;
        let band = |m: usize| {
            let place = ((theirs.centre(m as f64) - own.low) / own.step - 1.0).clamp(0.0, (frontend.n_mels - 1) as f64);
            let emphasis = mn04::emphasis(mn04::hz(theirs.centre(m as f64)));
            let factor = their_gain * theirs.area_hz(m as f64) * emphasis / (own_gain * own.area_hz(place));
            (place as f32, factor as f32)
        };
        let (places, factors) = (0..mn04::N_MELS).map(band).unzip();
        Self { n_mels: mn04::N_MELS, places, factors, per_student_band: (own.step / theirs.step) as f32 }
    }

    /// A curve over the student's bands, at this network's.
    pub fn interpolate<'a>(&'a self, curve: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
        self.places.iter().map(|&place| {
            let low = (place as usize).min(curve.len() - 1);
            let high = (low + 1).min(curve.len() - 1);
            curve[low] + (curve[high] - curve[low]) * (place - low as f32)
        })
    }
}

/// Triangles equally spaced on the mel scale.
struct Triangles {
    low: f64,
    step: f64,
}

impl Triangles {
    /// Middle of band `m`, in mel.
    fn centre(&self, m: f64) -> f64 {
        self.low + (m + 1.0) * self.step
    }

    fn area_hz(&self, m: f64) -> f64 {
        (mn04::hz(self.centre(m) + self.step) - mn04::hz(self.centre(m) - self.step)) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::random::{Purpose, normal, rng_for};
    use tch::Tensor;

    /// White noise through both front ends: what the factors promise of one is what the other says.
    #[test]
    fn noise_is_as_loud_to_the_teacher_as_the_factors_say() {
        let frontend = FrontendConfig::student();
        let mut rng = rng_for(1, Purpose::Mix, 0);
        let samples: Vec<f32> = (0..20 * 24_000).map(|_| 0.1 * normal(&mut rng)).collect();
        let log_mel = edge_frontend::log_mel(&frontend, &samples).unwrap();
        let mean = |values: &[f32], n: usize, band: usize| {
            let column: Vec<f32> = values.iter().skip(band).step_by(n).copied().collect();
            column.iter().sum::<f32>() / column.len() as f32
        };
        let own: Vec<f32> = log_mel.iter().map(|v| v.exp() - frontend.log_offset as f32).collect();
        let own: Vec<f32> = (0..64).map(|band| mean(&own, 64, band)).collect();
        let resampled = edge_frontend::resample(24_000, mn04::SAMPLE_RATE, &samples).unwrap();
        let heard = mn04::mel_power(&Tensor::from_slice(&resampled).unsqueeze(0)).unwrap();
        let heard = Vec::<f32>::try_from(&heard.contiguous().view([-1])).unwrap();
        let bands = Bands::mn04(&frontend);
        let expected: Vec<f32> = bands.interpolate(&own).zip(&bands.factors).map(|(p, f)| p * f).collect();
        // Below, a band holds a bin or two; from 11 kHz on, the resampler's slope begins.
        for (band, expected) in expected.iter().enumerate().take(112).skip(30) {
            let ratio = mean(&heard, mn04::N_MELS, band) / expected;
            assert!((0.8..1.25).contains(&ratio), "band {band}: {ratio}");
        }
        assert!((bands.per_student_band - 1.81).abs() < 0.02, "{}", bands.per_student_band);
    }
}

//! The bands of the networks that a crop is made for.
//!
//! Enters: the student's front end. Leaves: the bands of a network that hears the crop beside the
//! student, placed among the student's, so that one and the same treatment (shift, equaliser,
//! noise) can be done to the spectra of both networks.

use crate::nets::teacher::mn04;
use edge_frontend::{FrontendConfig, Power};

/// Bands of a network's front end.
#[derive(Debug, Clone)]
pub struct Bands {
    /// How many.
    pub n_mels: usize,
    /// For each band, its place among the student's, in bands; within these.
    pub places: Vec<f32>,
    /// For each band, the power that noise has in it which has power 1 in the student's band at its
    /// place.
    pub factors: Vec<f32>,
    /// Bands that are as wide as one of the student's.
    pub per_student_band: f32,
    /// Frames of the network for one of the student's.
    pub per_student_frame: usize,
}

impl Bands {
    /// The student's own.
    pub fn student(frontend: &FrontendConfig) -> Self {
        let n_mels = frontend.n_mels;
        let places = (0..n_mels).map(|band| band as f32).collect();
        Self { n_mels, places, factors: vec![1.0; n_mels], per_student_band: 1.0, per_student_frame: 1 }
    }

    /// Those of EfficientAT mn04, for a student with HTK bands of the power spectrum.
    ///
    /// A band's power for noise of the density `s` is `s * n_fft * sum(window^2) * area`, with the
    /// area of its triangle in Hz, and with the pre-emphasis that mn04 has.
    pub fn mn04(frontend: &FrontendConfig) -> Self {
        let own = Triangles::of(frontend);
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
        let per_student_band = (own.step / theirs.step) as f32;
        Self { n_mels: mn04::N_MELS, places, factors, per_student_band, per_student_frame: 1 }
    }

    /// Those of a network with the front end `theirs`, both with HTK bands. The powers of a front
    /// end of magnitudes are the squares of its bands.
    ///
    /// For noise of the density `s` a spectral bin has the mean power `p = s * sum(window^2)`. A
    /// band of powers is then `p * weight`, with the sum of its triangle's weights; the square of a
    /// band of magnitudes is `p * pi / 4 * weight^2`, since the mean magnitude of a Gaussian bin is
    /// `sqrt(pi p) / 2`.
    pub fn of(frontend: &FrontendConfig, theirs: &FrontendConfig) -> Self {
        let own = Triangles::of(frontend);
        let other = Triangles::of(theirs);
        let weight =
            |t: &Triangles, f: &FrontendConfig, m: f64| t.area_hz(m) * f.n_fft as f64 / f64::from(f.sample_rate);
        let band = |m: usize| {
            let place = ((other.centre(m as f64) - own.low) / own.step - 1.0).clamp(0.0, (frontend.n_mels - 1) as f64);
            let own_power = frontend.win_length as f64 * weight(&own, frontend, place);
            let their_weight = weight(&other, theirs, m as f64);
            let their_power = theirs.win_length as f64
                * if theirs.power == Power::Magnitude {
                    std::f64::consts::FRAC_PI_4 * their_weight * their_weight
                } else {
                    their_weight
                };
            (place as f32, (their_power / own_power) as f32)
        };
        let (places, factors) = (0..theirs.n_mels).map(band).unzip();
        Self {
            n_mels: theirs.n_mels,
            places,
            factors,
            per_student_band: (own.step / other.step) as f32,
            per_student_frame: frontend.hop_length / theirs.hop_length,
        }
    }

    /// Values of a crop of `n_frames` frames of the student.
    pub fn n_values(&self, n_frames: usize) -> usize {
        n_frames * self.per_student_frame * self.n_mels
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
    /// Those of a front end with HTK bands.
    fn of(frontend: &FrontendConfig) -> Self {
        let (low, high) = (mn04::mel(frontend.f_min_hz), mn04::mel(frontend.f_max_hz));
        Self { low, step: (high - low) / (frontend.n_mels + 1) as f64 }
    }

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

    /// The same for a front end of magnitudes with twice as many frames.
    #[test]
    fn noise_is_as_loud_to_slowfast_as_the_factors_say() {
        let (frontend, theirs) = (FrontendConfig::student(), FrontendConfig::epic_sounds());
        let mut rng = rng_for(1, Purpose::Mix, 1);
        let samples: Vec<f32> = (0..20 * 24_000).map(|_| 0.1 * normal(&mut rng)).collect();
        let powers = |f: &FrontendConfig| -> Vec<f32> {
            let log_mel = edge_frontend::log_mel(f, &samples).unwrap();
            let mel = log_mel.iter().map(|v| (v * f.std + f.mean).exp() - f.log_offset as f32);
            let powers: Vec<f32> = mel.map(|m| if f.power == Power::Magnitude { m * m } else { m }).collect();
            let n_frames = powers.len() / f.n_mels;
            let band = |b: usize| powers.iter().skip(b).step_by(f.n_mels).sum::<f32>() / n_frames as f32;
            (0..f.n_mels).map(band).collect()
        };
        let bands = Bands::of(&frontend, &theirs);
        assert_eq!(bands.per_student_frame, 2);
        let expected: Vec<f32> =
            bands.interpolate(&powers(&frontend)).zip(&bands.factors).map(|(p, f)| p * f).collect();
        let heard = powers(&theirs);
        for band in 40..126 {
            let ratio = heard[band] / expected[band];
            assert!((0.75..1.33).contains(&ratio), "band {band}: {ratio}");
        }
    }
}

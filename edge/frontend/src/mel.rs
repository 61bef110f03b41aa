//! Mel filter bank. Enters: a spectrum of `n_fft / 2 + 1` bins; leaves: `n_mels` band values. Runs
//! on the worker thread.
//!
//! The triangles are those of `librosa.filters.mel` (0.11): linear in Hz between band edges that
//! are equally spaced on the mel scale.

use serde::{Deserialize, Serialize};

/// Spacing of the mel bands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MelScale {
    /// `2595 log10(1 + f / 700)` (HTK book, 3.1, section 5.4).
    Htk,
    /// Linear below 1 kHz, logarithmic above (Slaney, Auditory Toolbox 2, 1998; librosa's default).
    Slaney,
}

/// Weight of the mel bands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MelNorm {
    /// Triangles of peak 1.
    None,
    /// Triangles of equal area: `2 / (f_right - f_left)`.
    Slaney,
}

/// What the bands of a bank are: a part of [`FrontendConfig`](crate::FrontendConfig), which is
/// taken in its place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MelShape {
    /// Samples per second.
    pub sample_rate: u32,
    /// Samples of a spectrum, which has `n_fft / 2 + 1` bins.
    pub n_fft: usize,
    /// Number of bands.
    pub n_mels: usize,
    /// Lower edge of the lowest band, Hz.
    pub f_min_hz: f64,
    /// Upper edge of the highest band, Hz.
    pub f_max_hz: f64,
    /// Spacing of the bands.
    pub scale: MelScale,
    /// Weight of the bands.
    pub norm: MelNorm,
}

/// Triangular filters, each stored from its first non-zero bin on.
pub struct MelBank {
    bands: Vec<Band>,
}

struct Band {
    first_bin: usize,
    weights: Vec<f32>,
}

impl MelBank {
    /// Builds the bank; `shape` must be that of a valid configuration.
    pub fn new(shape: impl Into<MelShape>) -> Self {
        let shape = shape.into();
        let n_bins = shape.n_fft / 2 + 1;
        let bin_hz = f64::from(shape.sample_rate) / shape.n_fft as f64;
        let edges_hz = band_edges_hz(&shape);
        let bands = edges_hz
            .windows(3)
            .map(|edge| {
                let (left, centre, right) = (edge[0], edge[1], edge[2]);
                let area = match shape.norm {
                    MelNorm::None => 1.0,
                    MelNorm::Slaney => 2.0 / (right - left),
                };
                let weight = |bin: usize| {
                    let hz = bin as f64 * bin_hz;
                    let rise = (hz - left) / (centre - left);
                    let fall = (right - hz) / (right - centre);
                    rise.min(fall).max(0.0) * area
                };
                let mut inside = (0..n_bins).filter(|&bin| weight(bin) > 0.0);
                match (inside.next(), inside.next_back()) {
                    (None, _) => Band { first_bin: 0, weights: Vec::new() },
                    (Some(first), last) => Band {
                        first_bin: first,
                        weights: (first..=last.unwrap_or(first)).map(|bin| weight(bin) as f32).collect(),
                    },
                }
            })
            .collect();
        Self { bands }
    }

    /// Each band, the lowest first: the first bin that has a weight, and the weights from there on.
    pub fn bands(&self) -> impl Iterator<Item = (usize, &[f32])> {
        self.bands.iter().map(|band| (band.first_bin, band.weights.as_slice()))
    }

    /// Bands of the bank.
    pub fn n_mels(&self) -> usize {
        self.bands.len()
    }

    /// Writes the weighted sums of `spectrum` (`n_fft / 2 + 1` bins) to `bands` (`n_mels`).
    ///
    /// # Real-time
    ///
    /// Does not allocate.
    pub fn apply(&self, spectrum: &[f32], bands: &mut [f32]) {
        for (value, band) in bands.iter_mut().zip(&self.bands) {
            let bins = &spectrum[band.first_bin..band.first_bin + band.weights.len()];
            *value = bins.iter().zip(&band.weights).map(|(bin, weight)| bin * weight).sum();
        }
    }

    /// Index of the first band into which no bin falls, if there is one.
    pub fn empty_band(&self) -> Option<usize> {
        self.bands.iter().position(|band| band.weights.is_empty())
    }
}

/// Frequency of the peak of each band's triangle, Hz: `n_mels` values.
pub fn centres_hz(shape: impl Into<MelShape>) -> Vec<f64> {
    let edges_hz = band_edges_hz(&shape.into());
    edges_hz[1..edges_hz.len() - 1].to_vec()
}

/// `n_mels + 2` frequencies, equally spaced on the mel scale from `f_min_hz` to `f_max_hz`.
fn band_edges_hz(shape: &MelShape) -> Vec<f64> {
    let (low, high) = (to_mel(shape.f_min_hz, shape.scale), to_mel(shape.f_max_hz, shape.scale));
    let step = (high - low) / (shape.n_mels + 1) as f64;
    (0..shape.n_mels + 2).map(|i| to_hz(low + step * i as f64, shape.scale)).collect()
}

/// Slaney's scale: 200/3 Hz a mel below 1 kHz, 27 mels for a factor of 6.4 above.
const SLANEY_HZ_PER_MEL: f64 = 200.0 / 3.0;
const SLANEY_BREAK_HZ: f64 = 1000.0;
const SLANEY_BREAK_MEL: f64 = SLANEY_BREAK_HZ / SLANEY_HZ_PER_MEL;

fn slaney_log_step() -> f64 {
    6.4_f64.ln() / 27.0
}

fn to_mel(hz: f64, scale: MelScale) -> f64 {
    match scale {
        MelScale::Htk => 2595.0 * (1.0 + hz / 700.0).log10(),
        MelScale::Slaney if hz < SLANEY_BREAK_HZ => hz / SLANEY_HZ_PER_MEL,
        MelScale::Slaney => SLANEY_BREAK_MEL + (hz / SLANEY_BREAK_HZ).ln() / slaney_log_step(),
    }
}

fn to_hz(mel: f64, scale: MelScale) -> f64 {
    match scale {
        MelScale::Htk => 700.0 * (10_f64.powf(mel / 2595.0) - 1.0),
        MelScale::Slaney if mel < SLANEY_BREAK_MEL => mel * SLANEY_HZ_PER_MEL,
        MelScale::Slaney => SLANEY_BREAK_HZ * (slaney_log_step() * (mel - SLANEY_BREAK_MEL)).exp(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FrontendConfig;

    #[test]
    fn scales_invert() {
        for scale in [MelScale::Htk, MelScale::Slaney] {
            for hz in [0.0, 50.0, 999.0, 1000.0, 1001.0, 4321.0, 12_000.0] {
                assert!((to_hz(to_mel(hz, scale), scale) - hz).abs() < 1e-9 * (1.0 + hz), "{scale:?} {hz}");
            }
        }
    }

    #[test]
    fn htk_places_1000_mel_at_1000_hz() {
        assert!((to_mel(1000.0, MelScale::Htk) - 1000.0).abs() < 0.05);
    }

    #[test]
    fn slaney_norm_gives_bands_of_unit_area() {
        let config = FrontendConfig { mel_norm: MelNorm::Slaney, n_mels: 16, ..FrontendConfig::student() };
        let bank = MelBank::new(&config);
        let bin_hz = 24_000.0 / 1024.0;
        for band in &bank.bands {
            let area: f32 = band.weights.iter().sum::<f32>() * bin_hz as f32;
            assert!((area - 1.0).abs() < 0.05, "{area}");
        }
    }

    #[test]
    fn centres_are_where_the_filters_peak() {
        let config = FrontendConfig { n_fft: 4096, n_mels: 24, ..FrontendConfig::student() };
        let (bank, centres) = (MelBank::new(&config), centres_hz(&config));
        assert_eq!(centres.len(), 24);
        for (band, centre) in bank.bands.iter().zip(&centres) {
            let peak = (0..band.weights.len()).max_by(|&a, &b| band.weights[a].total_cmp(&band.weights[b])).unwrap();
            let hz = (band.first_bin + peak) as f64 * 24_000.0 / 4096.0;
            assert!((hz - centre).abs() <= 24_000.0 / 4096.0, "{hz} {centre}");
        }
    }

    #[test]
    fn the_students_bands_are_never_empty() {
        assert_eq!(MelBank::new(&FrontendConfig::student()).empty_band(), None);
    }
}

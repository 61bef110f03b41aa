//! Parameters of the log-mel front end: validated, comparable, and hashed so that a model can
//! refuse the wrong ones.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Error;
use crate::mel::{MelBank, MelNorm, MelScale, MelShape};

/// Exponent of the spectrum's magnitude, written 1 or 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Power {
    /// `|X|`
    Magnitude,
    /// `|X|^2`
    Power,
}

impl TryFrom<u8> for Power {
    type Error = String;

    fn try_from(value: u8) -> Result<Self, String> {
        match value {
            1 => Ok(Power::Magnitude),
            2 => Ok(Power::Power),
            other => Err(format!("power is {other}, expected 1 or 2")),
        }
    }
}

impl From<Power> for u8 {
    fn from(power: Power) -> u8 {
        match power {
            Power::Magnitude => 1,
            Power::Power => 2,
        }
    }
}

/// Everything that determines a log-mel frame's numbers.
///
/// A frame's value in band `m` is `(ln(mel_m + log_offset) - mean) / std`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrontendConfig {
    /// Samples a second of the input.
    pub sample_rate: u32,
    /// Length of the Fourier transform in samples; even. The window is zero-padded to it.
    pub n_fft: usize,
    /// Length of the periodic Hann window in samples, at most `n_fft`.
    pub win_length: usize,
    /// Samples from one frame to the next.
    pub hop_length: usize,
    /// Mel bands a frame.
    pub n_mels: usize,
    /// Lower edge of the first band in Hz.
    pub f_min_hz: f64,
    /// Upper edge of the last band in Hz, at most half the sample rate.
    pub f_max_hz: f64,
    /// Spacing of the bands.
    pub mel_scale: MelScale,
    /// Weight of the bands.
    pub mel_norm: MelNorm,
    /// Magnitude (1) or power (2) spectrum.
    pub power: Power,
    /// Added before the logarithm; sets the floor.
    pub log_offset: f64,
    /// `true`: frame `t` is centred on sample `t * hop_length`, with zeros beyond both ends of the
    /// stream (librosa's `center=True, pad_mode="constant"`). `false`: frame `t` covers samples `[t
    /// * hop_length, t * hop_length + win_length)`; causal, nothing is invented.
    pub centre_padding: bool,
    /// Subtracted after the logarithm.
    #[serde(default)]
    pub mean: f32,
    /// Divides after the mean was subtracted.
    #[serde(default = "one")]
    pub std: f32,
}

fn one() -> f32 {
    1.0
}

impl FrontendConfig {
    /// The front end of the EPIC-SOUNDS recipe: 24 kHz, 10 ms window in an FFT of 2048, 5 ms hop,
    /// 128 HTK bands over 0-12 kHz of the magnitude spectrum, centred; 1.999 s give 400 frames (Huh
    /// et al., EPIC-SOUNDS, ICASSP 2023).
    pub fn epic_sounds() -> Self {
        Self {
            sample_rate: 24_000,
            n_fft: 2048,
            win_length: 240,
            hop_length: 120,
            n_mels: 128,
            f_min_hz: 0.0,
            f_max_hz: 12_000.0,
            mel_scale: MelScale::Htk,
            mel_norm: MelNorm::None,
            power: Power::Magnitude,
            log_offset: 1e-6,
            centre_padding: true,
            mean: 0.0,
            std: 1.0,
        }
    }

    /// The streaming student's front end: 24 kHz, 25 ms window, 10 ms hop, 64 HTK bands over
    /// 50-12000 Hz of the power spectrum, causal. The offset of 1e-6 lies near -83 dBFS of white
    /// noise a band: below the noise of a room.
    pub fn student() -> Self {
        Self {
            sample_rate: 24_000,
            n_fft: 1024,
            win_length: 600,
            hop_length: 240,
            n_mels: 64,
            f_min_hz: 50.0,
            f_max_hz: 12_000.0,
            mel_scale: MelScale::Htk,
            mel_norm: MelNorm::None,
            power: Power::Power,
            log_offset: 1e-6,
            centre_padding: false,
            mean: 0.0,
            std: 1.0,
        }
    }

    /// Checks every field against its range and against the others.
    ///
    /// # Errors
    ///
    /// [`Error::Frontend`] names the first field that does not hold, what was expected, and what
    /// was given. A band so narrow that no spectral bin falls into it is such an error too: it
    /// would be a constant.
    pub fn validate(&self) -> Result<(), Error> {
        let nyquist = f64::from(self.sample_rate) / 2.0;
        check((4_000..=384_000).contains(&self.sample_rate), "sample_rate", "4000 to 384000", self.sample_rate)?;
        check(
            self.n_fft.is_multiple_of(2) && (16..=65_536).contains(&self.n_fft),
            "n_fft",
            "an even number from 16 to 65536",
            self.n_fft,
        )?;
        check(
            (2..=self.n_fft).contains(&self.win_length),
            "win_length",
            &format!("2 to n_fft ({})", self.n_fft),
            self.win_length,
        )?;
        check((1..=self.n_fft).contains(&self.hop_length), "hop_length", "1 to n_fft", self.hop_length)?;
        check((1..=1024).contains(&self.n_mels), "n_mels", "1 to 1024", self.n_mels)?;
        check(
            self.f_min_hz >= 0.0 && self.f_min_hz < self.f_max_hz,
            "f_min_hz",
            &format!("0 to below f_max_hz ({})", self.f_max_hz),
            self.f_min_hz,
        )?;
        check(
            self.f_max_hz <= nyquist,
            "f_max_hz",
            &format!("at most half the sample rate ({nyquist})"),
            self.f_max_hz,
        )?;
        check(
            self.log_offset.is_finite() && self.log_offset >= 1e-12,
            "log_offset",
            "a finite number of at least 1e-12",
            self.log_offset,
        )?;
        check(self.mean.is_finite(), "mean", "a finite number", self.mean)?;
        check(self.std.is_finite() && self.std > 0.0, "std", "a finite number above 0", self.std)?;
        match MelBank::new(self).empty_band() {
            None => Ok(()),
            Some(band) => Err(Error::Frontend {
                field: "n_mels",
                expected: format!(
                    "bands wide enough for a bin of {:.1} Hz",
                    f64::from(self.sample_rate) / self.n_fft as f64
                ),
                actual: format!("{} with band {band} empty", self.n_mels),
            }),
        }
    }

    /// First 16 hexadecimal digits of the SHA-256 over all fields in a fixed order and notation.
    /// Two configurations with the same hash give the same features.
    pub fn hash(&self) -> String {
        let text = format!(
            "log-mel 1;{};{};{};{};{};{:?};{:?};{:?};{:?};{};{:?};{};{:?};{:?}",
            self.sample_rate,
            self.n_fft,
            self.win_length,
            self.hop_length,
            self.n_mels,
            self.f_min_hz,
            self.f_max_hz,
            self.mel_scale,
            self.mel_norm,
            u8::from(self.power),
            self.log_offset,
            self.centre_padding,
            self.mean,
            self.std,
        );
        Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The hash of the features as they are before the normalisation, as a number: that of the same
    /// fields with mean 0 and standard deviation 1. A microcontroller that computes features says
    /// which with it.
    pub fn raw_hash(&self) -> u64 {
        let raw = Self { mean: 0.0, std: 1.0, ..self.clone() };
        // Sixteen hexadecimal digits are a number of 64 bits.
        u64::from_str_radix(&raw.hash(), 16).unwrap_or(0)
    }

    /// Frames that a clip of `n_samples` gives.
    pub fn n_frames(&self, n_samples: usize) -> usize {
        if self.centre_padding {
            1 + n_samples / self.hop_length
        } else if n_samples < self.win_length {
            0
        } else {
            1 + (n_samples - self.win_length) / self.hop_length
        }
    }

    /// Seconds from one frame to the next.
    pub fn hop_seconds(&self) -> f64 {
        self.hop_length as f64 / f64::from(self.sample_rate)
    }

    /// The frames in `ms` milliseconds, at least 1, where that is a whole number: to a hundredth,
    /// for a hop need not be a decimal number of milliseconds.
    pub fn whole_frames(&self, ms: f64) -> Option<usize> {
        let n_frames = ms / 1e3 / self.hop_seconds();
        let whole = n_frames.round();
        // Comparisons that a NaN fails; the bound keeps the conversion exact.
        let fits = (n_frames - whole).abs() <= 0.01 && (1.0..=1e9).contains(&whole);
        fits.then_some(whole as usize)
    }

    /// What every band of a frame holds in digital silence.
    pub fn silence(&self) -> f32 {
        ((self.log_offset as f32).ln() - self.mean) / self.std
    }

    /// Zeros that come before the first sample of a stream: frame 0 begins this many samples before
    /// it.
    pub fn n_lead(&self) -> usize {
        if self.centre_padding { self.n_fft / 2 - (self.n_fft - self.win_length) / 2 } else { 0 }
    }
}

fn check(holds: bool, field: &'static str, expected: &str, actual: impl std::fmt::Display) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Frontend { field, expected: expected.into(), actual: actual.to_string() }) }
}

impl From<&FrontendConfig> for MelShape {
    fn from(config: &FrontendConfig) -> Self {
        MelShape {
            sample_rate: config.sample_rate,
            n_fft: config.n_fft,
            n_mels: config.n_mels,
            f_min_hz: config.f_min_hz,
            f_max_hz: config.f_max_hz,
            scale: config.mel_scale,
            norm: config.mel_norm,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_presets_are_valid() {
        FrontendConfig::epic_sounds().validate().unwrap();
        FrontendConfig::student().validate().unwrap();
    }

    #[test]
    fn an_epic_view_has_400_frames() {
        let config = FrontendConfig::epic_sounds();
        assert_eq!(config.n_frames(47_975), 400);
        assert_eq!(config.n_frames(0), 1);
    }

    #[test]
    fn milliseconds_are_whole_frames_or_none() {
        let config = FrontendConfig::epic_sounds();
        assert_eq!([5.0, 200.0, 1999.99].map(|ms| config.whole_frames(ms)), [Some(1), Some(40), Some(400)]);
        assert_eq!([0.0, 2.0, 7.5, -5.0, 1e300, f64::NAN, f64::INFINITY].map(|ms| config.whole_frames(ms)), [None; 7]);
        let odd = FrontendConfig { sample_rate: 22_050, hop_length: 256, f_max_hz: 11_025.0, ..config };
        assert_eq!((odd.whole_frames(116.1), odd.whole_frames(117.0)), (Some(10), None));
    }

    #[test]
    fn every_field_is_checked_and_named() {
        type Spoil = fn(&mut FrontendConfig);
        let cases: [(&str, Spoil); 12] = [
            ("n_mels", |c| c.n_mels = 300),
            ("sample_rate", |c| c.sample_rate = 0),
            ("n_fft", |c| c.n_fft = 1023),
            ("win_length", |c| c.win_length = 1025),
            ("hop_length", |c| c.hop_length = 0),
            ("n_mels", |c| c.n_mels = 0),
            ("f_min_hz", |c| c.f_min_hz = 12_000.0),
            ("f_min_hz", |c| c.f_min_hz = f64::NAN),
            ("f_max_hz", |c| c.f_max_hz = 12_001.0),
            ("log_offset", |c| c.log_offset = 0.0),
            ("mean", |c| c.mean = f32::NAN),
            ("std", |c| c.std = 0.0),
        ];
        for (name, spoil) in cases {
            let mut config = FrontendConfig::student();
            spoil(&mut config);
            match config.validate() {
                Err(Error::Frontend { field, .. }) => assert_eq!(field, name),
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_hash_sees_every_field() {
        let base = FrontendConfig::student();
        let others = [
            FrontendConfig { sample_rate: 24_001, ..base.clone() },
            FrontendConfig { n_fft: 2048, ..base.clone() },
            FrontendConfig { win_length: 601, ..base.clone() },
            FrontendConfig { hop_length: 241, ..base.clone() },
            FrontendConfig { n_mels: 65, ..base.clone() },
            FrontendConfig { f_min_hz: 51.0, ..base.clone() },
            FrontendConfig { f_max_hz: 11_999.0, ..base.clone() },
            FrontendConfig { mel_scale: MelScale::Slaney, ..base.clone() },
            FrontendConfig { mel_norm: MelNorm::Slaney, ..base.clone() },
            FrontendConfig { power: Power::Magnitude, ..base.clone() },
            FrontendConfig { log_offset: 2e-6, ..base.clone() },
            FrontendConfig { centre_padding: true, ..base.clone() },
            FrontendConfig { mean: 0.5, ..base.clone() },
            FrontendConfig { std: 2.0, ..base.clone() },
        ];
        let mut hashes: Vec<_> = others.iter().chain([&base]).map(FrontendConfig::hash).collect();
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), others.len() + 1);
        assert_eq!(base.hash().len(), 16);
    }
}

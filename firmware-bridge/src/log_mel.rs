//! Log-mel frames on the node: samples enter, one frame of bands per hop leaves, so that features
//! travel instead of sound. On the thread of the microphone.
//!
//! The frames are those of the daemon's front end, to a thousandth, before it normalises them; its
//! tables come from the same code, at build time ([`Tables`]). With 64 bands and 100 frames per
//! second they need 6.4 kB/s as bytes, and no speech can be understood from what leaves the node.
//!
//! The payload of a [`Kind::LogMel`](crate::frame::Kind::LogMel) frame:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | bands of a frame |
//! | 1 | n | frames in order, a byte per band, the lowest first: [`quantise`] |
//!
//! The stamp is the index of the sample with which the first frame begins.

use microfft::Complex32;
use microfft::real::{rfft_256, rfft_512, rfft_1024};

use crate::msg::Features;

/// Points of the longest transform: that of the shipped models.
pub const MAX_N_FFT: usize = 1024;

/// Value of the byte 0: a little below the logarithm of the shipped models' offset, 1e-6.
const FLOOR: f32 = -14.0;

/// From one byte to the next; 255 stands for 11.5, which a full-scale sine does not reach.
const STEP: f32 = 0.1;

/// One triangle of the filter bank.
#[derive(Clone, Copy, Debug)]
pub struct Band<'t> {
    /// Bin of the first weight, 0 to half the transform's points.
    pub first_bin: usize,
    /// Weights of the bins from there on.
    pub weights: &'t [f32],
}

/// What a front end is made of, computed by `edge-frontend` where the firmware is built and kept in
/// flash. Its spectrum is of power, and its frames begin with their first sample: `power = 2` and
/// `centre_padding = false` in a manifest.
#[derive(Clone, Copy, Debug)]
pub struct Tables<'t> {
    /// `FrontendConfig::raw_hash` of the front end.
    pub hash: u64,
    /// Points of the transform: 256, 512 or 1024.
    pub n_fft: usize,
    /// The taper, `win_length` values, at most `n_fft`.
    pub window: &'t [f32],
    /// Samples from one frame to the next, at most `win_length`.
    pub hop_length: usize,
    /// The filter bank over the power spectrum, at most 255 bands.
    pub bands: &'t [Band<'t>],
    /// Added to each band before the logarithm.
    pub log_offset: f32,
}

impl Tables<'_> {
    /// What a hello states about them.
    pub const fn features(&self) -> Features {
        Features {
            hash: self.hash,
            // `LogMel::new` takes no larger ones.
            n_fft: self.n_fft as u16,
            win_length: self.window.len() as u16,
            hop_length: self.hop_length as u16,
            n_mels: self.bands.len() as u8,
        }
    }
}

/// Turns a stream of samples into frames of log-mel bands.
#[derive(Debug)]
pub struct LogMel<'t> {
    tables: Tables<'t>,
    /// The last samples, up to one window.
    history: [f32; MAX_N_FFT],
    n_history: usize,
}

impl<'t> LogMel<'t> {
    /// A stream that begins with the first sample of the first frame.
    ///
    /// # Panics
    ///
    /// When the transform has none of the three lengths, the window is longer than it, the hop is 0
    /// or longer than the window, there are more than 255 bands, or one reaches past the last bin.
    pub fn new(tables: Tables<'t>) -> Self {
        assert!(matches!(tables.n_fft, 256 | 512 | 1024) && tables.window.len() <= tables.n_fft);
        assert!((1..=tables.window.len()).contains(&tables.hop_length) && tables.bands.len() <= 255);
        assert!(tables.bands.iter().all(|band| band.first_bin + band.weights.len() <= tables.n_fft / 2 + 1));
        Self { tables, history: [0.0; MAX_N_FFT], n_history: 0 }
    }

    /// What it is made of.
    pub fn tables(&self) -> &Tables<'t> {
        &self.tables
    }

    /// Forgets the samples that wait for their frame, and returns their number; the next sample is
    /// the first of a stream.
    pub fn reset(&mut self) -> usize {
        core::mem::take(&mut self.n_history)
    }

    /// Takes the next samples and calls `on_band` with each band of the frames that they complete,
    /// in order: its index and its value, the natural logarithm of an energy.
    ///
    /// # Real-time
    ///
    /// Never waits; one transform a frame.
    pub fn push(&mut self, samples: &[i16], mut on_band: impl FnMut(usize, f32)) {
        let win_length = self.tables.window.len();
        for &sample in samples {
            self.history[self.n_history] = f32::from(sample) / 32_768.0;
            self.n_history += 1;
            if self.n_history == win_length {
                self.frame(&mut on_band);
                self.history.copy_within(self.tables.hop_length..win_length, 0);
                self.n_history -= self.tables.hop_length;
            }
        }
    }

    fn frame(&self, on_band: &mut impl FnMut(usize, f32)) {
        let mut buffer = [0.0; MAX_N_FFT];
        for ((value, sample), weight) in buffer.iter_mut().zip(&self.history).zip(self.tables.window) {
            *value = sample * weight;
        }
        let spectrum = transform(&mut buffer, self.tables.n_fft);
        // The bin of half the rate is real and comes in the place of the first one's imaginary
        // part, which is 0.
        let last = spectrum[0].im;
        spectrum[0].im = 0.0;
        let power =
            |bin: usize| spectrum.get(bin).map_or(last * last, |value| value.re * value.re + value.im * value.im);
        for (index, band) in self.tables.bands.iter().enumerate() {
            let weighted = band.weights.iter().enumerate().map(|(n, weight)| weight * power(band.first_bin + n));
            on_band(index, libm::logf(weighted.sum::<f32>() + self.tables.log_offset));
        }
    }
}

/// The spectrum of the first `n_fft` values, half as many bins.
fn transform(buffer: &mut [f32; MAX_N_FFT], n_fft: usize) -> &mut [Complex32] {
    match n_fft {
        256 => match buffer.first_chunk_mut() {
            Some(buffer) => rfft_256(buffer),
            None => &mut [],
        },
        512 => match buffer.first_chunk_mut() {
            Some(buffer) => rfft_512(buffer),
            None => &mut [],
        },
        _ => rfft_1024(buffer),
    }
}

/// The byte of a band, to within half a tenth of a neper.
pub fn quantise(value: f32) -> u8 {
    // The conversion stops at 0 and 255.
    ((value - FLOOR) / STEP + 0.5) as u8
}

/// The band of a byte.
pub fn restore(byte: u8) -> f32 {
    f32::from(byte) * STEP + FLOOR
}

#[cfg(test)]
mod tests {
    use edge_frontend::mel::MelBank;
    use edge_frontend::window::hann_periodic;
    use edge_frontend::{FrontendConfig, MelNorm, log_mel};

    use super::*;

    /// A sweep over silence, a loud tone and noise.
    fn samples() -> Vec<i16> {
        let mut state = 1_u32;
        (0..if cfg!(miri) { 1_500 } else { 24_000_u32 })
            .map(|n| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let t = f64::from(n) / 24_000.0;
                let noise = f64::from(state >> 16) / 65_536.0 - 0.5;
                let level = [0.0, 0.9, 0.001, 0.3][n as usize / 6_000];
                (32_767.0 * level * ((6_000.0 * t * t * std::f64::consts::TAU).sin() * 0.9 + 0.1 * noise)) as i16
            })
            .collect()
    }

    #[test]
    fn frames_are_those_of_the_daemon_to_a_thousandth() {
        let student = FrontendConfig::student();
        let at_16_khz = FrontendConfig {
            sample_rate: 16_000,
            n_fft: 512,
            win_length: 400,
            hop_length: 160,
            n_mels: 40,
            f_max_hz: 8_000.0,
            ..student.clone()
        };
        let slaney = FrontendConfig { mel_norm: MelNorm::Slaney, n_mels: 64, n_fft: 1024, ..at_16_khz.clone() };
        let at_8_khz = FrontendConfig {
            sample_rate: 8_000,
            n_fft: 256,
            win_length: 256,
            n_mels: 20,
            f_max_hz: 4_000.0,
            ..at_16_khz.clone()
        };
        for config in [student, at_16_khz, slaney, at_8_khz] {
            let (window, bank) = (hann_periodic(config.win_length), MelBank::new(&config));
            let bands: Vec<Band<'_>> = bank.bands().map(|(first_bin, weights)| Band { first_bin, weights }).collect();
            let tables = Tables {
                hash: config.raw_hash(),
                n_fft: config.n_fft,
                window: &window,
                hop_length: config.hop_length,
                bands: &bands,
                log_offset: config.log_offset as f32,
            };
            let samples = samples();
            let floats: Vec<f32> = samples.iter().map(|&sample| f32::from(sample) / 32_768.0).collect();
            let expected = log_mel(&config, &floats).unwrap();
            let mut stream = LogMel::new(tables);
            // What an earlier stream left.
            stream.push(&[i16::MAX; 77], |_, _| ());
            assert_eq!(stream.reset(), 77);
            let mut got = Vec::new();
            for block in samples.chunks(331) {
                stream.push(block, |_, value| got.push(value));
            }
            assert_eq!(got.len(), expected.len());
            for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
                assert!((got - expected).abs() < 1e-3, "{config:?}, {index}: {got} {expected}");
                assert!((restore(quantise(*got)) - got).abs() <= 0.0501, "{config:?}, {index}: {got}");
            }
        }
    }

    #[test]
    fn bytes_stop_at_their_limits() {
        assert_eq!([-100.0, -14.0, 11.5, 100.0].map(quantise), [0, 0, 255, 255]);
    }
}

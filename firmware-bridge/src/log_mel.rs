//! Log-mel frames on the node: samples enter, one frame of bands a hop leaves, so that features travel instead of sound. On the thread of
//! the microphone.
//!
//! The frames are those of the daemon's front end, to a thousandth, before it normalises them; its tables come from the same code, at
//! build time ([`Tables`]). With 64 bands and 100 frames a second they need 6.4 kB/s as bytes, and no speech can be understood from
//! what leaves the node.
//!
//! The payload of a [`Kind::LogMel`](crate::frame::Kind::LogMel) frame:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | bands of a frame |
//! | 1 | n | frames in order, a byte a band, the lowest first: [`quantise`] |
//!
//! The stamp is the index of the sample with which the first frame begins.

use microfft::real::rfft_1024;

/// Length of the transform: that of the shipped models.
pub const N_FFT: usize = 1024;

/// Value of the byte 0: below the logarithm of any offset in use.
const FLOOR: f32 = -14.0;

/// From one byte to the next; 255 stands for 11.5, which a full-scale sine does not reach.
const STEP: f32 = 0.1;

/// One triangle of the filter bank.
#[derive(Clone, Copy, Debug)]
pub struct Band<'t> {
    /// Bin of the first weight, 0-512.
    pub first_bin: usize,
    /// Weights of the bins from there on.
    pub weights: &'t [f32],
}

/// What a front end is made of, computed by `edge-frontend` where the firmware is built and kept in flash.
#[derive(Clone, Copy, Debug)]
pub struct Tables<'t> {
    /// The taper, `win_length` values, at most [`N_FFT`].
    pub window: &'t [f32],
    /// Samples from one frame to the next, at most `win_length`.
    pub hop_length: usize,
    /// The filter bank over the power spectrum.
    pub bands: &'t [Band<'t>],
    /// Added to each band before the logarithm.
    pub log_offset: f32,
}

/// Turns a stream of samples into frames of log-mel bands.
#[derive(Debug)]
pub struct LogMel<'t> {
    tables: Tables<'t>,
    /// The last samples, up to one window.
    history: [f32; N_FFT],
    n_history: usize,
}

impl<'t> LogMel<'t> {
    /// A stream that begins with the first sample of the first frame.
    ///
    /// # Panics
    ///
    /// When the window is longer than the transform, the hop is 0 or longer than the window, or a band reaches past bin 512.
    pub fn new(tables: Tables<'t>) -> Self {
        assert!(tables.window.len() <= N_FFT && (1..=tables.window.len()).contains(&tables.hop_length));
        assert!(tables.bands.iter().all(|band| band.first_bin + band.weights.len() <= N_FFT / 2 + 1));
        Self { tables, history: [0.0; N_FFT], n_history: 0 }
    }

    /// Takes the next samples and calls `on_band` with each band of the frames that they complete, in order: its index and its
    /// value, the natural logarithm of an energy.
    ///
    /// # Real-time
    ///
    /// Never waits; one transform of 1024 points a frame.
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
        let mut buffer = [0.0; N_FFT];
        for ((value, sample), weight) in buffer.iter_mut().zip(&self.history).zip(self.tables.window) {
            *value = sample * weight;
        }
        let spectrum = rfft_1024(&mut buffer);
        // The bin of half the rate is real and comes in the place of the first one's imaginary part, which is 0.
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
    use edge_frontend::{FrontendConfig, log_mel};

    use super::*;

    /// The filter bank, bin by bin: what a band makes of a spectrum that is 1 there and 0 elsewhere.
    fn bands(config: &FrontendConfig) -> Vec<(usize, Vec<f32>)> {
        let bank = MelBank::new(config);
        let mut columns = vec![vec![0.0; config.n_mels]; N_FFT / 2 + 1];
        for (bin, column) in columns.iter_mut().enumerate() {
            let mut spectrum = vec![0.0; N_FFT / 2 + 1];
            spectrum[bin] = 1.0;
            bank.apply(&spectrum, column);
        }
        let band = |band: usize| {
            let weights: Vec<f32> = columns.iter().map(|column| column[band]).collect();
            let first = weights.iter().position(|&weight| weight > 0.0).unwrap();
            let n = weights[first..].iter().take_while(|&&weight| weight > 0.0).count();
            (first, weights[first..first + n].to_vec())
        };
        (0..config.n_mels).map(band).collect()
    }

    #[test]
    fn frames_are_those_of_the_daemon_to_a_thousandth() {
        let config = FrontendConfig { mean: 0.0, std: 1.0, ..FrontendConfig::student() };
        assert_eq!(config.n_fft, N_FFT);
        let (window, owned) = (hann_periodic(config.win_length), bands(&config));
        let borrowed: Vec<Band<'_>> =
            owned.iter().map(|(first_bin, weights)| Band { first_bin: *first_bin, weights }).collect();
        let tables = Tables {
            window: &window,
            hop_length: config.hop_length,
            bands: &borrowed,
            log_offset: config.log_offset as f32,
        };
        // A sweep over silence, a loud tone and noise.
        let mut state = 1_u32;
        let samples: Vec<i16> = (0..24_000_u32)
            .map(|n| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let t = f64::from(n) / 24_000.0;
                let noise = f64::from(state >> 16) / 65_536.0 - 0.5;
                let level = [0.0, 0.9, 0.001, 0.3][n as usize / 6_000];
                (32_767.0 * level * ((6_000.0 * t * t * std::f64::consts::TAU).sin() * 0.9 + 0.1 * noise)) as i16
            })
            .collect();
        let floats: Vec<f32> = samples.iter().map(|&sample| f32::from(sample) / 32_768.0).collect();
        let expected = log_mel(&config, &floats).unwrap();
        let mut stream = LogMel::new(tables);
        let mut got = Vec::new();
        for block in samples.chunks(331) {
            stream.push(block, |_, value| got.push(value));
        }
        assert_eq!(got.len(), expected.len());
        for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
            assert!((got - expected).abs() < 1e-3, "{index}: {got} {expected}");
            assert!((restore(quantise(*got)) - got).abs() <= 0.0501, "{index}: {got}");
        }
    }

    #[test]
    fn bytes_stop_at_their_limits() {
        assert_eq!([-100.0, -14.0, 11.5, 100.0].map(quantise), [0, 0, 255, 255]);
    }
}

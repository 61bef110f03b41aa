//! Conversion to the model's sample rate. Enters: mono samples at the device's rate in blocks of
//! any size; leaves: samples at the model's rate, aligned in time. Runs on the worker thread.
//!
//! The conversion is rubato's synchronous FFT resampler: linear phase, a Blackman-Harris windowed
//! sinc against aliasing. Between 48 kHz or 44.1 kHz and 24 kHz everything above 12 kHz is rejected
//! by more than 80 dB and the ripple below 11 kHz is under 0.1 dB (`tests/resample.rs` measures
//! both).

use std::ops::RangeInclusive;

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

use crate::Error;

/// Length of the transform's block in seconds: longer is steeper at the band edge and later.
const BLOCK_SECONDS: f64 = 0.02;

/// Rates that can be converted from and to, in Hz.
pub const RATES_HZ: RangeInclusive<u32> = 4_000..=384_000;

/// Converts a stream of samples from one rate to another.
///
/// The filter's delay is dropped at the start of the stream, so output sample `k` lies at time `k /
/// to_hz`; what remains is latency ([`delay_seconds`](Self::delay_seconds)). Equal rates pass
/// through untouched.
pub struct Resampler {
    converter: Option<Converter>,
    n_in: u64,
    n_out: u64,
    from_hz: u32,
    to_hz: u32,
}

struct Converter {
    fft: Fft<f32>,
    input: Vec<f32>,
    n_input: usize,
    output: Vec<f32>,
    n_delay: usize,
    n_to_drop: usize,
}

impl Resampler {
    /// Plans the conversion and allocates all buffers.
    ///
    /// # Errors
    ///
    /// [`Error::Resample`] if a rate lies outside [`RATES_HZ`], or if the rates' ratio is so odd
    /// (such as 44,101 to 24,000) that their smallest common block is longer than a quarter of a
    /// second.
    pub fn new(from_hz: u32, to_hz: u32) -> Result<Self, Error> {
        let failed = |reason: String| Error::Resample { from_hz, to_hz, reason };
        if let Some(hz) = [from_hz, to_hz].into_iter().find(|hz| !RATES_HZ.contains(hz)) {
            return Err(failed(format!("{hz} Hz is outside {} to {}", RATES_HZ.start(), RATES_HZ.end())));
        }
        let converter = if from_hz == to_hz { None } else { Some(Converter::new(from_hz, to_hz).map_err(failed)?) };
        Ok(Self { converter, n_in: 0, n_out: 0, from_hz, to_hz })
    }

    /// Takes the next samples and calls `on_block` with converted ones as they become ready.
    ///
    /// # Real-time
    ///
    /// Does not allocate, block or fail.
    pub fn process(&mut self, samples: &[f32], mut on_block: impl FnMut(&[f32])) {
        self.n_in += samples.len() as u64;
        self.n_out += match &mut self.converter {
            None => {
                on_block(samples);
                samples.len() as u64
            }
            Some(converter) => converter.process(samples, u64::MAX, &mut on_block),
        };
    }

    /// Ends the stream: emits what is still under way, so that `n` samples have become `round(n *
    /// to_hz / from_hz)`, then [resets](Self::reset).
    ///
    /// # Real-time
    ///
    /// Does not allocate, block or fail.
    pub fn finish(&mut self, mut on_block: impl FnMut(&[f32])) {
        let n_total = converted_len(self.n_in, self.from_hz, self.to_hz);
        if let Some(converter) = &mut self.converter {
            while self.n_out < n_total {
                self.n_out += converter.process(&[0.0; 64], n_total - self.n_out, &mut on_block);
            }
        }
        self.reset();
    }

    /// Forgets the stream; the next sample is sample 0 of a new one.
    pub fn reset(&mut self) {
        self.n_in = 0;
        self.n_out = 0;
        if let Some(converter) = &mut self.converter {
            converter.reset();
        }
    }

    /// Longest time that a sample waits inside: the filter's delay plus one block.
    pub fn delay_seconds(&self) -> f64 {
        self.converter.as_ref().map_or(0.0, |converter| {
            converter.n_delay as f64 / f64::from(self.to_hz) + converter.input.len() as f64 / f64::from(self.from_hz)
        })
    }
}

impl Converter {
    fn new(from_hz: u32, to_hz: u32) -> Result<Self, String> {
        let block_in = (f64::from(from_hz) * BLOCK_SECONDS) as usize;
        let fft = Fft::<f32>::new_custom(
            from_hz as usize,
            to_hz as usize,
            block_in,
            1,
            1,
            WindowFunction::BlackmanHarris,
            FixedSync::Both,
        )
        .map_err(|error| error.to_string())?;
        let (n_input, n_output) = (fft.input_frames_next(), fft.output_frames_next());
        if n_input > from_hz as usize / 4 {
            return Err(format!("the rates' smallest common block has {n_input} samples"));
        }
        let n_delay = fft.output_delay();
        Ok(Self {
            fft,
            input: vec![0.0; n_input],
            n_input: 0,
            output: vec![0.0; n_output],
            n_delay,
            n_to_drop: n_delay,
        })
    }

    /// Returns how many samples went out, at most `n_max`.
    fn process(&mut self, mut samples: &[f32], n_max: u64, on_block: &mut impl FnMut(&[f32])) -> u64 {
        let mut n_out = 0;
        while !samples.is_empty() {
            let n_taken = samples.len().min(self.input.len() - self.n_input);
            self.input[self.n_input..self.n_input + n_taken].copy_from_slice(&samples[..n_taken]);
            self.n_input += n_taken;
            samples = &samples[n_taken..];
            if self.n_input == self.input.len() {
                self.n_input = 0;
                self.convert_block();
                let ready = &self.output[self.n_to_drop.min(self.output.len())..];
                self.n_to_drop -= self.output.len() - ready.len();
                let ready = &ready[..ready.len().min((n_max - n_out).try_into().unwrap_or(usize::MAX))];
                if !ready.is_empty() {
                    on_block(ready);
                    n_out += ready.len() as u64;
                }
            }
        }
        n_out
    }

    fn convert_block(&mut self) {
        let (n_input, n_output) = (self.input.len(), self.output.len());
        let input = InterleavedSlice::new(&self.input, 1, n_input).expect("one channel of n_input samples");
        let mut output =
            InterleavedSlice::new_mut(&mut self.output, 1, n_output).expect("one channel of n_output samples");
        self.fft.process_into_buffer(&input, &mut output, None).expect("blocks of the sizes that it asked for");
    }

    fn reset(&mut self) {
        self.fft.reset();
        self.n_input = 0;
        self.n_to_drop = self.n_delay;
    }
}

/// `round(n * to_hz / from_hz)`.
fn converted_len(n: u64, from_hz: u32, to_hz: u32) -> u64 {
    (n * u64::from(to_hz) + u64::from(from_hz) / 2) / u64::from(from_hz)
}

/// Converts a whole clip; `round(n * to_hz / from_hz)` samples.
///
/// # Errors
///
/// As [`Resampler::new`].
pub fn resample(from_hz: u32, to_hz: u32, samples: &[f32]) -> Result<Vec<f32>, Error> {
    let mut resampler = Resampler::new(from_hz, to_hz)?;
    let mut converted = Vec::with_capacity(converted_len(samples.len() as u64, from_hz, to_hz) as usize);
    resampler.process(samples, |block| converted.extend_from_slice(block));
    resampler.finish(|block| converted.extend_from_slice(block));
    Ok(converted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rates_pass_through() {
        let samples = [0.1, -0.2, 0.3];
        assert_eq!(resample(24_000, 24_000, &samples).unwrap(), samples);
        assert_eq!(Resampler::new(24_000, 24_000).unwrap().delay_seconds(), 0.0);
    }

    #[test]
    fn lengths_are_rounded_and_odd_ratios_refused() {
        for (from, n, expected) in
            [(48_000, 1001, 501), (44_100, 147, 80), (44_100, 1, 1), (16_000, 100, 150), (48_000, 0, 0)]
        {
            assert_eq!(resample(from, 24_000, &vec![0.5; n]).unwrap().len(), expected, "{from} {n}");
        }
        assert!(matches!(resample(0, 24_000, &[]), Err(Error::Resample { from_hz: 0, .. })));
        assert!(Resampler::new(44_101, 24_000).is_err());
    }

    #[test]
    fn an_impulse_stays_at_its_time() {
        for from in [48_000_u32, 44_100, 32_000, 16_000, 8_000, 192_000] {
            let mut samples = vec![0.0; from as usize / 2];
            samples[from as usize / 4] = 1.0;
            let converted = resample(from, 24_000, &samples).unwrap();
            let peak = (0..converted.len()).max_by(|&a, &b| converted[a].total_cmp(&converted[b])).unwrap();
            assert!(peak.abs_diff(6_000) <= 1, "{from}: {peak}");
        }
    }
}

//! Streaming log-mel frames. Enters: mono samples at the model's rate in blocks of any size;
//! leaves: one frame of `n_mels` values per hop. Runs on the worker thread.
//!
//! The frames are those of `librosa.feature.melspectrogram` followed by `ln(x + log_offset)`; see
//! [`FrontendConfig::centre_padding`] for which samples a frame covers.

use crate::log_scale::LogScale;
use crate::mel::MelBank;
use crate::spectrum::Spectrum;
use crate::{Error, FrontendConfig};

/// Turns a stream of samples into log-mel frames.
///
/// The split of the stream into blocks never matters: every frame is computed from the same samples
/// by the same operations, so the results are equal bit for bit.
pub struct LogMel {
    config: FrontendConfig,
    spectrum: Spectrum,
    mel_bank: MelBank,
    log_scale: LogScale,
    /// The last samples of the stream, up to one window.
    history: Vec<f32>,
    /// Valid samples in `history`.
    n_history: usize,
    /// Samples still to be dropped before `history` fills, where the hop is longer than the window.
    n_skip: usize,
    n_samples: usize,
    n_emitted: usize,
    frame: Vec<f32>,
}

impl LogMel {
    /// Plans the transform and allocates all buffers.
    ///
    /// # Errors
    ///
    /// [`Error::Frontend`] as [`FrontendConfig::validate`] has it.
    pub fn new(config: &FrontendConfig) -> Result<Self, Error> {
        config.validate()?;
        let mut log_mel = Self {
            config: config.clone(),
            spectrum: Spectrum::new(config),
            mel_bank: MelBank::new(config),
            log_scale: LogScale::new(config),
            history: vec![0.0; config.win_length],
            n_history: 0,
            n_skip: 0,
            n_samples: 0,
            n_emitted: 0,
            frame: vec![0.0; config.n_mels],
        };
        log_mel.reset();
        Ok(log_mel)
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &FrontendConfig {
        &self.config
    }

    /// Takes the next samples of the stream and calls `on_frame` with each frame (`n_mels`, lowest
    /// band first) that they complete.
    ///
    /// # Real-time
    ///
    /// Does not allocate, block or fail.
    pub fn process(&mut self, samples: &[f32], mut on_frame: impl FnMut(&[f32])) {
        self.n_samples += samples.len();
        self.advance(samples, usize::MAX, &mut on_frame);
    }

    /// Ends the stream: with centre padding, emits the frames that reach past its end over zeros;
    /// without, there are none. Then [resets](Self::reset).
    ///
    /// # Real-time
    ///
    /// Does not allocate, block or fail.
    pub fn finish(&mut self, mut on_frame: impl FnMut(&[f32])) {
        let n_total = self.config.n_frames(self.n_samples);
        while self.config.centre_padding && self.n_emitted < n_total {
            self.advance(&[0.0; 64], n_total, &mut on_frame);
        }
        self.reset();
    }

    /// Forgets the stream; the next sample is sample 0 of a new one.
    pub fn reset(&mut self) {
        self.n_history = self.config.n_lead();
        self.history[..self.n_history].fill(0.0);
        self.n_skip = 0;
        self.n_samples = 0;
        self.n_emitted = 0;
    }

    fn advance(&mut self, mut samples: &[f32], n_frames_max: usize, on_frame: &mut impl FnMut(&[f32])) {
        let FrontendConfig { win_length, hop_length, .. } = self.config;
        while !samples.is_empty() {
            let n_skipped = self.n_skip.min(samples.len());
            self.n_skip -= n_skipped;
            samples = &samples[n_skipped..];

            let n_taken = samples.len().min(win_length - self.n_history);
            self.history[self.n_history..self.n_history + n_taken].copy_from_slice(&samples[..n_taken]);
            self.n_history += n_taken;
            samples = &samples[n_taken..];

            if self.n_history == win_length {
                if self.n_emitted == n_frames_max {
                    return;
                }
                self.compute_frame();
                self.n_emitted += 1;
                on_frame(&self.frame);
                self.n_history = win_length.saturating_sub(hop_length);
                self.n_skip = hop_length.saturating_sub(win_length);
                self.history.copy_within(win_length - self.n_history.., 0);
            }
        }
    }

    /// `history` to `frame`.
    fn compute_frame(&mut self) {
        self.mel_bank.apply(self.spectrum.apply(&self.history), &mut self.frame);
        self.log_scale.apply(&mut self.frame);
    }
}

/// Log-mel frames of a whole clip, `(n_frames, n_mels)` row-major, with `n_frames` =
/// [`FrontendConfig::n_frames`].
///
/// # Errors
///
/// As [`LogMel::new`].
pub fn log_mel(config: &FrontendConfig, samples: &[f32]) -> Result<Vec<f32>, Error> {
    let mut stream = LogMel::new(config)?;
    let mut frames = Vec::with_capacity(config.n_frames(samples.len()) * config.n_mels);
    stream.process(samples, |frame| frames.extend_from_slice(frame));
    stream.finish(|frame| frames.extend_from_slice(frame));
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;
    use crate::{MelNorm, MelScale, Power};

    /// The definition, term by term, in double precision: O(n_fft^2) a frame.
    fn reference(config: &FrontendConfig, samples: &[f32], frame: usize) -> Vec<f64> {
        let start = (frame * config.hop_length) as i64
            - if config.centre_padding {
                config.n_fft as i64 / 2
            } else {
                (config.n_fft - config.win_length) as i64 / 2
            };
        let lead = (config.n_fft - config.win_length) / 2;
        let windowed: Vec<f64> = (0..config.win_length)
            .map(|n| {
                let at = start + (lead + n) as i64;
                let sample = usize::try_from(at).ok().and_then(|i| samples.get(i)).copied().unwrap_or(0.0);
                f64::from(sample) * (0.5 - 0.5 * (TAU * n as f64 / config.win_length as f64).cos())
            })
            .collect();
        let spectrum: Vec<f32> = (0..=config.n_fft / 2)
            .map(|bin| {
                let (mut re, mut im) = (0.0, 0.0);
                for (n, x) in windowed.iter().enumerate() {
                    let phase = TAU * (bin * n % config.n_fft) as f64 / config.n_fft as f64;
                    re += x * phase.cos();
                    im -= x * phase.sin();
                }
                let power = re * re + im * im;
                (if config.power == Power::Power { power } else { power.sqrt() }) as f32
            })
            .collect();
        let mut bands = vec![0.0; config.n_mels];
        MelBank::new(config).apply(&spectrum, &mut bands);
        let normalise =
            |band: f32| ((f64::from(band) + config.log_offset).ln() - f64::from(config.mean)) / f64::from(config.std);
        bands.into_iter().map(normalise).collect()
    }

    fn noise(n: usize) -> Vec<f32> {
        let mut state = 1_u32;
        (0..n)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect()
    }

    #[test]
    fn frames_follow_the_definition() {
        let small = FrontendConfig {
            sample_rate: 8000,
            n_fft: 64,
            win_length: 40,
            hop_length: 16,
            n_mels: 8,
            f_min_hz: 0.0,
            f_max_hz: 4000.0,
            mean: -3.0,
            std: 2.5,
            ..FrontendConfig::student()
        };
        let configs = [
            small.clone(),
            FrontendConfig { centre_padding: true, ..small.clone() },
            FrontendConfig { win_length: 41, centre_padding: true, power: Power::Magnitude, ..small.clone() },
            FrontendConfig { hop_length: 50, mel_scale: MelScale::Slaney, mel_norm: MelNorm::Slaney, ..small.clone() },
            FrontendConfig { hop_length: 50, centre_padding: true, ..small },
        ];
        let samples = noise(500);
        for config in configs {
            let frames = log_mel(&config, &samples).unwrap();
            let n_frames = config.n_frames(samples.len());
            assert_eq!(frames.len(), n_frames * config.n_mels);
            for frame in 0..n_frames {
                let expected = reference(&config, &samples, frame);
                for (band, expected) in expected.iter().enumerate() {
                    let actual = f64::from(frames[frame * config.n_mels + band]);
                    assert!((actual - expected).abs() < 1e-4, "{config:?} {frame} {band}: {actual} {expected}");
                }
            }
        }
    }

    #[test]
    fn an_empty_clip_is_one_floor_frame_when_centred_and_none_otherwise() {
        let frames = log_mel(&FrontendConfig::epic_sounds(), &[]).unwrap();
        assert_eq!(frames, vec![1e-6_f32.ln(); 128]);
        assert!(log_mel(&FrontendConfig::student(), &[0.0; 599]).unwrap().is_empty());
    }

    #[test]
    fn a_finished_stream_starts_again() {
        let samples = noise(3000);
        for config in [FrontendConfig::student(), FrontendConfig::epic_sounds()] {
            let mut stream = LogMel::new(&config).unwrap();
            let mut first = Vec::new();
            stream.process(&samples, |frame| first.extend_from_slice(frame));
            stream.finish(|frame| first.extend_from_slice(frame));
            let mut second = Vec::new();
            stream.process(&samples, |frame| second.extend_from_slice(frame));
            stream.finish(|frame| second.extend_from_slice(frame));
            assert_eq!(first, second);
        }
    }
}

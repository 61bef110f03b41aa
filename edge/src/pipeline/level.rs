//! How loud the sound is that an output of the network stands for: samples at the model's rate
//! enter and leave again, with a level. Runs on the worker thread.
//!
//! The samples of a pulse are the `pulse_frames * hop_length` newest ones when its last frame is
//! complete; their level is the root mean square in dB of 1.0, as the [status](crate::status) has
//! it of blocks. So a square wave of full scale has 0 dBFS, a sine -3.01 dBFS, and digital silence
//! is taken as -120 dBFS. What lies above half the model's rate does not count: the network does
//! not hear it either.
//!
//! The level of an **output** is that of the loudest pulse that its receptive field reaches into.
//! The newest pulse alone would not do: a bark may be over before the score that speaks for it has
//! risen. What stands for missing samples, after the end of a stream or in a short gap, is silence
//! here, too.
//!
//! Where log-mel frames come instead of samples, the level is that of their bands ([`BandLevel`]):
//! what the taper and the filter bank let through, within a decibel for sound that lies in the
//! bands.
//!
//! # Real-time
//!
//! Allocates nothing after construction. Squares are added one by one in double precision, so that
//! the division of the stream into blocks does not change a bit.

use edge_frontend::mel::centres_hz;
use edge_frontend::window::hann_periodic;
use edge_frontend::{FrontendConfig, MelNorm, Network};

use crate::status::LEVEL_FLOOR_DBFS;

/// Measures the pulses of one stream.
#[derive(Debug)]
pub(super) struct LevelMeter {
    /// Samples from the end of a pulse to the end of the next.
    n_pulse: usize,
    /// Log-mel frames of a pulse.
    pulse_frames: usize,
    /// Samples from the start of the stream to the end of its first pulse.
    n_first: usize,
    /// Samples to the end of the pulse under way.
    n_left: usize,
    energy: f64,
    n_measured: usize,
    /// Mean squares of the last pulses of a receptive field; the oldest is at `oldest`.
    mean_squares: Box<[f64]>,
    oldest: usize,
    level_dbfs: f32,
}

impl LevelMeter {
    /// A meter for the pulses of `network` after `frontend`.
    pub(super) fn new(frontend: &FrontendConfig, network: &Network) -> Self {
        let n_pulse = network.pulse_frames * frontend.hop_length;
        // The window of the first frame begins `n_lead` samples before the stream.
        let n_first = (network.pulse_frames - 1) * frontend.hop_length + frontend.win_length - frontend.n_lead();
        let n_pulses = network.receptive_field_frames.div_ceil(network.pulse_frames);
        let mut meter = LevelMeter {
            n_pulse,
            pulse_frames: network.pulse_frames,
            n_first,
            n_left: 0,
            energy: 0.0,
            n_measured: 0,
            mean_squares: vec![0.0; n_pulses].into(),
            oldest: 0,
            level_dbfs: LEVEL_FLOOR_DBFS,
        };
        meter.reset();
        meter
    }

    /// Takes the next samples of the stream and hands them on in pieces that never reach beyond the
    /// end of a pulse.
    ///
    /// With a piece that ends a pulse comes the level in dBFS of the output that this pulse may
    /// give; with any other piece, that of the output before.
    pub(super) fn process(&mut self, samples: &[f32], mut on_piece: impl FnMut(&[f32], f32)) {
        let mut rest = samples;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(self.n_left));
            self.add(piece);
            on_piece(piece, self.level_dbfs);
            rest = after;
        }
    }

    /// Forgets the stream; the next sample is sample 0 of a new one.
    pub(super) fn reset(&mut self) {
        self.n_left = self.n_first;
        self.energy = 0.0;
        self.n_measured = 0;
        self.mean_squares.fill(0.0);
        self.level_dbfs = LEVEL_FLOOR_DBFS;
    }

    /// Takes samples of the pulse under way, at most up to its end.
    fn add(&mut self, piece: &[f32]) {
        // Ahead of the first pulse's newest samples there may be others under its first windows.
        let n_early = self.n_left.saturating_sub(self.n_pulse).min(piece.len());
        for sample in &piece[n_early..] {
            self.energy += f64::from(*sample) * f64::from(*sample);
        }
        self.n_measured += piece.len() - n_early;
        self.n_left -= piece.len();
        if self.n_left == 0 {
            self.end_pulse();
        }
    }

    /// Takes a log-mel frame's mean square instead of its samples, and returns the level in dBFS of
    /// the output that the pulse may give which the frame ends, or of the output before.
    pub(super) fn process_frame(&mut self, mean_square: f64) -> f32 {
        self.energy += mean_square;
        self.n_measured += 1;
        if self.n_measured == self.pulse_frames {
            self.end_pulse();
        }
        self.level_dbfs
    }

    fn end_pulse(&mut self) {
        self.mean_squares[self.oldest] = self.energy / self.n_measured as f64;
        self.oldest = (self.oldest + 1) % self.mean_squares.len();
        self.level_dbfs = dbfs(self.mean_squares.iter().copied().fold(0.0, f64::max));
        self.n_left = self.n_pulse;
        self.energy = 0.0;
        self.n_measured = 0;
    }
}

/// The mean square of the samples under a log-mel frame's window, from its bands: by Parseval's
/// theorem the power spectrum's sum over all bins, those of negative frequencies too, is `n_fft`
/// times the windowed samples' energy.
#[derive(Debug)]
pub(super) struct BandLevel {
    log_offset: f64,
    /// From each band's energy to its part of the mean square.
    weights: Box<[f64]>,
}

impl BandLevel {
    /// For frames of `frontend`, of a power spectrum, before the normalisation.
    pub(super) fn new(frontend: &FrontendConfig) -> Self {
        let taper: f64 = hann_periodic(frontend.win_length).iter().map(|&weight| f64::from(weight).powi(2)).sum();
        let scale = 2.0 / (frontend.n_fft as f64 * taper);
        let centres = centres_hz(frontend);
        let edges: Vec<f64> = [&[frontend.f_min_hz][..], &centres, &[frontend.f_max_hz]].concat();
        // Overlapping triangles of height 1 add up to 1.
        let height = |edge: &[f64]| match frontend.mel_norm {
            MelNorm::None => 1.0,
            MelNorm::Slaney => 2.0 / (edge[2] - edge[0]),
        };
        let weights = edges.windows(3).map(|edge| scale / height(edge)).collect();
        BandLevel { log_offset: frontend.log_offset, weights }
    }

    /// The mean square of a frame, `(n_mels)`, before the normalisation.
    pub(super) fn mean_square(&self, frame: &[f32]) -> f64 {
        let energy = |value: &f32| (f64::from(*value).exp() - self.log_offset).max(0.0);
        frame.iter().zip(&self.weights).map(|(value, weight)| energy(value) * weight).sum()
    }
}

fn dbfs(mean_square: f64) -> f32 {
    ((10.0 * mean_square.log10()) as f32).max(LEVEL_FLOOR_DBFS)
}

#[cfg(test)]
mod tests {
    use edge_frontend::{Activation, LogMel, NetworkKind};
    use proptest::prelude::*;

    use super::*;

    fn network(pulse_frames: usize, receptive_field_frames: usize) -> Network {
        let network = Network {
            kind: NetworkKind::Window,
            pulse_frames: 1,
            receptive_field_frames,
            output_delay: 0,
            activation: Activation::Softmax,
            lookahead_ms: None,
        };
        network.with_pulse(pulse_frames)
    }

    /// Levels of the outputs as the front end sees them come, `samples` fed in blocks of the
    /// lengths `lens`.
    fn levels(frontend: &FrontendConfig, network: &Network, samples: &[f32], lens: &[usize]) -> Vec<f32> {
        let mut meter = LevelMeter::new(frontend, network);
        let mut log_mel = LogMel::new(frontend).unwrap();
        let (mut n_frames, mut levels) = (0, Vec::new());
        let mut rest = samples;
        for len in lens.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (block, after) = rest.split_at((*len).min(rest.len()));
            meter.process(block, |piece, level_dbfs| {
                log_mel.process(piece, |_| {
                    n_frames += 1;
                    if n_frames % network.pulse_frames == 0 {
                        levels.push(level_dbfs);
                    }
                });
            });
            rest = after;
        }
        levels
    }

    /// The same by the definition: ends of pulses from the front end itself, a sample at a time.
    fn expected(frontend: &FrontendConfig, network: &Network, samples: &[f32]) -> Vec<f32> {
        let mut log_mel = LogMel::new(frontend).unwrap();
        let (mut n_frames, mut pulses, mut levels) = (0, Vec::new(), Vec::new());
        for (at, sample) in samples.iter().enumerate() {
            log_mel.process(&[*sample], |_| {
                n_frames += 1;
                if n_frames % network.pulse_frames == 0 {
                    let end = at + 1;
                    let pulse = &samples[end.saturating_sub(network.pulse_frames * frontend.hop_length)..end];
                    let energy: f64 = pulse.iter().map(|x| f64::from(*x).powi(2)).sum();
                    pulses.push(energy / pulse.len() as f64);
                    let field = network.receptive_field_frames.div_ceil(network.pulse_frames);
                    let loudest = pulses.iter().rev().take(field).copied().fold(0.0, f64::max);
                    levels.push((10.0 * loudest.log10()).max(-120.0) as f32);
                }
            });
        }
        levels
    }

    fn noise(n: usize, amplitude: impl Fn(usize) -> f32) -> Vec<f32> {
        let mut state = 5_u32;
        (0..n)
            .map(|at| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                amplitude(at) * ((state >> 8) as f32 / (1 << 23) as f32 - 1.0)
            })
            .collect()
    }

    #[test]
    fn log_mel_frames_tell_the_level_of_their_samples() {
        let network = network(8, 8);
        for mel_norm in [MelNorm::None, MelNorm::Slaney] {
            let frontend = FrontendConfig { mel_norm, ..FrontendConfig::student() };
            let tone = (0..48_000).map(|at| 0.25 * (at as f32 * 0.37).sin()).collect();
            for samples in [noise(48_000, |at| if at < 24_000 { 0.5 } else { 0.01 }), tone] {
                let (bands, mut meter) = (BandLevel::new(&frontend), LevelMeter::new(&frontend, &network));
                let frames = edge_frontend::log_mel(&frontend, &samples).unwrap();
                let by_frames: Vec<f32> =
                    frames.chunks(frontend.n_mels).map(|frame| meter.process_frame(bands.mean_square(frame))).collect();
                let by_samples = levels(&frontend, &network, &samples, &[4096]);
                for (pulse, level) in by_samples.iter().enumerate().filter(|(pulse, _)| *pulse != 12) {
                    // At the edge of pulse 12 the taper weighs the two halves otherwise.
                    let got = by_frames[8 * pulse + 7];
                    assert!((got - level).abs() < 1.0, "{mel_norm:?}, pulse {pulse}: {got} dBFS, {level}");
                }
            }
            let (bands, silence) = (BandLevel::new(&frontend), [(frontend.log_offset as f32).ln(); 64]);
            assert!(LevelMeter::new(&frontend, &network).process_frame(bands.mean_square(&silence)) <= -110.0);
        }
    }

    #[test]
    fn zero_dbfs_is_a_square_wave_of_full_scale_and_silence_has_a_floor() {
        let (frontend, network) = (FrontendConfig::student(), network(8, 8));
        let square: Vec<f32> = (0..9600).map(|at| if at / 12 % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let sine: Vec<f32> = (0..9600).map(|at| (at as f32 * std::f32::consts::TAU / 24.0).sin()).collect();
        let levels = |samples: &[f32]| levels(&frontend, &network, samples, &[9600]);
        assert!(levels(&square).iter().all(|level| *level == 0.0), "{:?}", levels(&square));
        assert!(levels(&sine).iter().all(|level| (level + 3.0103).abs() < 1e-3), "{:?}", levels(&sine));
        assert_eq!(levels(&[0.0; 9600]), [LEVEL_FLOOR_DBFS; 4]);
        assert_eq!(levels(&square).len(), 4);
    }

    #[test]
    fn a_short_sound_counts_for_as_long_as_the_receptive_field_holds_it() {
        let (frontend, network) = (FrontendConfig::student(), network(8, 35));
        // 10 ms of full scale in pulse 3, which begins (win_length - hop_length) samples late.
        let samples: Vec<f32> = (0..40 * 1920).map(|at| if (6300..6540).contains(&at) { 1.0 } else { 0.0 }).collect();
        let levels = levels(&frontend, &network, &samples, &[4096]);
        let loud: Vec<usize> = (0..levels.len()).filter(|&at| levels[at] > -10.0).collect();
        assert_eq!(loud, [3, 4, 5, 6, 7]);
        assert!((levels[3] + 10.0 * 8f32.log10()).abs() < 1e-4, "an eighth of the pulse: {}", levels[3]);
        assert!(levels.iter().all(|&level| level > -10.0 || level == LEVEL_FLOOR_DBFS));
    }

    #[test]
    fn a_reset_forgets_the_loudest() {
        let (frontend, network) = (FrontendConfig::student(), network(8, 35));
        let mut meter = LevelMeter::new(&frontend, &network);
        meter.process(&[1.0; 5000], |_, _| {});
        meter.reset();
        let mut last = f32::NAN;
        meter.process(&[0.0; 5000], |_, level_dbfs| last = level_dbfs);
        assert_eq!(last, LEVEL_FLOOR_DBFS);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

        /// Bit for bit the definition, for any blocks, front end and network.
        #[test]
        fn levels_are_those_of_the_definition(
            lens in prop::collection::vec(1_usize..6_000, 1..12),
            hop_length in prop::sample::select(vec![120_usize, 240, 401, 600, 777]),
            centre_padding: bool,
            pulse_frames in 1_usize..12,
            field_frames in 1_usize..40,
        ) {
            let frontend = FrontendConfig { hop_length, centre_padding, ..FrontendConfig::student() };
            let network = network(pulse_frames, field_frames);
            let samples = noise(30_000, |at| if at / 5_000 % 2 == 0 { 0.5 } else { 1e-3 });
            let expected = expected(&frontend, &network, &samples);
            prop_assert!(!expected.is_empty());
            prop_assert_eq!(levels(&frontend, &network, &samples, &lens), expected);
        }
    }
}

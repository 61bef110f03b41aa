//! Interleaved frames of any sample type and channel count enter, mono f32 samples in [-1, 1]
//! leave. Runs wherever samples are captured.
//!
//! # Real-time
//!
//! [`Mono::mix`] never allocates: it works through blocks of any length in pieces of a fixed
//! scratch buffer.

mod balance;
mod channels;

pub(crate) use balance::Balance;
pub use channels::Channels;

use std::sync::Arc;

use dasp_sample::{FromSample, Sample};

use balance::Meter;

/// Samples mixed at once; an ordinary device block fits.
const SCRATCH_LEN: usize = 2048;

/// The loudest channel gives way to one that is louder by this much, as a ratio of energies: 3 dB.
const LOUDER: f32 = 2.0;

/// What of a channel's energy is left after a second.
const REMEMBERED: f32 = 0.05;

/// Samples from one channel to another, so that the change makes no sound.
const FADE_LEN: usize = 256;

/// Makes one channel of several.
pub struct Mono {
    n_channels: usize,
    mix: Mix,
    scratch: Box<[f32]>,
    meter: Meter,
}

enum Mix {
    /// The mean of all, or of some.
    Mean {
        scale: f32,
        only: Option<Box<[u16]>>,
    },
    Loudest {
        at: usize,
        energies: Box<[f32]>,
        sample_rate: f32,
    },
}

impl Mono {
    /// The mean of all of `n_channels`.
    ///
    /// # Panics
    ///
    /// When `n_channels` is zero.
    pub fn new(n_channels: usize) -> Self {
        Self::of(n_channels, &Channels::Mean, 48_000)
    }

    /// The `channels` of `n_channels`, at `sample_rate` samples per second.
    ///
    /// # Panics
    ///
    /// When `n_channels` is zero.
    pub fn of(n_channels: usize, channels: &Channels, sample_rate: u32) -> Self {
        assert!(n_channels > 0, "a frame has at least one channel");
        let mean = |n: usize, only| Mix::Mean { scale: 1.0 / n as f32, only };
        let mix = match channels {
            Channels::Only(indices) => {
                let there: Box<[u16]> = indices.iter().copied().filter(|&i| usize::from(i) < n_channels).collect();
                if there.is_empty() { mean(n_channels, None) } else { mean(there.len(), Some(there)) }
            }
            Channels::Loudest if n_channels > 1 => {
                Mix::Loudest { at: 0, energies: vec![0.0; n_channels].into(), sample_rate: sample_rate as f32 }
            }
            Channels::Mean | Channels::Loudest => mean(n_channels, None),
        };
        Mono {
            n_channels,
            meter: Meter::new(n_channels, matches!(&mix, Mix::Mean { only: None, .. }), sample_rate),
            mix,
            scratch: vec![0.0; SCRATCH_LEN].into(),
        }
    }

    /// With `balance` as the place where it says how the channels compare.
    #[must_use]
    pub(crate) fn reporting_to(mut self, balance: Arc<Balance>) -> Self {
        self.meter.report_to(balance);
        self
    }

    /// What is known of how the channels compare.
    pub(crate) fn balance(&self) -> Arc<Balance> {
        self.meter.balance()
    }

    /// Converts `interleaved`, frame by frame, and hands the mono samples to `on_block` in order.
    /// An incomplete frame at the end is ignored.
    pub fn mix<T>(&mut self, interleaved: &[T], on_block: impl FnMut(&[f32]))
    where
        T: Sample,
        f32: FromSample<T>,
    {
        self.mix_by(interleaved, |sample| sample.to_sample::<f32>(), on_block);
    }

    /// As [`mix`](Self::mix), of samples that `to_f32` converts.
    pub fn mix_by<T: Copy>(&mut self, interleaved: &[T], to_f32: impl Fn(T) -> f32, mut on_block: impl FnMut(&[f32])) {
        let n_channels = self.n_channels;
        for piece in interleaved.chunks(SCRATCH_LEN * n_channels) {
            let n = piece.len() / n_channels;
            let mono = &mut self.scratch[..n];
            let frames = piece.chunks_exact(n_channels);
            match &mut self.mix {
                Mix::Mean { scale, only: None } => {
                    for (mono, frame) in mono.iter_mut().zip(frames) {
                        *mono = frame.iter().map(|&sample| to_f32(sample)).sum::<f32>() * *scale;
                    }
                }
                Mix::Mean { scale, only: Some(only) } => {
                    for (mono, frame) in mono.iter_mut().zip(frames) {
                        *mono = only.iter().map(|&index| to_f32(frame[usize::from(index)])).sum::<f32>() * *scale;
                    }
                }
                Mix::Loudest { at, energies, sample_rate } => {
                    let before = std::mem::replace(at, loudest(energies, *at, piece, &to_f32, *sample_rate));
                    for (index, (mono, frame)) in mono.iter_mut().zip(frames).enumerate() {
                        let share = ((index + 1) as f32 / FADE_LEN as f32).min(1.0);
                        *mono = match before == *at {
                            true => to_f32(frame[*at]),
                            false => to_f32(frame[before]) * (1.0 - share) + to_f32(frame[*at]) * share,
                        };
                    }
                }
            }
            self.meter.measure(piece, &to_f32, mono);
            on_block(mono);
        }
    }
}

/// The channel of `piece` that is loudest by now, which is `at` unless another is clearly louder.
fn loudest<T: Copy>(
    energies: &mut [f32],
    at: usize,
    piece: &[T],
    to_f32: impl Fn(T) -> f32,
    sample_rate: f32,
) -> usize {
    let n_channels = energies.len();
    let forgotten = REMEMBERED.powf(piece.len() as f32 / n_channels as f32 / sample_rate);
    for (channel, energy) in energies.iter_mut().enumerate() {
        let new: f32 = piece.iter().skip(channel).step_by(n_channels).map(|&sample| to_f32(sample).powi(2)).sum();
        *energy = *energy * forgotten + new;
    }
    let best = (0..n_channels).max_by(|&a, &b| energies[a].total_cmp(&energies[b])).unwrap_or(at);
    if energies[best] > LOUDER * energies[at] { best } else { at }
}

#[cfg(test)]
mod tests {
    use dasp_sample::I24;

    use super::*;

    fn mixed<T>(n_channels: usize, interleaved: &[T]) -> Vec<f32>
    where
        T: Sample,
        f32: FromSample<T>,
    {
        of(&Channels::Mean, n_channels, interleaved)
    }

    fn of<T>(channels: &Channels, n_channels: usize, interleaved: &[T]) -> Vec<f32>
    where
        T: Sample,
        f32: FromSample<T>,
    {
        let mut all = Vec::new();
        Mono::of(n_channels, channels, 48_000).mix(interleaved, |block| all.extend_from_slice(block));
        all
    }

    #[test]
    fn every_format_is_centred_and_scaled() {
        assert_eq!(mixed(1, &[0_i16, i16::MIN, 1 << 14]), [0.0, -1.0, 0.5]);
        assert_eq!(mixed(1, &[1_u16 << 15, 0, 3 << 14]), [0.0, -1.0, 0.5]);
        assert_eq!(mixed(1, &[0_i32, i32::MIN, 1 << 30]), [0.0, -1.0, 0.5]);
        assert_eq!(mixed(1, &[128_u8, 0, 192]), [0.0, -1.0, 0.5]);
        assert_eq!(mixed(1, &[0.0_f64, -1.0, 0.5]), [0.0, -1.0, 0.5]);
        let half: I24 = 0.5_f32.to_sample();
        assert_eq!(mixed(1, &[half]), [0.5]);
    }

    #[test]
    fn channels_are_averaged_and_a_torn_frame_is_ignored() {
        assert_eq!(mixed(2, &[0.5_f32, -0.5, 1.0, 0.0, 0.25]), [0.0, 0.5]);
        assert_eq!(mixed(8, &[1.0_f32; 16]), [1.0, 1.0]);
    }

    #[test]
    fn some_channels_are_heard_and_others_are_not() {
        let frames = [0.1_f32, 0.2, 0.4, 0.5, 0.6, 0.8];
        assert_eq!(of(&Channels::only(&[2]).unwrap(), 3, &frames), [0.2, 0.6]);
        assert_eq!(of(&Channels::only(&[3, 1]).unwrap(), 3, &frames), [0.25, 0.65]);
    }

    #[test]
    fn the_loudest_channel_is_heard_and_another_takes_its_place_without_a_click() {
        let loud = |n: usize| 0.5 * (n as f32 * 0.01).sin();
        let frames: Vec<f32> = (0..96_000)
            .flat_map(|n| if n < 48_000 { [0.01 * loud(n), loud(n)] } else { [loud(n), 0.01 * loud(n)] })
            .collect();
        let mono = of(&Channels::Loudest, 2, &frames);
        let tells = |n: usize| (mono[n] - loud(n)).abs() < 1e-6;
        assert!((SCRATCH_LEN..48_000).all(tells), "the second channel is the louder one");
        assert!((72_000..96_000).all(tells), "half a second later it is the first");
        // But for the jump that is in the sound itself.
        let steps = mono[48_001..].windows(2).map(|pair| (pair[1] - pair[0]).abs());
        assert!(steps.fold(0.0, f32::max) < 0.02);
    }

    #[test]
    fn long_blocks_pass_in_order() {
        let interleaved: Vec<f32> = (0..3 * SCRATCH_LEN + 5).flat_map(|n| [n as f32, n as f32]).collect();
        let wanted: Vec<f32> = (0..3 * SCRATCH_LEN + 5).map(|n| n as f32).collect();
        assert_eq!(mixed(2, &interleaved), wanted);
    }
}

//! From recordings to examples.
//!
//! Enters: a recording of any length, rate and format. Leaves: the stretches of it that sound, by
//! level, as frames of the features' powers with what is around them. Runs on the pool's threads.

use crate::data::features::features;
use crate::data::scenes::{active, cut_low};
use crate::error::Result;
use crate::train::student::power_of;
use edge::audio::Audio;
use edge_frontend::FrontendConfig;
use std::ops::Range;
use std::path::Path;

/// Sounds closer than this are one.
const GAP_S: f64 = 0.5;
/// A longer sound is cut into pieces of this length.
const LONGEST_S: f64 = 4.0;
/// Of a recording with more stretches as many are taken, evenly.
const MOST: usize = 12;

/// A sound with what is around it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sounding {
    /// `(n_frames, n_mels)` row-major: powers, 0 where the recording has begun later or ended
    /// sooner.
    pub power: Vec<f32>,
    /// Frames in which it sounds.
    pub frames: Range<usize>,
}

impl Sounding {
    /// All of a clip of `log_mel` frames.
    pub fn whole(log_mel: &[f32], frontend: &FrontendConfig) -> Self {
        let power: Vec<f32> = log_mel.iter().map(|&value| power_of(value, frontend)).collect();
        Self { frames: 0..power.len() / frontend.n_mels, power }
    }
}

/// The sounds in the recording at `path`, each with `n_around` frames on both sides; none if it is
/// silent.
///
/// # Errors
///
/// If the recording cannot be decoded.
pub fn soundings(path: &Path, frontend: &FrontendConfig, n_around: usize) -> Result<Vec<Sounding>> {
    let audio = edge::audio::decode_file(path)?;
    let power = powers(&audio, frontend)?;
    // The level is that of what the features hear, the features those of the whole recording.
    let mut samples = edge_frontend::resample(audio.sample_rate, frontend.sample_rate, &audio.samples)?;
    cut_low(&mut samples, frontend.sample_rate);
    let (hop, n_frames) = (frontend.hop_length, power.len() / frontend.n_mels);
    let stretches = stretches_of(&samples, frontend.sample_rate).into_iter();
    let stretches = stretches.map(|s| s.start / hop..s.end.div_ceil(hop).min(n_frames)).filter(|s| !s.is_empty());
    let stretches: Vec<_> = stretches.collect();
    let (n, n_taken) = (stretches.len(), stretches.len().min(MOST));
    let taken = (0..n_taken).map(|i| stretches[i * n / n_taken].clone());
    Ok(taken.map(|frames| cut(&power, frontend.n_mels, frames, n_around)).collect())
}

/// Powers of a recording, `(n_frames, n_mels)` row-major.
///
/// # Errors
///
/// If its rate cannot be converted.
pub fn powers(audio: &Audio, frontend: &FrontendConfig) -> Result<Vec<f32>> {
    let frames = features(frontend, audio.sample_rate, &audio.samples)?;
    Ok(frames.into_iter().map(|value| power_of(value, frontend)).collect())
}

/// Powers as the network takes them: their logarithm, normalised.
pub fn log_mel(power: &[f32], frontend: &FrontendConfig) -> Vec<f32> {
    let offset = frontend.log_offset as f32;
    power.iter().map(|p| ((p + offset).ln() - frontend.mean) / frontend.std).collect()
}

/// Sounding stretches of samples, none longer than [`LONGEST_S`].
fn stretches_of(samples: &[f32], sample_rate: u32) -> Vec<Range<usize>> {
    let longest = (LONGEST_S * f64::from(sample_rate)) as usize;
    let mut stretches = Vec::new();
    for active in active(samples, sample_rate, GAP_S) {
        let n_pieces = active.range.len().div_ceil(longest).max(1);
        let at = |piece: usize| active.range.start + active.range.len() * piece / n_pieces;
        stretches.extend((0..n_pieces).map(|piece| at(piece)..at(piece + 1)));
    }
    stretches
}

fn cut(power: &[f32], n_mels: usize, frames: Range<usize>, n_around: usize) -> Sounding {
    let n_frames = power.len() / n_mels;
    let (from, to) = (frames.start.saturating_sub(n_around), (frames.end + n_around).min(n_frames));
    let mut around = vec![0.0; (frames.len() + 2 * n_around) * n_mels];
    let at = n_around - (frames.start - from);
    around[at * n_mels..(at + to - from) * n_mels].copy_from_slice(&power[from * n_mels..to * n_mels]);
    Sounding { power: around, frames: n_around..n_around + frames.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_around_is_the_recordings_own_and_zero_beyond_its_ends() {
        let power: Vec<f32> = (1..=10).flat_map(|frame| [frame as f32, -(frame as f32)]).collect();
        let sounding = cut(&power, 2, 2..9, 4);
        assert_eq!(sounding.frames, 4..11);
        let first: Vec<f32> = sounding.power.iter().step_by(2).copied().collect();
        assert_eq!(first, [0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn long_sounds_are_cut() {
        let noise: Vec<f32> =
            (0..9 * 8000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 16) as f32 / 65536.0 - 0.5).collect();
        let stretches = stretches_of(&noise, 8000);
        assert_eq!(stretches.len(), 3);
        assert!(stretches.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert!(stretches_of(&vec![0.0; 8000], 8000).is_empty());
    }
}

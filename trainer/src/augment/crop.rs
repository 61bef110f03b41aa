//! Crops of a clip.
//!
//! Enters: a clip's frames. Leaves: power spectra of a stretch of it, placed where the sound is, stretched in time and
//! shifted in mel.

use super::power_of;
use crate::data::{Clip, Targets};
use crate::random::{Rng, uniform};
use crate::recipe::Augment;
use edge_frontend::FrontendConfig;
use rand::Rng as _;

/// Frames over which the level is averaged before the active ones are chosen.
const SMOOTHING_FRAMES: usize = 5;

/// A clip prepared for cropping.
#[derive(Debug)]
pub struct Source {
    /// Index into the labels.
    pub label: usize,
    /// 95th percentile of the frames' power: the level of the sound, whatever silence surrounds it.
    pub level: f32,
    n_frames: usize,
    /// `(n_frames, n_mels)`.
    power: Vec<f32>,
    /// Frames near the loudest.
    active: Vec<usize>,
    targets: Option<Targets>,
}

/// Where a crop was cut: first frame (may be negative) and number of frames, before stretching.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    start: f32,
    n_frames: f32,
}

impl Source {
    /// Turns normalised log-mel frames back into powers and finds the active ones.
    pub fn new(clip: Clip, frontend: &FrontendConfig, active_db: f32) -> Self {
        let n_mels = frontend.n_mels;
        let power: Vec<f32> = clip.frames.iter().map(|&v| power_of(v, frontend)).collect();
        let totals: Vec<f32> = power.chunks_exact(n_mels).map(|frame| frame.iter().sum()).collect();
        let smooth = |t: usize| {
            let around =
                &totals[t.saturating_sub(SMOOTHING_FRAMES / 2)..(t + SMOOTHING_FRAMES / 2 + 1).min(totals.len())];
            around.iter().sum::<f32>() / SMOOTHING_FRAMES as f32
        };
        let levels: Vec<f32> = (0..totals.len()).map(smooth).collect();
        let loudest = levels.iter().copied().fold(0.0, f32::max);
        let threshold = (loudest + 1e-6) * super::decibels(-active_db) - 1e-6;
        let active = (0..levels.len()).filter(|&t| levels[t] >= threshold).collect();
        let mut sorted = levels;
        sorted.sort_by(f32::total_cmp);
        let level = sorted[(sorted.len() - 1) * 95 / 100];
        Self { label: clip.label, level, n_frames: totals.len(), power, active, targets: clip.targets }
    }

    /// Writes a crop that holds an active frame, stretched and shifted at random.
    pub fn cut(&self, augment: &Augment, n_mels: usize, rng: &mut Rng, out: &mut [f32]) -> Cut {
        let length = out.len() / n_mels;
        let mut rate = uniform(rng, -augment.stretch, augment.stretch).exp();
        if self.n_frames >= length {
            // A clip long enough for the crop is never stretched beyond its end.
            rate = rate.min((self.n_frames - 1) as f32 / (length - 1).max(1) as f32);
        }
        let needed = (rate * (length - 1) as f32).ceil() + 1.0;
        let anchor = self.active[rng.random_range(0..self.active.len() as u32) as usize] as f32;
        let spare = self.n_frames as f32 - needed;
        let start = (anchor - uniform(rng, 0.15, 0.85) * needed).clamp(spare.min(0.0), spare.max(0.0)).floor();
        let shift = uniform(rng, -augment.mel_shift, augment.mel_shift);
        for (t, frame) in out.chunks_exact_mut(n_mels).enumerate() {
            match self.frame((start + (t as f32 * rate).round()) as isize, n_mels) {
                Some(source) => shift_bands(source, shift, frame),
                None => frame.fill(0.0),
            }
        }
        if rng.random::<f32>() < augment.surround {
            let anchor = ((anchor - start) / rate).clamp(0.0, (length - 1) as f32);
            surround(anchor, n_mels, rng, out);
        }
        Cut { start, n_frames: needed }
    }

    /// Writes a crop from anywhere, as it is.
    pub fn cut_plain(&self, rng: &mut Rng, n_mels: usize, out: &mut [f32]) {
        let spare = self.n_frames.saturating_sub(out.len() / n_mels);
        let start = rng.random_range(0..=spare as u32) as usize;
        for (t, frame) in out.chunks_exact_mut(n_mels).enumerate() {
            // A background goes on: a recording too short for the crop is repeated.
            let source = self.frame(((start + t) % self.n_frames) as isize, n_mels);
            source.into_iter().for_each(|source| frame.copy_from_slice(source));
        }
    }

    /// The teacher's target nearest to the middle of a crop.
    pub fn teacher_at(&self, cut: Cut) -> Option<usize> {
        self.targets.as_ref().and_then(|targets| targets.nearest(cut.start + cut.n_frames / 2.0))
    }

    /// Row `i` of the teacher's targets.
    pub fn teacher_row(&self, i: usize) -> &[f32] {
        self.targets.as_ref().map_or(&[], |targets| targets.row(i))
    }

    fn frame(&self, t: isize, n_mels: usize) -> Option<&[f32]> {
        let t = usize::try_from(t).ok().filter(|&t| t < self.n_frames)?;
        Some(&self.power[t * n_mels..(t + 1) * n_mels])
    }
}

/// Keeps a stretch of the crop that holds frame `anchor`, and silences the rest.
fn surround(anchor: f32, n_mels: usize, rng: &mut Rng, out: &mut [f32]) {
    let length = out.len() / n_mels;
    let kept = uniform(rng, 0.15, 0.9) * length as f32;
    let start = (anchor - uniform(rng, 0.1, 0.9) * kept).clamp(0.0, length as f32 - kept) as usize;
    let end = (start + kept as usize).min(length);
    out[..start * n_mels].fill(0.0);
    out[end * n_mels..].fill(0.0);
}

/// Band `b` of the output is band `b + shift` of the input, by linear interpolation; the edge bands are continued.
fn shift_bands(source: &[f32], shift: f32, out: &mut [f32]) {
    let last = source.len() as isize - 1;
    let whole = shift.floor();
    let fraction = shift - whole;
    for (b, value) in out.iter_mut().enumerate() {
        let low = b as isize + whole as isize;
        let at = |i: isize| source[i.clamp(0, last) as usize];
        *value = at(low) * (1.0 - fraction) + at(low + 1) * fraction;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, rng_for};

    fn source(n_frames: usize, loud: std::ops::Range<usize>) -> Source {
        let frontend = FrontendConfig::student();
        let frames = (0..n_frames).flat_map(|t| vec![if loud.contains(&t) { 0.0 } else { -12.0 }; 64]).collect();
        let clip = Clip { set: 0, label: 3, fold: 1, source: String::new(), frames, targets: None };
        Source::new(clip, &frontend, 12.0)
    }

    #[test]
    fn crops_hold_the_sound() {
        let source = source(500, 300..320);
        for k in 0..50 {
            let mut out = vec![0.0; 100 * 64];
            source.cut(&Augment::default(), 64, &mut rng_for(0, Purpose::Crop, k), &mut out);
            assert!(out.iter().any(|&p| p > 0.5), "crop {k} is silent");
        }
    }

    #[test]
    fn short_clips_are_surrounded_by_silence() {
        let source = source(20, 0..20);
        let mut out = vec![9.0; 100 * 64];
        source.cut(
            &Augment { stretch: 0.0, surround: 0.0, ..Augment::default() },
            64,
            &mut rng_for(0, Purpose::Crop, 0),
            &mut out,
        );
        let loud = out.chunks_exact(64).filter(|f| f[10] > 0.5).count();
        assert_eq!(loud, 20);
        assert!(out.iter().all(|&p| p == 0.0 || (p - 1.0).abs() < 1e-3));
    }

    #[test]
    fn shift_of_a_whole_band_is_a_move() {
        let (source, mut out) = ([1.0, 2.0, 3.0, 4.0], [0.0; 4]);
        shift_bands(&source, 1.0, &mut out);
        assert_eq!(out, [2.0, 3.0, 4.0, 4.0]);
        shift_bands(&source, -0.5, &mut out);
        assert_eq!(out, [1.0, 1.5, 2.5, 3.5]);
    }
}

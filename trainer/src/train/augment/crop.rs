//! Crops of a clip.
//!
//! Enters: a clip's frames. Leaves: power spectra of a stretch of it, placed where the sound is, stretched in time and
//! shifted in mel; the same stretch for every network that hears it.

use super::{Bands, power_of};
use crate::common::random::{Rng, uniform};
use crate::data::{Clip, Targets};
use crate::train::recipe::Augment;
use edge_frontend::FrontendConfig;
use rand::Rng as _;
use std::ops::Range;

/// Frames over which the level is averaged before the active ones are chosen.
const SMOOTHING_FRAMES: usize = 5;

/// A clip prepared for cropping.
#[derive(Debug)]
pub struct Source {
    /// Index into the labels.
    pub label: usize,
    /// 95th percentile of the frames' power: the level of the sound, whatever silence surrounds it.
    pub level: f32,
    /// What teachers say of the whole clip: posteriors `(n_classes)`.
    pub soft: Option<Vec<f32>>,
    n_frames: usize,
    /// `(n_frames, n_mels)`.
    power: Vec<f32>,
    /// The same of the teacher's front end; empty if it does not hear crops.
    heard: Vec<f32>,
    /// Frames near the loudest.
    active: Vec<usize>,
    targets: Option<Targets>,
}

/// Whose spectra of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ear {
    /// The student's.
    Student,
    /// The teacher's.
    Teacher,
}

/// Where a crop is cut, and how it is deformed.
#[derive(Debug, Clone)]
pub struct Cut {
    /// First frame; may be negative.
    start: f32,
    /// Frames of the source, before stretching.
    n_frames: f32,
    /// Frames of the source for one of the crop.
    rate: f32,
    /// Bands of the student.
    shift: f32,
    /// Frames of the crop that are kept; what is around them becomes silence.
    kept: Range<usize>,
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
        let Clip { label, heard, targets, soft, .. } = clip;
        Self { label, level, soft, n_frames: totals.len(), power, heard: heard.unwrap_or_default(), active, targets }
    }

    /// Whether the teacher can hear crops of it.
    pub fn is_heard(&self) -> bool {
        !self.heard.is_empty()
    }

    /// Draws a crop of `length` frames that holds an active frame, stretched and shifted at random.
    pub fn draw(&self, augment: &Augment, length: usize, rng: &mut Rng) -> Cut {
        let mut rate = uniform(rng, -augment.stretch, augment.stretch).exp();
        if self.n_frames >= length {
            // A clip long enough for the crop is never stretched beyond its end.
            rate = rate.min((self.n_frames - 1) as f32 / (length - 1).max(1) as f32);
        }
        let n_frames = (rate * (length - 1) as f32).ceil() + 1.0;
        let anchor = self.active[rng.random_range(0..self.active.len() as u32) as usize] as f32;
        let spare = self.n_frames as f32 - n_frames;
        let start = (anchor - uniform(rng, 0.15, 0.85) * n_frames).clamp(spare.min(0.0), spare.max(0.0)).floor();
        let shift = uniform(rng, -augment.mel_shift, augment.mel_shift);
        let mut kept = 0..length;
        if rng.random::<f32>() < augment.surround {
            let anchor = ((anchor - start) / rate).clamp(0.0, (length - 1) as f32);
            kept = draw_kept(anchor, length, rng);
        }
        Cut { start, n_frames, rate, shift, kept }
    }

    /// Draws the beginning of a crop of `length` frames from anywhere.
    pub fn draw_plain(&self, length: usize, rng: &mut Rng) -> usize {
        rng.random_range(0..=self.n_frames.saturating_sub(length) as u32) as usize
    }

    /// Writes a crop, `(length, n_mels)`.
    pub fn write(&self, cut: &Cut, ear: Ear, bands: &Bands, out: &mut [f32]) {
        let shift = cut.shift * bands.per_student_band;
        for (t, frame) in out.chunks_exact_mut(bands.n_mels).enumerate() {
            let at = (cut.start + (t as f32 * cut.rate).round()) as isize;
            match self.frame(at, ear, bands.n_mels).filter(|_| cut.kept.contains(&t)) {
                Some(source) => shift_bands(source, shift, frame),
                None => frame.fill(0.0),
            }
        }
    }

    /// Writes the crop from frame `start` on, as it is. A background goes on: a recording too short for the crop is repeated.
    pub fn write_plain(&self, start: usize, ear: Ear, bands: &Bands, out: &mut [f32]) {
        for (t, frame) in out.chunks_exact_mut(bands.n_mels).enumerate() {
            let source = self.frame(((start + t) % self.n_frames) as isize, ear, bands.n_mels);
            source.into_iter().for_each(|source| frame.copy_from_slice(source));
        }
    }

    /// The teacher's target nearest to the middle of a crop.
    pub fn teacher_at(&self, cut: &Cut) -> Option<usize> {
        self.targets.as_ref().and_then(|targets| targets.nearest(cut.start + cut.n_frames / 2.0))
    }

    /// Row `i` of the teacher's targets.
    pub fn teacher_row(&self, i: usize) -> &[f32] {
        self.targets.as_ref().map_or(&[], |targets| targets.row(i))
    }

    fn frame(&self, t: isize, ear: Ear, n_mels: usize) -> Option<&[f32]> {
        let t = usize::try_from(t).ok().filter(|&t| t < self.n_frames)?;
        let spectra = if ear == Ear::Student { &self.power } else { &self.heard };
        Some(&spectra[t * n_mels..(t + 1) * n_mels])
    }
}

/// A stretch of a crop that holds frame `anchor`.
fn draw_kept(anchor: f32, length: usize, rng: &mut Rng) -> Range<usize> {
    let kept = uniform(rng, 0.15, 0.9) * length as f32;
    let start = (anchor - uniform(rng, 0.1, 0.9) * kept).clamp(0.0, length as f32 - kept) as usize;
    start..(start + kept as usize).min(length)
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
    use crate::common::random::{Purpose, rng_for};

    fn source(n_frames: usize, loud: std::ops::Range<usize>) -> Source {
        let frontend = FrontendConfig::student();
        let frames = (0..n_frames).flat_map(|t| vec![if loud.contains(&t) { 0.0 } else { -12.0 }; 64]).collect();
        let clip = Clip { label: 3, fold: 1, frames, ..Clip::default() };
        Source::new(clip, &frontend, 12.0)
    }

    fn crop(source: &Source, augment: &Augment, k: u64) -> Vec<f32> {
        let cut = source.draw(augment, 100, &mut rng_for(0, Purpose::Crop, k));
        let mut out = vec![9.0; 100 * 64];
        source.write(&cut, Ear::Student, &Bands::student(&FrontendConfig::student()), &mut out);
        out
    }

    #[test]
    fn crops_hold_the_sound() {
        let source = source(500, 300..320);
        for k in 0..50 {
            let out = crop(&source, &Augment::default(), k);
            assert!(out.iter().any(|&p| p > 0.5), "crop {k} is silent");
        }
    }

    #[test]
    fn short_clips_are_surrounded_by_silence() {
        let source = source(20, 0..20);
        let out = crop(&source, &Augment { stretch: 0.0, surround: 0.0, ..Augment::default() }, 0);
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

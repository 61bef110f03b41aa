//! Crops of a clip.
//!
//! Enters: a clip's frames. Leaves: power spectra of a stretch of it, placed where the sound is,
//! stretched in time and shifted in mel; the same stretch for every network that hears it.

use super::teach::Taught;
use super::{Bands, power_of};
use crate::common::random::{Rng, uniform};
use crate::data::frames::Frames;
use crate::error::Result;
use crate::nets::teacher::Targets;
use crate::train::recipe::Augment;
use edge_frontend::FrontendConfig;
use rand::Rng as _;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Frames over which the level is averaged before the active ones are chosen.
const SMOOTHING_FRAMES: usize = 5;
/// Frames that are looked at together when a clip's level is measured.
const PIECE: usize = 1 << 12;

/// A clip prepared for cropping.
#[derive(Debug)]
pub struct Source {
    /// Index into the labels.
    pub label: usize,
    /// 95th percentile of the frames' power: the level of the sound, no matter how much silence
    /// surrounds it.
    pub level: f32,
    /// Posteriors `(n_classes)` of the whole clip by other networks.
    pub soft: Option<Vec<f32>>,
    n_frames: usize,
    student: Powers,
    teacher: Option<Powers>,
    /// Frames near the loudest.
    active: Vec<u32>,
    targets: Option<Targets>,
}

/// Memory that may still be taken for powers, in bytes.
#[derive(Debug)]
pub struct Budget(AtomicUsize);

impl Budget {
    /// A budget of `n_bytes`.
    pub fn of(n_bytes: usize) -> Self {
        Self(AtomicUsize::new(n_bytes))
    }

    fn take(&self, n_bytes: usize) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(n_bytes)).is_ok()
    }
}

/// Powers of a clip, `(n_frames, width)`: in memory as far as the budget allows, else made of
/// frames that are read when they are needed.
#[derive(Debug)]
enum Powers {
    Held {
        values: Vec<f32>,
        width: usize,
    },
    /// Normalised log-mel values of this front end, or powers already.
    Read(Frames, Option<FrontendConfig>),
}

impl Powers {
    fn new(frames: Frames, frontend: Option<&FrontendConfig>, budget: &Budget) -> Result<Self> {
        let read = Self::Read(frames.clone(), frontend.cloned());
        if !budget.take(frames.n_bytes()) {
            return Ok(read);
        }
        Ok(Self::Held { values: read.read(0..frames.n_frames())?.into_owned(), width: frames.width() })
    }

    fn read(&self, range: Range<usize>) -> Result<Cow<'_, [f32]>> {
        match self {
            Self::Held { values, width } => Ok(Cow::Borrowed(&values[range.start * width..range.end * width])),
            Self::Read(frames, None) => frames.read(range),
            Self::Read(frames, Some(frontend)) => {
                let mut values = frames.read(range)?.into_owned();
                values.iter_mut().for_each(|value| *value = power_of(*value, frontend));
                Ok(Cow::Owned(values))
            }
        }
    }
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
    /// Measures the clip and takes its powers into memory as far as the `budget` allows.
    ///
    /// # Errors
    ///
    /// If its frames cannot be read.
    pub fn new(taught: Taught, frontend: &FrontendConfig, active_db: f32, budget: &Budget) -> Result<Self> {
        let Taught { clip, targets, soft, heard } = taught;
        let n_frames = clip.frames.n_frames();
        let student = Powers::new(clip.frames, Some(frontend), budget)?;
        let teacher = heard.map(|frames| Powers::new(frames, None, budget)).transpose()?;
        let mut totals: Vec<f32> = Vec::with_capacity(n_frames);
        for start in (0..n_frames).step_by(PIECE) {
            let piece = student.read(start..(start + PIECE).min(n_frames))?;
            totals.extend(piece.chunks_exact(frontend.n_mels).map(|frame| frame.iter().sum::<f32>()));
        }
        let smooth = |t: usize| {
            let around =
                &totals[t.saturating_sub(SMOOTHING_FRAMES / 2)..(t + SMOOTHING_FRAMES / 2 + 1).min(totals.len())];
            around.iter().sum::<f32>() / SMOOTHING_FRAMES as f32
        };
        let levels: Vec<f32> = (0..totals.len()).map(smooth).collect();
        let loudest = levels.iter().copied().fold(0.0, f32::max);
        let threshold = (loudest + 1e-6) * super::decibels(-active_db) - 1e-6;
        let active = (0..levels.len()).filter(|&t| levels[t] >= threshold).map(|t| t as u32).collect();
        let mut sorted = levels;
        sorted.sort_by(f32::total_cmp);
        let level = sorted[(sorted.len() - 1) * 95 / 100];
        Ok(Self { label: clip.label, level, soft, n_frames, student, teacher, active, targets })
    }

    /// Whether the teacher can hear crops of it.
    pub fn is_heard(&self) -> bool {
        self.teacher.is_some()
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
    ///
    /// # Errors
    ///
    /// If the frames cannot be read.
    pub fn write(&self, cut: &Cut, ear: Ear, bands: &Bands, out: &mut [f32]) -> Result<()> {
        let (shift, per_frame) = (cut.shift * bands.per_student_band, bands.per_student_frame);
        let n_all = (self.n_frames * per_frame) as f32;
        let at = |t: usize| cut.start * per_frame as f32 + (t as f32 * cut.rate).round();
        let n_out = out.len() / bands.n_mels;
        let (first, last) = (at(0).clamp(0.0, n_all), at(n_out.max(1) - 1).clamp(0.0, n_all - 1.0));
        let read = first as usize / per_frame..(last as usize / per_frame + 1).min(self.n_frames);
        let offset = read.start.min(read.end) * per_frame;
        let powers = self.read(ear, read.start.min(read.end)..read.end)?;
        for (t, frame) in out.chunks_exact_mut(bands.n_mels).enumerate() {
            let at = at(t);
            if (0.0..n_all).contains(&at) && cut.kept.contains(&(t / per_frame)) {
                let from = (at as usize - offset) * bands.n_mels;
                shift_bands(&powers[from..from + bands.n_mels], shift, frame);
            } else {
                frame.fill(0.0);
            }
        }
        Ok(())
    }

    /// Writes the crop from frame `start` on, as it is. A background continues: a recording too
    /// short for the crop is repeated.
    ///
    /// # Errors
    ///
    /// If the frames cannot be read.
    pub fn write_plain(&self, start: usize, ear: Ear, bands: &Bands, out: &mut [f32]) -> Result<()> {
        let width = bands.n_values(1);
        let (mut at, mut rest) = (start % self.n_frames, out);
        while !rest.is_empty() {
            let n = (self.n_frames - at).min(rest.len() / width);
            let (now, later) = rest.split_at_mut(n * width);
            now.copy_from_slice(&self.read(ear, at..at + n)?);
            (at, rest) = (0, later);
        }
        Ok(())
    }

    /// The teacher's target nearest to the middle of a crop.
    pub fn teacher_at(&self, cut: &Cut) -> Option<usize> {
        self.targets.as_ref().and_then(|targets| targets.nearest(cut.start + cut.n_frames / 2.0))
    }

    /// Row `i` of the teacher's targets.
    pub fn teacher_row(&self, i: usize) -> &[f32] {
        self.targets.as_ref().map_or(&[], |targets| targets.row(i))
    }

    fn read(&self, ear: Ear, range: Range<usize>) -> Result<Cow<'_, [f32]>> {
        match (ear, &self.teacher) {
            (Ear::Teacher, Some(powers)) => powers.read(range),
            (Ear::Teacher, None) => Ok(Cow::Borrowed(&[])),
            (Ear::Student, _) => self.student.read(range),
        }
    }
}

/// A stretch of a crop that holds frame `anchor`.
fn draw_kept(anchor: f32, length: usize, rng: &mut Rng) -> Range<usize> {
    let kept = uniform(rng, 0.15, 0.9) * length as f32;
    let start = (anchor - uniform(rng, 0.1, 0.9) * kept).clamp(0.0, length as f32 - kept) as usize;
    start..(start + kept as usize).min(length)
}

/// Band `b` of the output is band `b + shift` of the input, by linear interpolation; the edge bands
/// are continued.
pub fn shift_bands(source: &[f32], shift: f32, out: &mut [f32]) {
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
    use crate::data::{Audio, Clip, Division, Origin};

    fn source_with(n_frames: usize, loud: std::ops::Range<usize>, budget: usize) -> Source {
        let frontend = FrontendConfig::student();
        let frames = (0..n_frames).flat_map(|t| vec![if loud.contains(&t) { 0.0 } else { -12.0 }; 64]).collect();
        let clip = Clip {
            origin: Origin::Generated,
            label: 3,
            division: Division::Train,
            source: String::new(),
            id: String::new(),
            file: String::new(),
            frames: Frames::in_memory(frames, 64),
            audio: Audio::Unknown,
        };
        Source::new(Taught::of(clip), &frontend, 12.0, &Budget::of(budget)).unwrap()
    }

    fn source(n_frames: usize, loud: std::ops::Range<usize>) -> Source {
        source_with(n_frames, loud, usize::MAX)
    }

    /// Augmentation as strong as that of the shipped recipe.
    fn strong() -> Augment {
        Augment { stretch: 0.12, mel_shift: 2.0, surround: 0.1, ..Augment::default() }
    }

    fn crop(source: &Source, augment: &Augment, k: u64) -> Vec<f32> {
        let cut = source.draw(augment, 100, &mut rng_for(0, Purpose::Crop, k));
        let mut out = vec![9.0; 100 * 64];
        source.write(&cut, Ear::Student, &Bands::student(&FrontendConfig::student()), &mut out).unwrap();
        out
    }

    #[test]
    fn crops_hold_the_sound() {
        let source = source(500, 300..320);
        for k in 0..50 {
            let out = crop(&source, &strong(), k);
            assert!(out.iter().any(|&p| p > 0.5), "crop {k} is silent");
        }
    }

    #[test]
    fn crops_do_not_depend_on_what_is_held_in_memory() {
        let (held, read) = (source(300, 100..140), source_with(300, 100..140, 0));
        assert!(matches!((&held.student, &read.student), (Powers::Held { .. }, Powers::Read(..))));
        let bands = Bands::student(&FrontendConfig::student());
        for k in 0..20 {
            assert_eq!(crop(&held, &strong(), k), crop(&read, &strong(), k));
            let plain = |source: &Source| {
                let mut out = vec![9.0; 400 * 64];
                source.write_plain(k as usize * 10, Ear::Student, &bands, &mut out).unwrap();
                out
            };
            assert_eq!(plain(&held), plain(&read));
        }
    }

    #[test]
    fn short_clips_are_surrounded_by_silence() {
        let source = source(20, 0..20);
        let out = crop(&source, &Augment::default(), 0);
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

//! Training batches: crops, augmentation and soft targets.
//!
//! Enters: the clips of a split, and a step's number. Leaves: power spectra `(B, T, n_mels)`, class targets `(B, C)` and, with
//! a teacher, embedding targets. Sounds are mixed as powers, which add up as they do in the air; the logarithm is taken on
//! the device. Everything random derives from (seed, step, item), so a batch is the same however many threads make it and
//! whether or not the training was interrupted before it.

mod crop;
mod noise;

use crate::data::Clip;
use crate::random::{Purpose, Rng, beta, rng_for, uniform};
use crate::recipe::{Augment, Recipe};
use edge_frontend::FrontendConfig;
use rand::Rng as _;
use rand::seq::SliceRandom;
use rayon::prelude::*;

pub use crop::Source;

/// Makes the batches of a training.
#[derive(Debug)]
pub struct Batcher {
    augment: Augment,
    seed: u64,
    batch: usize,
    crop_frames: usize,
    n_mels: usize,
    n_classes: usize,
    background: Option<usize>,
    n_teacher: usize,
    /// Power that becomes 0 after the logarithm and the normalisation: what a mask writes.
    masked_power: f32,
    clips: Vec<Source>,
    negatives: Vec<Source>,
}

/// One step's input and targets; all row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `(B, T, n_mels)`, powers before offset, logarithm and normalisation.
    pub power: Vec<f32>,
    /// `(B, C)`, rows sum to 1.
    pub targets: Vec<f32>,
    /// `(B, n_teacher)`; empty without a teacher.
    pub teacher: Vec<f32>,
    /// `(B)`: 1 where `teacher` holds a target, else 0; empty without a teacher.
    pub has_teacher: Vec<f32>,
}

/// A crop before mixing.
struct Item {
    clip: usize,
    /// Level of the clip after its gain, as power.
    level: f32,
    teacher: Option<usize>,
}

impl Batcher {
    /// Takes the clips and backgrounds of a split; `n_teacher` is the width of their embedding targets, 0 without a teacher.
    pub fn new(
        recipe: &Recipe,
        n_classes: usize,
        background: Option<usize>,
        n_teacher: usize,
        clips: Vec<Clip>,
        negatives: Vec<Clip>,
    ) -> Self {
        let frontend = &recipe.frontend;
        let prepare = |clips: Vec<Clip>| {
            clips.into_par_iter().map(|c| Source::new(c, frontend, recipe.augment.active_db)).collect()
        };
        Self {
            augment: recipe.augment.clone(),
            seed: recipe.seed,
            batch: recipe.train.batch,
            crop_frames: recipe.train.crop_frames,
            n_mels: frontend.n_mels,
            n_classes,
            background,
            n_teacher,
            masked_power: power_of(0.0, frontend),
            clips: prepare(clips),
            negatives: prepare(negatives),
        }
    }

    /// Steps that see each clip once; the last, smaller batch of an epoch is left out.
    pub fn steps_per_epoch(&self) -> u64 {
        (self.clips.len() / self.batch).max(1) as u64
    }

    /// The batch of step `step`, from 0.
    pub fn batch(&self, step: u64) -> Batch {
        let (epoch, place) = (step / self.steps_per_epoch(), (step % self.steps_per_epoch()) as usize);
        let mut order: Vec<usize> = (0..self.clips.len()).collect();
        order.shuffle(&mut rng_for(self.seed, Purpose::Order, epoch));
        let chosen: Vec<usize> = (0..self.batch).map(|i| order[(place * self.batch + i) % order.len()]).collect();

        let size = self.crop_frames * self.n_mels;
        let mut crops = vec![0.0; self.batch * size];
        let outputs = crops.par_chunks_mut(size).zip(&chosen).enumerate();
        let items: Vec<Item> = outputs.map(|(i, (out, &clip))| self.crop(clip, step, i, out)).collect();

        let mut rng = rng_for(self.seed, Purpose::Batch, step);
        let mut partners: Vec<usize> = (0..self.batch).collect();
        partners.shuffle(&mut rng);
        let mut batch = Batch {
            power: vec![0.0; self.batch * size],
            targets: vec![0.0; self.batch * self.n_classes],
            teacher: vec![0.0; self.batch * self.n_teacher],
            has_teacher: vec![0.0; if self.n_teacher > 0 { self.batch } else { 0 }],
        };
        let targets = batch.targets.par_chunks_mut(self.n_classes);
        let weights: Vec<Option<f32>> = batch
            .power
            .par_chunks_mut(size)
            .zip(targets)
            .enumerate()
            .map(|(i, (out, target))| {
                let crop_of = |k: usize| (&crops[k * size..(k + 1) * size], &items[k]);
                let mut rng = self.item_rng(Purpose::Mix, step, i);
                self.mix(&mut rng, crop_of(i), crop_of(partners[i]), out, target)
            })
            .collect();
        for (i, weight) in weights.into_iter().enumerate().filter(|_| self.n_teacher > 0) {
            let weighted = weight.map(|w| [(&items[i], w), (&items[partners[i]], 1.0 - w)]);
            let out = &mut batch.teacher[i * self.n_teacher..(i + 1) * self.n_teacher];
            if weighted.is_some_and(|pair| self.mix_targets(pair, out)) {
                batch.has_teacher[i] = 1.0;
            }
        }
        batch
    }

    fn crop(&self, clip: usize, step: u64, i: usize, out: &mut [f32]) -> Item {
        let mut rng = self.item_rng(Purpose::Crop, step, i);
        let source = &self.clips[clip];
        let cut = source.cut(&self.augment, self.n_mels, &mut rng, out);
        let gain = decibels(uniform(&mut rng, -self.augment.gain_db, self.augment.gain_db));
        out.iter_mut().for_each(|p| *p *= gain);
        Item { clip, level: source.level * gain, teacher: source.teacher_at(cut) }
    }

    /// Writes the finished crop and its target. Leaves the weight of the item's own clip, or none if it became a negative.
    fn mix(
        &self,
        rng: &mut Rng,
        (own, item): (&[f32], &Item),
        (other, partner): (&[f32], &Item),
        out: &mut [f32],
        target: &mut [f32],
    ) -> Option<f32> {
        let augment = &self.augment;
        let negative = self.background.filter(|_| rng.random::<f32>() < augment.negatives);
        let mut weight = 1.0;
        if let Some(background) = negative {
            self.fill_negative(rng, out);
            target[background] = 1.0;
        } else {
            if rng.random::<f32>() < augment.mixup {
                let drawn = beta(rng, augment.mixup_alpha);
                weight = drawn.max(1.0 - drawn);
            }
            // The weight is one of amplitudes at equal level, so that neither sound drowns the other by chance.
            let to_equal_level = (item.level / partner.level.max(1e-9)).clamp(1e-3, 1e3);
            let (a, b) = (weight * weight, (1.0 - weight) * (1.0 - weight) * to_equal_level);
            out.iter_mut().zip(own.iter().zip(other)).for_each(|(o, (x, y))| *o = a * x + b * y);
            target[self.clips[item.clip].label] += weight;
            target[self.clips[partner.clip].label] += 1.0 - weight;
        }
        if augment.eq_db > 0.0 {
            noise::equalise(rng, augment.eq_db, self.n_mels, out);
        }
        if rng.random::<f32>() < augment.noise {
            self.add_noise(rng, out);
        }
        self.mask(rng, out);
        negative.is_none().then_some(weight)
    }

    /// Writes the weighted sum of the teacher's targets of two crops; `false` if one has none.
    fn mix_targets(&self, pair: [(&Item, f32); 2], out: &mut [f32]) -> bool {
        let [Some(a), Some(b)] = pair.map(|(item, _)| Some(self.clips[item.clip].teacher_row(item.teacher?))) else {
            return false;
        };
        out.iter_mut().zip(a.iter().zip(b)).for_each(|(o, (a, b))| *o = pair[0].1 * a + pair[1].1 * b);
        true
    }

    /// A background recording at any level, or coloured noise down to silence.
    fn fill_negative(&self, rng: &mut Rng, out: &mut [f32]) {
        let recorded = !self.negatives.is_empty() && rng.random::<f32>() < 0.7;
        let gain = if recorded {
            self.background_crop(rng, out);
            decibels(uniform(rng, -25.0, 15.0))
        } else {
            noise::coloured(rng, self.n_mels, out);
            decibels(uniform(rng, -60.0, 0.0))
        };
        out.iter_mut().for_each(|p| *p *= gain);
    }

    fn add_noise(&self, rng: &mut Rng, out: &mut [f32]) {
        let mut added = vec![0.0; out.len()];
        if !self.negatives.is_empty() && rng.random::<bool>() {
            self.background_crop(rng, &mut added);
        } else {
            noise::coloured(rng, self.n_mels, &mut added);
        }
        let [lowest, highest] = self.augment.noise_snr_db;
        let snr = decibels(uniform(rng, lowest, highest));
        let gain = out.iter().sum::<f32>() / added.iter().sum::<f32>().max(1e-9) / snr;
        out.iter_mut().zip(&added).for_each(|(o, n)| *o += gain * n);
    }

    fn background_crop(&self, rng: &mut Rng, out: &mut [f32]) {
        let clip = rng.random_range(0..self.negatives.len() as u32) as usize;
        self.negatives[clip].cut_plain(rng, self.n_mels, out);
    }

    /// SpecAugment (Park et al. 2019, section 2) without the time warp.
    fn mask(&self, rng: &mut Rng, out: &mut [f32]) {
        let width = rng.random_range(0..=self.augment.time_mask);
        let start = rng.random_range(0..=self.crop_frames - width);
        out[start * self.n_mels..(start + width) * self.n_mels].fill(self.masked_power);
        for _ in 0..self.augment.n_freq_masks {
            let width = rng.random_range(0..=self.augment.freq_mask);
            let start = rng.random_range(0..=self.n_mels - width);
            out.chunks_exact_mut(self.n_mels).for_each(|frame| frame[start..start + width].fill(self.masked_power));
        }
    }

    fn item_rng(&self, purpose: Purpose, step: u64, i: usize) -> Rng {
        rng_for(self.seed, purpose, step * self.batch as u64 + i as u64)
    }
}

/// The power of a normalised log-mel value.
fn power_of(value: f32, frontend: &FrontendConfig) -> f32 {
    ((value * frontend.std + frontend.mean).exp() - frontend.log_offset as f32).max(0.0)
}

/// A ratio of powers.
fn decibels(db: f32) -> f32 {
    10f32.powf(db / 10.0)
}

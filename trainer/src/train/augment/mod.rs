//! Training batches: crops, augmentation and soft targets.
//!
//! Enters: the clips of a split, and a step's number. Leaves: power spectra `(B, T, n_mels)`, class targets `(B, C)` and, with
//! a teacher, embedding targets, or the teacher's own spectra of some of the crops. Sounds are mixed as powers, which add up as they
//! do in the air; the logarithm is taken on the device. Everything random derives from (seed, step, item), so a batch is the same
//! however many threads make it and whether or not the training was interrupted before it.

mod bands;
mod crop;
mod noise;
mod treatment;

use crate::common::random::{Purpose, Rng, rng_for, uniform};
use crate::data::Clip;
use crate::train::recipe::{Augment, Recipe};
use edge_frontend::FrontendConfig;
use rand::Rng as _;
use rand::seq::SliceRandom;
use rayon::prelude::*;
use treatment::{Base, Means, Treatment};

pub use bands::Bands;
pub use crop::{Cut, Ear, Source};

/// Makes the batches of a training.
#[derive(Debug)]
pub struct Batcher {
    augment: Augment,
    seed: u64,
    batch: usize,
    crop_frames: usize,
    student: Bands,
    teacher: Bands,
    n_classes: usize,
    background: Option<usize>,
    n_teacher: usize,
    /// Items that the teacher hears: the first of a batch, which is as random as its order.
    n_heard: usize,
    /// Power that becomes 0 after the logarithm and the normalisation: what a mask writes.
    masked_power: f32,
    clips: Vec<Source>,
    negatives: Vec<Source>,
}

/// One step's input and targets; all row-major.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// `(B, T, n_mels)`, powers before offset, logarithm and normalisation.
    pub power: Vec<f32>,
    /// `(B, C)`, rows sum to 1.
    pub targets: Vec<f32>,
    /// `(B)`: 1 where the item is a negative, else 0.
    pub negative: Vec<f32>,
    /// `(B, n_teacher)`; empty without a teacher.
    pub teacher: Vec<f32>,
    /// `(B)`: 1 where `teacher` holds a target, else 0; empty without a teacher.
    pub has_teacher: Vec<f32>,
    /// `(heard.len(), T, teacher::mn04::N_MELS)`: what the teacher hears, powers before offset and logarithm.
    pub heard_power: Vec<f32>,
    /// The items that `heard_power` is of.
    pub heard: Vec<i64>,
    /// `(B, C)`: what other networks say, mixed as the labels are.
    pub soft: Vec<f32>,
    /// `(B)`: 1 where `soft` holds something, else 0.
    pub has_soft: Vec<f32>,
}

/// A crop before mixing.
struct Item {
    clip: usize,
    cut: Cut,
    /// Factor of its power.
    gain: f32,
}

/// One item of a batch in the making.
struct Made {
    treatment: Treatment,
    /// Share of its own clip; none if it became a negative.
    weight: Option<f32>,
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
        let online = recipe.teacher.as_ref().map_or(0.0, |teacher| teacher.online);
        Self {
            augment: recipe.augment.clone(),
            seed: recipe.seed,
            batch: recipe.train.batch,
            crop_frames: recipe.train.crop_frames,
            student: Bands::student(frontend),
            teacher: Bands::mn04(frontend),
            n_classes,
            background,
            n_teacher,
            n_heard: (online * recipe.train.batch as f64).round() as usize,
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
        let items = self.items(step);
        let size = self.crop_frames * self.student.n_mels;
        let mut crops = vec![0.0; self.batch * size];
        crops.par_chunks_mut(size).zip(&items).for_each(|(out, item)| self.write(item, Ear::Student, out));

        let mut partners: Vec<usize> = (0..self.batch).collect();
        partners.shuffle(&mut rng_for(self.seed, Purpose::Batch, step));
        let mut batch = Batch {
            power: vec![0.0; self.batch * size],
            targets: vec![0.0; self.batch * self.n_classes],
            ..Batch::default()
        };
        let outputs = batch.power.par_chunks_mut(size).zip(batch.targets.par_chunks_mut(self.n_classes)).enumerate();
        let made: Vec<Made> = outputs
            .map(|(i, (out, target))| {
                let mut rng = self.item_rng(Purpose::Mix, step, i);
                let crop = |k: usize| &crops[k * size..(k + 1) * size];
                let made = self.make(&mut rng, [crop(i), crop(partners[i])], [i, partners[i]].map(|k| &items[k]), out);
                self.label(&made, [i, partners[i]].map(|k| &items[k]), target);
                made
            })
            .collect();
        batch.negative = made.iter().map(|m| f32::from(u8::from(m.weight.is_none()))).collect();
        self.add_targets(&mut batch, &items, &partners, &made);
        self.add_soft(&mut batch, &items, &partners, &made);
        self.add_heard(&mut batch, &items, &partners, &made);
        batch
    }

    /// The crops of a step.
    fn items(&self, step: u64) -> Vec<Item> {
        let (epoch, place) = (step / self.steps_per_epoch(), (step % self.steps_per_epoch()) as usize);
        let mut order: Vec<usize> = (0..self.clips.len()).collect();
        order.shuffle(&mut rng_for(self.seed, Purpose::Order, epoch));
        let item = |i: usize| {
            let clip = order[(place * self.batch + i) % order.len()];
            let mut rng = self.item_rng(Purpose::Crop, step, i);
            let cut = self.clips[clip].draw(&self.augment, self.crop_frames, &mut rng);
            Item { clip, cut, gain: decibels(uniform(&mut rng, -self.augment.gain_db, self.augment.gain_db)) }
        };
        (0..self.batch).map(item).collect()
    }

    fn write(&self, item: &Item, ear: Ear, out: &mut [f32]) {
        let bands = if ear == Ear::Student { &self.student } else { &self.teacher };
        self.clips[item.clip].write(&item.cut, ear, bands, out);
        out.iter_mut().for_each(|p| *p *= item.gain);
    }

    /// Writes the finished crop.
    fn make(&self, rng: &mut Rng, crops: [&[f32]; 2], items: [&Item; 2], out: &mut [f32]) -> Made {
        let means = Means {
            augment: &self.augment,
            negatives: &self.negatives,
            crop_frames: self.crop_frames,
            n_mels: self.student.n_mels,
            has_background: self.background.is_some(),
        };
        let [own, other] = items.map(|item| self.clips[item.clip].level * item.gain);
        let mut treatment = means.draw((own / other.max(1e-9)).clamp(1e-3, 1e3), rng);
        treatment.apply(crops, &self.negatives, &self.student, out);
        self.mask(rng, out);
        let weight = match treatment.base {
            Base::Mixture { weight, .. } => Some(weight),
            Base::Negative(_) => None,
        };
        Made { treatment, weight }
    }

    fn label(&self, made: &Made, [own, other]: [&Item; 2], target: &mut [f32]) {
        match (made.weight, self.background) {
            (Some(weight), _) => {
                target[self.clips[own.clip].label] += weight;
                target[self.clips[other.clip].label] += 1.0 - weight;
            }
            (None, Some(background)) => target[background] = 1.0,
            (None, None) => unreachable!("negatives are only made where there is a label for them"),
        }
    }

    /// The teacher's embeddings of the clean clips, mixed as these are.
    fn add_targets(&self, batch: &mut Batch, items: &[Item], partners: &[usize], made: &[Made]) {
        if self.n_teacher == 0 {
            return;
        }
        batch.teacher = vec![0.0; self.batch * self.n_teacher];
        batch.has_teacher = vec![0.0; self.batch];
        let row = |item: &Item| {
            let source = &self.clips[item.clip];
            Some(source.teacher_row(source.teacher_at(&item.cut)?)).filter(|row| !row.is_empty())
        };
        for (i, made) in made.iter().enumerate() {
            let Some(weight) = made.weight else { continue };
            let [Some(a), Some(b)] = [i, partners[i]].map(|k| row(&items[k])) else { continue };
            let out = &mut batch.teacher[i * self.n_teacher..(i + 1) * self.n_teacher];
            out.iter_mut().zip(a.iter().zip(b)).for_each(|(o, (a, b))| *o = weight * a + (1.0 - weight) * b);
            batch.has_teacher[i] = 1.0;
        }
    }

    /// What other networks say of the clips, mixed as these are; of a partner that none has heard, its label.
    fn add_soft(&self, batch: &mut Batch, items: &[Item], partners: &[usize], made: &[Made]) {
        batch.has_soft = vec![0.0; self.batch];
        batch.soft = vec![0.0; self.batch * self.n_classes];
        for (i, made) in made.iter().enumerate() {
            let Some(weight) = made.weight else { continue };
            let sources = [i, partners[i]].map(|k| &self.clips[items[k].clip]);
            if sources.iter().all(|s| s.soft.is_none()) {
                continue;
            }
            let out = &mut batch.soft[i * self.n_classes..(i + 1) * self.n_classes];
            for (source, share) in sources.into_iter().zip([weight, 1.0 - weight]) {
                match &source.soft {
                    Some(soft) => out.iter_mut().zip(soft).for_each(|(o, p)| *o += share * p),
                    None => out[source.label] += share,
                }
            }
            batch.has_soft[i] = 1.0;
        }
    }

    /// The teacher's spectra of the first items, treated as the student's are but for the masks.
    fn add_heard(&self, batch: &mut Batch, items: &[Item], partners: &[usize], made: &[Made]) {
        let can_hear = |i: &usize| {
            let both = [*i, partners[*i]].iter().all(|&k| self.clips[items[k].clip].is_heard());
            (both || made[*i].weight.is_none()) && made[*i].treatment.is_heard(&self.negatives)
        };
        let heard: Vec<usize> = (0..self.n_heard).filter(can_hear).collect();
        let size = self.crop_frames * self.teacher.n_mels;
        batch.heard_power = vec![0.0; heard.len() * size];
        batch.heard_power.par_chunks_mut(size).zip(&heard).for_each(|(out, &i)| {
            let crops = [i, partners[i]].map(|k| {
                let mut crop = vec![0.0; size];
                if made[i].weight.is_some() {
                    self.write(&items[k], Ear::Teacher, &mut crop);
                }
                crop
            });
            made[i].treatment.repeat([&crops[0], &crops[1]], &self.negatives, &self.teacher, out);
        });
        batch.heard = heard.into_iter().map(|i| i as i64).collect();
    }

    /// SpecAugment (Park et al. 2019, section 2) without the time warp.
    fn mask(&self, rng: &mut Rng, out: &mut [f32]) {
        let n_mels = self.student.n_mels;
        let width = rng.random_range(0..=self.augment.time_mask);
        let start = rng.random_range(0..=self.crop_frames - width);
        out[start * n_mels..(start + width) * n_mels].fill(self.masked_power);
        for _ in 0..self.augment.n_freq_masks {
            let width = rng.random_range(0..=self.augment.freq_mask);
            let start = rng.random_range(0..=n_mels - width);
            out.chunks_exact_mut(n_mels).for_each(|frame| frame[start..start + width].fill(self.masked_power));
        }
    }

    fn item_rng(&self, purpose: Purpose, step: u64, i: usize) -> Rng {
        rng_for(self.seed, purpose, step * self.batch as u64 + i as u64)
    }
}

/// The power of a normalised log-mel value.
pub(crate) fn power_of(value: f32, frontend: &FrontendConfig) -> f32 {
    ((value * frontend.std + frontend.mean).exp() - frontend.log_offset as f32).max(0.0)
}

/// A ratio of powers.
pub(crate) fn decibels(db: f32) -> f32 {
    10f32.powf(db / 10.0)
}

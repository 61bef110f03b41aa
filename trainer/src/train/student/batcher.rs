//! Training batches: crops, augmentation and soft targets.
//!
//! Enters: the clips of a split with what teachers know of them, and a step's number. Leaves: power
//! spectra `(B, T, n_mels)`, class targets `(B, C)` and, with teachers, embeddings, posteriors, or
//! a teacher's own spectra of some of the crops. Sounds are mixed as powers, which add up as they
//! do in the air; the logarithm is taken on the device. Everything random derives from (seed, step,
//! item), so a batch is the same however many threads make it and whether or not the training was
//! interrupted before it.

use super::source::{Budget, Cut, Ear, Source};
use super::teach::Taught;
use super::treatment::{Base, Means, Treatment};
use super::{Bands, decibels, power_of};
use crate::common::random::{Purpose, Rng, rng_for, uniform};
use crate::error::Result;
use crate::nets::teacher::EMBEDDING_WIDTH;
use crate::train::recipe::{Augment, Recipe, Stage};
use rand::Rng as _;
use rand::seq::SliceRandom;
use rayon::prelude::*;
use std::ops::Range;

/// What batches are made for.
#[derive(Debug)]
pub struct Settings {
    /// Number of classes.
    pub n_classes: usize,
    /// Index of the background label.
    pub background: Option<usize>,
    /// Whether teachers' embeddings of the clean clips go with the crops.
    pub with_embeddings: bool,
    /// The teacher that hears crops.
    pub hearing: Option<Hearing>,
}

/// A teacher that hears crops.
#[derive(Debug)]
pub struct Hearing {
    /// Its bands.
    pub bands: Bands,
    /// Share of a batch that it hears.
    pub share: f64,
    /// Whether SpecAugment's masks are in its crops, too.
    pub masked: bool,
}

/// Makes the batches of a training.
#[derive(Debug)]
pub struct Batcher {
    settings: Settings,
    augment: Augment,
    seed: u64,
    batch: usize,
    crop_frames: usize,
    student: Bands,
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
    /// `(B)`: whether the item is a negative.
    pub negative: Vec<bool>,
    /// Teachers' embeddings of the clean clips, mixed as these are.
    pub embeddings: Option<Known>,
    /// Other networks' posteriors of the clips, mixed as the labels are.
    pub soft: Option<Known>,
    /// What the teacher hears; none if no teacher does.
    pub heard: Option<Heard>,
}

/// Rows that are known for some items of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// `(B, width)`; zeros where nothing is known.
    pub values: Vec<f32>,
    /// `(B)`: 1 where the row is known, else 0.
    pub mask: Vec<f32>,
}

/// Crops as a teacher hears them.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// `(items.len(), frames, bands)`, powers before offset and logarithm.
    pub power: Vec<f32>,
    /// The items of the batch that they are of.
    pub items: Vec<i64>,
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
    /// Masked frames, and masked ranges of bands.
    masks: (Range<usize>, Vec<Range<usize>>),
}

impl Batcher {
    /// Takes the clips and backgrounds of a split. Their powers are held in memory as far as the
    /// recipe's `memory_mb` allows, and read from disk beyond that.
    ///
    /// # Errors
    ///
    /// If a clip's frames cannot be read.
    pub fn new(
        recipe: &Recipe,
        stage: &Stage,
        seed: u64,
        settings: Settings,
        clips: Vec<Taught>,
        negatives: Vec<Taught>,
    ) -> Result<Self> {
        let (frontend, augment) = (&recipe.frontend, stage.augment());
        // A quarter is for decoded recordings.
        let budget = Budget::of((recipe.train.memory_mb - recipe.train.memory_mb / 4) << 20);
        let prepare = |clips: Vec<Taught>| {
            let sources = clips.into_par_iter().map(|c| Source::new(c, frontend, augment.active_db, &budget));
            sources.collect::<Result<Vec<_>>>()
        };
        Ok(Self {
            seed,
            batch: stage.batch,
            crop_frames: recipe.train.crop_frames,
            student: Bands::student(frontend),
            masked_power: power_of(0.0, frontend),
            clips: prepare(clips)?,
            negatives: prepare(negatives)?,
            settings,
            augment,
        })
    }

    /// Steps that see each clip once; the last, smaller batch of an epoch is left out.
    pub fn steps_per_epoch(&self) -> u64 {
        (self.clips.len() / self.batch).max(1) as u64
    }

    /// The batch of step `step`, from 0.
    ///
    /// # Errors
    ///
    /// If a clip's frames cannot be read.
    pub fn batch(&self, step: u64) -> Result<Batch> {
        let items = self.items(step);
        let size = self.crop_frames * self.student.n_mels;
        let mut crops = vec![0.0; self.batch * size];
        crops
            .par_chunks_mut(size)
            .zip(&items)
            .try_for_each(|(out, item)| self.write(item, Ear::Student, &self.student, out))?;

        let mut partners: Vec<usize> = (0..self.batch).collect();
        partners.shuffle(&mut rng_for(self.seed, Purpose::Batch, step));
        let mut power = vec![0.0; self.batch * size];
        let mut targets = vec![0.0; self.batch * self.settings.n_classes];
        let outputs = power.par_chunks_mut(size).zip(targets.par_chunks_mut(self.settings.n_classes)).enumerate();
        let made = outputs.map(|(i, (out, target))| {
            let mut rng = self.item_rng(Purpose::Mix, step, i);
            let crop = |k: usize| &crops[k * size..(k + 1) * size];
            let made = self.make(&mut rng, [crop(i), crop(partners[i])], [i, partners[i]].map(|k| &items[k]), out)?;
            self.label(&made, [i, partners[i]].map(|k| &items[k]), target);
            Ok(made)
        });
        let made = made.collect::<Result<Vec<Made>>>()?;
        Ok(Batch {
            negative: made.iter().map(|m| m.weight.is_none()).collect(),
            embeddings: self.settings.with_embeddings.then(|| self.embeddings(&items, &partners, &made)),
            soft: self.soft(&items, &partners, &made),
            heard: self.settings.hearing.as_ref().map(|h| self.hear(h, &items, &partners, &made)).transpose()?,
            power,
            targets,
        })
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

    fn write(&self, item: &Item, ear: Ear, bands: &Bands, out: &mut [f32]) -> Result<()> {
        self.clips[item.clip].write(&item.cut, ear, bands, out)?;
        out.iter_mut().for_each(|p| *p *= item.gain);
        Ok(())
    }

    /// Writes the finished crop.
    fn make(&self, rng: &mut Rng, crops: [&[f32]; 2], items: [&Item; 2], out: &mut [f32]) -> Result<Made> {
        let means = Means {
            augment: &self.augment,
            negatives: &self.negatives,
            crop_frames: self.crop_frames,
            n_mels: self.student.n_mels,
            has_background: self.settings.background.is_some(),
        };
        let [own, other] = items.map(|item| self.clips[item.clip].level * item.gain);
        let mut treatment = means.draw((own / other.max(1e-9)).clamp(1e-3, 1e3), rng);
        treatment.apply(crops, &self.negatives, &self.student, out)?;
        let masks = self.draw_masks(rng);
        mask(&masks, &self.student, self.masked_power, out);
        let weight = match treatment.base {
            Base::Mixture { weight, .. } => Some(weight),
            Base::Negative(_) => None,
        };
        Ok(Made { treatment, weight, masks })
    }

    fn label(&self, made: &Made, [own, other]: [&Item; 2], target: &mut [f32]) {
        match (made.weight, self.settings.background) {
            (Some(weight), _) => {
                target[self.clips[own.clip].label] += weight;
                target[self.clips[other.clip].label] += 1.0 - weight;
            }
            (None, Some(background)) => target[background] = 1.0,
            (None, None) => unreachable!("negatives are only made where there is a label for them"),
        }
    }

    /// Teachers' embeddings of the clean clips, mixed as these are.
    fn embeddings(&self, items: &[Item], partners: &[usize], made: &[Made]) -> Known {
        let mut known = Known { values: vec![0.0; self.batch * EMBEDDING_WIDTH], mask: vec![0.0; self.batch] };
        let row = |item: &Item| {
            let source = &self.clips[item.clip];
            Some(source.teacher_row(source.teacher_at(&item.cut)?)).filter(|row| !row.is_empty())
        };
        for (i, out) in known.values.chunks_exact_mut(EMBEDDING_WIDTH).enumerate() {
            let Some(weight) = made[i].weight else { continue };
            let [Some(a), Some(b)] = [i, partners[i]].map(|k| row(&items[k])) else { continue };
            out.iter_mut().zip(a.iter().zip(b)).for_each(|(o, (a, b))| *o = weight * a + (1.0 - weight) * b);
            known.mask[i] = 1.0;
        }
        known
    }

    /// Other networks' posteriors of the clips, mixed as these are; for a partner without
    /// posteriors, its label. None if no clip has posteriors.
    fn soft(&self, items: &[Item], partners: &[usize], made: &[Made]) -> Option<Known> {
        self.clips.iter().find(|clip| clip.soft.is_some())?;
        let n_classes = self.settings.n_classes;
        let mut known = Known { values: vec![0.0; self.batch * n_classes], mask: vec![0.0; self.batch] };
        for (i, out) in known.values.chunks_exact_mut(n_classes).enumerate() {
            let Some(weight) = made[i].weight else { continue };
            let sources = [i, partners[i]].map(|k| &self.clips[items[k].clip]);
            if sources.iter().all(|s| s.soft.is_none()) {
                continue;
            }
            for (source, share) in sources.into_iter().zip([weight, 1.0 - weight]) {
                match &source.soft {
                    Some(soft) => out.iter_mut().zip(soft).for_each(|(o, p)| *o += share * p),
                    None => out[source.label] += share,
                }
            }
            known.mask[i] = 1.0;
        }
        Some(known)
    }

    /// The teacher's spectra of the first items, which are as random as the batch's order, treated
    /// as the student's are.
    fn hear(&self, hearing: &Hearing, items: &[Item], partners: &[usize], made: &[Made]) -> Result<Heard> {
        let can_hear = |i: &usize| {
            let both = [*i, partners[*i]].iter().all(|&k| self.clips[items[k].clip].is_heard());
            (both || made[*i].weight.is_none()) && made[*i].treatment.is_heard(&self.negatives)
        };
        let n_heard = (hearing.share * self.batch as f64).round() as usize;
        let heard: Vec<usize> = (0..n_heard).filter(can_hear).collect();
        let size = hearing.bands.n_values(self.crop_frames);
        let mut power = vec![0.0; heard.len() * size];
        power.par_chunks_mut(size).zip(&heard).try_for_each(|(out, &i)| {
            let mut crops = [vec![0.0; size], vec![0.0; size]];
            for (crop, k) in crops.iter_mut().zip([i, partners[i]]) {
                if made[i].weight.is_some() {
                    self.write(&items[k], Ear::Teacher, &hearing.bands, crop)?;
                }
            }
            made[i].treatment.repeat([&crops[0], &crops[1]], &self.negatives, &hearing.bands, out)?;
            if hearing.masked {
                // The logarithm's mean over the crop, as SlowFast's own masks have it.
                let mean = out.iter().map(|p| (p + 1e-12).ln()).sum::<f32>() / out.len() as f32;
                mask(&made[i].masks, &hearing.bands, mean.exp(), out);
            }
            Ok::<_, crate::Error>(())
        })?;
        Ok(Heard { power, items: heard.into_iter().map(|i| i as i64).collect() })
    }

    /// SpecAugment (Park et al. 2019, section 2) without the time warp.
    fn draw_masks(&self, rng: &mut Rng) -> (Range<usize>, Vec<Range<usize>>) {
        let mut range = |longest: usize, of: usize| {
            let width = rng.random_range(0..=longest);
            let start = rng.random_range(0..=of - width);
            start..start + width
        };
        let longest = if self.augment.n_time_masks > 0 { self.augment.time_mask } else { 0 };
        let time = range(longest, self.crop_frames);
        let n_mels = self.student.n_mels;
        (time, (0..self.augment.n_freq_masks).map(|_| range(self.augment.freq_mask, n_mels)).collect())
    }

    fn item_rng(&self, purpose: Purpose, step: u64, i: usize) -> Rng {
        rng_for(self.seed, purpose, step * self.batch as u64 + i as u64)
    }
}

/// Writes `power` where the masks, in the student's frames and bands, lie in a crop of these bands.
fn mask((time, frequency): &(Range<usize>, Vec<Range<usize>>), bands: &Bands, power: f32, out: &mut [f32]) {
    let width = bands.n_values(1);
    out[time.start * width..time.end * width].fill(power);
    for range in frequency {
        let masked = |place: f32| (range.start as f32..range.end as f32).contains(&place);
        for frame in out.chunks_exact_mut(bands.n_mels) {
            frame.iter_mut().zip(&bands.places).filter(|(_, place)| masked(**place)).for_each(|(p, _)| *p = power);
        }
    }
}

//! Batches of crops of scenes.
//!
//! Enters: the scenes of a stage, and those of the stage that it starts from. Leaves: crops with
//! the truth of each output of the student, and what the tagger said of its slot. A batch depends
//! on the seed and its step alone.

use super::corpus::{Scene, SceneCorpus};
use super::truth::Truth;
use crate::common::maths::Expr;
use crate::common::random::{Purpose, Rng, rng_for, uniform};
use crate::error::{Error, Result};
use crate::nets::teacher::ced;
use crate::train::recipe::{Augment, Scenes, Tagger};
use crate::train::student::{Bands, Equaliser, shift_bands};
use edge_frontend::FrontendConfig;
use rand::Rng as _;
use rayon::prelude::*;
use tch::{Kind, Tensor};

/// Scenes that the statistics of embeddings are of.
const STATISTICS_OF: usize = 32;

/// What the student learns from: crops, with the truth and the tagger's output for each
/// of the student's outputs.
#[derive(Debug)]
pub struct Batch {
    /// `(B, T, n_mels)`: normalised log-mel values.
    pub crops: Tensor,
    /// `(B, T', L)`: 1 where the label sounds.
    pub truth: Tensor,
    /// `(B, T', L)`: 1 where that is known.
    pub known: Tensor,
    /// `(B, T', 192)`: the tagger's embedding.
    pub embeddings: Tensor,
    /// `(B, T', 527)`: the tagger's posteriors.
    pub tags: Tensor,
}

/// When the student's outputs are.
#[derive(Debug, Clone, Copy)]
pub struct Slots {
    /// Frames of a crop.
    pub crop_frames: usize,
    /// Frames from one output to the next.
    pub pulse_frames: usize,
    /// Frames that an output sees.
    pub receptive_field: usize,
    /// Seconds from the beginning of an output's field to the middle of its slot.
    pub centre_s: f64,
}

/// Makes batches of scenes.
pub struct SceneBatcher {
    corpus: SceneCorpus,
    /// Scenes of the stage before, and the share of crops that are taken from them.
    rehearsal: Option<(SceneCorpus, f64)>,
    truth: Truth,
    frontend: FrontendConfig,
    slots: Slots,
    n_batch: usize,
    seed: u64,
    scenes: Scenes,
    augment: Augment,
}

/// What a batcher makes of scenes.
pub struct Settings<'a> {
    /// The classes of the network.
    pub labels: &'a [String],
    /// Index of the background among them: it sounds where no other label does.
    pub background: Option<usize>,
    /// What the tagger outputs for labels.
    pub tagger: &'a Tagger,
    /// The network's front end.
    pub frontend: &'a FrontendConfig,
    /// When its outputs are.
    pub slots: Slots,
    /// Crops of a batch.
    pub n_batch: usize,
    /// Seed of the stage.
    pub seed: u64,
    /// What is done to crops.
    pub scenes: &'a Scenes,
    /// Masks of crops.
    pub augment: &'a Augment,
}

impl SceneBatcher {
    /// A batcher for `settings`.
    ///
    /// # Errors
    ///
    /// If a class of AudioSet does not exist, or a crop does not fit into a scene.
    pub fn new(corpus: SceneCorpus, rehearsal: Option<(SceneCorpus, f64)>, settings: &Settings) -> Result<Self> {
        let slots = settings.slots;
        if corpus.n_frames() < slots.crop_frames {
            let message = format!("crop_frames is {}, a scene has {}", slots.crop_frames, corpus.n_frames());
            return Err(Error::Usage(message));
        }
        let slot_s = slots.pulse_frames as f64 * settings.frontend.hop_seconds();
        Ok(Self {
            corpus,
            rehearsal,
            truth: Truth::new(settings.labels, settings.background, settings.tagger, slot_s)?,
            frontend: settings.frontend.clone(),
            slots,
            n_batch: settings.n_batch,
            seed: settings.seed,
            scenes: settings.scenes.clone(),
            augment: settings.augment.clone(),
        })
    }

    /// Index of the background among the labels.
    pub fn background(&self) -> Option<usize> {
        self.truth.background()
    }

    /// Steps in which each scene is heard once.
    pub fn steps_per_epoch(&self) -> u64 {
        ((self.corpus.len() * self.crops_a_scene()) as u64).div_ceil(self.n_batch as u64)
    }

    /// Mean of what the tagger outputs for the first scenes: `(192)`, and the deviations.
    ///
    /// # Errors
    ///
    /// If a scene cannot be made.
    pub fn statistics(&self) -> Result<(Tensor, Tensor)> {
        self.corpus.prepare()?;
        let n = self.corpus.len().min(STATISTICS_OF);
        let scenes = (0..n).into_par_iter().map(|k| self.corpus.scene(k)).collect::<Result<Vec<_>>>()?;
        let embeddings: Vec<&Tensor> = scenes.iter().map(|scene| &scene.embeddings).collect();
        let all = Tensor::f_cat(&embeddings, 0)?.f_to_kind(Kind::Float)?;
        let mean = all.f_mean_dim([0i64].as_slice(), false, Kind::Float)?;
        Ok((mean, all.f_std_dim([0i64].as_slice(), true, false)?.f_clamp_min(1e-6)?))
    }

    /// The batch of step `step`.
    ///
    /// # Errors
    ///
    /// If a scene cannot be made.
    pub fn batch(&self, step: u64) -> Result<Batch> {
        self.corpus.prepare()?;
        self.rehearsal.as_ref().map_or(Ok(()), |(corpus, _)| corpus.prepare())?;
        let crop = |i: u64| self.crop(step * self.n_batch as u64 + i);
        let crops = (0..self.n_batch as u64).into_par_iter().map(crop).collect::<Result<Vec<_>>>()?;
        let stack = |of: fn(&Batch) -> &Tensor| -> Result<Tensor> {
            Ok(Tensor::f_stack(&crops.iter().map(of).collect::<Vec<_>>(), 0)?)
        };
        Ok(Batch {
            crops: stack(|c| &c.crops)?,
            truth: stack(|c| &c.truth)?,
            known: stack(|c| &c.known)?,
            embeddings: stack(|c| &c.embeddings)?,
            tags: stack(|c| &c.tags)?,
        })
    }

    fn crops_a_scene(&self) -> usize {
        self.corpus.n_frames() / self.slots.crop_frames
    }

    /// Crop number `item` of the training, without the batch's axis.
    fn crop(&self, item: u64) -> Result<Batch> {
        let mut rng = rng_for(self.seed, Purpose::Crop, item);
        let rehearsed = self.rehearsal.as_ref().filter(|(_, share)| rng.random::<f64>() < *share);
        let corpus = rehearsed.map_or(&self.corpus, |(corpus, _)| corpus);
        let k = match rehearsed {
            Some((corpus, _)) => rng.random_range(0..corpus.len()),
            None => scene_of(self.seed, self.corpus.len(), item),
        };
        let scene = corpus.scene(k)?;
        let cut = self.slots.cut(corpus.n_frames(), self.augment.stretch, &mut rng);
        let crops = self.frames(&scene, cut, &mut rng)?;
        let centres = self.slots.centres_s(cut, self.frontend.hop_seconds());
        let steps: Vec<i64> =
            centres.iter().map(|s| ((s / ced::STEP_S) as i64).clamp(0, scene.tags.size()[0] - 1)).collect();
        let steps = Tensor::f_from_slice(&steps)?;
        let tags = scene.tags.f_index_select(0, &steps)?.f_to_kind(Kind::Float)?.f_div_scalar(255.0)?.f_square()?;
        let (truth, known) = self.truth.of(&scene.events, &centres, &tags)?;
        let shape = [centres.len() as i64, -1];
        Ok(Batch {
            crops,
            truth: Tensor::f_from_slice(&truth)?.f_view(shape)?,
            known: Tensor::f_from_slice(&known)?.f_view(shape)?,
            embeddings: scene.embeddings.f_index_select(0, &steps)?.f_to_kind(Kind::Float)?,
            tags,
        })
    }

    /// The frames of a crop `(T, n_mels)`: stretched in time and shifted in mel, with an equaliser,
    /// a gain, masks and perhaps silence at its beginning.
    fn frames(&self, scene: &Scene, cut: Cut, rng: &mut Rng) -> Result<Tensor> {
        let n_mels = self.frontend.n_mels as i64;
        let heard: Vec<i64> = (0..self.slots.crop_frames).map(|t| cut.frame(t) as i64).collect();
        let frames = scene.frames.f_index_select(0, &Tensor::f_from_slice(&heard)?)?.f_to_kind(Kind::Float)?;
        let (mean, std, offset) =
            (f64::from(self.frontend.mean), f64::from(self.frontend.std), self.frontend.log_offset);
        let gain_db = uniform(rng, -self.scenes.gain_db, self.scenes.gain_db);
        let power = ((Expr::of(&frames) * std + mean).exp() - offset).at_least(0.0).tensor()?;
        let power = Expr::of(&self.deformed(power, rng)?);
        let louder = power * 10f64.powf(f64::from(gain_db) / 10.0) + offset;
        let frames = ((louder.ln() - mean) / std).tensor()?;
        let silence = (offset.ln() - mean) / std;
        if rng.random::<f32>() < self.scenes.silent_start {
            // Not so long that it reaches into the first slot.
            let n_before = self.slots.centre_s / self.frontend.hop_seconds() - self.slots.pulse_frames as f64;
            let n = rng.random_range(0..=n_before.max(0.0) as usize) as i64;
            let _ = frames.f_narrow(0, 0, n)?.f_fill_(silence)?;
        }
        for _ in 0..self.augment.n_freq_masks {
            let width = rng.random_range(0..=self.augment.freq_mask.min(n_mels as usize)) as i64;
            let low = rng.random_range(0..=n_mels - width);
            let level = frames.f_mean(Kind::Float)?;
            frames.f_narrow(1, low, width)?.f_copy_(&level)?;
        }
        Ok(frames)
    }

    /// Powers `(T, n_mels)` with shifted bands and an equaliser.
    fn deformed(&self, power: Tensor, rng: &mut Rng) -> Result<Tensor> {
        let Augment { mel_shift, eq_db, .. } = self.augment;
        if mel_shift == 0.0 && eq_db == 0.0 {
            return Ok(power);
        }
        let bands = Bands::student(&self.frontend);
        let shift = uniform(rng, -mel_shift, mel_shift);
        let given = Vec::<f32>::try_from(power.f_flatten(0, -1)?)?;
        let mut frames = vec![0.0; given.len()];
        for (given, frame) in given.chunks_exact(bands.n_mels).zip(frames.chunks_exact_mut(bands.n_mels)) {
            shift_bands(given, shift, frame);
        }
        Equaliser::draw(rng, eq_db, bands.n_mels).apply(&bands, &mut frames);
        Ok(Tensor::f_from_slice(&frames)?.f_view_as(&power)?)
    }
}

/// Where a crop is cut from a scene.
#[derive(Debug, Clone, Copy)]
struct Cut {
    /// First frame.
    start: usize,
    /// Frames of the scene for one of the crop.
    rate: f64,
}

impl Cut {
    /// The frame of the scene that is frame `t` of the crop.
    fn frame(self, t: usize) -> usize {
        self.start + (t as f64 * self.rate).round() as usize
    }
}

impl Slots {
    /// Draws where a crop of a scene of `n_frames` is cut, and how it is stretched in time: by
    /// exp(u), u uniform within plus and minus `stretch`.
    fn cut(&self, n_frames: usize, stretch: f32, rng: &mut Rng) -> Cut {
        let rate = if stretch > 0.0 { f64::from(uniform(rng, -stretch, stretch).exp()) } else { 1.0 };
        // A crop is never stretched beyond the end of its scene.
        let rate = rate.min((n_frames - 1) as f64 / (self.crop_frames - 1).max(1) as f64);
        let last = Cut { start: 0, rate }.frame(self.crop_frames - 1);
        Cut { start: rng.random_range(0..=(n_frames - 1 - last) / self.pulse_frames) * self.pulse_frames, rate }
    }

    /// The middle of each output's slot in the scene, seconds.
    fn centres_s(&self, cut: Cut, hop_s: f64) -> Vec<f64> {
        let n = (self.crop_frames - self.receptive_field) / self.pulse_frames + 1;
        let in_crop_s = |j: usize| (j * self.pulse_frames) as f64 * hop_s + self.centre_s;
        (0..n).map(|j| cut.start as f64 * hop_s + in_crop_s(j) * cut.rate).collect()
    }
}

/// The scene of crop number `item` among `n`: each pass takes all of them once, in an order of its
/// own.
pub(super) fn scene_of(seed: u64, n: usize, item: u64) -> usize {
    let n = n as u64;
    let mut order = rng_for(seed, Purpose::Order, item / n);
    // An affine step through the scenes, whose stride has no divisor in common with their number,
    // takes each once and needs no list.
    let stride = loop {
        let stride = order.random_range(1..=n);
        if gcd(stride, n) == 1 {
            break stride;
        }
    };
    let first = order.random_range(0..n);
    ((first + stride * (item % n)) % n) as usize
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_stretched_crop_lies_within_its_scene_and_its_slots_are_where_its_frames_are() {
        let slots = Slots { crop_frames: 400, pulse_frames: 8, receptive_field: 100, centre_s: 0.8 };
        let hop_s = 0.01;
        let mut rates = Vec::new();
        for (n_frames, item) in [(400, 0..20), (420, 20..60), (1920, 60..300)]
            .into_iter()
            .flat_map(|(n, items)| items.map(move |item| (n, item)))
        {
            let cut = slots.cut(n_frames, 0.15, &mut rng_for(5, Purpose::Crop, item));
            assert!(cut.frame(399) < n_frames, "{cut:?} of {n_frames}");
            let centres = slots.centres_s(cut, hop_s);
            assert_eq!(centres.len(), 38);
            for (j, centre_s) in centres.into_iter().enumerate() {
                let heard_s = cut.frame(80 + 8 * j) as f64 * hop_s;
                assert!((centre_s - heard_s).abs() <= hop_s / 2.0 + 1e-9, "{cut:?}: output {j}");
            }
            rates.push(cut.rate);
        }
        assert!(rates.iter().any(|rate| *rate > 1.1) && rates.iter().any(|rate| *rate < 0.9), "{rates:?}");
        let plain = slots.cut(1920, 0.0, &mut rng_for(5, Purpose::Crop, 0));
        assert_eq!((plain.rate, plain.start % 8), (1.0, 0));
    }

    #[test]
    fn each_pass_takes_every_scene_once() {
        for n in [1, 2, 30, 97] {
            let pass = |k: u64| (0..n as u64).map(|i| scene_of(3, n, k * n as u64 + i)).collect::<Vec<_>>();
            for k in 0..4 {
                assert_eq!(pass(k).into_iter().collect::<BTreeSet<_>>().len(), n, "pass {k} of {n}");
            }
            assert!(n < 30 || pass(0) != pass(1));
        }
    }
}

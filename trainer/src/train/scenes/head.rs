//! How a head on CED-tiny is trained on composed scenes: what CED-tiny hears of them is computed
//! once, and the head learns from that alone.

use super::batcher::scene_of;
use super::corpus::SceneCorpus;
use super::truth::Truth;
use super::{found, label_loss};
use crate::common::progress::Counted;
use crate::common::random::{Purpose, rng_for};
use crate::error::{Error, Result};
use crate::nets::head::{HeadConfig, HeadNetwork, Patches};
use crate::nets::teacher::ced;
use crate::train::checkpoint::Header;
use crate::train::learner::Learner;
use crate::train::metrics::Step;
use crate::train::optim::{Optimizer, with_decay};
use crate::train::recipe::{Recipe, Stage, Tagger};
use crate::train::schedule::{learning_rate, memory};
use crate::train::{drop_out, optimizer_tensors};
use rayon::prelude::*;
use tch::{Device, Kind, Tensor};

/// What CED-tiny heard of all scenes, with the truth.
pub struct Lessons {
    /// `(N, Q + C - 1, 192)`, half precision.
    steps: Tensor,
    /// `(N, 192)`, half precision: means over all steps of a patch.
    means: Tensor,
    /// `(N, Q, L)`, 8 bits: 1 where the label sounds.
    truth: Tensor,
    /// `(N, Q, L)`, 8 bits: 1 where that is known.
    known: Tensor,
    /// Index of the background among the labels.
    background: Option<usize>,
}

impl Lessons {
    /// Gathers all scenes of `corpus` in memory: some 0.3 MB a scene.
    ///
    /// # Errors
    ///
    /// If a scene cannot be made.
    pub fn gather(
        corpus: &SceneCorpus,
        config: &HeadConfig,
        labels: &[String],
        background: Option<usize>,
        tagger: &Tagger,
    ) -> Result<Self> {
        corpus.prepare()?;
        let patches = Patches::of(config);
        let truth = Truth::new(labels, background, tagger, ced::STEP_S)?;
        let n_labels = labels.len() as i64;
        let lessons = |k: usize| -> Result<[Tensor; 4]> {
            let scene = corpus.scene(k)?;
            let n = scene.embeddings.size()[0];
            let centres: Vec<f64> = (0..n as usize)
                .flat_map(|patch| (0..Patches::HOP).map(move |q| (patch, q)))
                .map(|(patch, q)| (patch * Patches::HOP) as f64 * ced::STEP_S + config.centre_s(patches.first + q))
                .collect();
            let tags = scene.tags.f_to_kind(Kind::Float)?.f_div_scalar(255.0)?.f_square()?;
            let (truth, known) = truth.of(&scene.events, &centres, &tags)?;
            let bytes = |values: Vec<f32>| {
                let values: Vec<u8> = values.into_iter().map(|v| v as u8).collect();
                Ok::<_, Error>(Tensor::f_from_slice(&values)?.f_view([n, Patches::HOP as i64, n_labels])?)
            };
            let n_kept = patches.n_kept() as i64;
            let steps = scene.embeddings.f_narrow(1, 0, n_kept)?;
            Ok([steps, scene.embeddings.f_select(1, n_kept)?, bytes(truth)?, bytes(known)?])
        };
        let progress = Counted::new(corpus.len() as u64, "scenes");
        let lessons = |k: usize| lessons(k).inspect(|_| progress.one_more());
        let scenes = (0..corpus.len()).into_par_iter().map(lessons).collect::<Result<Vec<_>>>()?;
        let join = |part: usize| -> Result<Tensor> {
            Ok(Tensor::f_cat(&scenes.iter().map(|scene| &scene[part]).collect::<Vec<_>>(), 0)?)
        };
        Ok(Self { steps: join(0)?, means: join(1)?, truth: join(2)?, known: join(3)?, background })
    }

    /// Mean and deviation of the embeddings, `(192)` each.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn statistics(&self) -> Result<(Tensor, Tensor)> {
        let all = self.steps.f_reshape([-1, ced::EMBEDDING_WIDTH as i64])?.f_to_kind(Kind::Float)?;
        let mean = all.f_mean_dim([0i64].as_slice(), false, Kind::Float)?;
        Ok((mean, all.f_std_dim([0i64].as_slice(), true, false)?.f_clamp_min(1e-6)?))
    }

    fn len(&self) -> usize {
        self.steps.size()[0] as usize
    }
}

/// The head in training.
pub struct HeadLearner {
    recipe: Recipe,
    stage: Stage,
    seed: u64,
    n_steps: u64,
    lessons: Lessons,
    head: HeadNetwork,
    average: HeadNetwork,
    optimizer: Optimizer,
    device: Device,
}

/// Patches of a batch: tensors of [`Lessons`].
pub struct Batch([Tensor; 4]);

impl HeadLearner {
    /// Starts stage number `index` of `header`'s recipe from the weights of `head`.
    ///
    /// # Errors
    ///
    /// If libtorch cannot allocate the state of the optimiser.
    pub fn new(header: &Header, index: usize, head: HeadNetwork, lessons: Lessons, device: Device) -> Result<Self> {
        let (recipe, stage) = (header.recipe.clone(), header.recipe.stages[index].clone());
        let tensors = head.params().iter().map(|(_, value)| value);
        Ok(Self {
            optimizer: Optimizer::new(stage.method, recipe.train.momentum, tensors)?,
            average: head.frozen_copy()?,
            seed: recipe.stage_seed(index),
            n_steps: header.n_steps,
            recipe,
            stage,
            lessons,
            head,
            device,
        })
    }

    /// The moving average of the weights.
    pub fn averaged(&self) -> &HeadNetwork {
        &self.average
    }
}

/// Steps that see each of `lessons` once, `n_batch` at a time.
pub fn steps_per_epoch(lessons: &Lessons, n_batch: usize) -> u64 {
    lessons.len().div_ceil(n_batch) as u64
}

impl Learner for HeadLearner {
    type Batch = Batch;

    fn steps_per_epoch(&self) -> u64 {
        steps_per_epoch(&self.lessons, self.stage.batch)
    }

    fn batch(&mut self, step: u64) -> Result<Batch> {
        let n = self.stage.batch as u64;
        let items = (step * n..(step + 1) * n).map(|item| scene_of(self.seed, self.lessons.len(), item) as i64);
        let items = Tensor::f_from_slice(&items.collect::<Vec<_>>())?;
        let Lessons { steps, means, truth, known, .. } = &self.lessons;
        let take = |tensor: &Tensor| {
            Ok::<_, Error>(tensor.f_index_select(0, &items)?.f_to_device(self.device)?.f_to_kind(Kind::Float)?)
        };
        Ok(Batch([take(steps)?, take(means)?, take(truth)?, take(known)?]))
    }

    fn step(&mut self, Batch([steps, means, truth, known]): Batch, step: u64) -> Result<Step> {
        let mut rng = rng_for(self.seed, Purpose::Dropout, step);
        let logits = self.head.logits(&steps, &means, |hidden| drop_out(&hidden, self.stage.dropout, &mut rng))?;
        let loss = label_loss(&logits, &truth, &known)?;
        loss.f_backward()?;
        let lr = learning_rate(&self.stage, step, self.n_steps, self.steps_per_epoch());
        let decay = self.stage.weight_decay.unwrap_or(self.recipe.train.weight_decay);
        let params = self.head.params_mut().iter_mut().map(|(_, value)| with_decay(value, decay));
        self.optimizer.step(params, lr, step)?;
        let memory = memory(&self.stage, step);
        tch::no_grad(|| {
            for ((_, average), (_, value)) in self.average.params_mut().iter_mut().zip(self.head.params()) {
                let _ = average.f_lerp_(value, 1.0 - memory)?;
            }
            Ok::<_, Error>(())
        })?;
        let losses = vec![("loss", loss.f_double_value(&[])?)];
        Ok(Step { losses, accuracy: found(&logits, &truth, self.lessons.background)?, lr })
    }

    fn tensors(&self) -> Vec<(String, Tensor)> {
        let mut tensors = Vec::new();
        for (prefix, head) in [("model", &self.head), ("ema", &self.average)] {
            tensors.extend(head.params().iter().map(|(name, v)| (format!("{prefix}/{name}"), v.shallow_clone())));
        }
        let names = self.head.params().iter().map(|(name, _)| (*name).to_owned());
        tensors.extend(optimizer_tensors(&self.optimizer, names));
        tensors
    }
}

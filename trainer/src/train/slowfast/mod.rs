//! How a stage of Auditory SlowFast is trained.
//!
//! The modules in the order of the data: [`plan`] says which views a step sees,
//! [`augment`](mod@augment) changes them, [`tutor`] lets a stage learn from a pretrained teacher,
//! too. [`SlowFastLearner`] is the network in training.

pub mod augment;
pub mod plan;
pub mod tutor;

use super::checkpoint::{Checkpoint, Header};
use super::learner::Learner;
use super::loss::cosine_distance;
use super::metrics::Step;
use super::optim::Optimizer;
use super::recipe::{Augment, BatchNorm, Frozen, Recipe, Stage};
use super::schedule::learning_rate;
use super::{drop_out, optimizer_tensors};
use crate::common::random::{Purpose, Rng, rng_for};
use crate::data::segments::{LoadedBatch, Loader, SegmentSet, View};
use crate::error::{Error, Result};
use crate::nets::Precision;
use crate::nets::slowfast::fused::min_max;
use crate::nets::slowfast::{Norms, Pass, SlowFast};
use crate::nets::teacher::regression::Linear;
use augment::{Batch, augment};
use plan::Plan;
use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};
use tutor::{Lessons, second_head};

/// Frames and bands that are averaged into one in coarse epochs.
const COARSENESS: i64 = 2;
/// Batches whose features are computed ahead of the training.
const BATCHES_AHEAD: usize = 4;
/// One segment in this many shows how long the predicted embeddings are.
const SAMPLE_EVERY: usize = 7;

/// A stage of SlowFast in training.
#[derive(Debug)]
pub struct SlowFastLearner {
    recipe: Recipe,
    stage: Stage,
    seed: u64,
    plan: Plan,
    set: Arc<SegmentSet>,
    loader: Option<Loader>,
    network: SlowFast,
    /// The teacher's embeddings, and the second head that predicts them.
    lessons: Option<(Lessons, Linear)>,
    optimizer: Optimizer,
    device: Device,
}

impl SlowFastLearner {
    /// Starts stage number `index` of `recipe` from `network` on the segments `set`, with the
    /// `lessons` that the stage wants.
    ///
    /// # Errors
    ///
    /// If libtorch cannot allocate the optimiser's state.
    pub fn new(
        recipe: &Recipe,
        index: usize,
        set: Arc<SegmentSet>,
        network: SlowFast,
        lessons: Option<Lessons>,
        device: Device,
    ) -> Result<Self> {
        let (stage, seed) = (recipe.stages[index].clone(), recipe.stage_seed(index));
        let n_features = network.config().n_features();
        let head = |lessons| Ok::<_, Error>((lessons, second_head(n_features, seed, device)?));
        let mut learner = Self {
            plan: Plan::new(&stage, seed, set.segments().len()),
            optimizer: Optimizer::new(stage.method, recipe.train.momentum, std::iter::empty())?,
            recipe: recipe.clone(),
            stage,
            seed,
            set,
            loader: None,
            network,
            lessons: lessons.map(head).transpose()?,
            device,
        };
        learner.mark_fitted();
        let own = learner.fitted().into_iter().map(|i| &learner.network.tensors()[i].value);
        let second = learner.lessons.iter().flat_map(|(_, head)| [&head.weight, &head.bias]);
        learner.optimizer = Optimizer::new(learner.stage.method, recipe.train.momentum, own.chain(second))?;
        Ok(learner)
    }

    /// Starts the second head from that of a checkpoint, where it has one of this shape.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn take_second_head(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let Some((_, head)) = &mut self.lessons else { return Ok(()) };
        for (name, value) in [("teacher/weight", &mut head.weight), ("teacher/bias", &mut head.bias)] {
            if let Ok(earlier) = checkpoint.tensor(name)
                && earlier.size() == value.size()
            {
                tch::no_grad(|| value.f_copy_(earlier))?;
            }
        }
        Ok(())
    }

    /// The finished network, with what the teacher says merged into its head, and the tensors of
    /// its checkpoint.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn finish(self) -> Result<(SlowFast, Vec<(String, Tensor)>)> {
        let mut network = self.network.frozen_copy()?;
        if let Some((lessons, head)) = &self.lessons {
            let more = lessons.classifier(head, network.n_classes(), self.predicted_norm(head)?)?;
            for tensor in network.tensors_mut().iter_mut().filter(|t| t.role.is_head()) {
                let more = if tensor.value.dim() == 2 { &more.weight } else { &more.bias };
                let _ = tch::no_grad(|| tensor.value.f_add_(more))?;
            }
        }
        let mut tensors = network_tensors(&network);
        tensors.extend(self.second_head_tensors());
        Ok((network, tensors))
    }

    /// Mean length of the embeddings that the network predicts: the cosine it was trained with
    /// leaves their length open.
    fn predicted_norm(&self, head: &Linear) -> Result<f64> {
        let (mut sum, mut n) = (0.0, 0);
        for segment in (0..self.set.segments().len()).step_by(SAMPLE_EVERY) {
            let features = self.set.view(segment, View::Test { index: 0, n_views: 1 })?;
            let shape = [1, self.set.n_frames() as i64, self.set.n_mels() as i64];
            let x = Tensor::f_from_slice(&features)?.f_view(shape)?.f_to_device(self.device)?;
            let x = if self.stage.augment().min_max { min_max(&x)? } else { x }.f_unsqueeze(1)?;
            let length = tch::no_grad(|| {
                let features = self.network.features(&x, &Pass::evaluation(Precision::F32))?;
                let predicted = features.f_linear(&head.weight, Some(&head.bias))?;
                Ok::<_, Error>(predicted.f_norm()?.f_to_kind(Kind::Double)?.f_double_value(&[])?)
            })?;
            sum += length;
            n += 1;
        }
        Ok(sum / f64::from(n.max(1)))
    }

    fn on_device(&self, loaded: &LoadedBatch, step: u64) -> Result<Batch> {
        let (set, n_batch) = (&self.set, loaded.segments.len() as i64);
        let shape = [n_batch, set.n_frames() as i64, set.n_mels() as i64];
        let views = Tensor::f_from_slice(&loaded.features)?.f_view(shape)?.f_to_device(self.device)?;
        let classes = loaded.segments.iter().map(|&i| Ok(set.class(i)? as i64));
        let classes = Tensor::f_from_slice(&classes.collect::<Result<Vec<_>>>()?)?.f_to_device(self.device)?;
        let targets = classes.f_one_hot(self.network.n_classes() as i64)?.f_to_kind(Kind::Float)?;
        let Some((lessons, _)) = &self.lessons else { return Ok(Batch { views, targets, teacher: None }) };
        let items = self.plan.items(step);
        let row = |(i, draw): &(usize, f64)| {
            let segment = &set.segments()[*i];
            lessons.of_view(*i, segment, set.view_start(*i, *draw) - segment.start)
        };
        let rows: Vec<f32> = items.iter().flat_map(|item| row(item).iter().copied()).collect();
        let teacher = Tensor::f_from_slice(&rows)?.f_view([n_batch, -1])?.f_to_device(self.device)?;
        Ok(Batch { views, targets, teacher: Some(teacher) })
    }

    /// What the head sees of `views` `(B, T, n_mels)`: `(B, n_features)`.
    fn features(&self, views: &Tensor, settings: &Augment, step: u64, rng: Rng) -> Result<Tensor> {
        let views = if settings.min_max { min_max(views)? } else { views.shallow_clone() };
        let frozen = self.stage.frozen == Frozen::Backbone;
        let drop_path = Some((self.stage.drop_path, RefCell::new(rng))).filter(|d| d.0 > 0.0 && !frozen);
        let any_size = self.plan.epoch(step) < self.stage.coarse_epochs as f64;
        let pass = Pass { norms: norms(&self.stage), precision: self.recipe.train.precision, any_size, drop_path };
        let mut views = views.f_unsqueeze(1)?;
        if any_size {
            views = views.f_avg_pool2d([COARSENESS; 2], [COARSENESS; 2], [0, 0], false, true, None)?;
        }
        if frozen {
            tch::no_grad(|| self.network.features(&views, &pass))
        } else {
            self.network.features(&views, &pass)
        }
    }

    fn update(&mut self, lr: f64, step: u64) -> Result<()> {
        let decay = self.stage.weight_decay.unwrap_or(self.recipe.train.weight_decay);
        let mut fitted = self.fitted().into_iter().peekable();
        let network = self.network.tensors_mut().iter_mut().enumerate().filter_map(|(i, t)| {
            fitted.next_if_eq(&i)?;
            let decay = if t.role.is_norm() { 0.0 } else { decay };
            Some((&mut t.value, decay))
        });
        let second = self.lessons.iter_mut().flat_map(|(_, h)| [(&mut h.weight, decay), (&mut h.bias, decay)]);
        self.optimizer.step(network.chain(second), lr, step)
    }

    /// Indices of the network's tensors that are fitted, ascending.
    fn fitted(&self) -> Vec<usize> {
        self.network.fitted(norms(&self.stage), self.stage.frozen == Frozen::Backbone).collect()
    }

    fn mark_fitted(&mut self) {
        let fitted = self.fitted();
        for (i, tensor) in self.network.tensors_mut().iter_mut().enumerate() {
            tensor.value = tensor.value.detach().set_requires_grad(fitted.binary_search(&i).is_ok());
        }
        if let Some((_, Linear { weight, bias })) = &mut self.lessons {
            *weight = weight.detach().set_requires_grad(true);
            *bias = bias.detach().set_requires_grad(true);
        }
    }

    fn second_head_tensors(&self) -> Vec<(String, Tensor)> {
        let parts = |head: &Linear| [("weight", head.weight.shallow_clone()), ("bias", head.bias.shallow_clone())];
        let parts = self.lessons.iter().flat_map(|(_, head)| parts(head));
        parts.map(|(part, value)| (format!("teacher/{part}"), value)).collect()
    }
}

impl Learner for SlowFastLearner {
    type Batch = LoadedBatch;

    fn steps_per_epoch(&self) -> u64 {
        self.plan.steps_per_epoch
    }

    fn batch(&mut self, step: u64) -> Result<LoadedBatch> {
        let plan = self.plan;
        let views = move |step: u64| {
            let items = || plan.items(step).into_iter().map(|(i, draw)| (i, View::Start(draw))).collect();
            (step < plan.n_steps).then(items)
        };
        let set = &self.set;
        let loader = self.loader.get_or_insert_with(|| Loader::new(set.clone(), views, step, BATCHES_AHEAD));
        loader.next().unwrap_or_else(|| Err(Error::Usage(format!("there is no step {step}"))))
    }

    fn step(&mut self, loaded: LoadedBatch, step: u64) -> Result<Step> {
        let rng = |purpose| rng_for(self.seed, purpose, step);
        let settings = self.stage.augment();
        let batch = self.on_device(&loaded, step)?;
        let batch = augment(batch, &settings, &self.recipe.frontend, &mut rng(Purpose::Mix))?;
        let features = self.features(&batch.views, &settings, step, rng(Purpose::DropPath))?;
        let logits = self.network.classify(&drop_out(&features, self.stage.dropout, &mut rng(Purpose::Dropout))?)?;

        let loss = self.stage.loss.of(&logits, &batch.targets)?;
        let mut losses = vec![("loss", loss.f_double_value(&[])?)];
        let mut whole = loss;
        if let (Some((_, head)), Some(given), Some(teacher)) = (&self.lessons, &batch.teacher, &self.recipe.teacher) {
            let predicted = features.f_linear(&head.weight, Some(&head.bias))?;
            let distance = cosine_distance(&predicted, given).mean_all().tensor()?;
            losses.push(("teacher_loss", distance.f_double_value(&[])?));
            whole = whole.f_add(&distance.f_mul_scalar(teacher.loss_weight)?)?;
        }
        whole.f_backward()?;

        let lr = learning_rate(&self.stage, step, self.plan.n_steps, self.plan.steps_per_epoch);
        self.update(lr, step)?;
        let right = logits.f_argmax(1, false)?.f_eq_tensor(&batch.targets.f_argmax(1, false)?)?;
        let accuracy = right.f_to_kind(Kind::Float)?.f_mean(Kind::Float)?.f_double_value(&[])?;
        Ok(Step { losses, accuracy, lr })
    }

    fn tensors(&self) -> Vec<(String, Tensor)> {
        let mut tensors = network_tensors(&self.network);
        let second = self.second_head_tensors();
        let own = self.network.tensors();
        let names = self.fitted().into_iter().map(|i| own[i].name.clone());
        let names: Vec<String> = names.chain(second.iter().map(|(name, _)| name.clone())).collect();
        tensors.extend(optimizer_tensors(&self.optimizer, names.into_iter()));
        tensors.extend(second);
        tensors
    }
}

/// The tensors of a network as a checkpoint names them.
pub fn network_tensors(network: &SlowFast) -> Vec<(String, Tensor)> {
    network.tensors().iter().map(|t| (format!("model/{}", t.name), t.value.shallow_clone())).collect()
}

/// The network in a checkpoint as it stands.
///
/// # Errors
///
/// If it is a checkpoint of another network, or a tensor is missing, unexpected or of another shape
/// than the recipe says.
pub fn slowfast_of(checkpoint: &Checkpoint, device: Device) -> Result<SlowFast> {
    let Header { recipe, labels, .. } = &checkpoint.header;
    let mut network = SlowFast::new(recipe.slowfast()?, labels.len(), 0, device)?;
    network.fill(checkpoint.part("model/"), checkpoint.path())?;
    Ok(network)
}

/// A network with its classes, from a stage's checkpoint, or with `recipe` and `n_classes` from a
/// checkpoint of PyTorch.
///
/// # Errors
///
/// If the file cannot be read, holds another network, or is not finished.
pub fn load_network(path: &Path, recipe: &Recipe, n_classes: usize, device: Device) -> Result<SlowFast> {
    if path.extension().is_some_and(|e| e == "safetensors") {
        let checkpoint = Checkpoint::load(path)?;
        checkpoint.finished()?;
        return slowfast_of(&checkpoint, device);
    }
    let mut network = SlowFast::new(recipe.slowfast()?, n_classes, 0, device)?;
    let loaded = network.load(path)?;
    match loaded.warnings.first() {
        None => Ok(network),
        Some(warning) => Err(Error::content(path, format!("has another head: {warning}"))),
    }
}

/// Which batch norms learn in a stage.
fn norms(stage: &Stage) -> Norms {
    match (stage.frozen, stage.batch_norm) {
        (Frozen::Backbone, _) => Norms::Running,
        (_, BatchNorm::Frozen) => Norms::TrainFirst,
        (_, BatchNorm::Trained) => Norms::Train,
    }
}

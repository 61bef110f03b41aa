//! The steps of one stage.
//!
//! Enters: batches of views. Leaves: weights. Holds all that a stage's file does, so that what [`Training::save`] writes and
//! [`Training::resume`] reads continues it bit for bit on a CPU.

use super::augment::{self, Batch};
use super::plan::Plan;
use super::recipe::{Augment, BatchNorm, Frozen, Stage};
use super::state::{self, Header, State};
use super::tutor::{Lessons, Prediction, distance};
use crate::common::random::{Purpose, Rng, rng_for};
use crate::data::segments::{LoadedBatch, SegmentSet};
use crate::error::{Error, Result};
use crate::nets::slowfast::{Norms, Pass, SlowFast};
use crate::train::optim::Optimizer;
use crate::train::training::{StepReport, drop_out};
use std::cell::RefCell;
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Frames and bands that are averaged into one in coarse epochs.
const COARSENESS: i64 = 2;

/// A stage in training.
#[derive(Debug)]
pub struct Training {
    /// What is trained, and how far it has come.
    pub header: Header,
    stage: Stage,
    seed: u64,
    plan: Plan,
    network: SlowFast,
    prediction: Option<Prediction>,
    optimizer: Optimizer,
    device: Device,
}

impl Training {
    /// Starts a stage from `network`.
    ///
    /// # Errors
    ///
    /// If libtorch cannot allocate the optimiser's state.
    pub fn start(header: Header, seed: u64, plan: Plan, network: SlowFast, device: Device) -> Result<Self> {
        let stage = header.recipe.stages[header.recipe.stage(&header.stage)?].clone();
        let n_features = network.config().n_features();
        let prediction = if stage.teacher { Some(Prediction::new(n_features, seed, device)?) } else { None };
        let mut training = Self {
            optimizer: Optimizer::new(stage.method, header.recipe.train.momentum, std::iter::empty())?,
            header,
            stage,
            seed,
            plan,
            network,
            prediction,
            device,
        };
        training.mark_fitted();
        training.optimizer = training.fresh_optimizer()?;
        Ok(training)
    }

    /// Continues the stage saved at `path`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or belongs to another recipe, fold or data than `expected` says.
    pub fn resume(path: &Path, expected: &Header, seed: u64, plan: Plan, device: Device) -> Result<Self> {
        let state = State::load(path)?;
        let mut header = Header { step: expected.step, finished: expected.finished, ..state.header.clone() };
        if header.recipe.behind(&expected.stage) == expected.recipe.behind(&expected.stage) {
            header.recipe = expected.recipe.clone();
        }
        if header != *expected {
            let message = "belongs to another recipe, fold or data; start anew or choose another --out";
            return Err(Error::content(path, message));
        }
        let header = Header { step: state.header.step, finished: state.header.finished, ..header };
        let mut training = Self::start(header, seed, plan, state.network(device)?, device)?;
        if state.header.finished {
            return Ok(training);
        }
        if let Some(prediction) = &mut training.prediction {
            tch::no_grad(|| prediction.weight.f_copy_(state.tensor("teacher/weight")?).map_err(Error::from))?;
            tch::no_grad(|| prediction.bias.f_copy_(state.tensor("teacher/bias")?).map_err(Error::from))?;
        }
        let names = training.fitted_names();
        for (name, slots) in names.iter().zip(training.optimizer.slots_mut()) {
            for (i, slot) in slots.iter_mut().enumerate() {
                slot.f_copy_(state.tensor(&format!("optim/{name}/{i}"))?)?;
            }
        }
        Ok(training)
    }

    /// Saves the state.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut more = Vec::new();
        for (name, slots) in self.fitted_names().iter().zip(self.optimizer.slots()) {
            more.extend(slots.iter().enumerate().map(|(i, slot)| (format!("optim/{name}/{i}"), slot)));
        }
        if let Some(Prediction { weight, bias }) = &self.prediction {
            more.push(("teacher/weight".to_owned(), weight));
            more.push(("teacher/bias".to_owned(), bias));
        }
        state::save(path, &self.header, &self.network, &more)
    }

    /// Starts the second head from that of the file, where it has one of this shape.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn take_prediction(&mut self, state: &State) -> Result<()> {
        let Some(prediction) = &mut self.prediction else { return Ok(()) };
        for (name, value) in [("weight", &mut prediction.weight), ("bias", &mut prediction.bias)] {
            if let Ok(earlier) = state.tensor(&format!("teacher/{name}"))
                && earlier.size() == value.size()
            {
                tch::no_grad(|| value.f_copy_(earlier))?;
            }
        }
        Ok(())
    }

    /// The network as it stands.
    pub fn network(&self) -> &SlowFast {
        &self.network
    }

    /// The second head, where a teacher is learned from.
    pub fn prediction(&self) -> Option<&Prediction> {
        self.prediction.as_ref()
    }

    /// Takes `(weight, bias)` into the head, saves the stage as finished, without the optimiser's state, and gives the network
    /// away.
    ///
    /// # Errors
    ///
    /// If the shapes do not fit, or the file cannot be written.
    pub fn finish(mut self, more: Option<(Tensor, Tensor)>, path: &Path) -> Result<SlowFast> {
        let mut network = self.network.frozen_copy()?;
        if let Some((weight, bias)) = more {
            for tensor in network.tensors_mut().iter_mut().filter(|t| t.role.is_head()) {
                let more = if tensor.value.dim() == 2 { &weight } else { &bias };
                let _ = tch::no_grad(|| tensor.value.f_add_(more))?;
            }
        }
        self.header.finished = true;
        let second = self.prediction.iter().flat_map(|p| [("weight", &p.weight), ("bias", &p.bias)]);
        let second: Vec<(String, &Tensor)> = second.map(|(part, value)| (format!("teacher/{part}"), value)).collect();
        state::save(path, &self.header, &network, &second)?;
        Ok(network)
    }

    /// Does the next step on `loaded`, which must be the batch of that step. `lessons` are needed where the stage has a teacher.
    ///
    /// # Errors
    ///
    /// If libtorch reports one, or the loss is no number any more.
    pub fn step(&mut self, loaded: &LoadedBatch, set: &SegmentSet, lessons: Option<&Lessons>) -> Result<StepReport> {
        let step = self.header.step;
        let rng = |purpose| rng_for(self.seed, purpose, step);
        let settings = self.stage.augment.clone().unwrap_or_default();
        let batch = self.batch(loaded, set, lessons)?;
        let batch = augment::augment(batch, &settings, &self.header.recipe.frontend, &mut rng(Purpose::Mix))?;
        let features = self.features(&batch.views, &settings, rng(Purpose::DropPath))?;
        let logits = self.network.classify(&drop_out(&features, self.stage.dropout, &mut rng(Purpose::Dropout))?)?;
        let loss = self.stage.loss.of(&logits, &batch.targets)?;
        let mut total = loss.shallow_clone();
        let mut teacher_loss = 0.0;
        if let (Some(prediction), Some(given), Some(lessons)) = (&self.prediction, &batch.teacher, lessons) {
            let distance = distance(&prediction.of(&features)?, given)?;
            teacher_loss = distance.f_double_value(&[])?;
            total = total.f_add(&distance.f_mul_scalar(lessons.weight())?)?;
        }
        let value = loss.f_double_value(&[])?;
        if !value.is_finite() {
            return Err(Error::Diverged { step });
        }
        total.f_backward()?;
        let lr = self.stage.rate(self.plan.epoch(step));
        self.update(lr, step)?;
        self.header.step += 1;
        let right = logits.f_argmax(1, false)?.f_eq_tensor(&batch.targets.f_argmax(1, false)?)?;
        let accuracy = right.f_to_kind(Kind::Float)?.f_mean(Kind::Float)?.f_double_value(&[])?;
        Ok(StepReport { loss: value, teacher_loss, accuracy, lr })
    }

    fn batch(&self, loaded: &LoadedBatch, set: &SegmentSet, lessons: Option<&Lessons>) -> Result<Batch> {
        let n_batch = loaded.segments.len() as i64;
        let n_classes = self.network.n_classes() as i64;
        let shape = [n_batch, set.n_frames() as i64, set.n_mels() as i64];
        let views = Tensor::f_from_slice(&loaded.features)?.f_view(shape)?.f_to_device(self.device)?;
        let classes = loaded.segments.iter().map(|&i| {
            let segment = &set.segments()[i];
            let missing = || Error::input(set.path(), Some(segment.line), "training needs a class");
            segment.class.map(|c| c as i64).ok_or_else(missing)
        });
        let classes = Tensor::f_from_slice(&classes.collect::<Result<Vec<_>>>()?)?.f_to_device(self.device)?;
        let targets = classes.f_one_hot(n_classes)?.f_to_kind(Kind::Float)?;
        let teacher = match (&self.prediction, lessons) {
            (Some(_), Some(lessons)) => {
                let items = self.plan.items(self.header.step);
                let row = |(i, draw): &(usize, f64)| {
                    let segment = &set.segments()[*i];
                    lessons.of_view(*i, segment, set.view_start(*i, *draw) - segment.start)
                };
                let rows: Vec<f32> = items.iter().flat_map(|item| row(item).iter().copied()).collect();
                Some(Tensor::f_from_slice(&rows)?.f_view([n_batch, -1])?.f_to_device(self.device)?)
            }
            _ => None,
        };
        Ok(Batch { views, targets, teacher })
    }

    /// What the head sees of `views` `(B, T, n_mels)`: `(B, n_features)`.
    fn features(&self, views: &Tensor, settings: &Augment, rng: Rng) -> Result<Tensor> {
        let views = if settings.min_max { augment::min_max(views)? } else { views.shallow_clone() };
        let frozen = self.stage.frozen == Frozen::Backbone;
        let drop_path = Some((self.stage.drop_path, RefCell::new(rng))).filter(|d| d.0 > 0.0 && !frozen);
        let any_size = self.plan.epoch(self.header.step) < self.stage.coarse_epochs as f64;
        let precision = self.header.recipe.train.precision;
        let pass = Pass { norms: norms(&self.stage), precision, any_size, drop_path };
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
        let decay = self.stage.weight_decay.unwrap_or(self.header.recipe.train.weight_decay);
        let fitted: Vec<usize> = self.fitted();
        let mut fitted = fitted.into_iter().peekable();
        let network = self.network.tensors_mut().iter_mut().enumerate().filter_map(|(i, t)| {
            fitted.next_if_eq(&i)?;
            let decay = if t.role.is_norm() { 0.0 } else { decay };
            Some((&mut t.value, decay))
        });
        let prediction = self.prediction.iter_mut().flat_map(|p| [(&mut p.weight, decay), (&mut p.bias, decay)]);
        self.optimizer.step(network.chain(prediction), lr, step)
    }

    /// Indices of the network's tensors that are fitted, ascending.
    fn fitted(&self) -> Vec<usize> {
        self.network.fitted(norms(&self.stage), self.stage.frozen == Frozen::Backbone).collect()
    }

    fn fitted_names(&self) -> Vec<String> {
        let tensors = self.network.tensors();
        let own = self.fitted().into_iter().map(|i| tensors[i].name.clone());
        let second = self.prediction.iter().flat_map(|_| ["teacher/weight".to_owned(), "teacher/bias".to_owned()]);
        own.chain(second).collect()
    }

    fn mark_fitted(&mut self) {
        let fitted = self.fitted();
        for (i, tensor) in self.network.tensors_mut().iter_mut().enumerate() {
            tensor.value = tensor.value.detach().set_requires_grad(fitted.binary_search(&i).is_ok());
        }
        if let Some(Prediction { weight, bias }) = &mut self.prediction {
            *weight = weight.detach().set_requires_grad(true);
            *bias = bias.detach().set_requires_grad(true);
        }
    }

    fn fresh_optimizer(&self) -> Result<Optimizer> {
        let own = self.fitted().into_iter().map(|i| &self.network.tensors()[i].value);
        let second = self.prediction.iter().flat_map(|p| [&p.weight, &p.bias]);
        Optimizer::new(self.stage.method, self.header.recipe.train.momentum, own.chain(second))
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

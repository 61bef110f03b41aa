//! A stage on disk: one safetensors file holds all that it needs to go on, and what it came to.
//!
//! Tensors: `header` (JSON bytes: [`Header`]), `model/*` (weights and statistics), while it trains `optim/*/0` (and `/1`; optimiser
//! state), and `teacher/weight` and `/bias` where a teacher is learned from. Random numbers need no state: they derive
//! from the seed and the step.

use super::recipe::StagedRecipe;
use crate::error::{Error, Result};
use crate::nets::slowfast::SlowFast;
use crate::train::checkpoint::on_cpu;
use crate::train::recipe::FoldMode;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};

/// Name of the file in a stage's folder.
pub const CHECKPOINT: &str = "checkpoint.safetensors";

/// What a stage's checkpoint belongs to and how far it has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The recipe, defaults filled in.
    pub recipe: StagedRecipe,
    /// Name of the stage, or `average`.
    pub stage: String,
    /// Classes in order.
    pub labels: Vec<String>,
    /// Held-out fold.
    pub fold: Option<u32>,
    /// What the fold refers to.
    pub folds: FoldMode,
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub n_steps: u64,
    /// Whether the weights are the result.
    pub finished: bool,
}

/// A stage's file as read.
#[derive(Debug)]
pub struct State {
    /// What it belongs to.
    pub header: Header,
    values: HashMap<String, Tensor>,
    path: PathBuf,
}

/// Writes a stage's file; an existing one is replaced only once the new one is complete. `more` are tensors besides the
/// network's.
///
/// # Errors
///
/// If the file cannot be written.
pub fn save(path: &Path, header: &Header, network: &SlowFast, more: &[(String, &Tensor)]) -> Result<()> {
    let text = serde_json::to_vec(header).map_err(|e| Error::content(path, e.to_string()))?;
    let mut tensors = vec![("header".to_owned(), Tensor::f_from_slice(&text)?)];
    for tensor in network.tensors() {
        tensors.push((format!("model/{}", tensor.name), on_cpu(&tensor.value)?));
    }
    for (name, value) in more {
        tensors.push((name.clone(), on_cpu(value)?));
    }
    let partial = path.with_extension("partial");
    Tensor::write_safetensors(&tensors, &partial)?;
    std::fs::rename(&partial, path).map_err(Error::io(path))
}

impl State {
    /// Reads a stage's file.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or is no checkpoint of a stage.
    pub fn load(path: &Path) -> Result<Self> {
        std::fs::metadata(path).map_err(Error::io(path))?;
        let none = |what: &str| Error::content(path, format!("no checkpoint of a stage: {what}"));
        let tensors = Tensor::read_safetensors(path).map_err(|e| none(&e.to_string()))?;
        let values: HashMap<String, Tensor> = tensors.into_iter().collect();
        let header = values.get("header").filter(|h| h.kind() == Kind::Uint8).ok_or_else(|| none("no header"))?;
        let bytes: Vec<u8> = header.try_into()?;
        let header = serde_json::from_slice(&bytes).map_err(|e| none(&format!("header: {e}")))?;
        Ok(Self { header, values, path: path.to_owned() })
    }

    /// The network as it stood.
    ///
    /// # Errors
    ///
    /// If a tensor is missing, unexpected or of another shape than the recipe says.
    pub fn network(&self, device: Device) -> Result<SlowFast> {
        let Header { recipe, labels, .. } = &self.header;
        let mut network = SlowFast::new(&recipe.network, labels.len(), 0, device)?;
        network.fill(self.model(), &self.path)?;
        Ok(network)
    }

    /// The network's tensors by the names of published checkpoints.
    pub fn model(&self) -> HashMap<String, Tensor> {
        let own =
            |(name, value): (&String, &Tensor)| Some((name.strip_prefix("model/")?.to_owned(), value.shallow_clone()));
        self.values.iter().filter_map(own).collect()
    }

    /// The network of a finished stage.
    ///
    /// # Errors
    ///
    /// If the stage is not finished, or as [`State::network`].
    pub fn finished(&self, device: Device) -> Result<SlowFast> {
        let Header { step, n_steps, finished, .. } = self.header;
        if !finished {
            let message = format!("stage is not finished: step {step} of {n_steps}; continue it with --resume");
            return Err(Error::content(&self.path, message));
        }
        self.network(device)
    }

    /// The tensor called `name`.
    ///
    /// # Errors
    ///
    /// If it is missing.
    pub fn tensor(&self, name: &str) -> Result<&Tensor> {
        self.values.get(name).ok_or_else(|| Error::content(&self.path, format!("tensor {name:?} is missing")))
    }
}

/// A network with its classes, from a stage's file, or with `recipe` and `labels` from a checkpoint of PyTorch.
///
/// # Errors
///
/// If the file cannot be read, holds another network, or is one of PyTorch and no recipe is given.
pub fn load_network(path: &Path, recipe: Option<&StagedRecipe>, n_classes: usize, device: Device) -> Result<SlowFast> {
    if path.extension().is_some_and(|e| e == "safetensors") {
        return State::load(path)?.finished(device);
    }
    let recipe = recipe.ok_or_else(|| {
        Error::Usage(format!("{}: a checkpoint of PyTorch needs --recipe for the network's sizes", path.display()))
    })?;
    let mut network = SlowFast::new(&recipe.network, n_classes, 0, device)?;
    let loaded = network.load(path)?;
    match loaded.warnings.first() {
        None => Ok(network),
        Some(warning) => Err(Error::content(path, format!("has another head: {warning}"))),
    }
}

//! Weights from files and to files.
//!
//! Enters: a checkpoint as PyTorch writes it (`.pyth`, `.pt`) or safetensors. Leaves: the network
//! filled with it. Every tensor of the network must be there and nothing else, but for the head of
//! a network with other classes, which is skipped.

use super::layout::Named;
use super::network::SlowFast;
use crate::error::{Error, Result};
use crate::nets::pickle::read_state_dict;
use std::collections::HashMap;
use std::path::Path;
use tch::Tensor;

/// Prefix of the names when the network was trained on several devices.
const PARALLEL_PREFIX: &str = "module.";
/// Counters of PyTorch's batch norm, without influence on the output.
const COUNTER: &str = ".num_batches_tracked";

/// What was not taken over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Said to the user: tensors that were skipped, and why.
    pub warnings: Vec<String>,
}

impl SlowFast {
    /// Fills the network from the file at `path`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, a tensor is missing or unexpected (all are listed), or has
    /// another shape.
    pub fn load(&mut self, path: &Path) -> Result<Loaded> {
        std::fs::metadata(path).map_err(Error::io(path))?;
        let values = if path.extension().is_some_and(|e| e == "safetensors") {
            let tensors = Tensor::read_safetensors(path)
                .map_err(|e| Error::content(path, format!("not a safetensors file: {e}")))?;
            tensors.into_iter().collect()
        } else {
            read_state_dict(path)?
        };
        self.fill(values, path)
    }

    /// Fills the network with `values` by name; `path` is named in errors.
    ///
    /// # Errors
    ///
    /// As [`SlowFast::load`].
    pub fn fill(&mut self, values: HashMap<String, Tensor>, path: &Path) -> Result<Loaded> {
        let mut values: HashMap<String, Tensor> = values
            .into_iter()
            .map(|(name, value)| (name.strip_prefix(PARALLEL_PREFIX).map(str::to_owned).unwrap_or(name), value))
            .filter(|(name, _)| !name.ends_with(COUNTER))
            .collect();
        let mut loaded = Loaded::default();
        let other_head = self.tensors().iter().filter(|t| t.role.is_head()).any(|t| {
            values.get(&t.name).is_some_and(|v| v.size() != t.value.size() && v.size().get(1) == t.value.size().get(1))
        });
        let skipped = |t: &Named| other_head && t.role.is_head();
        let is_missing = |t: &&Named| !values.contains_key(&t.name) && !skipped(t);
        let missing: Vec<&str> = self.tensors().iter().filter(is_missing).map(|t| t.name.as_str()).collect();
        let mut unexpected: Vec<&str> =
            values.keys().map(String::as_str).filter(|n| self.tensor(n).is_none()).collect();
        unexpected.sort_unstable();
        if !missing.is_empty() || !unexpected.is_empty() {
            let lists = [("missing", missing), ("unexpected", unexpected)];
            let parts: Vec<String> = lists.iter().filter(|(_, n)| !n.is_empty()).map(|(w, n)| list(w, n)).collect();
            return Err(Error::content(path, format!("holds another network: {}", parts.join("; "))));
        }
        for tensor in self.tensors_mut() {
            let Some(value) = values.remove(&tensor.name) else { continue };
            let (expected, actual) = (tensor.value.size(), value.size());
            if skipped(tensor) {
                let message =
                    format!("{}: shape {actual:?}, expected {expected:?}; starts from fresh weights", tensor.name);
                loaded.warnings.push(message);
                continue;
            }
            if expected != actual {
                let message = format!("tensor {:?} has the shape {actual:?}, expected {expected:?}", tensor.name);
                return Err(Error::content(path, message));
            }
            tch::no_grad(|| tensor.value.f_copy_(&value))?;
        }
        Ok(loaded)
    }

    /// The mean of several networks' weights and statistics, tensor by tensor.
    ///
    /// # Errors
    ///
    /// If there is none, or they are not of one shape.
    pub fn average(networks: &[&SlowFast]) -> Result<SlowFast> {
        let Some(first) = networks.first() else { return Err(Error::Usage("no network to average".to_owned())) };
        let mut mean = first.frozen_copy()?;
        for (i, tensor) in mean.tensors_mut().iter_mut().enumerate() {
            let mut sum = tensor.value.f_zeros_like()?.f_to_kind(tch::Kind::Double)?;
            for network in networks {
                let other = network.tensors().get(i).filter(|o| o.value.size() == tensor.value.size());
                let other =
                    other.ok_or_else(|| Error::Usage(format!("networks to average differ at {:?}", tensor.name)))?;
                sum = tch::no_grad(|| sum.f_add(&other.value.f_to_kind(tch::Kind::Double)?))?;
            }
            tch::no_grad(|| tensor.value.f_copy_(&sum.f_div_scalar(networks.len() as f64)?))?;
        }
        Ok(mean)
    }
}

/// `missing (2): a, b`.
fn list(what: &str, names: &[&str]) -> String {
    format!("{what} ({}): {}", names.len(), names.join(", "))
}

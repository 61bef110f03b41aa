//! Checkpoints: everything a training needs to go on, and an export needs to be made, in one safetensors file.
//!
//! Tensors: `model/*` (weights and statistics), `ema/*` (their moving average), `optim/*/0` and `/1` (optimiser state), once
//! finished `final/*` (what is evaluated and exported) and `int8/*` (its 8-bit form), `header` (JSON bytes: [`Header`]). Random
//! numbers need no state: they derive from the seed and the step.

use crate::error::{Error, Result};
use crate::nets::student::Student;
use crate::ship::quantize::Quantized;
use crate::train::optim::Optimizer;
use crate::train::recipe::{FoldMode, Recipe, removed};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};

/// What a checkpoint belongs to and how far it has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The recipe, defaults filled in. Read from an older checkpoint it may hold options that were removed, if they were off.
    #[serde(deserialize_with = "removed::deserialize")]
    pub recipe: Recipe,
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
}

/// A checkpoint as read from disk.
#[derive(Debug)]
pub struct Checkpoint {
    /// What it belongs to.
    pub header: Header,
    values: HashMap<String, Tensor>,
    path: PathBuf,
}

/// What a finished training leaves.
#[derive(Debug)]
pub struct Finished {
    /// Evaluated and exported.
    pub student: Student,
    /// Its 8-bit form, where the recipe asks for one.
    pub int8: Option<Quantized>,
}

/// Writes a checkpoint; an existing one is replaced only once the new one is complete.
///
/// # Errors
///
/// If the file cannot be written.
pub fn save(
    path: &Path,
    header: &Header,
    model: &Student,
    ema: &Student,
    finished: Option<&Finished>,
    optimizer: &Optimizer,
) -> Result<()> {
    let text = serde_json::to_vec(header).map_err(|e| Error::content(path, e.to_string()))?;
    let mut tensors = vec![("header".to_owned(), Tensor::f_from_slice(&text)?)];
    let students = [("model", model), ("ema", ema)].into_iter().chain(finished.map(|f| ("final", &f.student)));
    for (prefix, student) in students {
        for param in student.params() {
            tensors.push((format!("{prefix}/{}", param.name), on_cpu(&param.value)?));
        }
    }
    if let Some(int8) = finished.and_then(|f| f.int8.as_ref()) {
        for (name, value) in int8.tensors()? {
            tensors.push((format!("int8/{name}"), on_cpu(&value)?));
        }
    }
    let trained = model.params().iter().filter(|p| p.trained);
    for (param, slots) in trained.zip(optimizer.slots()) {
        for (i, slot) in slots.iter().enumerate() {
            tensors.push((format!("optim/{}/{i}", param.name), on_cpu(slot)?));
        }
    }
    let partial = path.with_extension("partial");
    Tensor::write_safetensors(&tensors, &partial)?;
    std::fs::rename(&partial, path).map_err(Error::io(path))
}

impl Checkpoint {
    /// Reads a checkpoint.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is no checkpoint, or is one of a training with an option that was removed.
    pub fn load(path: &Path) -> Result<Self> {
        std::fs::metadata(path).map_err(Error::io(path))?;
        let tensors =
            Tensor::read_safetensors(path).map_err(|e| Error::content(path, format!("no checkpoint: {e}")))?;
        let values: HashMap<String, Tensor> = tensors.into_iter().collect();
        let header = values.get("header").ok_or_else(|| Error::content(path, "no checkpoint: no header"))?;
        let bytes: Vec<u8> = if header.kind() == Kind::Uint8 { header.try_into()? } else { Vec::new() };
        let wrong = |e: serde_json::Error| Error::content(path, format!("header: {e}"));
        let header: serde_json::Value = serde_json::from_slice(&bytes).map_err(wrong)?;
        let header = serde_json::from_value(header).map_err(wrong)?;
        Ok(Self { header, values, path: path.to_owned() })
    }

    /// The result of a finished training.
    ///
    /// # Errors
    ///
    /// If the training is not finished, or as [`Checkpoint::averaged`].
    pub fn finished(&self, device: Device) -> Result<Student> {
        let Header { step, n_steps, .. } = self.header;
        if !self.values.keys().any(|k| k.starts_with("final/")) {
            return Err(Error::content(
                &self.path,
                format!("training is not finished: step {step} of {n_steps}; continue it with --resume"),
            ));
        }
        self.student("final/", device)?.frozen_copy()
    }

    /// The 8-bit form of the result, where there is one.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::finished`].
    pub fn int8(&self) -> Result<Option<Quantized>> {
        if !self.values.keys().any(|k| k.starts_with("int8/")) {
            return Ok(None);
        }
        Quantized::from_tensors(&self.finished(Device::Cpu)?, &self.values, "int8/", &self.path).map(Some)
    }

    /// The moving average of the weights.
    ///
    /// # Errors
    ///
    /// If a tensor is missing or has another shape than the recipe says.
    pub fn averaged(&self, device: Device) -> Result<Student> {
        self.student("ema/", device)?.frozen_copy()
    }

    /// The network as it stood, to be trained further.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::averaged`].
    pub fn model(&self, device: Device) -> Result<Student> {
        self.student("model/", device)
    }

    /// Fills the optimiser's state for `model`.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::averaged`].
    pub fn restore_optimizer(&self, model: &Student, optimizer: &mut Optimizer) -> Result<()> {
        let trained = model.params().iter().filter(|p| p.trained);
        for (param, slots) in trained.zip(optimizer.slots_mut()) {
            for (i, slot) in slots.iter_mut().enumerate() {
                let name = format!("optim/{}/{i}", param.name);
                let value = self
                    .values
                    .get(&name)
                    .ok_or_else(|| Error::content(&self.path, format!("tensor {name:?} is missing")))?;
                slot.f_copy_(value)?;
            }
        }
        Ok(())
    }

    fn student(&self, prefix: &str, device: Device) -> Result<Student> {
        let Header { recipe, labels, .. } = &self.header;
        let mut student =
            Student::new(&recipe.network, recipe.frontend.n_mels, labels.len(), recipe.n_teacher(), 0, device)?;
        student.fill(&self.values, prefix, &self.path)?;
        Ok(student)
    }
}

pub(crate) fn on_cpu(value: &Tensor) -> Result<Tensor> {
    Ok(value.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?)
}

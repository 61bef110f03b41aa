//! A training that starts from a finished model.
//!
//! Enters: a network with fresh weights, and a model folder. Leaves: the network with the model's weights: its convolutions, and of its
//! head the rows of the labels that both know. Runs on the training thread.

use crate::error::{Error, Result};
use crate::nets::student::Student;
use crate::tools::own::start::Start;
use std::collections::HashMap;
use std::path::Path;
use tch::Tensor;

/// `fresh`, whose classes are `labels`, with the weights of the model in `folder`, its batch norms settled on `sample`.
///
/// # Errors
///
/// If there is no such model, or its network or front end has other sizes.
pub fn grafted(fresh: &Student, labels: &[String], folder: &Path, sample: &Tensor) -> Result<Student> {
    let start = Start::load(folder)?;
    if start.student.network().layers.len() != fresh.network().layers.len() || start.student.n_mels() != fresh.n_mels()
    {
        return Err(Error::content(folder, "has another network than the recipe: as many layers and bands are needed"));
    }
    let device = fresh.device();
    let mut grafted = fresh.frozen_copy()?;
    let own = |name: &str| fresh.param(name).map(|value| value.f_detach_copy());
    let mut values: HashMap<String, Tensor> = HashMap::new();
    for param in fresh.params() {
        let name = &param.name;
        let value = match (start.student.param(name), name.starts_with("head.")) {
            (Some(theirs), false) => theirs.f_to_device(device)?,
            (Some(theirs), true) => {
                let value = own(name).transpose()?.unwrap_or_else(|| theirs.shallow_clone());
                let rows = start.model.manifest.labels.iter().enumerate();
                for (from, to) in rows.filter_map(|(i, l)| Some((i, labels.iter().position(|k| k == l)?))) {
                    value.f_get(to as i64)?.f_copy_(&theirs.f_get(from as i64)?)?;
                }
                value
            }
            (None, _) => param.value.f_detach_copy()?,
        };
        values.insert(name.clone(), value);
    }
    grafted.fill(&values, "", folder)?;
    grafted.settle(sample)?;
    Ok(grafted)
}

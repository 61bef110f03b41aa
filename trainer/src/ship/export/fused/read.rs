//! The networks of a fusion from their files.
//!
//! Enters: checkpoints of stages, or of PyTorch with what those do not hold: a recipe and class
//! names. Leaves: networks that fit each other, with their weights.

use super::Member;
use crate::error::{Error, Result};
use crate::nets::slowfast::SlowFast;
use crate::train::checkpoint::{Checkpoint, Header};
use crate::train::recipe::{Recipe, Stage};
use crate::train::slowfast::load_network;
use std::path::{Path, PathBuf};
use tch::Device;

/// Networks, with what they have in common.
#[derive(Debug)]
pub struct Networks {
    /// Front end, name and more: the given recipe, or the first checkpoint's.
    pub recipe: Recipe,
    /// Classes in order.
    pub labels: Vec<String>,
    networks: Vec<(SlowFast, f64, bool)>,
}

/// What checkpoints do not hold, or what replaces their values.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// Weights, one per checkpoint; else those that the recipe gives the stages.
    pub weights: Option<Vec<f64>>,
    /// Recipe instead of the first checkpoint's.
    pub recipe: Option<Recipe>,
    /// Classes of checkpoints of PyTorch.
    pub labels: Option<Vec<String>>,
}

impl Networks {
    /// Reads finished checkpoints.
    ///
    /// # Errors
    ///
    /// If one cannot be read or is not finished; if they have other classes or another front end
    /// than the first; if weights, a recipe or classes are missing.
    pub fn read(checkpoints: &[PathBuf], given: &Given) -> Result<Self> {
        let headers = checkpoints.iter().map(|path| header(path)).collect::<Result<Vec<_>>>()?;
        let first = headers.iter().flatten().next();
        let path =
            checkpoints.first().ok_or_else(|| Error::Usage("--checkpoint: name at least one checkpoint".to_owned()))?;
        let needs = |what: &str| Error::Usage(format!("{}: a checkpoint of PyTorch needs {what}", path.display()));
        let recipe = given.recipe.as_ref().or(first.map(|h| &h.recipe)).ok_or_else(|| needs("--recipe"))?;
        let labels = first.map(|h| &h.labels).or(given.labels.as_ref());
        let labels = labels.filter(|l| !l.is_empty()).ok_or_else(|| needs("--annotations, for its classes' names"))?;
        let weights = weights(checkpoints, &headers, given)?;
        let mut networks = Vec::new();
        for ((path, header), weight) in checkpoints.iter().zip(&headers).zip(weights) {
            let stage = header.as_ref().and_then(stage);
            if header.as_ref().is_some_and(|h| h.labels != *labels) {
                return Err(Error::content(path, "has other classes than the first checkpoint"));
            }
            if header.as_ref().is_some_and(|h| h.recipe.frontend != recipe.frontend) {
                return Err(Error::content(path, "was trained with another front end"));
            }
            let min_max = stage.is_some_and(|s| s.augment().min_max);
            networks.push((load_network(path, recipe, labels.len(), Device::Cpu)?, weight, min_max));
        }
        Ok(Self { recipe: recipe.clone(), labels: labels.clone(), networks })
    }

    /// The networks as a fusion takes them.
    pub fn members<'a>(&'a self) -> Vec<Member<'a>> {
        let member = |(network, weight, min_max): &'a (SlowFast, f64, bool)| Member {
            network,
            weight: *weight,
            min_max: *min_max,
        };
        self.networks.iter().map(member).collect()
    }
}

/// The header of a stage's checkpoint; none of one of PyTorch.
fn header(path: &Path) -> Result<Option<Header>> {
    let is_stage = path.extension().is_some_and(|e| e == "safetensors");
    is_stage.then(|| Ok(Checkpoint::load(path)?.header)).transpose()
}

/// The stage that a checkpoint belongs to; of an average, none.
fn stage(header: &Header) -> Option<&Stage> {
    header.recipe.stages.iter().find(|s| s.name == header.stage)
}

fn weights(checkpoints: &[PathBuf], headers: &[Option<Header>], given: &Given) -> Result<Vec<f64>> {
    if let Some(weights) = &given.weights {
        let (expected, actual) = (checkpoints.len(), weights.len());
        let message = format!("--weights: there are {expected} checkpoints and {actual} weights");
        return if actual == expected { Ok(weights.clone()) } else { Err(Error::Usage(message)) };
    }
    let of = |(header, path): (&Option<Header>, &PathBuf)| {
        let weight = header.as_ref().and_then(stage).map(|s| s.weight).filter(|&w| w > 0.0);
        weight.ok_or_else(|| Error::Usage(format!("{}: the recipe gives it no weight: --weights", path.display())))
    };
    headers.iter().zip(checkpoints).map(of).collect()
}

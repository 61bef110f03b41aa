//! A run folder as a report finds it. No other module of the report knows the files of a training.
//!
//! Enters: a folder that `fit`, `crossval` or `distill` left, finished or not. Leaves:
//! whatever is there, and a note for each thing that is missing or cannot be read: half a run still
//! deserves a report.

use super::curves::Curves;
use crate::chain::student::PREDICTIONS;
use crate::common::environment::{ENVIRONMENT, Environment};
use crate::common::json;
use crate::data::folds::FoldMode;
use crate::error::{Error, Result};
use crate::judge::scores::Predictions;
use crate::judge::summary::{FitResult, RESULT};
use crate::train::checkpoint::{CHECKPOINT, Header};
use crate::train::learner::METRICS;
use crate::train::recipe::{Network, Recipe};
use serde_json::Value;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// What is not on the page, and why.
pub type Notes = Vec<String>;

/// What is known of one training.
#[derive(Debug, Default)]
pub struct Run {
    pub folder: PathBuf,
    /// The folder's name.
    pub name: String,
    /// The fold that was held out.
    pub fold: Option<u32>,
    pub folds: FoldMode,
    /// The classes in order; empty if no checkpoint lists them.
    pub labels: Vec<String>,
    pub recipe: Option<Recipe>,
    pub outcome: Option<FitResult>,
    /// Steps done and steps in all.
    pub steps: Option<(u64, u64)>,
    /// The course of the training, by stage.
    pub curves: Vec<Curves>,
    /// Of the held-out fold.
    pub predictions: Option<Predictions>,
    pub environment: Option<Environment>,
}

impl Run {
    /// Whether `folder` is a run folder rather than a folder of them.
    pub fn is_at(folder: &Path) -> bool {
        [RESULT, PREDICTIONS].iter().any(|name| folder.join(name).is_file()) || !stage_folders(folder).is_empty()
    }

    /// Reads what is there; `notes` takes what is not.
    pub fn read(folder: &Path, notes: &mut Notes) -> Self {
        let path = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let name = path.file_name().map_or_else(|| "run".to_owned(), |n| n.to_string_lossy().into_owned());
        let mut run = Self { folder: folder.to_owned(), name: name.clone(), ..Self::default() };
        let mut note = |what: &str, read: Result<()>| {
            notes.extend(read.err().map(|e| format!("{name}: no {what}: {e}")));
        };
        for stage in stage_folders(folder) {
            note("stage", run.take_checkpoint(&stage));
        }
        if run.recipe.is_none() {
            note("recipe", Err(Error::content(folder, "no stage has a checkpoint")));
        }
        if run.curves.is_empty() {
            note("training curves", Err(Error::content(folder, "no stage has a record")));
        }
        if run.curves.is_empty() {
            note("training curves", Err(Error::content(folder, format!("no stage has {METRICS}"))));
        }
        let outcome = json::read::<FitResult>(&folder.join(RESULT));
        note("result", outcome.map(|outcome| run.outcome = Some(outcome)));
        if let (None, Some(outcome)) = (&run.recipe, &run.outcome) {
            (run.fold, run.folds) = (outcome.fold, outcome.folds);
        }
        let optional = |file: &str| Some(folder.join(file)).filter(|path| path.is_file());
        let predictions = optional(PREDICTIONS).map(|path| Predictions::read(&path)).transpose();
        note("predictions", predictions.map(|predictions| run.predictions = predictions));
        let environment = optional(ENVIRONMENT).map(|path| json::read(&path)).transpose();
        note("environment", environment.map(|environment| run.environment = environment));
        run
    }

    /// Name of the recipe, if a checkpoint or a result has it.
    pub fn recipe_name(&self) -> Option<&str> {
        let of_result = || self.outcome.as_ref().map(|outcome| outcome.recipe.as_str());
        self.recipe.as_ref().map(|recipe| recipe.name.as_str()).or_else(of_result)
    }

    /// The recipe of a student.
    pub fn student(&self) -> Option<&Recipe> {
        self.recipe.as_ref().filter(|recipe| matches!(recipe.network, Network::Student(_)))
    }

    /// Whether it has something that it was not trained on.
    pub fn is_held_out(&self) -> bool {
        self.fold.is_some() || self.predictions.is_some()
    }

    /// Epochs of all stages.
    pub fn n_epochs(&self) -> usize {
        self.curves.iter().map(|curves| curves.epochs.len()).sum()
    }

    /// Time spent on training.
    pub fn seconds(&self) -> f64 {
        self.curves.iter().map(Curves::seconds).sum()
    }

    /// Takes what the checkpoint of one stage has.
    fn take_checkpoint(&mut self, folder: &Path) -> Result<()> {
        let path = folder.join(CHECKPOINT);
        let header = serde_json::from_value(header(&path)?);
        let Header { recipe, stage, labels, fold, folds, step, n_steps, .. } =
            header.map_err(|e| Error::content(&path, format!("header: {e}")))?;
        let (before, in_all) = self.steps.unwrap_or_default();
        self.steps = Some((before + step, in_all + n_steps));
        // A mean of weights was never trained.
        if folder.join(METRICS).is_file() {
            let name = if recipe.stages.len() > 1 { stage.as_str() } else { "" };
            self.curves.push(Curves::read(&folder.join(METRICS), name)?);
        }
        self.curves.sort_by_key(|curves| recipe.stages.iter().position(|s| s.name == curves.stage));
        (self.recipe, self.labels, self.fold, self.folds) = (Some(recipe), labels, fold, folds);
        Ok(())
    }
}

/// The stages' folders of a run; empty if `folder` is not one.
fn stage_folders(folder: &Path) -> Vec<PathBuf> {
    let has_checkpoint = |stage: &PathBuf| header(&stage.join(CHECKPOINT)).is_ok();
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut stages: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).filter(has_checkpoint).collect();
    stages.sort();
    stages
}

/// The JSON in the tensor `header` of the checkpoint at `path`. Of the file, only its table and
/// that tensor are read.
fn header(path: &Path) -> Result<Value> {
    let wrong = |what: &str| Error::content(path, format!("no checkpoint: {what}"));
    let mut file = File::open(path).map_err(Error::io(path))?;
    let n_bytes = file.metadata().map_err(Error::io(path))?.len();
    let mut read = |from: u64, length: u64| -> Result<Vec<u8>> {
        let mut bytes = vec![0; length as usize];
        file.seek(SeekFrom::Start(from)).and_then(|_| file.read_exact(&mut bytes)).map_err(|_| wrong("cut off"))?;
        Ok(bytes)
    };
    let length = read(0, 8)?.iter().rev().fold(0, |length, &byte| length << 8 | u64::from(byte));
    if length > n_bytes {
        return Err(wrong("not a safetensors file"));
    }
    let table: Value = serde_json::from_slice(&read(8, length)?).map_err(|_| wrong("not a safetensors file"))?;
    let offset = |at: usize| table["header"]["data_offsets"][at].as_u64().ok_or_else(|| wrong("no header"));
    let (begin, end) = (offset(0)?, offset(1)?);
    if begin > end || end > n_bytes {
        return Err(wrong("cut off"));
    }
    serde_json::from_slice(&read(8 + length + begin, end - begin)?).map_err(|e| wrong(&format!("header: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Tensor;

    #[test]
    fn the_header_is_found_among_tensors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.safetensors");
        let message = || header(&path).unwrap_err().to_string();
        let weights = Tensor::from_slice(&[1.0f32; 1000]);
        let text = Tensor::from_slice(br#"{"fold": 3}"#.as_slice());
        Tensor::write_safetensors(&[("a", &weights), ("header", &text), ("z", &weights)], &path).unwrap();
        assert_eq!(header(&path).unwrap(), serde_json::json!({"fold": 3}));
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..200]).unwrap();
        assert!(message().contains("cut off"), "{}", message());
        std::fs::write(&path, b"not a checkpoint at all").unwrap();
        assert!(message().contains("not a safetensors file"), "{}", message());
        Tensor::write_safetensors(&[("a", &weights)], &path).unwrap();
        assert!(message().contains("no header"), "{}", message());
    }
}

//! A run folder as a report finds it.
//!
//! Enters: a folder that `fit`, `crossval` or a staged recipe left, finished or not. Leaves: whatever is there, and a note for each
//! thing that is not, or cannot be read: a report of half a run is worth more than none.

use super::curves::Curves;
use super::header::header;
use crate::chain::fit::{CHECKPOINT, FitResult, METRICS, PREDICTIONS, RESULT};
use crate::chain::staged::{StagedRecipe, run::RunResult, state};
use crate::common::environment::{ENVIRONMENT, Environment};
use crate::common::json;
use crate::error::{Error, Result};
use crate::judge::scores::Predictions;
use crate::train::checkpoint;
use crate::train::recipe::{FoldMode, Recipe};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What is not on the page, and why.
pub type Notes = Vec<String>;

/// What is known of one training.
#[derive(Debug)]
pub struct Run {
    /// Where it lies.
    pub folder: PathBuf,
    /// The folder's name.
    pub name: String,
    /// Held-out fold.
    pub fold: Option<u32>,
    /// What the fold refers to.
    pub folds: FoldMode,
    /// Classes in order; none if no checkpoint says so.
    pub labels: Vec<String>,
    /// What it was trained by.
    pub recipe: Option<AnyRecipe>,
    /// What it came to.
    pub result: Option<AnyResult>,
    /// Steps done and steps in all.
    pub steps: Option<(u64, u64)>,
    /// The course, by stage.
    pub curves: Vec<Curves>,
    /// What it says of its held-out fold.
    pub predictions: Option<Predictions>,
    /// What it ran on.
    pub environment: Option<Environment>,
}

/// A recipe of either kind.
#[derive(Debug, PartialEq)]
pub enum AnyRecipe {
    /// Of a student.
    Student(Box<Recipe>),
    /// Of stages.
    Staged(Box<StagedRecipe>),
}

/// A result of either kind.
#[derive(Debug)]
pub enum AnyResult {
    /// Of a student.
    Student(FitResult),
    /// Of a staged recipe.
    Staged(RunResult),
}

impl Run {
    /// Whether `folder` is a run folder rather than a folder of them.
    pub fn is_at(folder: &Path) -> bool {
        [CHECKPOINT, RESULT, METRICS, PREDICTIONS].iter().any(|name| folder.join(name).is_file())
            || stage_folders(folder).is_some()
    }

    /// Reads what is there; `notes` takes what is not.
    pub fn read(folder: &Path, notes: &mut Notes) -> Self {
        let name = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let name = name.file_name().map_or_else(|| "run".to_owned(), |n| n.to_string_lossy().into_owned());
        let mut run = Self {
            folder: folder.to_owned(),
            name,
            fold: None,
            folds: FoldMode::default(),
            labels: Vec::new(),
            recipe: None,
            result: None,
            steps: None,
            curves: Vec::new(),
            predictions: None,
            environment: None,
        };
        let mut note = |run: &Self, what: &str, e: &Error| notes.push(format!("{}: no {what}: {e}", run.name));
        match stage_folders(folder) {
            Some(stages) => {
                for stage in stages {
                    if let Err(e) = run.take_stage(&stage) {
                        note(&run, "stage", &e);
                    }
                }
            }
            None => {
                if let Err(e) = run.take_header() {
                    note(&run, "recipe", &e);
                }
                match Curves::read(&folder.join(METRICS), "") {
                    Ok(curves) => run.curves.push(curves),
                    Err(e) => note(&run, "training curves", &e),
                }
            }
        }
        if let Err(e) = run.take_result() {
            note(&run, "result", &e);
        }
        if folder.join(PREDICTIONS).is_file() {
            match Predictions::read(&folder.join(PREDICTIONS)) {
                Ok(predictions) => run.predictions = Some(predictions),
                Err(e) => note(&run, "predictions", &e),
            }
        }
        if folder.join(ENVIRONMENT).is_file() {
            match json::read(&folder.join(ENVIRONMENT)) {
                Ok(environment) => run.environment = Some(environment),
                Err(e) => note(&run, "environment", &e),
            }
        }
        run
    }

    /// Name of the recipe, as far as anything says it.
    pub fn recipe_name(&self) -> Option<&str> {
        match (&self.recipe, &self.result) {
            (Some(AnyRecipe::Student(recipe)), _) => Some(&recipe.name),
            (Some(AnyRecipe::Staged(recipe)), _) => Some(&recipe.name),
            (None, Some(AnyResult::Student(result))) => Some(&result.recipe),
            (None, Some(AnyResult::Staged(result))) => Some(&result.recipe),
            (None, None) => None,
        }
    }

    /// The recipe, of a student.
    pub fn student(&self) -> Option<&Recipe> {
        match &self.recipe {
            Some(AnyRecipe::Student(recipe)) => Some(recipe),
            _ => None,
        }
    }

    /// The result, of a student.
    pub fn student_result(&self) -> Option<&FitResult> {
        match &self.result {
            Some(AnyResult::Student(result)) => Some(result),
            _ => None,
        }
    }

    /// Whether it has something that it was not trained on.
    pub fn is_held_out(&self) -> bool {
        self.fold.is_some() || self.predictions.is_some()
    }

    /// Time spent on training.
    pub fn seconds(&self) -> f64 {
        self.curves.iter().map(Curves::seconds).sum()
    }

    fn take_header(&mut self) -> Result<()> {
        let path = self.folder.join(CHECKPOINT);
        let parsed = serde_json::from_value(header(&path)?);
        let header: checkpoint::Header = parsed.map_err(|e| Error::content(&path, format!("header: {e}")))?;
        (self.fold, self.folds, self.labels) = (header.fold, header.folds, header.labels);
        self.steps = Some((header.step, header.n_steps));
        self.recipe = Some(AnyRecipe::Student(Box::new(header.recipe)));
        Ok(())
    }

    fn take_stage(&mut self, folder: &Path) -> Result<()> {
        let path = folder.join(CHECKPOINT);
        let parsed = serde_json::from_value(header(&path)?);
        let header: state::Header = parsed.map_err(|e| Error::content(&path, format!("header: {e}")))?;
        let (step, n_steps) = self.steps.unwrap_or_default();
        self.steps = Some((step + header.step, n_steps + header.n_steps));
        // A mean of weights was never trained.
        if folder.join(METRICS).is_file() {
            self.curves.push(Curves::read(&folder.join(METRICS), &header.stage)?);
        }
        (self.fold, self.folds, self.labels) = (header.fold, header.folds, header.labels);
        let place = |name: &str| header.recipe.stages.iter().position(|s| s.name == name);
        self.curves.sort_by_key(|curves| place(&curves.stage));
        self.recipe = Some(AnyRecipe::Staged(Box::new(header.recipe)));
        Ok(())
    }

    fn take_result(&mut self) -> Result<()> {
        let path = self.folder.join(RESULT);
        let value: Value = json::read(&path)?;
        let wrong = |e: serde_json::Error| Error::content(&path, e.to_string());
        let result = if value.get("models").is_some() {
            AnyResult::Staged(serde_json::from_value(value).map_err(wrong)?)
        } else {
            AnyResult::Student(serde_json::from_value(value).map_err(wrong)?)
        };
        if self.recipe.is_none() {
            (self.fold, self.folds) = match &result {
                AnyResult::Student(result) => (result.fold, result.folds),
                AnyResult::Staged(result) => (result.fold, result.folds),
            };
        }
        self.result = Some(result);
        Ok(())
    }
}

/// The stages' folders of a staged recipe's run; none if `folder` is no such.
fn stage_folders(folder: &Path) -> Option<Vec<PathBuf>> {
    let is_stage = |stage: &PathBuf| header(&stage.join(CHECKPOINT)).is_ok_and(|h| h.get("stage").is_some());
    let mut stages: Vec<PathBuf> = std::fs::read_dir(folder).ok()?.filter_map(|e| Some(e.ok()?.path())).collect();
    stages.retain(is_stage);
    stages.sort();
    (!stages.is_empty()).then_some(stages)
}

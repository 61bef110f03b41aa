//! The chain: from a recipe to a model folder.
//!
//! [`fit`](mod@fit) trains the stages of a recipe on one fold; [`student`], [`slowfast`] and
//! [`head`] say what a stage is for each network and what follows the last one; [`scenes`] makes
//! the scenes of a stage; [`teachers`] lets a student learn from SlowFast.
//! [`crossval`](mod@crossval) does all folds, and [`distill`](mod@distill) the whole way: teachers,
//! student, model folder. [`check`](mod@check) says what a training would find. Whatever is
//! finished is taken as it is, and what was interrupted resumes.

pub mod check;
pub mod crossval;
pub mod distill;
pub mod fit;
pub mod head;
pub mod predict;
pub mod scenes;
pub mod slowfast;
pub mod student;
pub mod teachers;

use crate::data::Places;
use crate::data::folds::FoldMode;
use crate::error::{Error, Result};
use crate::judge::summary::RESULT;
use crate::train::checkpoint::{CHECKPOINT, Checkpoint, Header};
use crate::train::learner::Stop;
use crate::train::recipe::Recipe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tch::Device;

/// Name of the folder of the stages that all folds share.
const SHARED: &str = "shared";

/// What to train, and where.
#[derive(Debug, Clone)]
pub struct FitOptions {
    /// The checked recipe.
    pub recipe: Recipe,
    /// Held-out fold; none to train on everything.
    pub fold: Option<u32>,
    /// What the fold refers to.
    pub folds: FoldMode,
    /// Data and cache.
    pub places: Places,
    /// Run folder; each stage has a folder of its name in it.
    pub out: PathBuf,
    /// Folder of the runs of other recipes, which fused teachers are taken from.
    pub runs: PathBuf,
    /// Continue from what the folder holds, if there is anything.
    pub resume: bool,
    /// Where to compute.
    pub device: Device,
    /// Set from outside to save and stop after the current step.
    pub stop: Arc<AtomicBool>,
    /// Save and stop after this many steps (of a stage).
    pub stop_after: Option<u64>,
}

impl FitOptions {
    fn stop(&self) -> Stop<'_> {
        Stop { flag: &self.stop, after: self.stop_after }
    }

    /// The folder of a stage; of one that all folds share, beside their run folders.
    pub fn stage_folder(&self, stage: &str) -> PathBuf {
        match self.is_shared(stage) {
            true => self.out.parent().unwrap_or(Path::new("")).join(SHARED).join(stage),
            false => self.out.join(stage),
        }
    }

    /// Whether all folds share the result of a stage.
    fn is_shared(&self, stage: &str) -> bool {
        let own = self.recipe.stages.iter().find(|s| s.name == stage);
        own.and_then(|s| s.scenes.as_ref()).is_some_and(|scenes| scenes.shared)
    }

    /// The checkpoint of a stage.
    pub fn checkpoint(&self, stage: &str) -> PathBuf {
        self.stage_folder(stage).join(CHECKPOINT)
    }

    /// The checkpoint of a stage if there is one already, and the folder of the stage.
    fn existing(&self, stage: &str) -> Result<(PathBuf, bool)> {
        let folder = self.stage_folder(stage);
        let exists = self.checkpoint(stage).exists();
        if exists && !self.resume && !self.is_shared(stage) {
            let message = "holds a training already; continue it with --resume or choose another --out";
            return Err(Error::Usage(format!("{}: {message}", folder.display())));
        }
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        Ok((folder, exists))
    }

    /// Whether the run folder has a result of this very recipe and fold.
    fn finished(&self) -> Result<bool> {
        let Some(last) = self.recipe.stages.last() else { return Ok(false) };
        let path = self.checkpoint(&last.name);
        if !self.out.join(RESULT).exists() || !path.exists() {
            return Ok(false);
        }
        let header = Checkpoint::load(&path)?.header;
        let same = (&header.recipe, header.fold, header.folds) == (&self.recipe, self.fold, self.folds);
        Ok(header.finished && same)
    }

    /// The header of a training of the stage called `stage` that is about to begin. What all folds
    /// share holds nothing out.
    fn header(&self, stage: &str, labels: &[String], n_steps: u64) -> Header {
        let is_shared = self.is_shared(stage);
        Header {
            recipe: self.recipe.clone(),
            stage: stage.to_owned(),
            labels: labels.to_vec(),
            fold: self.fold.filter(|_| !is_shared),
            folds: if is_shared { self.recipe.folds } else { self.folds },
            step: 0,
            n_steps,
            finished: false,
        }
    }

    fn described_fold(&self) -> String {
        self.fold.map_or(String::new(), |k| format!(", fold {k} held out ({:?} folds)", self.folds))
    }
}

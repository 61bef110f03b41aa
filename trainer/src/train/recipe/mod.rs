//! Recipes: one TOML file says everything that decides a training's result.
//!
//! Enters: a TOML file. Leaves: a checked [`Recipe`]. Unknown keys are errors that name the line. Every key but `name`,
//! `data` and `network.layers` has a default; the shipped recipes under `trainer/recipes` are the reference for their meaning.

use crate::error::{Error, Result};
use edge_frontend::FrontendConfig;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

mod augment;
mod check;
mod distill;
mod network;
mod optim;
mod overrides;
mod quantize;
pub(crate) mod removed;

pub use augment::Augment;
pub(crate) use check::{check, line_of};
pub use distill::{Distill, ScoreFile, ScoreKind};
pub use network::{ConvLayer, Network};
pub use optim::{Method, Optim, Precision, Schedule, Train};
pub use overrides::Overrides;
pub use quantize::{Calibration, Quantize};

/// Time from one answer of a streaming network to the next: 8 frames at the default hop.
pub const PULSE_MS: f64 = 80.0;

/// Everything that decides a training's result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Name of the model and of its run folder.
    pub name: String,
    /// Seed of every random choice.
    #[serde(default)]
    pub seed: u64,
    /// Folder that the data sets' paths are relative to; itself relative to the recipe's folder.
    #[serde(default = "default_data_root")]
    pub data_root: PathBuf,
    /// Label of the negatives; absent if the model has no such class.
    #[serde(default)]
    pub background: Option<String>,
    /// Which folds `--fold` refers to unless `--folds` says otherwise.
    #[serde(default)]
    pub folds: FoldMode,
    /// Data sets, in the order of their labels.
    #[serde(default)]
    pub data: Vec<DataSet>,
    /// Generated clips that join the training; never evaluated on.
    #[serde(default)]
    pub procedural: Option<Procedural>,
    /// Front end; the student's default unless given.
    #[serde(default = "FrontendConfig::student")]
    pub frontend: FrontendConfig,
    /// The student.
    pub network: Network,
    /// A network to learn from besides the labels.
    #[serde(default)]
    pub teacher: Option<Teacher>,
    /// What the teachers say, as further losses.
    #[serde(default)]
    pub distill: Option<Distill>,
    /// The 8-bit network that is made of the trained one.
    #[serde(default)]
    pub quantize: Option<Quantize>,
    /// What is written beside an exported network; without influence on the training.
    #[serde(default)]
    pub export: Option<Export>,
    /// What is done to a training clip.
    #[serde(default)]
    pub augment: Augment,
    /// Optimiser and schedule.
    #[serde(default)]
    pub optim: Optim,
    /// Batches and epochs.
    #[serde(default)]
    pub train: Train,
}

/// How the clips are divided into folds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FoldMode {
    /// The `fold` column of the table.
    #[default]
    Official,
    /// Five folds such that no source (`source_id`) is in two of them.
    Source,
}

/// One table of clips.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSet {
    /// Name used in reports.
    pub name: String,
    /// CSV with columns `file,label` and, unless `negatives`, `fold,source_id`; further columns are ignored.
    pub csv: PathBuf,
    /// Folder that the `file` column is relative to.
    pub audio: PathBuf,
    /// Whether these are background recordings: all get the background label, and they are divided in time.
    #[serde(default)]
    pub negatives: bool,
}

/// Generated clips.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Procedural {
    /// Clips of each class that the generator knows and the label list holds.
    pub clips_per_class: usize,
    /// Duration of a clip.
    #[serde(default = "default_procedural_seconds")]
    pub seconds: f64,
    /// Whether the generator's classes join the label list where no data set has them.
    #[serde(default)]
    pub add_labels: bool,
    /// Names of the generator's sounds that no label stands for and that join the background; all that trainings may use unless given.
    #[serde(default)]
    pub negatives: Option<Vec<String>>,
    /// Seed of the first clip.
    #[serde(default = "default_procedural_seed")]
    pub seed: u64,
}

/// What an exported model's manifest says besides what follows from the training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Version of the model.
    pub version: String,
    /// How posteriors become events.
    pub decision: edge_frontend::Decision,
    /// Data sets and terms.
    pub data: edge_frontend::DataNotes,
    /// Further models of the same network that know some of the labels only.
    #[serde(default)]
    pub subsets: Vec<Subset>,
}

/// A model of some of the labels: the head's other rows are left out. It says of a clip what the whole model says among these labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subset {
    /// Name of the model.
    pub name: String,
    /// Its labels; the background's is always added.
    pub labels: Vec<String>,
}

/// EfficientAT mn04 as a teacher: a second head of the student predicts its embedding, which knows far more sounds than the
/// training clips show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Teacher {
    /// `mn04_as_mAP_432.pt`, relative to the data root.
    pub weights: PathBuf,
    /// Weight of the cosine distance in the loss.
    pub loss_weight: f64,
    /// Window that an embedding covers.
    #[serde(default = "default_teacher_window")]
    pub window_s: f64,
    /// Time from one embedding to the next.
    #[serde(default = "default_teacher_hop")]
    pub hop_s: f64,
    /// Share of a classifier of the teacher's embeddings that is merged into the student's head at the end; 0 for none.
    #[serde(default = "default_probe_share")]
    pub probe_share: f64,
    /// Weight of the training clips against the regularisation in that classifier: `|W|^2 / 2 + c * sum(loss)`.
    #[serde(default = "default_probe_c")]
    pub probe_c: f64,
    /// Added to the background's logit then, since that classifier knows no background.
    #[serde(default = "default_background_offset")]
    pub background_offset: f64,
    /// Share of a batch's crops that the teacher hears as the student does: mixed, filtered, with noise. Of the others, and of all
    /// at 0, it has heard the clean clip, and what it said of two clips is mixed as they are.
    #[serde(default)]
    pub online: f64,
}

impl Recipe {
    /// Takes over from `other` what matters only after the last step: a finished training can be closed anew with it.
    pub fn take_last_stage(&mut self, other: &Self) {
        self.export.clone_from(&other.export);
        self.quantize.clone_from(&other.quantize);
        if let (Some(teacher), Some(other)) = (&mut self.teacher, &other.teacher) {
            teacher.probe_share = other.probe_share;
            teacher.probe_c = other.probe_c;
            teacher.background_offset = other.background_offset;
        }
    }

    /// Reads and checks the recipe at `path`. A relative path that does not exist is also looked up under `trainer/`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is no valid TOML, holds an unknown or a removed key (the line is named) or a value out of range.
    pub fn load(path: &Path) -> Result<(Self, PathBuf)> {
        let (text, path) = read(path)?;
        Ok((Self::parse(&text, &path)?, path))
    }

    /// The same with changes from the command line.
    ///
    /// # Errors
    ///
    /// As [`Recipe::load`], and if the changes do not fit the recipe. Of a mistake that a change brought, no line is named.
    pub fn load_with(path: &Path, overrides: &Overrides) -> Result<(Self, PathBuf)> {
        let (recipe, path) = Self::load(path)?;
        if overrides.is_empty() {
            return Ok((recipe, path));
        }
        let (text, path) = read(&path)?;
        let changed = overrides.apply(&text)?;
        if let Some(message) = removed::found(&changed) {
            return Err(Error::Usage(format!("--set: {message}")));
        }
        let changed: Self = toml::from_str(&changed).map_err(|e| {
            Error::Usage(format!("{}, as changed by --set and --without: {}", path.display(), e.message()))
        })?;
        check(&changed).map_err(|(key, message)| Error::Usage(format!("--set or --without: {key}: {message}")))?;
        Ok((changed, path))
    }

    /// Parses and checks a recipe's text; `path` is named in errors.
    ///
    /// # Errors
    ///
    /// As [`Recipe::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        removed::refuse(text, path)?;
        let recipe: Self = parse_toml(text, path)?;
        check(&recipe).map_err(|(key, message)| Error::input(path, line_of(text, key), format!("{key}: {message}")))?;
        Ok(recipe)
    }

    /// Width of the teacher's embedding, 0 without a teacher.
    pub fn n_teacher(&self) -> usize {
        if self.teacher.is_some() { crate::nets::teacher::EMBEDDING_WIDTH } else { 0 }
    }
}

/// The text of the recipe at `path`, and where it was found: a relative path that does not exist is also looked up under
/// `trainer/`.
pub(crate) fn read(path: &Path) -> Result<(String, PathBuf)> {
    let beside = Path::new("trainer").join(path);
    let path = if !path.exists() && beside.exists() { beside } else { path.to_owned() };
    let text =
        std::fs::read_to_string(&path).map_err(|e| Error::input(&path, None, format!("recipe cannot be read: {e}")))?;
    Ok((text, path))
}

/// Parses TOML; an error names the line.
pub(crate) fn parse_toml<T: serde::de::DeserializeOwned>(text: &str, path: &Path) -> Result<T> {
    toml::from_str(text).map_err(|e| {
        let line = e.span().map(|s| text[..s.start.min(text.len())].matches('\n').count() + 1);
        Error::input(path, line, e.message().to_owned())
    })
}

pub(crate) fn default_data_root() -> PathBuf {
    PathBuf::from("../../../shared/data")
}

fn default_procedural_seconds() -> f64 {
    3.0
}

fn default_procedural_seed() -> u64 {
    1
}

fn default_teacher_window() -> f64 {
    2.0
}

fn default_teacher_hop() -> f64 {
    0.5
}

fn default_probe_share() -> f64 {
    1.0
}

fn default_probe_c() -> f64 {
    0.001
}

fn default_background_offset() -> f64 {
    1.0
}

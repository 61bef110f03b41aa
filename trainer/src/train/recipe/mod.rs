//! Recipes: one TOML file says everything that decides a training's result.
//!
//! Enters: a TOML file. Leaves: a checked [`Recipe`]. It names the data, one network, and one or
//! more stages, in each of which the network is trained once: the streaming student in one,
//! Auditory SlowFast in the four of the 2023 report. Unknown keys are errors that name the line.
//! The shipped recipes under `trainer/recipes` are the reference for the meaning of the keys.

mod augment;
mod check;
mod distill;
mod export;
mod network;
mod overrides;
mod retired;
mod scenes;
mod stage;

pub use augment::Augment;
pub use distill::{Distill, Fused, Hears, ScoreFile, ScoreKind};
pub use export::{Calibration, Export, Quantize, Subset};
pub use network::Network;
pub use overrides::Overrides;
pub use scenes::{Scenes, Tagger, TaggerLabel};
pub use stage::{BatchNorm, Frozen, Init, Method, Schedule, Stage};

use crate::data::Contents;
use crate::data::folds::FoldMode;
use crate::data::procedural::Procedural;
use crate::data::sets::DataSet;
use crate::error::{Error, Result};
use crate::nets::Precision;
use crate::nets::head::HeadConfig;
use crate::nets::slowfast::SlowFastConfig;
use crate::nets::student::{Cost, StudentConfig, cost};
use crate::nets::teacher::Teacher;
use edge_frontend::FrontendConfig;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

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
    /// Label of the background; absent if the model has no such class.
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
    /// Front end; that of the network's kind unless given.
    #[serde(default = "FrontendConfig::student")]
    pub frontend: FrontendConfig,
    /// What is trained.
    pub network: Network,
    /// A pretrained network to learn from besides the labels.
    #[serde(default)]
    pub teacher: Option<Teacher>,
    /// What a student learns from the posteriors of teachers.
    #[serde(default)]
    pub distill: Option<Distill>,
    /// CED-tiny as a teacher of scenes.
    #[serde(default)]
    pub tagger: Option<Tagger>,
    /// What is done to a training crop, unless a stage says otherwise.
    #[serde(default)]
    pub augment: Augment,
    /// What all stages share.
    #[serde(default)]
    pub train: Train,
    /// The trainings, in order.
    #[serde(rename = "stage")]
    pub stages: Vec<Stage>,
    /// Stages whose weights are averaged into one more model, for comparison with the fusion.
    #[serde(default)]
    pub average: Vec<String>,
    /// The 8-bit network that is made of the trained student.
    #[serde(default)]
    pub quantize: Option<Quantize>,
    /// What is written beside an exported network; without influence on the training.
    #[serde(default)]
    pub export: Option<Export>,
}

/// What all stages share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Train {
    /// Arithmetic of the convolutions. Weights, statistics and the head stay in single precision.
    pub precision: Precision,
    /// Momentum of SGD (Nesterov).
    pub momentum: f64,
    /// Decay of kernels and head; batch norms and biases do not decay.
    pub weight_decay: f64,
    /// Length of a student's crop in frames.
    pub crop_frames: usize,
    /// Seconds of sound in a view of SlowFast.
    pub view_seconds: f64,
    /// Views per segment in the evaluation of SlowFast.
    pub views: usize,
    /// Views of a training segment whose logits are written in the end; as many as `views` unless
    /// given.
    pub train_views: Option<usize>,
    /// Epochs between evaluations on what is held out; 0 for only at the end. They choose nothing.
    pub evaluate_every: u64,
    /// Epochs between checkpoints.
    pub save_every: u64,
    /// Memory for decoded recordings and features, in MB; what does not fit is read from disk.
    pub memory_mb: usize,
}

impl Default for Train {
    fn default() -> Self {
        Self {
            precision: Precision::F32,
            momentum: 0.9,
            weight_decay: 1e-4,
            crop_frames: 160,
            view_seconds: 1.999,
            views: 5,
            train_views: None,
            evaluate_every: 0,
            save_every: 1,
            memory_mb: 2048,
        }
    }
}

impl Recipe {
    /// Reads and checks the recipe at `path`. A relative path that does not exist is also looked up
    /// under `trainer/`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is not valid TOML, holds an unknown key (the line is named) or a
    /// value out of range.
    pub fn load(path: &Path) -> Result<(Self, PathBuf)> {
        let (text, path) = read(path)?;
        Ok((Self::parse(&text, &path)?, path))
    }

    /// The same with changes from the command line.
    ///
    /// # Errors
    ///
    /// As [`Recipe::load`], and if the changes do not fit the recipe. Of a mistake that a change
    /// brought, no line is named.
    pub fn load_with(path: &Path, overrides: &Overrides) -> Result<(Self, PathBuf)> {
        let (recipe, path) = Self::load(path)?;
        if overrides.is_empty() {
            return Ok((recipe, path));
        }
        let (text, path) = read(&path)?;
        let changed = overrides.apply(&text)?;
        // Lines of the changed text are not those of the file.
        let parsed = Self::parse(&changed, &path).map_err(|e| match e {
            Error::Input { message, .. } => {
                Error::Usage(format!("{}, as changed by --set and --without: {message}", path.display()))
            }
            other => other,
        });
        Ok((parsed?, path))
    }

    /// Parses and checks a recipe's text; `path` is named in errors.
    ///
    /// # Errors
    ///
    /// As [`Recipe::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        retired::refuse(text, path)?;
        let mut recipe: Self = parse_toml(text, path)?;
        let table: toml::Table = parse_toml(text, path)?;
        if !table.contains_key("frontend") {
            recipe.frontend = recipe.network.usual_frontend();
        }
        for stage in &mut recipe.stages {
            stage.augment.get_or_insert_with(|| recipe.augment.clone());
        }
        check::check(&recipe)
            .map_err(|(key, message)| Error::input(path, line_of(text, key), format!("{key}: {message}")))?;
        Ok(recipe)
    }

    /// What its corpus is made of.
    pub fn contents(&self) -> Contents<'_> {
        Contents {
            sets: &self.data,
            background: self.background.as_deref(),
            more_labels: self.more_labels(),
            procedural: self.procedural.as_ref(),
            frontend: &self.frontend,
            audio_mb: self.train.memory_mb / 4,
        }
    }

    /// The labels that the tagger alone knows.
    fn more_labels(&self) -> Vec<&str> {
        let of_tagger = self.tagger.iter().flat_map(|tagger| &tagger.labels);
        of_tagger.filter(|label| label.sounds_from.is_some()).map(|label| label.name.as_str()).collect()
    }

    /// The student's layers.
    ///
    /// # Errors
    ///
    /// If it is a recipe of another network.
    pub fn student(&self) -> Result<&StudentConfig> {
        match &self.network {
            Network::Student(config) => Ok(config),
            _ => Err(self.wrong_network("student")),
        }
    }

    /// The sizes of SlowFast.
    ///
    /// # Errors
    ///
    /// If it is a recipe of another network.
    pub fn slowfast(&self) -> Result<&SlowFastConfig> {
        match &self.network {
            Network::Slowfast(config) => Ok(config),
            _ => Err(self.wrong_network("slowfast")),
        }
    }

    /// The sizes of the head on CED-tiny.
    ///
    /// # Errors
    ///
    /// If it is a recipe of another network.
    pub fn head(&self) -> Result<&HeadConfig> {
        match &self.network {
            Network::Ced(config) => Ok(config),
            _ => Err(self.wrong_network("ced")),
        }
    }

    /// Size and cost of the student for `n_classes` classes.
    ///
    /// # Errors
    ///
    /// If it is a recipe of another network.
    pub fn student_cost(&self, n_classes: usize) -> Result<Cost> {
        Ok(cost(&self.student()?.layers, self.frontend.n_mels, n_classes, self.frontend.hop_seconds()))
    }

    fn wrong_network(&self, expected: &str) -> Error {
        let actual = self.network.kind();
        Error::Usage(format!("recipe {:?}: network.kind is \"{actual}\", expected \"{expected}\"", self.name))
    }

    /// The stage called `name`.
    ///
    /// # Errors
    ///
    /// If there is none; the error lists those there are.
    pub fn stage(&self, name: &str) -> Result<usize> {
        self.stages.iter().position(|s| s.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.stages.iter().map(|s| s.name.as_str()).collect();
            Error::Usage(format!("stage {name:?} does not exist; the recipe has {}", names.join(", ")))
        })
    }

    /// Each stage draws its own random numbers.
    pub fn stage_seed(&self, index: usize) -> u64 {
        self.seed.wrapping_mul(1000).wrapping_add(index as u64)
    }

    /// What decides the result of the stage called `name`: the recipe with this stage and those
    /// that it starts from alone, without the place of the data and what matters only afterwards,
    /// and the stages' places, which give them their seeds. Later stages can so be changed without
    /// training the earlier ones again, and a finished training can be exported in another way.
    pub fn lineage(&self, name: &str) -> (Vec<usize>, Self) {
        let mut wanted = vec![name.to_owned()];
        let (mut places, mut stages) = (Vec::new(), Vec::new());
        for (place, stage) in self.stages.iter().enumerate().rev() {
            if wanted.contains(&stage.name) {
                if let Init::Stage(earlier) = &stage.init {
                    wanted.push(earlier.clone());
                }
                places.push(place);
                stages.push(Stage { weight: 0.0, ..stage.clone() });
            }
        }
        let train =
            Train { views: 1, train_views: None, save_every: 1, evaluate_every: 0, memory_mb: 0, ..self.train.clone() };
        let teacher = self.teacher.clone().map(Teacher::without_last_step);
        let shared = self.stages.iter().any(|s| s.name == name && s.scenes.as_ref().is_some_and(|s| s.shared));
        // A stage that all folds share is trained only on recordings of the world.
        let data = self.data.iter().filter(|set| !shared || set.world().is_some()).cloned().collect();
        let rest = Self {
            data,
            procedural: self.procedural.clone().filter(|_| !shared),
            data_root: PathBuf::new(),
            stages,
            train,
            teacher,
            average: Vec::new(),
            quantize: None,
            export: None,
            ..self.clone()
        };
        (places, rest)
    }

    /// The stages that take part in the fusion, with their weights.
    pub fn fusion(&self) -> Vec<(&str, f64)> {
        self.stages.iter().filter(|s| s.weight > 0.0).map(|s| (s.name.as_str(), s.weight)).collect()
    }
}

/// The text of the recipe at `path`, and where it was found: a relative path that does not exist is
/// also looked up under `trainer/`.
fn read(path: &Path) -> Result<(String, PathBuf)> {
    let beside = Path::new("trainer").join(path);
    let path = if !path.exists() && beside.exists() { beside } else { path.to_owned() };
    let text =
        std::fs::read_to_string(&path).map_err(|e| Error::input(&path, None, format!("recipe cannot be read: {e}")))?;
    Ok((text, path))
}

/// Parses TOML; an error names the line.
fn parse_toml<T: serde::de::DeserializeOwned>(text: &str, path: &Path) -> Result<T> {
    toml::from_str(text).map_err(|e| {
        let line = e.span().map(|s| text[..s.start.min(text.len())].matches('\n').count() + 1);
        Error::input(path, line, e.message().to_owned())
    })
}

/// The line on which `key` is assigned or opens a table, from 1; none if there are several.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let opens = |line: &str| {
        let line = line.trim_start().trim_start_matches('[');
        line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(['=', ']', '.']))
    };
    let mut lines = (1..).zip(text.lines()).filter(|(_, line)| opens(line)).map(|(number, _)| number);
    lines.next().filter(|_| lines.next().is_none())
}

fn default_data_root() -> PathBuf {
    PathBuf::from("data")
}

#[cfg(test)]
mod tests;

//! Staged recipes: one TOML file says everything that decides the models and their fusion.
//!
//! Enters: a TOML file with `[[stage]]` tables. Leaves: a checked [`StagedRecipe`]. Unknown keys are errors that name the line. The
//! shipped `trainer/recipes/*-slowfast.toml` and `epic-sounds.toml` are the reference for the keys' meaning.

mod check;
mod stage;

pub use stage::{Augment, BatchNorm, Frozen, Init, Stage};

use crate::error::{Error, Result};
use crate::nets::slowfast::SlowFastConfig;
use crate::train::recipe::{Export, FoldMode, Precision, Teacher};
use edge_frontend::FrontendConfig;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Everything that decides the models of a staged recipe and their fusion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StagedRecipe {
    /// Name of the model and of its run folder.
    pub name: String,
    /// Seed of every random choice.
    #[serde(default)]
    pub seed: u64,
    /// Folder that the data sets' paths and the checkpoints are relative to; itself relative to the recipe's folder.
    #[serde(default = "crate::train::recipe::default_data_root")]
    pub data_root: PathBuf,
    /// Which folds `--fold` refers to unless `--folds` says otherwise.
    #[serde(default)]
    pub folds: FoldMode,
    /// What is trained on.
    pub data: StagedData,
    /// Front end; that of EPIC-SOUNDS unless given.
    #[serde(default = "FrontendConfig::epic_sounds")]
    pub frontend: FrontendConfig,
    /// The network; the published one unless given.
    #[serde(default)]
    pub network: SlowFastConfig,
    /// What all stages share.
    #[serde(default)]
    pub train: Train,
    /// What is done to a training view, unless a stage says otherwise.
    #[serde(default)]
    pub augment: Augment,
    /// A network to learn from besides the labels, in the stages that ask for it.
    #[serde(default)]
    pub teacher: Option<Teacher>,
    /// Stages whose weights are averaged into one more model, for comparison with the fusion.
    #[serde(default)]
    pub average: Vec<String>,
    /// The models, in the order in which they are trained.
    #[serde(rename = "stage")]
    pub stages: Vec<Stage>,
    /// What is written beside an exported network; without influence on the training.
    #[serde(default)]
    pub export: Option<Export>,
}

/// The data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum StagedData {
    /// A folder of clips and a table of them (`file,label,fold,source_id`).
    Clips {
        /// The table.
        csv: PathBuf,
        /// Folder that the `file` column is relative to.
        audio: PathBuf,
    },
    /// EPIC-SOUNDS: annotations and one HDF5 file with a data set a video.
    EpicSounds {
        /// Annotations trained on.
        train: PathBuf,
        /// Annotations evaluated on.
        validation: PathBuf,
        /// HDF5 file, or a folder with a recording a video.
        audio: PathBuf,
    },
}

/// What all stages share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Train {
    /// Arithmetic of the convolutions. Weights, statistics and the head stay in single precision.
    pub precision: Precision,
    /// Momentum of SGD (Nesterov).
    pub momentum: f64,
    /// Decay of kernels and head; batch norms do not decay.
    pub weight_decay: f64,
    /// Views a segment in evaluation.
    pub views: usize,
    /// Views of a training segment whose logits are written in the end; as many as `views` unless given.
    pub train_views: Option<usize>,
    /// Epochs between checkpoints.
    pub save_every: u64,
    /// Seconds of sound in a view.
    pub view_seconds: f64,
    /// Memory for decoded recordings and features.
    pub memory_mb: usize,
}

impl Default for Train {
    fn default() -> Self {
        Self {
            precision: Precision::F32,
            momentum: 0.9,
            weight_decay: 1e-4,
            views: 5,
            train_views: None,
            save_every: 1,
            view_seconds: 1.999,
            memory_mb: 2048,
        }
    }
}

impl StagedRecipe {
    /// Whether the recipe at `path` is a staged one: it has a `[[stage]]`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or is no TOML.
    pub fn is_staged(path: &Path) -> Result<bool> {
        let (text, path) = crate::train::recipe::read(path)?;
        let table: toml::Table = crate::train::recipe::parse_toml(&text, &path)?;
        Ok(table.contains_key("stage"))
    }

    /// Reads and checks the recipe at `path`. A relative path that does not exist is also looked up under `trainer/`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is no valid TOML, holds an unknown key (the line is named) or a value out of range.
    pub fn load(path: &Path) -> Result<(Self, PathBuf)> {
        let (text, path) = crate::train::recipe::read(path)?;
        Ok((Self::parse(&text, &path)?, path))
    }

    /// Parses and checks a recipe's text; `path` is named in errors.
    ///
    /// # Errors
    ///
    /// As [`StagedRecipe::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let mut recipe: Self = crate::train::recipe::parse_toml(text, path)?;
        for stage in &mut recipe.stages {
            stage.augment.get_or_insert_with(|| recipe.augment.clone());
        }
        check::check(&recipe).map_err(|(key, message)| {
            Error::input(path, crate::train::recipe::line_of(text, key), format!("{key}: {message}"))
        })?;
        Ok(recipe)
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

    /// What decides the result of the stage called `name`: the recipe with this stage and those that it starts from alone,
    /// without what matters only afterwards, and the stages' places, which give them their seeds. Later stages can so be
    /// changed without training the earlier ones anew.
    pub fn behind(&self, name: &str) -> (Vec<usize>, Self) {
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
        let train = Train { views: 1, train_views: None, save_every: 1, memory_mb: 0, ..self.train.clone() };
        let average = Vec::new();
        (places, Self { stages, average, export: None, train, ..self.clone() })
    }

    /// The stages that take part in the fusion, with their weights.
    pub fn fusion(&self) -> Vec<(&str, f64)> {
        self.stages.iter().filter(|s| s.weight > 0.0).map(|s| (s.name.as_str(), s.weight)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped(name: &str) -> StagedRecipe {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes").join(name);
        StagedRecipe::load(&path).unwrap().0
    }

    #[test]
    fn the_published_recipe_is_the_table_of_the_report() {
        let recipe = shipped("epic-sounds.toml");
        assert_eq!(recipe.network, SlowFastConfig::default());
        assert_eq!(recipe.frontend, FrontendConfig::epic_sounds());
        assert_eq!(recipe.train.views, 5);
        let weights: Vec<f64> = recipe.fusion().iter().map(|f| f.1).collect();
        assert_eq!(weights, [0.1, 0.4, 0.25, 0.25]);
        let rates =
            |stage: usize, epochs: &[f64]| epochs.iter().map(|&e| recipe.stages[stage].rate(e)).collect::<Vec<_>>();
        assert_eq!(rates(0, &[0.0, 24.9, 25.0, 29.9]), [1e-3, 1e-3, 1e-4, 1e-4]);
        for stage in 1..4 {
            let expected = [1.0, 0.7, 0.5, 0.3, 0.1].map(|f| f * 1e-4);
            assert_eq!(rates(stage, &[0.0, 2.0, 5.9, 6.0, 9.5]), expected);
            assert_eq!(recipe.stages[stage].epochs, 10);
            assert_eq!(recipe.stages[stage].loss.smoothing, 0.06);
        }
        assert_eq!(recipe.stages.iter().map(|s| s.epochs).collect::<Vec<_>>(), [30, 10, 10, 10]);
        assert!(recipe.stages.iter().all(|s| s.batch == 128 && s.batch_norm == BatchNorm::Frozen));
        let frozen: Vec<bool> = recipe.stages.iter().map(|s| s.frozen == Frozen::Backbone).collect();
        assert_eq!(frozen, [false, false, true, true]);
        assert_eq!(recipe.stages[3].loss.gamma, 0.3);
    }

    #[test]
    fn the_recipes_for_data_at_hand_have_the_same_four_stages() {
        for name in ["kitchen20-slowfast.toml", "esc10-slowfast.toml"] {
            let recipe = shipped(name);
            let weights: Vec<f64> = recipe.fusion().iter().map(|f| f.1).collect();
            assert_eq!(weights, [0.1, 0.4, 0.25, 0.25], "{name}");
            let frozen: Vec<bool> = recipe.stages.iter().map(|s| s.frozen == Frozen::Backbone).collect();
            assert_eq!(frozen, [false, false, true, true], "{name}");
        }
    }

    #[test]
    fn a_stage_depends_on_itself_and_what_it_starts_from() {
        let recipe = shipped("kitchen20-slowfast.toml");
        let mut other = recipe.clone();
        other.stages[1].lr *= 2.0;
        other.stages[3].weight = 0.5;
        other.train.views = 3;
        for (name, same) in [("baseline", true), ("decay", false), ("frozen", true), ("focal", true)] {
            assert_eq!(recipe.behind(name) == other.behind(name), same, "{name}");
        }
        other.stages[0].lr *= 2.0;
        assert!(recipe.stages.iter().all(|s| recipe.behind(&s.name) != other.behind(&s.name)));
        other = recipe.clone();
        other.stages.remove(1);
        assert_ne!(recipe.behind("focal"), other.behind("focal"), "another seed");
        assert_eq!(recipe.behind("baseline"), other.behind("baseline"));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let path = Path::new("r.toml");
        let head = "name = \"x\"\n[data]\nkind = \"clips\"\ncsv = \"c\"\naudio = \"a\"\n";
        let message = |stage: &str| StagedRecipe::parse(&format!("{head}{stage}"), path).unwrap_err().to_string();
        let stage = "[[stage]]\nname = \"a\"\nepochs = 1\nlr = 0.1\n";
        assert!(message("[[stage]]\nname = \"a\"\nepochs = 0\nlr = 0.1\n").contains("r.toml:8: epochs"));
        assert!(message(&format!("{stage}colour = 1\n")).contains("r.toml:10"));
        assert!(message(&format!("{stage}init = \"stage:b\"\n")).contains("init: stage \"b\""));
        assert!(message(&format!("{stage}init = \"wonder\"\n")).contains("scratch"));
        assert!(message(&format!("{stage}steps = [0, 2]\nfactors = [1]\n")).contains("factors"));
        assert!(message(&format!("{stage}[network]\nwidth_per_group = 9\n")).contains("width_per_group"));
    }
}

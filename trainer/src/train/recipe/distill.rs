//! `[distill]`: what a student learns from the posteriors of teachers besides the labels.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Distillation of posteriors. Absent, only the labels and the embedding of `[teacher]` count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Distill {
    /// Weight of the soft loss; the loss of the labels has the rest.
    pub soft_weight: f64,
    /// Both posteriors are taken at this temperature, and the soft loss is multiplied by its square
    /// (Hinton et al. 2015, section 2).
    pub temperature: f64,
    /// Weight, among the soft teachers, of the classifier of `[teacher]`'s embedding; 0 leaves it
    /// out.
    pub classifier: f64,
    /// The fused models of other recipes.
    pub fused: Vec<Fused>,
    /// Further soft teachers, by their scores of the training clips.
    pub scores: Vec<ScoreFile>,
}

/// The models of a recipe with SlowFast, fused with that recipe's weights. Those that are not
/// trained yet are trained first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fused {
    /// The recipe, relative to this one.
    pub recipe: PathBuf,
    /// Data set whose segments the models know; the only one with labels unless given.
    #[serde(default)]
    pub set: Option<String>,
    /// Weight among the soft teachers.
    #[serde(default = "default_weight")]
    pub weight: f64,
    /// What the models score.
    #[serde(default)]
    pub hears: Hears,
    /// Share of a batch's crops that the models hear, with `hears = "crops"`: 1 if the time allows
    /// it.
    #[serde(default = "default_weight")]
    pub online: f64,
    /// Weight of the cosine distance to the models' embeddings in the loss, with `hears = "crops"`;
    /// 0 leaves the embeddings out.
    #[serde(default)]
    pub embedding_weight: f64,
}

/// What fused models score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hears {
    /// The very crops that the student hears: the same cut with the same augmentation ("consistent
    /// teaching", Beyer et al. 2022).
    #[default]
    Crops,
    /// Each training segment, once: the scores are cached.
    Segments,
}

/// Scores of clips by a network that has not seen the held-out fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreFile {
    /// Data set whose clips and whose labels, in the set's order, the file's rows and columns are.
    pub set: String,
    /// A scores file (.npz) relative to the recipe; `{fold}` stands for the run's name, such as
    /// `official-3` or `all`.
    pub path: PathBuf,
    /// Weight among the soft teachers.
    pub weight: f64,
    /// Whether the scores are logits or posteriors; views are averaged.
    #[serde(default)]
    pub kind: ScoreKind,
}

/// What a scores file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScoreKind {
    /// Before softmax.
    #[default]
    Logits,
    /// After softmax, summed over views.
    Posteriors,
}

impl Default for Distill {
    fn default() -> Self {
        Self { soft_weight: 0.5, temperature: 2.0, classifier: 0.0, fused: Vec::new(), scores: Vec::new() }
    }
}

impl Distill {
    /// Weight, among the soft teachers, of the posteriors that are known by segment.
    pub fn weight_of_segments(&self) -> f64 {
        let fused = self.fused.iter().filter(|fused| fused.hears == Hears::Segments).map(|fused| fused.weight);
        self.scores.iter().map(|file| file.weight).chain(fused).sum()
    }
}

fn default_weight() -> f64 {
    1.0
}

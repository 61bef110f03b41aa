//! `[distill]`: what a student learns from teachers besides the labels and the embedding.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Distillation of posteriors. Absent, only the labels and the embedding of
/// `[teacher]` count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Distill {
    /// Weight of the soft loss; the loss of the labels has the rest.
    pub soft_weight: f64,
    /// Both posteriors are taken at this temperature, and the soft loss is multiplied by its square (Hinton et al. 2015, section 2).
    pub temperature: f64,
    /// Weight, among the soft teachers, of the classifier of `[teacher]`'s embedding; 0 leaves it out.
    pub classifier: f64,
    /// Further soft teachers, by their scores of the training clips.
    pub scores: Vec<ScoreFile>,
}

/// Scores of clips by a network that has not seen the held-out fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreFile {
    /// Data set whose clips and whose labels, in alphabetical order, the file's rows and columns are.
    pub set: String,
    /// A scores file (.npz) relative to the recipe; `{fold}` stands for the run's name, such as `official-3` or `all`.
    pub path: PathBuf,
    /// Weight among the soft teachers.
    pub weight: f64,
    /// Whether the scores are logits or posteriors; views are averaged.
    #[serde(default)]
    pub kind: ScoreKind,
    /// Staged recipe that is trained for the fold where the file does not exist, relative to this recipe.
    #[serde(default)]
    pub recipe: Option<PathBuf>,
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
        Self { soft_weight: 0.5, temperature: 2.0, classifier: 1.0, scores: Vec::new() }
    }
}

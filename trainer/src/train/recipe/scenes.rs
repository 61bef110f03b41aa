//! `[tagger]` and `[stage.scenes]`: trainings on composed scenes.

use crate::data::scenes::SceneSettings;
use serde::{Deserialize, Serialize};

/// CED-tiny as a teacher of scenes: its embedding and its posteriors of AudioSet's classes, every
/// 160 ms, are what a second head of the student learns to predict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tagger {
    /// Weight of the cosine distance to the embedding in the loss.
    pub embedding_weight: f64,
    /// Weight of the binary cross-entropy with the posteriors, summed over the classes.
    pub tags_weight: f64,
    /// What AudioSet's classes say of a label.
    #[serde(default, rename = "label")]
    pub labels: Vec<TaggerLabel>,
}

/// A label and the classes of AudioSet that mean it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaggerLabel {
    /// The label.
    pub name: String,
    /// Display names of AudioSet's classes; the highest of their posteriors counts.
    pub audioset: Vec<String>,
    /// From this posterior on the label sounds. Without it, only labelled clips say so.
    #[serde(default)]
    pub sounds_from: Option<f64>,
    /// From this posterior on the label may sound: where nothing else says so, such frames are
    /// neither learned as the label nor as anything else.
    #[serde(default = "default_unsure")]
    pub unsure_from: f64,
}

/// What a stage on scenes hears.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenes {
    /// How long all scenes are together.
    pub hours: f64,
    /// Whether the stage's scenes have no labelled clips, so that all folds share its result.
    #[serde(default)]
    pub shared: bool,
    /// Share of a batch's crops that are taken from the scenes of the stage that this one starts
    /// from.
    #[serde(default)]
    pub rehearse: f64,
    /// Weight of the labels in the loss, summed over the labels; 0 to learn from the tagger alone.
    #[serde(default = "default_label_weight")]
    pub label_weight: f64,
    /// Gain of a crop is uniform within plus and minus this many dB.
    #[serde(default)]
    pub gain_db: f32,
    /// Share of the crops whose beginning is digital silence, as before a clip.
    #[serde(default)]
    pub silent_start: f32,
    /// How the scenes are composed.
    #[serde(default)]
    pub settings: SceneSettings,
}

fn default_unsure() -> f64 {
    0.15
}

fn default_label_weight() -> f64 {
    1.0
}

//! `[[stage]]`: one training of the network.

use super::{Augment, Scenes};
use crate::train::loss::Loss;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One training: where it starts and how it continues.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Name, also of its run folder.
    pub name: String,
    /// Weights at the start: `scratch`, `stage:NAME` (an earlier one's result) or `file:PATH` (a
    /// checkpoint).
    #[serde(default)]
    pub init: Init,
    /// Passes over the training segments. With 0, a stage is the checkpoint that it starts from.
    pub epochs: u64,
    /// Segments per step.
    #[serde(default = "default_batch")]
    pub batch: usize,
    /// Update rule.
    #[serde(default)]
    pub method: Method,
    /// Base learning rate.
    pub lr: f64,
    /// Shape of the learning rate over the epochs.
    #[serde(default)]
    pub schedule: Schedule,
    /// Epochs from which the factors of the `step` schedule hold, beginning with 0.
    #[serde(default = "default_steps")]
    pub steps: Vec<f64>,
    /// Factors on the base rate.
    #[serde(default = "default_factors")]
    pub factors: Vec<f64>,
    /// Final rate of the `cosine` schedule, as a share of the base rate.
    #[serde(default = "default_final_lr")]
    pub final_lr: f64,
    /// Times that warm-up and cosine are run through, one after another.
    #[serde(default = "default_cycles")]
    pub cycles: u64,
    /// Epochs over which the rate rises linearly from 0.
    #[serde(default)]
    pub warmup_epochs: f64,
    /// Steps over which the rate rises linearly; an alternative to `warmup_epochs`.
    #[serde(default)]
    pub warmup_steps: u64,
    /// Decay of kernels and head, if not that of `[train]`.
    #[serde(default)]
    pub weight_decay: Option<f64>,
    /// Decay of the exponential moving average of a student's weights, which is what is evaluated
    /// and exported; 0 for none.
    #[serde(default)]
    pub ema: f64,
    /// What is minimised.
    #[serde(default)]
    pub loss: Loss,
    /// Share of the head's input that is dropped.
    #[serde(default)]
    pub dropout: f64,
    /// What is done to a training crop, if not what `[augment]` says.
    #[serde(default)]
    pub augment: Option<Augment>,
    /// Student: the stage hears composed scenes instead of clips.
    #[serde(default)]
    pub scenes: Option<Scenes>,

    /// SlowFast: the first epochs, in which pairs of frames and of bands are averaged: a quarter of
    /// the work, for a start from scratch.
    #[serde(default)]
    pub coarse_epochs: u64,
    /// SlowFast: parts that keep their weights and statistics.
    #[serde(default)]
    pub frozen: Frozen,
    /// SlowFast: whether batch norms learn.
    #[serde(default)]
    pub batch_norm: BatchNorm,
    /// SlowFast: share of a batch for which the last residual branch is dropped; less for earlier
    /// ones.
    #[serde(default)]
    pub drop_path: f64,
    /// SlowFast: whether the stage learns from the teacher of `[teacher]`, whose classifier is
    /// merged into the head at the end.
    #[serde(default)]
    pub teacher: bool,
    /// SlowFast: weight of the model's scores in the fusion; 0 to leave it out.
    #[serde(default)]
    pub weight: f64,
}

/// Where a stage's weights come from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Init {
    /// Fresh weights.
    #[default]
    Scratch,
    /// The result of an earlier stage.
    Stage(String),
    /// A checkpoint, relative to the data root. A head of other classes starts with fresh weights.
    File(PathBuf),
}

impl TryFrom<String> for Init {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match (text.as_str(), text.strip_prefix("stage:"), text.strip_prefix("file:")) {
            ("scratch", ..) => Ok(Init::Scratch),
            (_, Some(name), _) => Ok(Init::Stage(name.to_owned())),
            (.., Some(path)) => Ok(Init::File(path.into())),
            _ => Err(format!("init must be scratch, stage:NAME or file:PATH, is {text:?}")),
        }
    }
}

impl From<Init> for String {
    fn from(init: Init) -> String {
        match init {
            Init::Scratch => "scratch".to_owned(),
            Init::Stage(name) => format!("stage:{name}"),
            Init::File(path) => format!("file:{}", path.display()),
        }
    }
}

/// Update rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Stochastic gradient descent with Nesterov momentum.
    #[default]
    Sgd,
    /// AdamW, betas 0.9 and 0.999, epsilon 1e-8.
    Adamw,
}

/// Shape of the learning rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// The base rate times the factor that holds.
    #[default]
    Step,
    /// Half a cosine from the base rate to `final_lr`.
    Cosine,
}

/// Parts of the network that a stage leaves as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Frozen {
    /// None.
    #[default]
    None,
    /// All but the head, statistics of batch norms included.
    Backbone,
}

/// What batch norms do in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BatchNorm {
    /// They normalise by the batch and learn: the only choice from scratch.
    #[default]
    Trained,
    /// They keep running statistics, scale and offset, but for the norms of both stems and of the
    /// first lateral connection.
    Frozen,
}

impl Stage {
    /// What is done to a training crop.
    pub fn augment(&self) -> Augment {
        self.augment.clone().unwrap_or_default()
    }

    /// The first option that is on and that SlowFast does not have.
    pub(super) fn of_student_alone(&self) -> Option<&'static str> {
        let on = [("scenes", self.scenes.is_some()), ("ema", self.ema > 0.0)];
        on.into_iter().find(|(_, on)| *on).map(|(key, _)| key)
    }

    /// The first option that is on and that a student does not have.
    pub(super) fn of_slowfast_alone(&self) -> Option<&'static str> {
        let on = [
            ("coarse_epochs", self.coarse_epochs > 0),
            ("frozen", self.frozen != Frozen::None),
            ("batch_norm", self.batch_norm != BatchNorm::Trained),
            ("drop_path", self.drop_path > 0.0),
            ("teacher", self.teacher),
            ("weight", self.weight > 0.0),
        ];
        on.into_iter().find(|(_, on)| *on).map(|(key, _)| key)
    }
}

fn default_batch() -> usize {
    128
}

fn default_steps() -> Vec<f64> {
    vec![0.0]
}

fn default_factors() -> Vec<f64> {
    vec![1.0]
}

fn default_final_lr() -> f64 {
    0.01
}

fn default_cycles() -> u64 {
    1
}

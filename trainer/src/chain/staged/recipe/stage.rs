//! `[[stage]]`: one model of the recipe.

use crate::chain::staged::loss::Loss;
use crate::train::recipe::Method;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One model: where it starts and how it is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Name, also of its run folder.
    pub name: String,
    /// Weights at the start: `scratch`, `stage:NAME` (an earlier one's result) or `file:PATH` (a checkpoint).
    #[serde(default)]
    pub init: Init,
    /// Passes over the training segments.
    pub epochs: u64,
    /// The first ones, in which pairs of frames and of bands are averaged: a quarter of the work, for a start from scratch.
    #[serde(default)]
    pub coarse_epochs: u64,
    /// Base learning rate.
    pub lr: f64,
    /// Epochs from which the factors hold, beginning with 0.
    #[serde(default = "default_steps")]
    pub steps: Vec<f64>,
    /// Factors on the base rate.
    #[serde(default = "default_factors")]
    pub factors: Vec<f64>,
    /// Epochs over which the rate rises linearly from 0.
    #[serde(default)]
    pub warmup_epochs: f64,
    /// Update rule; SGD is the recipe's.
    #[serde(default = "default_method")]
    pub method: Method,
    /// Decay of kernels and head, if not that of `[train]`.
    #[serde(default)]
    pub weight_decay: Option<f64>,
    /// What is minimised.
    #[serde(default)]
    pub loss: Loss,
    /// Parts that keep their weights and statistics.
    #[serde(default)]
    pub frozen: Frozen,
    /// Whether batch norms learn.
    #[serde(default)]
    pub batch_norm: BatchNorm,
    /// Segments a step.
    #[serde(default = "default_batch")]
    pub batch: usize,
    /// Share of the head's input that is dropped.
    #[serde(default = "default_dropout")]
    pub dropout: f64,
    /// Share of a batch for which the last residual branch is dropped; less for earlier ones.
    #[serde(default)]
    pub drop_path: f64,
    /// Whether the teacher of `[teacher]` is learned from, too, and its classifier merged into the head at the end.
    #[serde(default)]
    pub teacher: bool,
    /// What is done to a training view, if not what `[augment]` says.
    #[serde(default)]
    pub augment: Option<Augment>,
    /// Weight of the model's scores in the fusion; 0 to leave it out.
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
    /// A checkpoint, relative to the data root. A head of other classes starts anew.
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
    /// They keep running statistics, scale and offset, but for the norms of both stems and of the first lateral connection.
    Frozen,
}

/// What is done to a training view, on the device. A value of 0 switches a step off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// Gain is uniform within plus and minus this many dB.
    pub gain_db: f32,
    /// A random smooth equaliser within plus and minus this many dB.
    pub eq_db: f32,
    /// Mel bands are shifted by up to this many bands either way.
    pub mel_shift: usize,
    /// SpecAugment: farthest that a point in time is moved, in frames.
    pub time_warp: usize,
    /// SpecAugment: number of frequency masks.
    pub n_freq_masks: usize,
    /// SpecAugment: widest frequency mask in bands.
    pub freq_mask: usize,
    /// SpecAugment: number of time masks.
    pub n_time_masks: usize,
    /// SpecAugment: longest time mask in frames.
    pub time_mask: usize,
    /// Share of batches whose views are mixed in pairs.
    pub mixup: f32,
    /// Beta(a, a) distribution of the mixing weight.
    pub mixup_alpha: f32,
    /// Share of batches whose views get a rectangle of another view.
    pub cutmix: f32,
    /// Beta(a, a) distribution of the share that is kept.
    pub cutmix_alpha: f32,
    /// Whether each view is scaled to [0, 1], in evaluation, too.
    pub min_max: bool,
}

impl Default for Augment {
    fn default() -> Self {
        Self {
            gain_db: 0.0,
            eq_db: 0.0,
            mel_shift: 0,
            time_warp: 5,
            n_freq_masks: 2,
            freq_mask: 27,
            n_time_masks: 2,
            time_mask: 25,
            mixup: 0.0,
            mixup_alpha: 0.4,
            cutmix: 0.0,
            cutmix_alpha: 1.0,
            min_max: false,
        }
    }
}

impl Stage {
    /// Learning rate at `epoch`, which may be within one.
    pub fn rate(&self, epoch: f64) -> f64 {
        let passed = self.steps.iter().filter(|&&at| epoch >= at).count().max(1);
        let warm = if epoch < self.warmup_epochs { epoch / self.warmup_epochs } else { 1.0 };
        self.lr * self.factors[passed - 1] * warm
    }
}

fn default_steps() -> Vec<f64> {
    vec![0.0]
}

fn default_factors() -> Vec<f64> {
    vec![1.0]
}

fn default_method() -> Method {
    Method::Sgd
}

fn default_batch() -> usize {
    128
}

fn default_dropout() -> f64 {
    0.5
}

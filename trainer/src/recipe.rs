//! Recipes: one TOML file says everything that decides a training's result.
//!
//! Enters: a TOML file. Leaves: a checked [`Recipe`]. Unknown keys are errors that name the line. Every key but `name`,
//! `data` and `network.layers` has a default; the shipped recipes under `trainer/recipes` are the reference for their meaning.

use crate::error::{Error, Result};
use edge_frontend::FrontendConfig;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Total time stride of a streaming network, in frames: it answers every 8 frames (80 ms at the default hop).
pub const PULSE_FRAMES: usize = 8;

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
}

/// EfficientAT mn04 as a teacher: a second head of the student predicts its embedding, which knows far more sounds than the
/// training clips show. Only the clean clip is shown to the teacher; the student sees it augmented.
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
}

/// The streaming student: convolutions that are valid in time, a mean over frequency, a linear head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Convolutions in order, each followed by batch norm and ReLU.
    pub layers: Vec<ConvLayer>,
    /// Dropout before the head.
    #[serde(default)]
    pub dropout: f64,
}

/// One convolution. Sizes are in cells of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvLayer {
    /// Output channels.
    pub channels: usize,
    /// Kernel along time; never padded.
    pub kernel_t: usize,
    /// Kernel along frequency.
    pub kernel_f: usize,
    /// Stride along time.
    #[serde(default = "one")]
    pub stride_t: usize,
    /// Stride along frequency.
    #[serde(default = "one")]
    pub stride_f: usize,
    /// Zero padding on both sides along frequency; half the kernel, rounded down, unless given.
    #[serde(default)]
    pub pad_f: Option<usize>,
}

impl ConvLayer {
    /// Zero padding on both sides along frequency.
    pub fn pad_f(&self) -> usize {
        self.pad_f.unwrap_or(self.kernel_f / 2)
    }

    /// Frequency cells of the output for `n_f` cells of the input; none if the kernel does not fit.
    pub fn out_f(&self, n_f: usize) -> Option<usize> {
        Some((n_f + 2 * self.pad_f()).checked_sub(self.kernel_f)? / self.stride_f + 1)
    }
}

/// Augmentation, done on power spectra: sounds add up there, as they do in the air. A value of 0 switches a step off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// A crop is placed around a frame within this many dB of the clip's loudest.
    pub active_db: f32,
    /// Gain is uniform within plus and minus this.
    pub gain_db: f32,
    /// Time is stretched by exp(u), u uniform within plus and minus this (nearest frame).
    pub stretch: f32,
    /// Mel bands are shifted by up to this many bands either way (linear interpolation).
    pub mel_shift: f32,
    /// A random smooth equaliser within plus and minus this.
    pub eq_db: f32,
    /// Share of crops cut short around an active frame, with digital silence around: short sounds come so in recordings.
    pub surround: f32,
    /// Share of clips mixed with another.
    pub mixup: f32,
    /// Beta(a, a) distribution of the mixing weight.
    pub mixup_alpha: f32,
    /// Share of clips with background or coloured noise added.
    pub noise: f32,
    /// Signal-to-noise ratio of that noise: lowest and highest.
    pub noise_snr_db: [f32; 2],
    /// Share of a batch replaced by negatives (background, noise, near silence), where there is a background label.
    pub negatives: f32,
    /// SpecAugment: longest time mask in frames.
    pub time_mask: usize,
    /// SpecAugment: widest frequency mask in bands.
    pub freq_mask: usize,
    /// SpecAugment: number of frequency masks.
    pub n_freq_masks: usize,
}

impl Default for Augment {
    fn default() -> Self {
        Self {
            active_db: 12.0,
            gain_db: 10.0,
            stretch: 0.12,
            mel_shift: 2.0,
            eq_db: 4.0,
            surround: 0.1,
            mixup: 0.7,
            mixup_alpha: 0.4,
            noise: 0.5,
            noise_snr_db: [5.0, 35.0],
            negatives: 0.06,
            time_mask: 24,
            freq_mask: 10,
            n_freq_masks: 2,
        }
    }
}

/// Optimiser and learning-rate schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Optim {
    /// Update rule.
    pub method: Method,
    /// Peak learning rate.
    pub lr: f64,
    /// Decoupled weight decay of AdamW, or the L2 term of SGD; weights of convolutions and head only.
    pub weight_decay: f64,
    /// Momentum of SGD (Nesterov).
    pub momentum: f64,
    /// Shape of the learning rate over the training.
    pub schedule: Schedule,
    /// Steps of linear warm-up.
    pub warmup_steps: u64,
    /// Final learning rate of the cosine, as a share of the peak.
    pub final_lr: f64,
    /// Shares of the training after which `step` multiplies the learning rate by `step_factor`.
    pub step_at: Vec<f64>,
    /// See `step_at`.
    pub step_factor: f64,
    /// Decay of the exponential moving average of the weights, which is what is evaluated and exported; 0 for none.
    pub ema: f64,
    /// Label smoothing.
    pub label_smoothing: f64,
}

/// Update rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// AdamW, betas 0.9 and 0.999, epsilon 1e-8.
    Adamw,
    /// Stochastic gradient descent with Nesterov momentum.
    Sgd,
}

/// Shape of the learning rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Half a cosine from the peak to `final_lr`.
    Cosine,
    /// Constant, multiplied by `step_factor` at each of `step_at`.
    Step,
}

impl Default for Optim {
    fn default() -> Self {
        Self {
            method: Method::Adamw,
            lr: 3e-3,
            weight_decay: 0.02,
            momentum: 0.9,
            schedule: Schedule::Cosine,
            warmup_steps: 100,
            final_lr: 0.01,
            step_at: vec![0.6, 0.85],
            step_factor: 0.1,
            ema: 0.998,
            label_smoothing: 0.1,
        }
    }
}

/// Batches and epochs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Train {
    /// Passes over the training clips.
    pub epochs: u64,
    /// Crops a step.
    pub batch: usize,
    /// Length of a crop in frames.
    pub crop_frames: usize,
    /// Epochs between evaluations on the held-out fold; 0 for only at the end. They choose nothing.
    pub evaluate_every: u64,
    /// Epochs between checkpoints.
    pub save_every: u64,
    /// Arithmetic of the convolutions. Weights, statistics and the head stay in single precision.
    pub precision: Precision,
}

/// Arithmetic of the convolutions in training; evaluation is always in single precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision.
    F32,
    /// bfloat16 with single-precision accumulation.
    Bf16,
}

impl Default for Train {
    fn default() -> Self {
        Self { epochs: 200, batch: 64, crop_frames: 160, evaluate_every: 20, save_every: 10, precision: Precision::F32 }
    }
}

impl Recipe {
    /// Reads and checks the recipe at `path`. A relative path that does not exist is also looked up under `trainer/`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is no valid TOML, holds an unknown key (the line is named) or a value out of range.
    pub fn load(path: &Path) -> Result<(Self, PathBuf)> {
        let beside = Path::new("trainer").join(path);
        let path = if !path.exists() && beside.exists() { beside } else { path.to_owned() };
        let text = std::fs::read_to_string(&path).map_err(|e| Error::input(&path, None, format!("recipe cannot be read: {e}")))?;
        let recipe = Self::parse(&text, &path)?;
        Ok((recipe, path))
    }

    /// Parses and checks a recipe's text; `path` is named in errors.
    ///
    /// # Errors
    ///
    /// As [`Recipe::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let recipe: Self = toml::from_str(text).map_err(|e| {
            let line = e.span().map(|s| text[..s.start.min(text.len())].matches('\n').count() + 1);
            Error::input(path, line, e.message().to_owned())
        })?;
        recipe.check().map_err(|(key, message)| Error::input(path, line_of(text, key), format!("{key}: {message}")))?;
        Ok(recipe)
    }

    /// Width of the teacher's embedding, 0 without a teacher.
    pub fn n_teacher(&self) -> usize {
        if self.teacher.is_some() { crate::teacher::EMBEDDING_WIDTH } else { 0 }
    }

    /// Writes the recipe, with every default filled in.
    ///
    /// # Errors
    ///
    /// If a value has no TOML form.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::Usage(format!("recipe: {e}")))
    }

    /// Ranges and relations that types cannot express; names the offending key.
    fn check(&self) -> std::result::Result<(), (&'static str, String)> {
        let ok_name = !self.name.is_empty() && self.name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        require(ok_name, "name", "must be letters, digits, - and _")?;
        require(!self.data.is_empty() || self.procedural.is_some(), "data", "no data set and no procedural clips")?;
        for (i, set) in self.data.iter().enumerate() {
            require(self.data[..i].iter().all(|s| s.name != set.name), "name", &format!("data set {:?} is listed twice", set.name))?;
            require(!set.negatives || self.background.is_some(), "negatives", "needs a `background` label")?;
        }
        self.frontend.validate().map_err(|e| ("frontend", e.to_string()))?;
        self.check_network()?;
        let augment = &self.augment;
        for (key, share) in [("surround", augment.surround), ("mixup", augment.mixup), ("noise", augment.noise), ("negatives", augment.negatives)] {
            require((0.0..=1.0).contains(&share), key, "must be from 0 to 1")?;
        }
        require(augment.mixup == 0.0 || augment.mixup_alpha > 0.0, "mixup_alpha", "must be positive")?;
        require(augment.noise_snr_db[0] <= augment.noise_snr_db[1], "noise_snr_db", "must be [lowest, highest]")?;
        require(augment.freq_mask <= self.frontend.n_mels, "freq_mask", "is wider than n_mels")?;
        require(augment.time_mask <= self.train.crop_frames, "time_mask", "is longer than crop_frames")?;
        let optim = &self.optim;
        require(optim.lr > 0.0 && optim.lr.is_finite(), "lr", "must be positive")?;
        require((0.0..1.0).contains(&optim.label_smoothing), "label_smoothing", "must be from 0 to below 1")?;
        require((0.0..1.0).contains(&optim.ema), "ema", "must be from 0 to below 1")?;
        require(self.train.batch >= 2, "batch", "must be at least 2")?;
        require(self.train.epochs >= 1, "epochs", "must be at least 1")?;
        require(self.train.save_every >= 1, "save_every", "must be at least 1")
    }

    fn check_network(&self) -> std::result::Result<(), (&'static str, String)> {
        let layers = &self.network.layers;
        require(!layers.is_empty(), "layers", "must not be empty")?;
        require((0.0..1.0).contains(&self.network.dropout), "dropout", "must be from 0 to below 1")?;
        let mut n_f = self.frontend.n_mels;
        for (i, layer) in layers.iter().enumerate() {
            let sizes = [layer.channels, layer.kernel_t, layer.kernel_f, layer.stride_t, layer.stride_f];
            require(sizes.iter().all(|&s| s >= 1), "layers", &format!("layer {}: sizes must be at least 1", i + 1))?;
            n_f = layer.out_f(n_f).ok_or_else(|| ("layers", format!("layer {}: kernel_f does not fit {n_f} bands", i + 1)))?;
        }
        let stride: usize = layers.iter().map(|l| l.stride_t).product();
        require(stride == PULSE_FRAMES, "layers", &format!("product of stride_t is {stride}, must be {PULSE_FRAMES}"))?;
        let field = crate::student::receptive_field(layers);
        let enough = self.train.crop_frames >= field;
        require(enough, "crop_frames", &format!("must be at least the receptive field of {field} frames"))
    }
}

fn require(holds: bool, key: &'static str, message: &str) -> std::result::Result<(), (&'static str, String)> {
    if holds { Ok(()) } else { Err((key, message.to_owned())) }
}

/// First line on which `key` is assigned or opens a table, counting from 1.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let found = text.lines().position(|line| {
        let line = line.trim_start().trim_start_matches('[');
        line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(['=', ']', '.']))
    });
    found.map(|i| i + 1)
}

fn default_data_root() -> PathBuf {
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

fn one() -> usize {
    1
}

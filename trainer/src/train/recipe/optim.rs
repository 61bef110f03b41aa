//! `[optim]` and `[train]`: update rule, learning rate, batches and epochs.

use serde::{Deserialize, Serialize};

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
    /// Times that warm-up and curve are run through, one after another.
    pub cycles: u64,
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
            cycles: 1,
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

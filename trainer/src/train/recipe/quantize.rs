//! `[quantize]`: how the 8-bit network is made of the trained one.

use serde::{Deserialize, Serialize};

/// Quantization of weights and activations, and the training that follows it. Without the table there is no 8-bit network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quantize {
    /// How the ranges of activations are chosen.
    pub calibration: Calibration,
    /// Share of activations, in percent, that a range of `percentile` holds.
    pub percentile: f64,
    /// Batches that the ranges are measured on.
    pub calibration_batches: u64,
    /// Steps of training with fake quantization; 0 for calibration alone.
    pub steps: u64,
    /// Peak learning rate of these steps (AdamW, cosine to zero).
    pub lr: f64,
}

/// How the ranges of activations are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Calibration {
    /// The range with the smallest mean squared error of rounding and clipping.
    Mse,
    /// The range that holds `percentile` percent of the values.
    Percentile,
    /// The range that holds all values.
    Max,
}

impl Default for Quantize {
    fn default() -> Self {
        Self { calibration: Calibration::Mse, percentile: 99.99, calibration_batches: 8, steps: 200, lr: 2e-4 }
    }
}

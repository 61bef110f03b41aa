//! `[quantize]` and `[export]`: what becomes of a trained student.

use serde::{Deserialize, Serialize};

/// Quantization of weights and activations, and the training that follows it. Without the table
/// there is no 8-bit network.
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
    /// Further models of the same network that know some of the labels only.
    #[serde(default)]
    pub subsets: Vec<Subset>,
}

/// A model of some of the labels: the head's other rows are left out. Among these labels it gives
/// the posteriors of the whole model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subset {
    /// Name of the model.
    pub name: String,
    /// Its labels; the background's is always added.
    pub labels: Vec<String>,
}

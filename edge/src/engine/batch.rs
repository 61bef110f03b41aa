//! The network over a whole clip: all log-mel frames enter, all frames of logits leave. For tests, evaluation and export checks;
//! runs on the caller's thread.

use std::sync::Arc;

use tract_onnx::prelude::{Tensor, TypedRunnableModel, tvec};

use super::Precision;
use super::network::Network;
use super::stream::failed;
use crate::error::{Error, Result};
use crate::model::Model;

/// The network of a model without state: the reference for what [`StreamEngine`](super::StreamEngine) must yield.
pub struct BatchEngine {
    plan: Arc<TypedRunnableModel>,
    n_mels: usize,
    n_classes: usize,
    receptive_field_frames: usize,
}

impl BatchEngine {
    /// Reads the network of `model` in `precision` and checks it against the manifest.
    ///
    /// # Errors
    ///
    /// As [`StreamEngine::load`](super::StreamEngine::load).
    pub fn load(model: &Model, precision: Precision) -> Result<Self> {
        let network = Network::read(model, precision)?;
        let (n_mels, n_classes) = (network.n_mels, network.n_classes);
        let receptive_field_frames = network.receptive_field_frames;
        Ok(BatchEngine { plan: network.batch()?, n_mels, n_classes, receptive_field_frames })
    }

    /// The logits of a clip, `(n_frames_out, n_classes)` row-major, from its `frames`, `(n_frames, n_mels)` row-major. Empty where
    /// the clip is shorter than the receptive field.
    ///
    /// Memory grows with the clip: all activations of a layer exist at once.
    ///
    /// # Errors
    ///
    /// When `frames` is no whole number of frames or the network fails.
    pub fn run(&self, frames: &[f32]) -> Result<Vec<f32>> {
        let n_frames = frames.len() / self.n_mels;
        if n_frames * self.n_mels != frames.len() {
            return Err(Error::Engine(format!(
                "expected whole frames of {} values, actual {} values",
                self.n_mels,
                frames.len()
            )));
        }
        if n_frames < self.receptive_field_frames {
            return Ok(Vec::new());
        }
        let outputs = Tensor::from_shape(&[1, 1, n_frames, self.n_mels], frames)
            .and_then(|input| self.plan.run(tvec!(input.into())))
            .map_err(|error| failed(&error))?;
        let output = outputs.first().ok_or_else(|| Error::Engine("the network has no output".into()))?;
        let values = output.to_plain_array_view::<f32>().map_err(|error| failed(&error))?;
        let n_out = values.len() / self.n_classes;
        // [1, n_classes, n_out, 1] to (n_out, n_classes)
        let mut logits = vec![0.0; values.len()];
        for (at, value) in values.iter().enumerate() {
            logits[(at % n_out) * self.n_classes + at / n_out] = *value;
        }
        Ok(logits)
    }
}

//! The network over a whole clip: all log-mel frames enter, all frames of logits leave. For tests,
//! evaluation and export checks; runs on the caller's thread.

use std::sync::Arc;

use edge_frontend::NetworkKind;
use tract_onnx::prelude::{Tensor, TypedRunnableModel, tvec};

use super::Precision;
use super::network::Network;
use super::patch::Patch;
use super::stream::failed;
use crate::error::{Error, Result};
use crate::model::Model;

/// The network of a model without state: the reference for what
/// [`StreamEngine`](super::StreamEngine) or [`WindowEngine`](super::WindowEngine) must yield.
pub struct BatchEngine {
    whole: Whole,
    n_mels: usize,
    n_classes: usize,
    pulse_frames: usize,
    receptive_field_frames: usize,
}

enum Whole {
    /// The time axis is as long as the clip.
    Stream(Arc<TypedRunnableModel>),
    /// Each patch by itself.
    Window(Patch),
}

impl BatchEngine {
    /// Reads the network of `model` in `precision` and checks it against the manifest.
    ///
    /// # Errors
    ///
    /// As [`StreamEngine::load`](super::StreamEngine::load).
    pub fn load(model: &Model, precision: Precision) -> Result<Self> {
        let whole = match model.manifest.network.kind {
            NetworkKind::Stream => Whole::Stream(Network::read(model, precision)?.batch()?),
            NetworkKind::Window => Whole::Window(Patch::read(model, precision)?),
        };
        Ok(BatchEngine {
            whole,
            n_mels: model.manifest.frontend.n_mels,
            n_classes: model.manifest.labels.len(),
            pulse_frames: model.manifest.network.pulse_frames,
            receptive_field_frames: model.manifest.network.receptive_field_frames,
        })
    }

    /// The logits of a clip, `(n_frames_out, n_classes)` row-major, from its `frames`, `(n_frames,
    /// n_mels)` row-major. Empty where the clip is shorter than the receptive field.
    ///
    /// Memory grows with the clip: all activations of a layer of a streaming network exist at once.
    ///
    /// # Errors
    ///
    /// When `frames` is not a whole number of frames or the network fails.
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
        match &self.whole {
            Whole::Stream(plan) => self.run_stream(plan, frames),
            Whole::Window(patch) => {
                let (field, hop) = (self.receptive_field_frames * self.n_mels, self.pulse_frames * self.n_mels);
                let mut logits = vec![0.0; ((frames.len() - field) / hop + 1) * self.n_classes];
                for (at, row) in logits.chunks_exact_mut(self.n_classes).enumerate() {
                    patch.run(&frames[at * hop..at * hop + field], row)?;
                }
                Ok(logits)
            }
        }
    }

    fn run_stream(&self, plan: &Arc<TypedRunnableModel>, frames: &[f32]) -> Result<Vec<f32>> {
        let outputs = Tensor::from_shape(&[1, 1, frames.len() / self.n_mels, self.n_mels], frames)
            .and_then(|input| plan.run(tvec!(input.into())))
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

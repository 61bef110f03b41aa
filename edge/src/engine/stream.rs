//! The network as a stream: a pulse of log-mel frames enters, one frame of logits leaves. Runs on
//! the worker thread.

use std::sync::Arc;

use tract_onnx::prelude::{Tensor, TypedRunnableModel, TypedSimpleState, tvec};
use tract_onnx::tract_core::internal::{TractError, TractResult};

use super::network::{Network, Runnable};
use super::{Engine, Precision};
use crate::error::{Error, Result};
use crate::model::Model;

/// A network that keeps, between pulses, what its layers need of the past, and computes the new
/// frames only.
pub struct StreamEngine {
    plan: Arc<TypedRunnableModel>,
    state: TypedSimpleState,
    precision: Precision,
    has_own_convolutions: bool,
    n_classes: usize,
    n_mels: usize,
    pulse_frames: usize,
    receptive_field_frames: usize,
    output_delay: usize,
    /// Outputs still to be swallowed: they cover frames from before the stream began.
    n_warm_up: usize,
}

impl StreamEngine {
    /// Reads the network of `model` in `precision`, checks it against the manifest and runs one
    /// pulse of silence through it.
    ///
    /// # Errors
    ///
    /// When the model has no such file, or the file cannot be run or is not what the manifest says;
    /// the message names the field.
    pub fn load(model: &Model, precision: Precision) -> Result<Self> {
        let network = Network::read(model, precision)?;
        let Runnable { plan, has_own_convolutions } = network.pulsed()?;
        let mut engine = StreamEngine {
            state: plan.spawn().map_err(|error| failed(&error))?,
            plan,
            precision,
            has_own_convolutions,
            n_classes: network.n_classes,
            n_mels: network.n_mels,
            pulse_frames: network.pulse_frames,
            receptive_field_frames: network.receptive_field_frames,
            output_delay: network.output_delay,
            n_warm_up: network.output_delay,
        };
        // Layers that cannot run on this machine show here and not an hour into the stream.
        let silence = vec![0.0; engine.pulse_frames * engine.n_mels];
        let mut logits = vec![0.0; engine.n_classes];
        engine.push(&silence, &mut logits)?;
        engine.reset()?;
        Ok(engine)
    }

    /// Whether every 8-bit convolution is one of [`edge_int8`], and there are some.
    pub(super) fn has_own_convolutions(&self) -> bool {
        self.has_own_convolutions
    }

    fn run(&mut self, frames: &[f32], logits: Option<&mut [f32]>) -> TractResult<()> {
        let input = Tensor::from_shape(&[1, 1, self.pulse_frames, self.n_mels], frames)?;
        let outputs = self.state.run(tvec!(input.into()))?;
        if let (Some(logits), Some(output)) = (logits, outputs.first()) {
            let values = output.to_plain_array_view::<f32>()?;
            logits.iter_mut().zip(values.iter()).for_each(|(logit, value)| *logit = *value);
        }
        Ok(())
    }
}

impl Engine for StreamEngine {
    fn n_classes(&self) -> usize {
        self.n_classes
    }

    fn n_mels(&self) -> usize {
        self.n_mels
    }

    fn pulse_frames(&self) -> usize {
        self.pulse_frames
    }

    fn receptive_field_frames(&self) -> usize {
        self.receptive_field_frames
    }

    fn output_delay(&self) -> usize {
        self.output_delay
    }

    fn push(&mut self, frames: &[f32], logits: &mut [f32]) -> Result<bool> {
        self.check_lengths(frames, logits)?;
        let warm = self.n_warm_up == 0;
        self.run(frames, warm.then_some(logits)).map_err(|error| failed(&error))?;
        self.n_warm_up = self.n_warm_up.saturating_sub(1);
        Ok(warm)
    }

    /// All outputs whose receptive field lies within the clip; none where the clip is shorter than
    /// that. The stream is at its beginning again afterwards.
    fn clip_logits(&mut self, frames: &[f32]) -> Result<Vec<f32>> {
        let pulse_len = self.pulse_frames * self.n_mels;
        let n_frames = frames.len() / self.n_mels;
        let n_out = match n_frames.checked_sub(self.receptive_field_frames) {
            Some(n_left) => n_left / self.pulse_frames + 1,
            None => 0,
        };
        // The last outputs may need a pulse that the clip does not fill; what it is filled with
        // lies after their field.
        let mut frames = frames.to_vec();
        frames.resize(frames.len().next_multiple_of(pulse_len), 0.0);
        let mut outputs = Vec::with_capacity(n_out * self.n_classes);
        let mut logits = vec![0.0; self.n_classes];
        self.reset()?;
        for pulse in frames.chunks_exact(pulse_len) {
            if self.push(pulse, &mut logits)? {
                outputs.extend_from_slice(&logits);
            }
        }
        self.reset()?;
        outputs.truncate(n_out * self.n_classes);
        Ok(outputs)
    }

    fn reset(&mut self) -> Result<()> {
        self.state = self.plan.spawn().map_err(|error| failed(&error))?;
        self.n_warm_up = self.output_delay;
        Ok(())
    }

    fn another(&self) -> Result<Box<dyn Engine>> {
        let state = self.plan.spawn().map_err(|error| failed(&error))?;
        Ok(Box::new(StreamEngine { plan: self.plan.clone(), state, n_warm_up: self.output_delay, ..*self }))
    }

    fn precision(&self) -> Precision {
        self.precision
    }
}

pub(super) fn failed(error: &TractError) -> Error {
    Error::Engine(crate::error::one_line(format!("{error:#}")))
}

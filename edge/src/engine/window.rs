//! The network as a window that slides over the stream: a hop of log-mel frames enters, one frame
//! of logits leaves. Runs on the worker thread.
//!
//! Any network of a fixed shape will do: the fused teacher, someone else's model. Its whole cost is
//! paid again for every hop: computing takes `patch / hop` times as long as the same network would
//! take over the sound once. The hop is the manifest's `pulse_frames`, or what the configuration
//! sets instead. Where the patch is not a whole number of hops, an output is computed when the hop
//! in which its patch ends is complete.

use super::patch::Patch;
use super::{Engine, Precision};
use crate::error::{Error, Result};
use crate::model::Model;

/// A network without state, with the last frames of a stream.
pub struct WindowEngine {
    patch: Patch,
    precision: Precision,
    pulse_frames: usize,
    output_delay: usize,
    /// `(n_held, n_mels)`: the last `output_delay + 1` pulses, oldest first; the patch is at its
    /// beginning.
    frames: Box<[f32]>,
    /// Pulses still to come before the first patch is complete.
    n_warm_up: usize,
}

impl WindowEngine {
    /// Reads the network of `model` in `precision`, checks it against the manifest and runs a patch
    /// of silence through it.
    ///
    /// # Errors
    ///
    /// When the model has no such file, or the file cannot be run or is not what the manifest says;
    /// the message names the field.
    pub fn load(model: &Model, precision: Precision) -> Result<Self> {
        let patch = Patch::read(model, precision)?;
        let network = &model.manifest.network;
        let (pulse_frames, output_delay) = (network.pulse_frames, network.output_delay);
        Ok(WindowEngine {
            frames: vec![0.0; (output_delay + 1) * pulse_frames * patch.n_mels].into(),
            n_warm_up: output_delay,
            patch,
            precision,
            pulse_frames,
            output_delay,
        })
    }
}

impl Engine for WindowEngine {
    fn n_classes(&self) -> usize {
        self.patch.n_classes
    }

    fn n_mels(&self) -> usize {
        self.patch.n_mels
    }

    fn pulse_frames(&self) -> usize {
        self.pulse_frames
    }

    fn receptive_field_frames(&self) -> usize {
        self.patch.n_frames
    }

    fn output_delay(&self) -> usize {
        self.output_delay
    }

    fn push(&mut self, frames: &[f32], logits: &mut [f32]) -> Result<bool> {
        self.check_lengths(frames, logits)?;
        // Some hundred kilobytes a hop: nothing beside the network.
        self.frames.copy_within(frames.len().., 0);
        let at = self.frames.len() - frames.len();
        self.frames[at..].copy_from_slice(frames);
        if self.n_warm_up > 0 {
            self.n_warm_up -= 1;
            return Ok(false);
        }
        self.patch.run(&self.frames[..self.patch.n_frames * self.patch.n_mels], logits)?;
        Ok(true)
    }

    /// Evenly spaced patches at the hop, and one that ends with the clip where they do not. A clip
    /// shorter than a patch is filled up with its last frame, as the training views of the
    /// EPIC-SOUNDS recipe are.
    fn clip_logits(&mut self, frames: &[f32]) -> Result<Vec<f32>> {
        let (n_mels, n_field) = (self.patch.n_mels, self.patch.n_frames);
        let n_frames = frames.len() / n_mels;
        if n_frames == 0 || n_frames * n_mels != frames.len() {
            let actual = frames.len();
            return Err(Error::Engine(format!("expected whole frames of {n_mels} values, actual {actual} values")));
        }
        let mut padded = frames.to_vec();
        for _ in n_frames..n_field {
            padded.extend_from_within((n_frames - 1) * n_mels..n_frames * n_mels);
        }
        let last = (padded.len() / n_mels) - n_field;
        let even = (0..=last).step_by(self.pulse_frames);
        let mut outputs = Vec::new();
        let mut logits = vec![0.0; self.patch.n_classes];
        for start in even.chain((!last.is_multiple_of(self.pulse_frames)).then_some(last)) {
            self.patch.run(&padded[start * n_mels..(start + n_field) * n_mels], &mut logits)?;
            outputs.extend_from_slice(&logits);
        }
        Ok(outputs)
    }

    fn reset(&mut self) -> Result<()> {
        self.n_warm_up = self.output_delay;
        Ok(())
    }

    fn another(&self) -> Result<Box<dyn Engine>> {
        Ok(Box::new(WindowEngine {
            patch: self.patch.clone(),
            frames: vec![0.0; self.frames.len()].into(),
            n_warm_up: self.output_delay,
            ..*self
        }))
    }

    fn precision(&self) -> Precision {
        self.precision
    }
}

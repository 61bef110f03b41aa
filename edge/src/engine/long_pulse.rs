//! The streaming network with pulses of another length than the model's: more frames enter at
//! once, as many frames of logits as belong to them leave. For the bench that weighs the cost of a
//! pulse against the time for which its first frame has to wait; runs on the caller's thread.

use tract_onnx::prelude::{Tensor, TypedModel, TypedSimpleState, tvec};
use tract_onnx::tract_core::internal::{TractError, TractResult};
use tract_onnx::tract_core::ops::Cost;

use super::Precision;
use super::network::Network;
use super::stream::failed;
use crate::error::{Error, Result};
use crate::model::Model;

/// A network that puts out several frames of logits for a pulse.
pub struct LongPulse {
    state: TypedSimpleState,
    n_frames: usize,
    n_mels: usize,
    n_classes: usize,
    n_outputs: usize,
    output_delay: usize,
    multiply_adds: u64,
}

impl LongPulse {
    /// Reads the network of `model` in `precision`, for pulses that are `n_outputs` times as long
    /// as the manifest's.
    ///
    /// # Errors
    ///
    /// As [`StreamEngine::load`](super::StreamEngine::load).
    pub fn load(model: &Model, precision: Precision, n_outputs: usize) -> Result<Self> {
        let network = Network::read(model, precision)?;
        let n_frames = n_outputs * network.pulse_frames;
        let (typed, delay) = network.pulsed_by(n_frames)?;
        let multiply_adds = multiply_adds(&typed).map_err(|error| failed(&error))?;
        let state = network.runnable(typed)?.plan.spawn().map_err(|error| failed(&error))?;
        Ok(LongPulse {
            state,
            n_frames,
            n_mels: network.n_mels,
            n_classes: network.n_classes,
            n_outputs,
            output_delay: delay.ok_or_else(|| Error::Engine("the network has no time axis".into()))?,
            multiply_adds,
        })
    }

    /// Log-mel frames of a pulse.
    pub fn n_frames(&self) -> usize {
        self.n_frames
    }

    /// Frames of logits at the beginning that cover frames from before the stream began.
    pub fn output_delay(&self) -> usize {
        self.output_delay
    }

    /// Multiplications with additions that the layers of a pulse ask for.
    pub fn multiply_adds(&self) -> u64 {
        self.multiply_adds
    }

    /// Takes the next `frames`, `(n_frames, n_mels)` row-major, and appends the next frames of
    /// logits, `(n_outputs, n_classes)` row-major, to `logits`, those of the delay among them.
    ///
    /// # Errors
    ///
    /// When `frames` has the wrong length or the network fails.
    pub fn push(&mut self, frames: &[f32], logits: &mut Vec<f32>) -> Result<()> {
        if frames.len() != self.n_frames * self.n_mels {
            let (expected, actual) = (self.n_frames * self.n_mels, frames.len());
            return Err(Error::Engine(format!("expected a pulse of {expected} values, actual {actual}")));
        }
        self.run(frames, logits).map_err(|error| failed(&error))
    }

    fn run(&mut self, frames: &[f32], logits: &mut Vec<f32>) -> TractResult<()> {
        let input = Tensor::from_shape(&[1, 1, self.n_frames, self.n_mels], frames)?;
        let outputs = self.state.run(tvec!(input.into()))?;
        let output = outputs.first().ok_or_else(|| TractError::msg("the network has no output"))?;
        // [1, n_classes, n_outputs, 1] to (n_outputs, n_classes)
        let values = output.to_plain_array_view::<f32>()?;
        let values = values.to_shape((self.n_classes, self.n_outputs))?;
        logits.extend(values.t().iter());
        Ok(())
    }
}

/// What the operators of a network with fixed shapes say of themselves.
fn multiply_adds(network: &TypedModel) -> TractResult<u64> {
    let mut sum = 0;
    for node in network.nodes() {
        let inputs: Vec<_> =
            node.inputs.iter().map(|&outlet| network.outlet_fact(outlet)).collect::<TractResult<_>>()?;
        for (cost, n) in node.op.cost(&inputs)? {
            if let Cost::FMA(_) = cost {
                sum += u64::try_from(n.to_i64()?)?;
            }
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::engine::{Engine, StreamEngine};

    #[test]
    fn longer_pulses_give_the_same_logits() {
        let home = Model::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/home")).unwrap();
        for (precision, tolerance) in [(Precision::F32, 1e-3), (Precision::Int8, 0.0)] {
            let mut short = StreamEngine::load(&home, precision).unwrap();
            let (pulse_len, n_classes) = (short.pulse_frames() * short.n_mels(), short.n_classes());
            let frames: Vec<f32> = (0..90 * pulse_len).map(|at| (at as f32 * 0.37).sin() * 3.0 - 5.0).collect();
            let mut expected = Vec::new();
            let mut logits = vec![0.0; n_classes];
            for pulse in frames.chunks_exact(pulse_len) {
                if short.push(pulse, &mut logits).unwrap() {
                    expected.extend_from_slice(&logits);
                }
            }
            for n_outputs in [1, 2, 3] {
                let mut long = LongPulse::load(&home, precision, n_outputs).unwrap();
                assert_eq!(long.n_frames(), n_outputs * short.pulse_frames());
                let mut actual = Vec::new();
                for pulse in frames.chunks_exact(n_outputs * pulse_len) {
                    long.push(pulse, &mut actual).unwrap();
                }
                let actual = &actual[long.output_delay() * n_classes..];
                assert!(actual.len() > 40 * n_classes);
                for (actual, expected) in actual.iter().zip(&expected) {
                    assert!((actual - expected).abs() <= tolerance, "{precision}, {n_outputs}: {actual} {expected}");
                }
            }
        }
    }
}

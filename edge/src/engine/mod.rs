//! Networks: a pulse of log-mel frames enters, one frame of logits leaves. Runs on the worker thread.
//!
//! The only module that knows tract. [`StreamEngine`] keeps the state of one stream and computes the new frames only;
//! [`BatchEngine`] runs the same network over a whole clip at once. Both give the same numbers, bit for bit.
//!
//! Output frame `j` covers the log-mel frames `[pulse_frames * j, pulse_frames * j + receptive_field_frames)`. The first
//! [`Network::output_delay`](edge_frontend::Network) outputs of a pulsed network cover frames from before the stream began;
//! they are swallowed here, so that the first frame of logits handed out is frame 0.

mod batch;
mod network;
mod select;
mod stream;

pub use batch::BatchEngine;
pub use select::{PrecisionChoice, load_engine};
pub use stream::StreamEngine;

use crate::error::Result;

/// One stream through one network.
pub trait Engine: Send {
    /// Length of a frame of logits.
    fn n_classes(&self) -> usize;

    /// Length of a log-mel frame.
    fn n_mels(&self) -> usize;

    /// Log-mel frames consumed by one [`push`](Engine::push).
    fn pulse_frames(&self) -> usize;

    /// Log-mel frames that one frame of logits depends on.
    fn receptive_field_frames(&self) -> usize;

    /// Pulses that [`push`](Engine::push) swallows after construction and after a reset.
    fn output_delay(&self) -> usize;

    /// Takes the next `frames`, `(pulse_frames, n_mels)` row-major, and writes the next frame of logits, `(n_classes)`.
    /// Returns whether `logits` was written: `false` during warm-up.
    ///
    /// # Errors
    ///
    /// When a slice has the wrong length or the network fails; the stream should be [`reset`](Engine::reset) then.
    ///
    /// # Real-time
    ///
    /// Not for the audio callback: the inference library allocates.
    fn push(&mut self, frames: &[f32], logits: &mut [f32]) -> Result<bool>;

    /// Forgets the stream: the next push is the first of a new one.
    fn reset(&mut self) -> Result<()>;

    /// Which of the model's files is running.
    fn precision(&self) -> Precision;
}

/// Arithmetic of a network file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Single-precision floating point.
    F32,
    /// Convolutions in 8-bit integers, the head in single precision.
    Int8,
}

impl Precision {
    /// The name used in options, manifests and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Int8 => "int8",
        }
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;

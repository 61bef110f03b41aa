//! Networks: a pulse of log-mel frames enters, one frame of logits leaves. Runs on the worker
//! thread.
//!
//! The only module that knows tract. The manifest says which engine runs a model: [`StreamEngine`]
//! keeps the state of one stream and computes the new frames only; [`WindowEngine`] takes any
//! network of a fixed shape and computes a whole patch of frames again for every hop.
//! [`BatchEngine`] runs the same networks over a whole clip at once, and gives the same numbers,
//! bit for bit. [`LongPulse`] runs the streaming network on longer pulses, for a bench.
//!
//! Output frame `j` covers the log-mel frames `[pulse_frames * j, pulse_frames * j +
//! receptive_field_frames)`. The first [`Network::output_delay`](edge_frontend::Network) outputs of
//! a pulsed network cover frames from before the stream began; they are swallowed here, so that the
//! first frame of logits handed out is frame 0. Of outputs that are posteriors already
//! ([`Activation::Posterior`](edge_frontend::Activation)) the logarithms are handed out, whose
//! softmax they are.

mod batch;
mod guard;
mod int8;
mod long_pulse;
mod network;
mod pad;
mod patch;
mod select;
mod stream;
mod window;

pub use batch::BatchEngine;
pub use edge_frontend::Precision;
pub use long_pulse::LongPulse;
pub use select::{PrecisionChoice, load_engine};
pub use stream::StreamEngine;
pub use window::WindowEngine;

use crate::error::{Error, Result};

/// An engine for each of `n` streams, all on the weights of `first`, which is one of them.
///
/// # Errors
///
/// As [`Engine::another`].
pub fn engines(first: Box<dyn Engine>, n: usize) -> Result<Vec<Box<dyn Engine>>> {
    let others = (1..n).map(|_| first.another()).collect::<Result<Vec<_>>>()?;
    Ok(std::iter::once(first).chain(others).collect())
}

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

    /// Takes the next `frames`, `(pulse_frames, n_mels)` row-major, and writes the next frame of
    /// logits, `(n_classes)`. Returns whether `logits` was written: `false` during warm-up.
    ///
    /// # Errors
    ///
    /// When a slice has the wrong length or the network fails; the stream should be
    /// [`reset`](Engine::reset) then.
    ///
    /// # Real-time
    ///
    /// Not for the audio callback: the inference library allocates.
    fn push(&mut self, frames: &[f32], logits: &mut [f32]) -> Result<bool>;

    /// The logits, `(n_out, n_classes)` row-major, of a clip that begins and ends with its
    /// `frames`, `(n_frames, n_mels)` row-major: those from which the clip's posteriors are
    /// averaged. Apart from the stream, which has to be [`reset`](Engine::reset) before it
    /// continues.
    ///
    /// # Errors
    ///
    /// When there is no whole number of frames or the network fails.
    fn clip_logits(&mut self, frames: &[f32]) -> Result<Vec<f32>>;

    /// Forgets the stream: the next push is the first of a new one.
    fn reset(&mut self) -> Result<()>;

    /// An engine for another stream: at its beginning, with a state of its own, on the same
    /// weights.
    ///
    /// # Errors
    ///
    /// When the inference library cannot make the state.
    fn another(&self) -> Result<Box<dyn Engine>>;

    /// Which of the model's files is running.
    fn precision(&self) -> Precision;

    /// Whether a [`push`](Engine::push) of these slices has the right lengths.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`] with the lengths when it has not.
    fn check_lengths(&self, frames: &[f32], logits: &[f32]) -> Result<()> {
        let expected = (self.pulse_frames() * self.n_mels(), self.n_classes());
        let actual = (frames.len(), logits.len());
        if actual == expected {
            return Ok(());
        }
        Err(Error::Engine(format!(
            "expected a pulse of {} values and room for {} logits, actual {} and {}",
            expected.0, expected.1, actual.0, actual.1
        )))
    }
}

#[cfg(test)]
mod tests;

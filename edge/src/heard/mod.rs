//! What the daemon's own pipeline makes of recordings: recordings enter, everything that the
//! network and the decide stage put out leaves. Runs on the caller's thread. Needs the cargo
//! feature `evaluate`: the measures of what is kept here are in `edge_evaluate`.
//!
//! [`listen`] runs the pipeline over a recording and keeps what the network put out; [`decide`]
//! replays the decide stage over that under any rules, so that thresholds can be tried without
//! running the network again, and [`sweep`] does so at many thresholds.

mod decide;
mod detections;
mod listen;
mod sweep;

pub use decide::decide;
pub use listen::{Heard, hear, listen, spectrogram};
pub use sweep::{at_threshold, sweep};

#[cfg(test)]
mod tests;

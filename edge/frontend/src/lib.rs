//! The front end of Earwitness: audio samples in, log-mel frames out, and the manifest that ties a
//! model to them.
//!
//! | module | enters | leaves |
//! |---|---|---|
//! | [`resample`] | samples at the device's rate | samples at the model's rate |
//! | [`window`] | | the Hann taper |
//! | [`spectrum`] | the samples of a frame (`win_length`) | a spectrum (`n_fft / 2 + 1` bins) |
//! | [`mel`] | a spectrum | mel bands (`n_mels`) |
//! | [`log_scale`] | mel bands | their logarithms, as the network takes them |
//! | [`log_mel`] | samples, any block size | one frame (`n_mels`) per hop |
//! | [`config`] | | the validated parameters of all of these |
//! | [`manifest`] | the text of `manifest.toml` | labels, front end, network and decision parameters |
//!
//! The daemon and the trainer both take their features from this crate and from nowhere else, so
//! that training and serving cannot differ. For the same reason it has no cargo features: nothing
//! about a build changes its numbers. It does no I/O and starts no threads; its types are used by
//! the worker thread that owns them.
//!
//! # Real-time
//!
//! Constructors allocate; `process`, `finish` and `reset` of [`LogMel`] and [`Resampler`] do not.
//!
//! # Example
//!
//! One second of a microphone at 48 kHz as log-mel frames of the shipped models, in blocks as a
//! sound card delivers them:
//!
//! ```
//! use edge_frontend::{FrontendConfig, LogMel, Resampler};
//!
//! let config = FrontendConfig::student();
//! let mut resampler = Resampler::new(48_000, config.sample_rate)?;
//! let mut log_mel = LogMel::new(&config)?;
//!
//! let second: Vec<f32> = (0..48_000).map(|n| (n as f32 * 0.1).sin()).collect();
//! let mut frames: Vec<Vec<f32>> = Vec::new();
//! for block in second.chunks(512) {
//!     resampler.process(block, |samples| log_mel.process(samples, |frame| frames.push(frame.to_vec())));
//! }
//! resampler.finish(|samples| log_mel.process(samples, |frame| frames.push(frame.to_vec())));
//!
//! assert_eq!(frames.len(), config.n_frames(24_000));
//! assert_eq!(frames[0].len(), config.n_mels);
//! # Ok::<(), edge_frontend::Error>(())
//! ```

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod config;
pub mod decision;
mod error;
pub mod log_mel;
pub mod log_scale;
pub mod manifest;
pub mod mel;
pub mod resample;
pub mod spectrum;
pub mod window;

pub use config::{FrontendConfig, Power};
pub use decision::{ClassDecision, ClassValues, Decision, Smoothing};
pub use error::Error;
pub use log_mel::{LogMel, log_mel};
pub use manifest::{Activation, DataNotes, Files, Manifest, ModelFile, Network, NetworkKind, Precision};
pub use mel::{MelNorm, MelScale};
pub use resample::{RATES_HZ, Resampler, resample};

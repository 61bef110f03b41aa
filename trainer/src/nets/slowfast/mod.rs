//! Auditory SlowFast in libtorch: log-mel views enter, logits or posteriors leave.
//!
//! Kazakos et al., "Slow-Fast Auditory Streams for Audio Recognition", ICASSP 2021. Two pathways of
//! bottleneck residual blocks look at the same view: the slow one at every fourth frame, wide; the
//! fast one at all frames, an eighth as wide. The fast one feeds the slow one after the stem and
//! after each stage but the last.
//!
//! The parts in the order of the data: [`config`] gives sizes, [`layout`] the tensors with the
//! names that published checkpoints use, [`network`] the forward pass, [`initial`] fresh weights,
//! [`weights`] reading and writing of files, [`cost`] what a view costs, and [`fused`] lets several
//! networks score together. Runs on the training thread.

mod config;
mod cost;
pub mod fused;
mod initial;
mod layout;
mod network;
mod weights;

pub(crate) use config::{ALPHA, N_STAGES, STRIDES};
pub use config::{SlowFastConfig, slow_frames};
pub use cost::{Cost, cost};
pub(crate) use layout::block_name;
pub use layout::{Named, Role};
pub(crate) use network::BN_EPSILON;
pub use network::{Norms, Pass, SlowFast};
pub use weights::Loaded;

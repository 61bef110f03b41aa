//! Earwitness: a streaming sound-event recogniser.
//!
//! Samples enter at one end, labelled events leave at the other; the modules are the stages
//! between, in data-flow order:
//!
//! | module | thread | enters | leaves |
//! |---|---|---|---|
//! | [`audio`] | caller | files | mono samples |
//! | [`capture`] | audio callback or reader thread | device blocks, any rate, format, channels | mono f32 samples |
//! | [`ring`] | lock-free hand-over | samples | samples, gap marks, overrun count |
//! | `edge_frontend` | worker | samples | log-mel frames |
//! | [`engine`] | worker | a pulse of frames | frame logits |
//! | [`decide`] | worker | frame logits | onsets and offsets |
//! | [`quiet`] | main | onsets and offsets | those that are reported at their hour |
//! | [`event`] | main | onsets and offsets | JSON objects |
//! | [`journal`] | main | events | records, in memory and on disk, at each sink's own pace |
//! | [`publish`] | one thread per sink | records | JSON lines, MQTT, webhooks |
//!
//! [`pipeline`] joins the worker's stages, [`clip`] runs them over a whole recording, and [`heard`]
//! keeps what they said of one whose sounds are known; [`status`] and [`clock`] are read by any
//! thread; [`model`] and [`config`] are what the daemon reads before it starts, and [`error`] says
//! why it cannot start or go on; [`fault`] is for what may pass. [`daemon`] joins all of them, and
//! [`logging`] is what it logs by.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod audio;
pub mod capture;
pub mod clip;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod decide;
pub mod engine;
pub mod error;
pub mod event;
pub mod fault;
#[cfg(feature = "evaluate")]
pub mod heard;
pub mod journal;
pub mod logging;
pub mod model;
mod mono;
pub mod pipeline;
pub mod publish;
pub mod quiet;
pub mod ring;
pub mod status;
mod wording;

pub use error::{Error, ErrorKind, Result};

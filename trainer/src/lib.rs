//! Trains, evaluates and exports Earwitness models.
//!
//! One chain leads from recordings to the daemon's network. The modules stand in the order in which
//! to read them; each uses only those above it:
//!
//! | module | what it holds |
//! |---|---|
//! | [`common`] | random numbers, formulas over tensors, progress, JSON files |
//! | [`data`] | what can be trained on: clips, EPIC-SOUNDS, background; segments, features, folds, scenes |
//! | [`nets`] | the networks: the streaming student, Auditory SlowFast, the pretrained teachers |
//! | [`train`] | how they are trained: recipe, the one loop, losses, batches, checkpoint |
//! | [`judge`] | measures, fusion of scores, submission, calibration, summaries over folds |
//! | [`ship`] | what the daemon runs: 8 bits, ONNX, manifest, golden files, verification |
//! | [`chain`] | a recipe's stages on a fold, all folds, the way from teachers to a model folder |
//! | [`report`] | what a training came to, on one page |
//! | [`tools`] | a user's own sounds |
//! | [`cli`] | a file per command |
//!
//! Features come from `edge_frontend` alone, so that the network is trained on what the daemon
//! computes.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod error;

pub mod common;

pub mod data;

pub mod nets;

pub mod train;

pub mod judge;

pub mod ship;

pub mod chain;

pub mod report;

pub mod tools;

pub mod cli;

pub use error::{Error, Result};

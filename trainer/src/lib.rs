//! Trains, evaluates and exports Earwitness models.
//!
//! The modules in the order of the data: [`recipe`] says what to do; [`data`] reads recordings into features; [`augment`] makes
//! batches of them; [`student`] is the network, [`training`] its steps, [`fit`] a whole training and [`crossval`] all folds of
//! one; [`teacher`] is a network to learn from and [`distill`] what is learnt from it; [`quantize`] makes 8 bits of the result;
//! [`evaluate`] measures, [`thresholds`] says from which score on an event counts; [`export`] writes what the daemon runs;
//! [`own`] adds a user's own sounds to a finished model; [`scenes`] composes long recordings to try them on; [`report`] shows what a training came to.
//!
//! Features come from `edge_frontend` alone, so that what is trained on is what the daemon hears.

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

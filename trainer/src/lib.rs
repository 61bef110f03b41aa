//! Trains, evaluates and exports Earwitness models.
//!
//! The modules in the order of the data: [`recipe`] says what to do; [`data`] reads recordings into features; [`augment`] makes
//! batches of them; [`student`] is the network, [`training`] its steps, [`fit`] a whole training and [`crossval`] all folds of
//! one; [`teacher`] is a network to learn from and [`distill`] what is learnt from it; [`quantize`] makes 8 bits of the result;
//! [`evaluate`] measures, [`thresholds`] says from which score on an event counts; [`export`] writes what the daemon runs;
//! [`search`] compares networks; [`own`] adds a user's own sounds to a finished model; [`scenes`] composes long recordings to try them on; [`report`] shows what a training came to.
//!
//! Features come from `edge_frontend` alone, so that what is trained on is what the daemon hears.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod augment;
pub mod calibrate;
pub mod checkpoint;
pub mod cli;
pub mod crossval;
pub mod data;
pub mod distill;
pub mod environment;
pub mod error;
pub mod evaluate;
pub mod events;
pub mod export;
pub mod fit;
mod golden_section;
mod json;
pub mod metrics;
pub mod optim;
pub mod own;
pub mod pickle;
pub mod progress;
pub mod quantize;
mod random;
pub mod recipe;
pub mod report;
pub mod scenes;
pub mod schedule;
pub mod scores;
pub mod search;
pub mod segments;
pub mod slowfast;
mod spread;
pub mod staged;
pub mod student;
pub mod teacher;
pub mod thresholds;
pub mod training;

pub use error::{Error, Result};

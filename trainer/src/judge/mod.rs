//! How good a network is: measures, fusion of scores, submission to the challenge, thresholds.

pub mod calibrate;
pub mod evaluate;
pub mod scores;
pub mod summary;
pub mod thresholds;

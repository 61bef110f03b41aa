//! What every part of the trainer uses: random numbers, progress, JSON files, the record of the
//! machine.

pub mod array;
pub mod environment;
pub(crate) mod golden_section;
pub(crate) mod json;
pub mod maths;
pub mod progress;
pub(crate) mod random;
pub(crate) mod spread;

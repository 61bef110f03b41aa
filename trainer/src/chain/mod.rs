//! The chain from a recipe to a model folder.

pub mod crossval;
pub mod fit;
pub mod staged;

//! How a network is trained: recipe, batches, augmentation, losses, optimiser, checkpoint.

pub mod augment;
pub mod checkpoint;
pub mod distill;
pub mod metrics;
pub mod optim;
pub mod recipe;
pub mod schedule;
pub mod training;

//! Tools around the chain: a user's own sounds, composed scenes.

pub mod own;
pub mod scenes;

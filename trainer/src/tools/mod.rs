//! Tools around the chain: a user's own sounds.

pub mod own;

//! A source as it is shown.

use crate::pipeline::WorkerShared;

/// A source and what its worker shares.
pub struct ShownSource {
    /// Its name in events.
    pub name: String,
    /// What is listened to, in words.
    pub description: String,
    /// Tap, clock and status.
    pub shared: WorkerShared,
}

//! Which clips are kept, where and for how long, as validated settings.

use std::path::PathBuf;
use std::time::Duration;

/// Which clips are kept, where and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipSettings {
    /// The folder.
    pub folder: PathBuf,
    /// Sound before the onset.
    pub pre_roll: Duration,
    /// Sound after the offset.
    pub post_roll: Duration,
    /// The longest clip, with the sound before and after.
    pub max_length: Duration,
    /// Most bytes of all clips together; the oldest go first.
    pub max_bytes: u64,
    /// Clips of earlier events are removed.
    pub max_age: Duration,
}

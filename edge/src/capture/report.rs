//! What a node and its line report about themselves: counts enter on the node's thread, a part of
//! the health message leaves.

use std::sync::{Mutex, PoisonError};

use firmware_bridge::msg::Stats;
use firmware_bridge::reader::Counts;
use serde::Serialize;

/// How a node does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeSnapshot {
    /// What it calls itself.
    pub name: String,
    /// Seconds since its start.
    pub uptime_s: u32,
    /// Frames that it dropped, because the line was too slow.
    pub n_dropped: u32,
    /// Times that it did not take its microphone's samples in time.
    pub n_overruns: u32,
    /// Frames that arrived damaged there.
    pub n_damaged_there: u32,
    /// Frames that arrived damaged here since the line was opened.
    pub n_damaged: u32,
    /// Frames missing since the line was opened, those that it dropped among them.
    pub n_lost: u64,
    /// Frames that this version does not know since the line was opened.
    pub n_unknown: u32,
}

/// The last that is known.
#[derive(Debug, Default)]
pub(crate) struct NodeReport(Mutex<Option<NodeSnapshot>>);

impl NodeReport {
    /// Takes note of a node's report and of the line's state.
    pub(super) fn set(&self, name: &str, stats: &Stats, counts: &Counts, n_lost: u64, n_unknown: u32) {
        let snapshot = NodeSnapshot {
            name: name.to_string(),
            uptime_s: stats.uptime_s,
            n_dropped: stats.frames_dropped,
            n_overruns: stats.overruns,
            n_damaged_there: stats.damaged,
            n_damaged: counts.damaged,
            n_lost,
            n_unknown,
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(snapshot);
    }

    /// The last that is known; `None` before the first word of a node.
    pub(crate) fn snapshot(&self) -> Option<NodeSnapshot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

//! The state of the connection and of what waits for it: written by the sink's threads, read by the
//! thread that reports the daemon's health.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::fault::Fault;
use crate::journal::Depth;

/// Figures of one connection.
#[derive(Debug, Default)]
pub struct Link {
    connected: AtomicBool,
    n_connections: AtomicU64,
    n_events: AtomicU64,
    n_bytes: AtomicU64,
    n_dropped: AtomicU64,
    n_in_memory: AtomicU64,
    fault: Mutex<Option<Fault>>,
}

/// The figures of a [`Link`] at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LinkSnapshot {
    /// Whether there is a connection.
    pub connected: bool,
    /// Connections lost and made again.
    pub n_reconnects: u64,
    /// Events that the broker has not acknowledged.
    pub spool_events: u64,
    /// Bytes of these events.
    pub spool_bytes: u64,
    /// Events dropped because they were too many or too old.
    pub n_spool_dropped: u64,
    /// Events that no disk has and that end with the process.
    pub n_unspooled: u64,
    /// What is wrong with the connection, if anything.
    pub fault: Option<Fault>,
}

impl Link {
    pub(super) fn connected(&self) {
        self.connected.store(true, Relaxed);
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.n_connections.fetch_add(1, Relaxed);
    }

    pub(super) fn disconnected(&self) {
        self.connected.store(false, Relaxed);
    }

    pub(super) fn set_fault(&self, fault: &Fault) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault.clone());
    }

    pub(super) fn set_depth(&self, depth: &Depth) {
        self.n_events.store(depth.n_events, Relaxed);
        self.n_bytes.store(depth.n_bytes, Relaxed);
        self.n_dropped.store(depth.n_dropped, Relaxed);
        self.n_in_memory.store(depth.n_in_memory, Relaxed);
    }

    /// All figures now.
    pub fn snapshot(&self) -> LinkSnapshot {
        LinkSnapshot {
            connected: self.connected.load(Relaxed),
            n_reconnects: self.n_connections.load(Relaxed).saturating_sub(1),
            spool_events: self.n_events.load(Relaxed),
            spool_bytes: self.n_bytes.load(Relaxed),
            n_spool_dropped: self.n_dropped.load(Relaxed),
            n_unspooled: self.n_in_memory.load(Relaxed),
            fault: self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

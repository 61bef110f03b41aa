//! The state of the connection and of what waits for it: written by the sink's threads, read by the
//! thread that reports the daemon's health.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::fault::Fault;
use crate::journal::Depth;

/// The fault that the broker ends connections because of something, which is left out for a while.
/// It outlives connections.
pub(super) const LEFT_OUT: &str = "message-left-out";

/// Figures of one connection.
#[derive(Debug, Default)]
pub struct MqttLink {
    connected: AtomicBool,
    n_connections: AtomicU64,
    n_events: AtomicU64,
    n_bytes: AtomicU64,
    n_dropped: AtomicU64,
    n_in_memory: AtomicU64,
    /// What is wrong, one fault of a kind, the newest last.
    faults: Mutex<Vec<Fault>>,
}

/// The figures of an [`MqttLink`] at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MqttSnapshot {
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
    /// Why there is no connection, or what is wrong although there is one, if anything.
    pub fault: Option<Fault>,
}

impl MqttLink {
    pub(super) fn connected(&self) {
        self.connected.store(true, Relaxed);
        self.faults().retain(|fault| fault.kind() == LEFT_OUT);
        self.n_connections.fetch_add(1, Relaxed);
    }

    pub(super) fn disconnected(&self) {
        self.connected.store(false, Relaxed);
    }

    pub(super) fn set_fault(&self, fault: &Fault) {
        let mut faults = self.faults();
        faults.retain(|known| known != fault);
        faults.push(fault.clone());
    }

    /// A fault of this kind has passed.
    pub(super) fn mended(&self, kind: &str) {
        self.faults().retain(|fault| fault.kind() != kind);
    }

    fn faults(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_depth(&self, depth: &Depth) {
        self.n_events.store(depth.n_events, Relaxed);
        self.n_bytes.store(depth.n_bytes, Relaxed);
        self.n_dropped.store(depth.n_dropped, Relaxed);
        self.n_in_memory.store(depth.n_in_memory, Relaxed);
    }

    /// All figures now.
    pub fn snapshot(&self) -> MqttSnapshot {
        MqttSnapshot {
            connected: self.connected.load(Relaxed),
            n_reconnects: self.n_connections.load(Relaxed).saturating_sub(1),
            spool_events: self.n_events.load(Relaxed),
            spool_bytes: self.n_bytes.load(Relaxed),
            n_spool_dropped: self.n_dropped.load(Relaxed),
            n_unspooled: self.n_in_memory.load(Relaxed),
            fault: self.faults().last().cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_stays_until_it_has_passed() {
        let link = MqttLink::default();
        let fault = || link.snapshot().fault.map(|fault| fault.kind());
        link.set_fault(&Fault::new("broker-refused", "nothing listens"));
        assert_eq!(fault(), Some("broker-refused"));
        link.connected();
        assert_eq!(fault(), None);
        link.set_fault(&Fault::new("status-not-back", "it does not come back"));
        link.set_fault(&Fault::new(LEFT_OUT, "all events are left out"));
        assert_eq!(fault(), Some(LEFT_OUT));
        link.set_fault(&Fault::new("broker-closed", "it has closed the connection"));
        assert_eq!(fault(), Some("broker-closed"));
        // The next connection is one without what is left out.
        link.connected();
        assert_eq!(fault(), Some(LEFT_OUT));
        link.mended("status-not-back");
        assert_eq!(fault(), Some(LEFT_OUT));
        link.mended(LEFT_OUT);
        assert_eq!(fault(), None);
    }
}

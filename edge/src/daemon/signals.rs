//! Signals set flags, which the main thread and the workers look at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::error::{Error, Result};

/// What signals have asked for.
pub(super) struct Signals {
    /// Set by SIGINT and SIGTERM. A second one ends the process at once: the first may be stuck.
    pub(super) stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
}

impl Signals {
    pub(super) fn install() -> Result<Self> {
        let signals = Signals { stop: Arc::default(), reload: Arc::default() };
        let failed = || Error::io("signal handler");
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&signals.stop))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&signals.stop)))
                .map_err(failed())?;
        }
        signal_hook::flag::register(SIGHUP, Arc::clone(&signals.reload)).map_err(failed())?;
        Ok(signals)
    }

    /// Whether SIGHUP has asked for the configuration to be read again.
    pub(super) fn take_reload(&self) -> bool {
        self.reload.swap(false, Ordering::Relaxed)
    }
}

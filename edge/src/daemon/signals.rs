//! Signals set flags, which the main thread and the workers look at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::error::{Error, Result};

/// What signals have asked for.
pub(super) struct Signals {
    /// Set by SIGINT and SIGTERM, and by SIGHUP where there is no configuration file. A second one
    /// ends the process at once: the first may be stuck.
    pub(super) stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
}

impl Signals {
    /// With a configuration file SIGHUP asks for it to be read again. Without one it means what it
    /// means to any program: the terminal was closed, and nobody is there any more. Where whoever
    /// started the daemon had the signal ignored, as `nohup` does, it stays ignored.
    pub(super) fn install(has_file: bool) -> Result<Self> {
        let signals = Signals { stop: Arc::default(), reload: Arc::default() };
        let failed = || Error::io("cannot install the signal handler");
        let mut ends = vec![SIGINT, SIGTERM];
        if !has_file && !is_ignored(SIGHUP) {
            ends.push(SIGHUP);
        }
        for signal in ends {
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&signals.stop))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&signals.stop)))
                .map_err(failed())?;
        }
        if has_file {
            signal_hook::flag::register(SIGHUP, Arc::clone(&signals.reload)).map_err(failed())?;
        }
        Ok(signals)
    }

    /// What SIGHUP sets, for others who want the configuration to be read again.
    #[cfg(feature = "web")]
    pub(super) fn reload_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.reload)
    }

    /// Whether SIGHUP has asked for the configuration to be read again.
    pub(super) fn take_reload(&self) -> bool {
        self.reload.swap(false, Ordering::Relaxed)
    }
}

/// Whether this process was started with `signal` ignored, as the kernel reports it (proc(5)).
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (signal - 1)) != 0
}

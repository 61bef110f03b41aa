//! What a source hears just now, for viewers: pulses of log-mel frames and scores enter on the
//! worker thread, a compact copy of each leaves to every viewer on a thread of the viewer's own.
//!
//! A [`Tap`] is part of what a worker shares with other threads. The worker writes to it through a
//! [`Feed`]; a viewer calls [`Tap::attach`] and takes [`Pulse`]s from the [`Viewer`]. There may be
//! several viewers, and they may come and go at any time. This module knows nothing of pages and
//! terminals.
//!
//! ```text
//! let viewer = shared.tap.attach();
//! while let Some(pulse) = viewer.next(Duration::from_secs(1)) {
//!     draw(&pulse.columns, &pulse.scores, shared.tap.scale());
//! }
//! ```
//!
//! # Real-time
//!
//! While no one is watching, a pulse costs the worker one atomic load: nothing is computed or
//! allocated. While someone is, each pulse is one allocation, for any number of viewers. The worker
//! never waits: a viewer that does not take its pulses loses the newest ones ([`Pulse::seq`]
//! tells), and a pulse that comes at the very moment at which a viewer is attached or leaves may be
//! lost for all.
//!
//! What the network put out is kept for an hour only if that was requested ([`Tap::remember`]); see
//! [`RecentOutputs`].

mod feed;
mod recent_outputs;
mod scale;

pub use feed::Feed;
pub use recent_outputs::{Detection, RecentOutputs};
pub use scale::Scale;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Pulses that wait for a viewer, at most: five seconds of a streaming network.
const QUEUE_PULSES: usize = 64;

/// Where the pulses of one source can be seen.
#[derive(Debug, Clone, Default)]
pub struct Tap {
    shared: Arc<TapShared>,
}

#[derive(Debug, Default)]
struct TapShared {
    n_viewers: AtomicUsize,
    next_id: AtomicU64,
    viewers: Mutex<Vec<(u64, SyncSender<Arc<Pulse>>)>>,
    scale: OnceLock<Scale>,
    wants_outputs: OnceLock<()>,
    recent_outputs: OnceLock<RecentOutputs>,
}

/// What was heard in one pulse, 80 ms for a streaming network.
#[derive(Debug, Clone, PartialEq)]
pub struct Pulse {
    /// Counts the source's pulses, also those that nobody saw: a leap is what a viewer has missed.
    pub seq: u64,
    /// Where the pulse begins in the stream, seconds. It leaps where samples were missing.
    pub t_s: f64,
    /// Log-mel frames, `(pulse_frames, n_mels)`, row-major, the lowest band first; [`Scale::db`]
    /// says what a byte stands for.
    pub columns: Box<[u8]>,
    /// How loud it was.
    pub level: Level,
    /// Scores of the newest window in [0, 1], one per class in the order of the model's labels, as
    /// the decide stage compares them with its thresholds. All 0 until the network has an output.
    pub scores: Box<[f32]>,
}

/// How loud a pulse is, after the source's gain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// Root mean square in dB of full scale, no lower than -120.
    pub rms_dbfs: f32,
    /// The largest magnitude in dB of full scale, no lower than -120; `None` for a source that
    /// sends log-mel frames instead of samples.
    pub peak_dbfs: Option<f32>,
    /// Samples at full scale.
    pub n_clipped: u32,
}

/// One who looks. Dropped, it looks no more.
#[derive(Debug)]
pub struct Viewer {
    id: u64,
    pulses: Receiver<Arc<Pulse>>,
    shared: Arc<TapShared>,
}

impl Tap {
    /// Looks at what is heard from now on.
    pub fn attach(&self) -> Viewer {
        let (sender, pulses) = sync_channel(QUEUE_PULSES);
        let id = self.shared.next_id.fetch_add(1, Relaxed);
        self.shared.lock().push((id, sender));
        self.shared.n_viewers.fetch_add(1, Relaxed);
        Viewer { id, pulses, shared: Arc::clone(&self.shared) }
    }

    /// Whether anybody looks.
    pub fn is_watched(&self) -> bool {
        self.shared.is_watched()
    }

    /// What the bytes of the columns stand for; `None` until the source's chain was built.
    pub fn scale(&self) -> Option<&Scale> {
        self.shared.scale.get()
    }

    /// Has the network's outputs of the last hour kept. To be called before the chain is built.
    pub fn remember(&self) {
        // That it was asked for before is as good.
        let _ = self.shared.wants_outputs.set(());
    }

    /// What the network put out in the last hour, if it is kept.
    pub fn recent_outputs(&self) -> Option<&RecentOutputs> {
        self.shared.recent_outputs.get()
    }
}

impl Viewer {
    /// The next pulse, if there is one already.
    pub fn try_next(&self) -> Option<Arc<Pulse>> {
        self.pulses.try_recv().ok()
    }

    /// The next pulse, if it comes within `timeout`.
    pub fn next(&self, timeout: Duration) -> Option<Arc<Pulse>> {
        self.pulses.recv_timeout(timeout).ok()
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.shared.lock().retain(|(id, _)| *id != self.id);
        self.shared.n_viewers.fetch_sub(1, Relaxed);
    }
}

impl TapShared {
    fn is_watched(&self) -> bool {
        self.n_viewers.load(Relaxed) > 0
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(u64, SyncSender<Arc<Pulse>>)>> {
        self.viewers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands `pulse` to all viewers that have room for it.
    fn publish(&self, pulse: Pulse) {
        let Ok(viewers) = self.viewers.try_lock() else { return };
        let pulse = Arc::new(pulse);
        for (_, viewer) in viewers.iter() {
            // One that is slow misses it, and one that has just left does not need it.
            let _ = viewer.try_send(Arc::clone(&pulse));
        }
    }
}

#[cfg(test)]
mod tests;

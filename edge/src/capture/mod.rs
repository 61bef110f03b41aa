//! Capture: a microphone, a recording or a pipe enters, mono samples leave in a [ring](ring::ring).
//!
//! A device fills the ring from its audio callback; files and pipes from a reader thread. Either way the source ends by
//! closing its end of the ring, and [`Source::finish`] then says why: an error of the source is never silence.
//!
//! The only module that knows cpal.

#[cfg(all(feature = "mic", target_os = "linux"))]
mod alsa_messages;
#[cfg(feature = "mic")]
mod device;
mod file;
#[cfg(feature = "mic")]
mod mic;
mod mono;
mod spec;
mod stdin;

#[cfg(feature = "mic")]
pub use device::{DeviceInfo, devices};
pub use mono::Mono;
pub use spec::{RawFormat, SourceSpec};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crate::error::{Error, Result};
use crate::ring::{self, Reader, Writer};
use crate::status::Status;

/// Seconds of sound the ring holds: what the worker may be late before samples are lost.
const RING_S: usize = 4;

/// A source that is running.
pub struct Source {
    /// Samples a second.
    pub sample_rate: u32,
    /// For the log: what was opened, and how.
    pub description: String,
    /// The worker's end of the ring.
    pub reader: Reader,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
    /// Whether the thread looks at `stop` before long. A thread that waits for a pipe does not.
    interruptible: bool,
}

/// Opens the source and begins to listen. Files play in real time unless `fast`.
///
/// # Errors
///
/// When the device, file or pipe cannot be opened or has a format that cannot be processed.
pub fn start(spec: &SourceSpec, fast: bool, status: &Arc<Status>) -> Result<Source> {
    match spec {
        SourceSpec::Mic { device } => start_mic(device.as_deref(), status),
        SourceSpec::File(path) => file::start(path, fast, status),
        SourceSpec::Stdin { rate, format, channels } => {
            stdin::start(std::io::stdin(), *rate, *format, usize::from(*channels), status)
        }
    }
}

#[cfg(feature = "mic")]
fn start_mic(device: Option<&str>, status: &Arc<Status>) -> Result<Source> {
    mic::start(device, status)
}

#[cfg(not(feature = "mic"))]
fn start_mic(_: Option<&str>, _: &Arc<Status>) -> Result<Source> {
    Err(Error::usage("source", "mic: this build has no microphone support (cargo feature `mic`)"))
}

impl Source {
    /// Ends the source and returns the error that ended it, if one did.
    ///
    /// Waits for the source's thread, except where it may be blocked in a read that nothing can interrupt and has not
    /// ended by itself.
    ///
    /// # Errors
    ///
    /// What went wrong with the device, file or pipe.
    pub fn finish(mut self) -> Result<()> {
        let ended = self.reader.is_closed();
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take() {
            Some(thread) if self.interruptible || ended || thread.is_finished() => match thread.join() {
                Ok(result) => result,
                Err(_) => Err(Error::Thread { thread: "capture", reason: "panicked".to_string() }),
            },
            _ => Ok(()),
        }
    }

    /// A source whose `body` fills a ring on a thread of its own.
    fn spawn(
        sample_rate: u32,
        description: String,
        interruptible: bool,
        status: &Arc<Status>,
        body: impl FnOnce(Writer, &AtomicBool) -> Result<()> + Send + 'static,
    ) -> Result<Source> {
        let (writer, reader) = ring::ring(ring_len(sample_rate), status.clone());
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::Builder::new()
            .name("capture".to_string())
            .spawn({
                let stop = stop.clone();
                move || body(writer, &stop)
            })
            .map_err(Error::io("start capture thread"))?;
        Ok(Source { sample_rate, description, reader, stop, thread: Some(thread), interruptible })
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn ring_len(sample_rate: u32) -> usize {
    sample_rate as usize * RING_S
}

//! Capture: a microphone, a microcontroller, a recording or a pipe enters, mono samples leave in [rings](ring::ring).
//!
//! A device fills its ring from its audio callback; files and pipes from a reader thread. A [`Source`] gives one
//! [`Session`] after another: a recording or a pipe has one, a microphone one each time that it is opened. A recording or pipe ends
//! by closing its end of the ring, and [`Source::finish`] then says why; a microphone never ends (`supervise`). How it is doing
//! is in its [`Hearing`]: an error of the source is never silence. A microcontroller may send log-mel frames instead of sound: what is in a
//! ring is its session's [`Content`].
//!
//! The only module that knows cpal.

mod address;
#[cfg(all(feature = "mic", target_os = "linux"))]
mod alsa_messages;
#[cfg(feature = "mic")]
mod device;
mod file;
mod hearing;
#[cfg(all(feature = "mic", target_os = "linux"))]
mod identity;
#[cfg(feature = "mic")]
mod mic;
mod mono;
#[cfg(feature = "mic")]
mod pace;
#[cfg(feature = "serial")]
mod report;
#[cfg(feature = "serial")]
mod serial;
mod spec;
mod stdin;
#[cfg(any(feature = "mic", feature = "serial"))]
mod supervise;
mod vitals;

pub use address::{Address, NodeEncoding, NodeSpec};
#[cfg(feature = "mic")]
pub use device::{DeviceInfo, devices};
pub use hearing::{Condition, Hearing, HearingSnapshot};
pub use mono::Mono;
#[cfg(feature = "serial")]
pub use report::NodeSnapshot;
#[cfg(feature = "serial")]
pub use serial::Lamps;
pub(crate) use spec::{MAX_CHANNELS, RATES_HZ};
pub use spec::{RawFormat, SourceSpec};
pub(crate) use vitals::Vitals;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use edge_frontend::FrontendConfig;

use crate::error::{Error, Result};
use crate::ring::{self, Reader, Writer};
use crate::status::Status;

/// Seconds of sound the ring holds: what the worker may be late before samples are lost.
const RING_S: usize = 4;

/// How often a wait for the next session looks whether it is to end.
const TICK: Duration = Duration::from_millis(50);

/// A source that is running.
pub struct Source {
    /// Whether sound comes as it happens, so that its time is the world's.
    pub live: bool,
    /// Words for the lamps of a microcontroller, if that is what it is.
    #[cfg(feature = "serial")]
    pub lamps: Option<Lamps>,
    sessions: Receiver<Session>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
    /// Whether the thread looks at `stop` before long. A thread that waits for a pipe does not.
    interruptible: bool,
}

/// Sound from one opening of a source.
pub struct Session {
    /// Samples a second.
    pub sample_rate: u32,
    /// What is in the ring.
    pub content: Content,
    /// For the log: what was opened, and how.
    pub description: String,
    /// The worker's end of the ring.
    pub reader: Reader,
}

/// What the values in a ring are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Samples.
    Samples,
    /// Log-mel frames of the model's front end before its normalisation, `(n_frames, n_mels)`, row-major. They enter whole, and are to
    /// be read whole; the length of a gap is in values, too.
    Frames {
        /// Values of a frame.
        n_mels: usize,
        /// Samples from one frame to the next.
        hop_length: usize,
    },
}

impl Content {
    /// Values that `n_samples` are.
    pub fn n_values(self, n_samples: f64) -> f64 {
        match self {
            Content::Samples => n_samples,
            Content::Frames { n_mels, hop_length } => n_samples / hop_length as f64 * n_mels as f64,
        }
    }

    /// Samples that `n_values`, whole frames if it is frames, stand for.
    pub fn n_samples(self, n_values: u64) -> u64 {
        match self {
            Content::Samples => n_values,
            Content::Frames { n_mels, hop_length } => n_values / n_mels as u64 * hop_length as u64,
        }
    }
}

/// Opens the source and begins to listen. Files play in real time unless `fast`. A microphone or a microcontroller is opened, and
/// opened again, in the background. `frontend` is the model's, which a microcontroller's features must be those of.
///
/// # Errors
///
/// When the file or pipe cannot be opened or has a format that cannot be processed, or no microcontroller could compute the features.
pub fn start(
    spec: &SourceSpec,
    fast: bool,
    frontend: &FrontendConfig,
    status: &Arc<Status>,
    hearing: &Arc<Hearing>,
) -> Result<Source> {
    let source = match spec {
        SourceSpec::Mic { device } => return start_mic(device.as_deref(), status, hearing),
        SourceSpec::Serial(node) => return start_serial(node, frontend, status, hearing),
        SourceSpec::File(path) => file::start(path, fast, status),
        SourceSpec::Stdin { rate, format, channels } => {
            stdin::start(std::io::stdin(), *rate, *format, usize::from(*channels), status)
        }
    }?;
    hearing.opened();
    hearing.set(Condition::Listening, None);
    Ok(source)
}

#[cfg(feature = "mic")]
fn start_mic(device: Option<&str>, status: &Arc<Status>, hearing: &Arc<Hearing>) -> Result<Source> {
    Source::supervised(mic::Microphone::new(device, status), hearing)
}

#[cfg(not(feature = "mic"))]
fn start_mic(_: Option<&str>, _: &Arc<Status>, _: &Arc<Hearing>) -> Result<Source> {
    Err(Error::usage("source", "mic: this build has no microphone support (cargo feature `mic`)"))
}

#[cfg(feature = "serial")]
fn start_serial(
    node: &NodeSpec,
    frontend: &FrontendConfig,
    status: &Arc<Status>,
    hearing: &Arc<Hearing>,
) -> Result<Source> {
    let lamps = Lamps::default();
    let node = serial::SerialNode::new(node, frontend, lamps.clone(), hearing.node(), status)?;
    let mut source = Source::supervised(node, hearing)?;
    source.lamps = Some(lamps);
    Ok(source)
}

#[cfg(not(feature = "serial"))]
fn start_serial(_: &NodeSpec, _: &FrontendConfig, _: &Arc<Status>, _: &Arc<Hearing>) -> Result<Source> {
    Err(Error::usage("source", "serial: this build has no serial support (cargo feature `serial`)"))
}

impl Source {
    /// Waits for the next session. `None` when there is none any more, or `stop` is set.
    pub fn next_session(&mut self, stop: &AtomicBool) -> Option<Session> {
        while !stop.load(Ordering::Relaxed) {
            match self.sessions.recv_timeout(TICK) {
                Ok(session) => return Some(session),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        None
    }

    /// Ends the source and returns the error that ended it, if one did. `ended` says whether its last session is over.
    ///
    /// Waits for the source's thread, except where it may be blocked in a read that nothing can interrupt and has not
    /// ended by itself.
    ///
    /// # Errors
    ///
    /// What went wrong with the file or pipe.
    pub fn finish(mut self, ended: bool) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take() {
            Some(thread) if self.interruptible || ended || thread.is_finished() => match thread.join() {
                Ok(result) => result,
                Err(_) => Err(Error::Thread { thread: "capture", reason: "panicked".to_string() }),
            },
            _ => Ok(()),
        }
    }

    /// A source that gives these sessions.
    #[cfg(test)]
    pub(crate) fn scripted(sessions: Receiver<Session>) -> Source {
        Source {
            live: false,
            #[cfg(feature = "serial")]
            lamps: None,
            sessions,
            stop: Arc::default(),
            thread: None,
            interruptible: true,
        }
    }

    /// A source that is kept open on a thread of its own.
    #[cfg(any(feature = "mic", feature = "serial"))]
    fn supervised(live: impl supervise::Live + Send + 'static, hearing: &Arc<Hearing>) -> Result<Source> {
        let (sender, sessions) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::Builder::new()
            .name("capture".to_string())
            .spawn({
                let (stop, hearing) = (stop.clone(), hearing.clone());
                move || {
                    supervise::supervise(live, &hearing, &stop, &sender);
                    Ok(())
                }
            })
            .map_err(Error::io("start capture thread"))?;
        Ok(Source {
            live: true,
            #[cfg(feature = "serial")]
            lamps: None,
            sessions,
            stop,
            thread: Some(thread),
            interruptible: true,
        })
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
        let (sender, sessions) = mpsc::channel();
        // The receiver is here.
        let _ = sender.send(Session { sample_rate, content: Content::Samples, description, reader });
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::Builder::new()
            .name("capture".to_string())
            .spawn({
                let stop = stop.clone();
                move || body(writer, &stop)
            })
            .map_err(Error::io("start capture thread"))?;
        Ok(Source {
            live: false,
            #[cfg(feature = "serial")]
            lamps: None,
            sessions,
            stop,
            thread: Some(thread),
            interruptible,
        })
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

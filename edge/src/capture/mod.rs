//! Capture: a microphone, a microcontroller, a recording, a pipe, a program or a stream of the
//! network enters, mono samples leave in [rings](ring::ring).
//!
//! Each source is a live one or a recording ([`SourceSpec::is_live`]); of a pipe, its pace tells
//! which. Live sources of every kind are kept open by one supervisor (`supervise`): it opens them,
//! again and again where that helps, and each opening gives one [`Session`]. A recording has one
//! session and ends. How a source is doing is in its [`Hearing`]: an error of it is never silence.
//! A microcontroller may send log-mel frames instead of sound: what is in a ring is its session's
//! [`Content`].
//!
//! | source | file |
//! |---|---|
//! | microphone | `microphone`, `mic`, `callback`, `device`, `identity` |
//! | microcontroller | `address`, `node`, `serial` |
//! | recording | `file` |
//! | standard input, FIFO | `pipe` |
//! | command | `command`, `child` |
//! | stream of the network | `network`, `child` |
//!
//! The only module that knows cpal.

mod address;
#[cfg(all(feature = "mic", target_os = "linux"))]
mod alsa_messages;
mod bytes;
#[cfg(feature = "mic")]
mod callback;
mod child;
mod command;
mod delivery;
#[cfg(feature = "mic")]
mod device;
mod encoded;
mod file;
mod flow;
mod head;
mod hearing;
mod hints;
#[cfg(all(feature = "mic", target_os = "linux"))]
mod identity;
mod kind;
#[cfg(feature = "mic")]
mod mic;
mod microphone;
mod network;
mod node;
mod options;
#[cfg(feature = "mic")]
mod pace;
mod pipe;
mod raw;
#[cfg(feature = "serial")]
mod report;
mod secret;
#[cfg(feature = "serial")]
mod serial;
mod spec;
mod supervise;
mod tempo;
mod vitals;

pub use address::{Address, NodeEncoding, NodeSpec};
pub use command::CommandSpec;
#[cfg(feature = "mic")]
pub use device::{DeviceInfo, devices};
pub use file::FileSpec;
pub use hearing::{Condition, Hearing, HearingSnapshot};
pub(crate) use hints::SampleInfo;
pub use microphone::MicSpec;
pub use network::StreamSpec;
pub use options::{SourceOption, SourceOptions};
pub use pipe::StdinSpec;
pub(crate) use raw::MAX_CHANNELS;
pub use raw::{Layout, RawFormat};
#[cfg(feature = "serial")]
pub use report::NodeSnapshot;
#[cfg(feature = "serial")]
pub use serial::Lamps;
pub use spec::SourceSpec;
pub(crate) use vitals::Vitals;

pub use crate::mono::{Channels, Mono};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use edge_frontend::FrontendConfig;

use crate::error::{Error, Result};
use crate::mono::Balance;
use crate::ring::{self, Reader, Writer};
use crate::status::Status;

use kind::Setup;

/// Seconds of sound the ring holds: what the worker may be late before samples are lost.
const RING_S: usize = 3;

/// How often a wait for the next session looks whether it is to end.
const TICK: Duration = Duration::from_millis(50);

/// How long a source may take to end: a driver may hang, and must not keep the daemon.
const ENDING: Duration = Duration::from_secs(5);
const ENDING_TICK: Duration = Duration::from_millis(5);

/// A source that is running.
pub struct Source {
    /// What samples are multiplied by.
    pub gain: f32,
    /// Words for the lamps of a microcontroller, if that is what it is.
    #[cfg(feature = "serial")]
    pub lamps: Option<Lamps>,
    /// Whether sound comes as it happens, as far as is known by now.
    live: Arc<AtomicBool>,
    sessions: Receiver<Session>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
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
    /// How the channels compare, where there are several.
    pub(crate) balance: Option<Arc<Balance>>,
}

/// What the values in a ring are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Samples.
    Samples,
    /// Log-mel frames of the model's front end before its normalisation, `(n_frames, n_mels)`,
    /// row-major. They enter whole, and are to be read whole; the length of a gap is in values,
    /// too.
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

/// Begins to listen. A live source is opened, and opened again, in the background. `frontend` is
/// the model's, which a microcontroller's features must be those of.
///
/// # Errors
///
/// When a recording cannot be opened or has a format that cannot be processed, no microcontroller
/// could compute the features, or this machine lacks what the source needs.
pub fn start(
    spec: &SourceSpec,
    options: &SourceOptions,
    frontend: &FrontendConfig,
    status: &Arc<Status>,
    hearing: &Arc<Hearing>,
) -> Result<Source> {
    let mut source = spec.start(&Setup { options, frontend, status, hearing })?;
    source.gain = options.gain();
    Ok(source)
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

    /// The next session, if there is one now.
    pub(crate) fn try_session(&mut self) -> Option<Session> {
        self.sessions.try_recv().ok()
    }

    /// Whether sound comes as it happens, so that its time is the world's. Of a pipe that may
    /// become known later.
    pub fn is_live(&self) -> bool {
        self.live.load(Ordering::Relaxed)
    }

    /// From now on it is not opened any more, and whatever happens to it is no failure.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Ends the source and returns the error that ended it, if one did. Its thread looks every now
    /// and then whether it is to end.
    ///
    /// # Errors
    ///
    /// What went wrong with the source.
    pub fn finish(mut self) -> Result<()> {
        self.stop();
        let Some(thread) = self.thread.take() else { return Ok(()) };
        let until = Instant::now() + ENDING;
        while !thread.is_finished() {
            if Instant::now() > until {
                tracing::warn!("a source did not close within {} s; abandoning it", ENDING.as_secs());
                return Ok(());
            }
            thread::sleep(ENDING_TICK);
        }
        match thread.join() {
            Ok(result) => result,
            Err(_) => Err(Error::Thread { thread: "capture", reason: "panicked".to_string() }),
        }
    }

    /// A source that gives these sessions.
    #[cfg(test)]
    pub(crate) fn scripted(sessions: Receiver<Session>) -> Source {
        Source::new(Arc::default(), sessions, Arc::default(), None)
    }

    fn new(
        live: Arc<AtomicBool>,
        sessions: Receiver<Session>,
        stop: Arc<AtomicBool>,
        thread: Option<JoinHandle<Result<()>>>,
    ) -> Source {
        Source {
            gain: 1.0,
            #[cfg(feature = "serial")]
            lamps: None,
            live,
            sessions,
            stop,
            thread,
        }
    }

    /// A source that is kept open on a thread of its own; `is_live` says whether it is live.
    fn supervised(
        live: impl supervise::LiveSource + Send + 'static,
        is_live: Arc<AtomicBool>,
        setup: &Setup<'_>,
    ) -> Result<Source> {
        let (sender, sessions) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = spawn({
            let (stop, hearing) = (stop.clone(), setup.hearing.clone());
            move || supervise::supervise(live, &hearing, &stop, &sender)
        })?;
        Ok(Source::new(is_live, sessions, stop, Some(thread)))
    }

    /// A recording, which fills a ring on a thread of its own until it ends.
    fn recording(
        (sample_rate, description, balance): (u32, String, Arc<Balance>),
        setup: &Setup<'_>,
        body: impl FnOnce(Writer, &AtomicBool) -> Result<()> + Send + 'static,
    ) -> Result<Source> {
        let (writer, reader) = ring::ring(ring_len(sample_rate), setup.status.clone());
        let (sender, sessions) = mpsc::channel();
        // The receiver is here.
        let _ = sender.send(Session {
            sample_rate,
            content: Content::Samples,
            description,
            reader,
            balance: Some(balance),
        });
        let stop = Arc::new(AtomicBool::new(false));
        let thread = spawn({
            let stop = stop.clone();
            move || body(writer, &stop)
        })?;
        setup.hearing.opened();
        setup.hearing.listening();
        Ok(Source::new(Arc::default(), sessions, stop, Some(thread)))
    }
}

/// Starts the thread that captures.
fn spawn(body: impl FnOnce() -> Result<()> + Send + 'static) -> Result<JoinHandle<Result<()>>> {
    thread::Builder::new().name("capture".to_string()).spawn(body).map_err(Error::io("cannot start the capture thread"))
}

impl Drop for Source {
    fn drop(&mut self) {
        self.stop();
    }
}

fn ring_len(sample_rate: u32) -> usize {
    sample_rate as usize * RING_S
}

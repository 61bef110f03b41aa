//! A microcontroller as a source: the frames of a node enter over a serial port or a socket, mono
//! samples or log-mel frames leave; events go back.
//!
//! The capture thread opens the port and waits for the node's hello (`supervise` opens it again
//! whenever that or anything later fails); from then on a thread of its own reads, writes and fills
//! the ring. What the node reports as missing becomes a gap, so stream time stays true; what is
//! missing between two openings is measured by the worker, as with any source.

mod lamps;
mod node;
mod port;
mod session_writer;
mod wish;

pub use lamps::Lamps;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use edge_frontend::FrontendConfig;

use self::node::Node;
use self::port::Port;
use super::hearing::fault;
use super::kind::Setup;
use super::report::NodeReport;
use super::supervise::{Failure, LiveSource, Look, Opened, Watch};
use super::{Content, NodeEncoding, NodeSpec, RING_S, Session, Source};
use crate::error::{Error, Result};
use crate::rate;
use crate::ring;
use crate::status::Status;

/// How long a node may take to answer: two of its hellos, one of which may get lost.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// A node that sends nothing for this long is gone: three of its reports.
const STALLED: Duration = Duration::from_secs(3);

/// Whether there can be a node as `spec` has it. Its features must be those of `frontend`.
///
/// # Errors
///
/// If features are wanted that no node computes.
pub(super) fn check(spec: &NodeSpec, frontend: &FrontendConfig) -> Result<()> {
    match spec.encoding {
        Some(NodeEncoding::Features) => wish::check(frontend).map_err(|reason| Error::usage("source", reason)),
        _ => Ok(()),
    }
}

/// Begins to listen to the node of `spec`, and to send it events.
pub(super) fn start(spec: &NodeSpec, setup: &Setup<'_>) -> Result<Source> {
    check(spec, setup.frontend)?;
    let lamps = Lamps::default();
    let node = SerialNode {
        spec: spec.clone(),
        frontend: setup.frontend.clone(),
        lamps: lamps.clone(),
        report: setup.hearing.node(),
        status: setup.status.clone(),
    };
    let mut source = Source::supervised(node, Arc::new(AtomicBool::new(true)), setup)?;
    source.lamps = Some(lamps);
    Ok(source)
}

/// A node that can be opened.
struct SerialNode {
    spec: NodeSpec,
    frontend: FrontendConfig,
    lamps: Lamps,
    report: Arc<NodeReport>,
    status: Arc<Status>,
}

impl LiveSource for SerialNode {
    type Opened = Listening;

    fn open(&mut self, watch: &Watch<'_>) -> Result<(Session, Listening), Failure> {
        let name = self.spec.to_string();
        let port = Port::open(&self.spec.address)?;
        let mut node = Node::new(port, &self.spec, &self.frontend, self.lamps.clone(), self.report.clone());
        let deadline = Instant::now() + PATIENCE;
        let introduction = loop {
            match node.greet() {
                Ok(Some(introduction)) => break introduction,
                Ok(None) if !watch.goes_on() => return Err(Failure::none()),
                Ok(None) if Instant::now() < deadline => {}
                Ok(None) => return Err(Failure::new(fault::FOREIGN, Error::device(name, node.why_silent()))),
                Err(failure) => return Err(failure),
            }
        };
        let description = format!("{name}: {introduction}");
        let (sample_rate, content) = (rate::check(introduction.rate_hz), introduction.content);
        let sample_rate = sample_rate.map_err(|why| Failure::new(fault::UNUSABLE, Error::device(&name, why)))?;
        let (writer, reader) = ring::ring(ring_len(sample_rate, content), self.status.clone());
        let (closing, n_heard) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let thread = thread::Builder::new()
            .name("node".to_string())
            .spawn({
                let (closing, n_heard) = (closing.clone(), n_heard.clone());
                move || node.listen(&introduction, writer, &closing, &n_heard)
            })
            .map_err(Error::io("cannot start the node thread"))?;
        let opened = Listening { name, closing, n_heard, n_seen: 0, heard: Instant::now(), thread: Some(thread) };
        Ok((Session { sample_rate, content, description, reader, balance: None }, opened))
    }
}

/// Room for a ring's time of whole frames, or of samples.
fn ring_len(sample_rate: u32, content: Content) -> usize {
    let n_samples = sample_rate as usize * RING_S;
    match content {
        Content::Samples => n_samples,
        Content::Frames { n_mels, hop_length } => n_samples.div_ceil(hop_length) * n_mels,
    }
}

/// A node that streams.
pub(super) struct Listening {
    name: String,
    closing: Arc<AtomicBool>,
    /// Frames that meant something so far, and how many there were at the last look that found
    /// more.
    n_heard: Arc<AtomicU64>,
    n_seen: u64,
    heard: Instant,
    thread: Option<JoinHandle<Result<(), String>>>,
}

impl Opened for Listening {
    fn look(&mut self) -> Result<Look, Failure> {
        if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
            let reason = match self.thread.take().map(JoinHandle::join) {
                Some(Ok(Err(reason))) => reason,
                Some(Err(_)) => "its thread panicked".to_string(),
                Some(Ok(Ok(()))) | None => "it has ended".to_string(),
            };
            return Err(Failure::new(fault::FAILED, Error::device(&self.name, reason)));
        }
        let n_heard = self.n_heard.load(Ordering::Relaxed);
        let is_new = n_heard != self.n_seen;
        if is_new {
            self.n_seen = n_heard;
            self.heard = Instant::now();
        } else if self.heard.elapsed() > STALLED {
            let reason = format!("no message from the node for {} s", STALLED.as_secs());
            return Err(Failure::new(fault::STALLED, Error::device(&self.name, reason)));
        }
        Ok(if is_new { Look::Delivers } else { Look::Nothing })
    }

    fn close(mut self) {
        self.closing.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It looks at the flag between two reads, which end by themselves. What it reports now
            // is no longer of interest.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;

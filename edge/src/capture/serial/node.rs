//! The conversation with one node: bytes of the line enter, samples and gaps leave to the ring,
//! words to the lamp leave to the line. Runs on the capture thread until the node has introduced
//! itself, then on the node's.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use edge_frontend::FrontendConfig;
use firmware_bridge::frame;
use firmware_bridge::host::{Heard, Host};
use firmware_bridge::msg::{self, Encoding, Event};

use super::lamps::Lamps;
use super::port::Port;
use super::session_writer::SessionWriter;
use super::wish;
use crate::capture::hearing::fault;
use crate::capture::report::NodeReport;
use crate::capture::supervise::Failure;
use crate::capture::{Content, NodeSpec};
use crate::decide::Phase;
use crate::error::Error;
use crate::ring::Writer;

/// How long a node that was asked to stop may go on.
const FALLING_SILENT: Duration = Duration::from_millis(500);

/// Longest payload that is understood: 42 ms of 16-bit samples at 48 kHz.
const MAX_PAYLOAD: usize = 4_096;

/// What is read at once: what Linux keeps of a serial line.
const BUFFER_LEN: usize = 4_096;

/// A node at the other end of an open line.
pub(super) struct Node {
    port: Port,
    host: Host<{ frame::decoded_len(MAX_PAYLOAD) }>,
    spec: NodeSpec,
    frontend: FrontendConfig,
    lamps: Lamps,
    report: Arc<NodeReport>,
    /// What it calls itself.
    name: String,
    begin: Instant,
    buffer: Vec<u8>,
    n_bytes: u64,
}

/// How a node has introduced itself, and what was requested from it.
pub(super) struct Introduction {
    name: String,
    pub(super) rate_hz: u32,
    pub(super) content: Content,
    encoding: Encoding,
    n_lamps: u8,
}

impl fmt::Display for Introduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoding = match self.encoding {
            Encoding::Pcm16 => "16 bits",
            Encoding::MuLaw => "mu-law",
            Encoding::Adpcm => "ADPCM",
            Encoding::LogMel => "features",
        };
        write!(f, "node {:?}, {} Hz, {encoding}, {} lamps", self.name, self.rate_hz, self.n_lamps)
    }
}

impl Node {
    pub(super) fn new(
        port: Port,
        spec: &NodeSpec,
        frontend: &FrontendConfig,
        lamps: Lamps,
        report: Arc<NodeReport>,
    ) -> Self {
        Node {
            port,
            host: Host::new(wish::wish(spec, frontend), session()),
            spec: spec.clone(),
            frontend: frontend.clone(),
            lamps,
            report,
            name: String::new(),
            begin: Instant::now(),
            buffer: vec![0; BUFFER_LEN],
            n_bytes: 0,
        }
    }

    /// Listens for a moment; returns the node's introduction once it has come.
    ///
    /// # Errors
    ///
    /// What is wrong with the line, or why the node cannot be used.
    pub(super) fn greet(&mut self) -> Result<Option<Introduction>, Failure> {
        let device = self.spec.to_string();
        let failure = |kind, reason: String| Failure::new(kind, Error::device(&device, reason));
        let mut introduction = None;
        let (spec, frontend) = (self.spec.clone(), self.frontend.clone());
        self.exchange(|heard| match heard {
            Heard::Started { hello, start, .. } => {
                introduction = Some(Ok(Introduction {
                    name: hello.name.to_string(),
                    rate_hz: start.rate_hz,
                    content: content(start.encoding, &frontend),
                    encoding: start.encoding,
                    n_lamps: hello.n_lamps,
                }));
            }
            Heard::Unusable(hello) => {
                introduction = Some(Err(wish::why_unusable(&spec, &frontend, &hello)));
            }
            // Comes in time, from the first frame on that is whole.
            _ => {}
        })
        .map_err(|error| failure(fault::UNOPENED, error.to_string()))?;
        let introduction = introduction.transpose().map_err(|reason| failure(fault::UNUSABLE, reason))?;
        if let Some(introduction) = &introduction {
            self.name.clone_from(&introduction.name);
            self.lamps.restart();
        }
        Ok(introduction)
    }

    /// Why nothing has been understood, for a person.
    pub(super) fn why_silent(&self) -> String {
        let counts = self.host.counts();
        match (self.n_bytes, counts.unknown_version) {
            (0, _) => "nothing arrives from it; check that the microcontroller is running and that this is its port"
                .to_string(),
            (_, 1..) => format!(
                "the node uses a version of the protocol other than {}: install firmware and program of the same \
                 version",
                frame::VERSION
            ),
            (n_bytes, 0) => {
                format!(
                    "no node answers; {n_bytes} bytes arrived, {} damaged frames among them: is the rate right?",
                    counts.damaged
                )
            }
        }
    }

    /// Passes on what the node sends until `closing` is set, and counts its messages in `n_heard`.
    ///
    /// # Errors
    ///
    /// Why it cannot go on.
    pub(super) fn listen(
        mut self,
        introduction: &Introduction,
        writer: Writer,
        closing: &AtomicBool,
        n_heard: &AtomicU64,
    ) -> Result<(), String> {
        let (rate_hz, content) = (introduction.rate_hz, introduction.content);
        let mut session = SessionWriter::new(writer, content, &self.frontend);
        let frontend = self.frontend.clone();
        while !closing.load(Ordering::Relaxed) {
            for word in self.lamps.take(Instant::now()) {
                let phase = match word.phase {
                    Phase::Onset => msg::Phase::Onset,
                    Phase::Offset => msg::Phase::Offset,
                };
                let event = Event { phase, score_percent: word.score_percent, label: &word.label };
                self.host.event(event).map_err(|error| error.to_string())?;
            }
            let (mut stats, mut began_anew, mut other) = (None, false, None);
            self.exchange(|heard| {
                n_heard.fetch_add(1, Ordering::Relaxed);
                match heard {
                    Heard::Samples(samples) => session.write(samples),
                    Heard::LogMel { frames, .. } => session.write_frames(frames),
                    Heard::Gap { n_samples, .. } => session.gap(n_samples),
                    Heard::Quiet { n_samples } => session.quiet(n_samples),
                    Heard::Stats(now) => stats = Some(now),
                    Heard::Started { start, .. } => {
                        began_anew = true;
                        if (start.rate_hz, self::content(start.encoding, &frontend)) != (rate_hz, content) {
                            other = Some(format!("the node now sends at {} Hz or in another encoding", start.rate_hz));
                        }
                    }
                    Heard::Unusable(_) => {}
                }
            })
            .map_err(|error| error.to_string())?;
            if let Some(reason) = other {
                return Err(reason);
            }
            if began_anew {
                self.lamps.restart();
            }
            if let Some(stats) = stats {
                let (counts, n_lost, n_unknown) = (self.host.counts(), self.host.n_lost(), self.host.n_unknown());
                self.report.set(&self.name, &stats, &counts, n_lost, n_unknown);
            }
        }
        self.stop();
        Ok(())
    }

    /// Asks the node to stream no more, and reads until it has fallen silent: a socket that is
    /// closed with bytes unread is reset, and with it goes what was just written. The node falls
    /// silent by itself if this does not reach it.
    fn stop(&mut self) {
        self.host.stop();
        let until = Instant::now() + FALLING_SILENT;
        let mut n_before = None;
        while n_before != Some(self.n_bytes) && Instant::now() < until {
            n_before = Some(self.n_bytes);
            if self.exchange(|_| {}).is_err() {
                return;
            }
        }
    }

    /// Writes what is to be sent, and reads what has arrived.
    fn exchange(&mut self, on_heard: impl FnMut(Heard<'_>)) -> io::Result<()> {
        let now_ms = self.begin.elapsed().as_millis() as u64;
        self.host.poll_with(now_ms, |bytes| self.port.write(bytes))?;
        let n_read = self.port.read(&mut self.buffer)?;
        self.n_bytes += n_read as u64;
        let now_ms = self.begin.elapsed().as_millis() as u64;
        self.host.push(now_ms, &self.buffer[..n_read], on_heard);
        Ok(())
    }
}

/// A number for the first session that another run of the daemon is unlikely to have had.
fn session() -> u32 {
    // The low half changes every nanosecond.
    jiff::Timestamp::now().as_nanosecond() as u32
}

/// The result of a start.
fn content(encoding: Encoding, frontend: &FrontendConfig) -> Content {
    match encoding {
        Encoding::Pcm16 | Encoding::MuLaw | Encoding::Adpcm => Content::Samples,
        // Only those of the model's front end are asked for.
        Encoding::LogMel => Content::Frames { n_mels: frontend.n_mels, hop_length: frontend.hop_length },
    }
}

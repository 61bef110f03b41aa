//! Pipes as sources: standard input, and FIFOs in the file system. Bytes enter, mono samples leave.
//!
//! A pipe may be a recording, which is read as fast as it is taken and ends when its writer does;
//! or live, which means that its samples arrive at the pace of time, or that the options say so.
//! The end of a live pipe is a failure: standard input has ended then, and a FIFO is opened again
//! for the next writer, however far the last one came.

use std::fmt;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use super::bytes::{Bytes, stdin_is_file};
use super::delivery::{self, Stream};
use super::flow::{First, Flow, Motion, first};
use super::hearing::fault;
use super::kind::{Setup, SourceKind};
use super::supervise::{Failure, LiveSource, Look, Opened, Watch};
use super::{Hearing, Session, Source, SourceOption, SourceOptions};
use crate::error::{Error, Result};
use crate::status::Status;

/// So long nothing may come from a pipe that is open.
const PATIENCE: Duration = Duration::from_secs(3);

/// Standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StdinSpec;

impl SourceKind for StdinSpec {
    fn is_live(&self, options: &SourceOptions) -> Option<bool> {
        options.live.or_else(|| stdin_is_file().then_some(false))
    }

    fn takes(&self, option: SourceOption) -> bool {
        option != SourceOption::Device
    }

    fn describe(&self, options: &SourceOptions) -> String {
        format!("standard input: {}, unless its header says otherwise", options.layout)
    }

    fn start(&self, setup: &Setup<'_>) -> Result<Source> {
        start(PipeOrigin::Stdin, self.is_live(setup.options), setup)
    }
}

impl fmt::Display for StdinSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stdin")
    }
}

/// Where the bytes come from.
#[derive(Debug, Clone)]
pub(super) enum PipeOrigin {
    Stdin,
    Fifo(PathBuf),
}

impl PipeOrigin {
    /// Whether there is no use in opening it again after its writer has closed it.
    fn ends_with_its_writer(&self, is_live: bool) -> bool {
        matches!(self, PipeOrigin::Stdin) || !is_live
    }

    /// How to let another program decode what comes.
    fn remedy(&self) -> String {
        match self {
            PipeOrigin::Stdin => {
                "let ffmpeg decode it, as in: ffmpeg -i FILE -f wav - | earwitness run --source stdin".into()
            }
            PipeOrigin::Fifo(path) => {
                let path = path.display();
                format!("let ffmpeg decode it, as in: --source 'exec:ffmpeg -loglevel error -i \"{path}\" -f wav -'")
            }
        }
    }
}

impl fmt::Display for PipeOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PipeOrigin::Stdin => f.write_str("standard input"),
            PipeOrigin::Fifo(path) => write!(f, "the FIFO {}", path.display()),
        }
    }
}

/// Begins to listen to a pipe that is live, or not, or whose pace will show it.
pub(super) fn start(origin: PipeOrigin, is_live: Option<bool>, setup: &Setup<'_>) -> Result<Source> {
    let live = Arc::new(AtomicBool::new(is_live == Some(true)));
    let pipe = Pipe {
        origin,
        options: setup.options.clone(),
        is_live: live.clone(),
        watches_pace: is_live != Some(false),
        status: setup.status.clone(),
        hearing: setup.hearing.clone(),
    };
    Source::supervised(pipe, live, setup)
}

/// A pipe that can be opened.
struct Pipe {
    origin: PipeOrigin,
    options: SourceOptions,
    is_live: Arc<AtomicBool>,
    watches_pace: bool,
    status: Arc<Status>,
    hearing: Arc<Hearing>,
}

impl Pipe {
    /// A failure, after which there is no use in opening standard input again.
    fn failure(&self, kind: &'static str, reason: impl fmt::Display) -> Failure {
        let error = Error::source(self.origin.to_string(), reason);
        Failure { kind, error: Some(error), is_final: matches!(self.origin, PipeOrigin::Stdin) }
    }

    fn bytes(&self) -> std::io::Result<Bytes> {
        match &self.origin {
            PipeOrigin::Stdin => Bytes::stdin(),
            PipeOrigin::Fifo(path) => Bytes::fifo(path),
        }
    }
}

impl LiveSource for Pipe {
    type Opened = OpenPipe;

    fn open(&mut self, watch: &Watch<'_>) -> Result<(Session, OpenPipe), Failure> {
        if matches!(self.origin, PipeOrigin::Stdin) && std::io::stdin().is_terminal() {
            let how = "is a terminal: pipe sound into it, as in arecord -t wav -f S16_LE -r 48000 | earwitness run --source stdin";
            return Err(self.failure(fault::UNOPENED, how));
        }
        let mut bytes = self.bytes().map_err(Error::io(format!("cannot open {}", self.origin)))?;
        let stream = Stream {
            name: self.origin.to_string(),
            channels: self.options.channels.clone(),
            is_live: self.is_live.clone(),
            watches_pace: self.watches_pace,
            pause: delivery::PAUSE,
            status: self.status.clone(),
            hearing: self.hearing.clone(),
        };
        let mut patience = Some(PATIENCE);
        let begun = loop {
            let found = first(&mut bytes, self.options.layout, watch, patience);
            match found.map_err(|error| self.failure(fault::FAILED, format!("cannot be read: {error}")))? {
                First::Sound(layout, start) => break Flow::of_samples(&stream, bytes, start, layout),
                First::Encoded(start) => break Flow::of_encoded(&stream, bytes, start, watch),
                First::Foreign(what) => {
                    return Err(self.failure(fault::FOREIGN, format!("delivers {what}: {}", self.origin.remedy())));
                }
                First::NoSound(what) => return Err(self.failure(fault::FOREIGN, format!("delivers {what}"))),
                First::End => return Err(self.failure(fault::ENDED, "has ended without any audio")),
                // The only thing to do is to keep waiting, and to report it.
                First::Late => {
                    patience = None;
                    let what = format!("nothing has arrived for {} s: is its writer running?", PATIENCE.as_secs());
                    watch.waits(&self.failure(fault::STALLED, what));
                }
                First::Stopped => return Err(Failure::none()),
            }
        };
        let is_final = self.origin.ends_with_its_writer(self.is_live.load(Relaxed));
        let (session, flow) = begun.map_err(|error| Failure { is_final, ..error.into() })?;
        Ok((session, OpenPipe { origin: self.origin.clone(), flow }))
    }
}

/// A pipe that is being read.
struct OpenPipe {
    origin: PipeOrigin,
    flow: Flow,
}

impl Opened for OpenPipe {
    fn look(&mut self) -> Result<Look, Failure> {
        let name = self.origin.to_string();
        let is_stdin = matches!(self.origin, PipeOrigin::Stdin);
        let failure = |kind, reason: &str| Failure::new(kind, Error::source(name.clone(), reason));
        match self.flow.look() {
            Motion::Flows => Ok(Look::Delivers),
            Motion::Still(time) if time > PATIENCE => {
                let reason = format!("nothing has arrived for {} s: its writer has paused", PATIENCE.as_secs());
                Ok(Look::Waits(failure(fault::STALLED, &reason)))
            }
            Motion::Still(_) => Ok(Look::Nothing),
            Motion::Ended(Ok(())) if self.flow.n_samples() == 0 => {
                let is_final = self.origin.ends_with_its_writer(self.flow.is_live());
                Err(Failure { is_final, ..failure(fault::ENDED, "has ended without any audio") })
            }
            Motion::Ended(Ok(())) if self.flow.is_live() => {
                let reason = "was live and has ended: its writer has closed it";
                Err(Failure { is_final: is_stdin, ..failure(fault::ENDED, reason) })
            }
            Motion::Ended(Ok(())) => Err(Failure::none()),
            Motion::Ended(Err(error)) => {
                let error = Error::io(format!("cannot read {name}"))(error);
                Err(Failure { is_final: is_stdin, ..Failure::new(fault::FAILED, error) })
            }
        }
    }

    fn is_worth_reopening(&self) -> bool {
        false
    }

    fn close(self) {
        self.flow.close();
    }
}

#[cfg(test)]
mod tests;

//! A program as a source: its standard output is sound, and always live. Bytes enter,
//! mono samples leave.
//!
//! The program runs in a process group of its own, so that all that it starts ends with it: asked
//! to at first, killed a little later, and waited for in any case. What it writes to its standard
//! error is kept, without secrets, for the reason of its end.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{self, ChildStderr, ExitStatus, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::bytes::Bytes;
use super::delivery::Stream;
use super::flow::{First, Flow, Motion, first};
use super::hearing::fault;
use super::kind::Setup;
use super::secret::redact;
use super::supervise::{Failure, LiveSource, Look, Opened, TICK, Watch};
use super::{Hearing, Session, Source, SourceOptions};
use crate::error::{Error, Result};
use crate::status::Status;

/// How long a program may take to bring its first sound: cameras wake slowly.
const PATIENCE_AT_START: Duration = Duration::from_secs(15);

/// How long a program may take to end when it is asked to.
const ENDING: Duration = Duration::from_millis(500);

/// Lines that are kept of what a program complains of, and how much of each.
const N_LINES: usize = 8;
const LINE_LEN: u64 = 400;

/// A program that brings sound.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// What it is called in the log, without secrets.
    pub(super) name: String,
    pub(super) program: String,
    pub(super) args: Vec<String>,
    /// How long nothing may come from it.
    pub(super) patience: Duration,
    /// A longer pause is a gap in its time.
    pub(super) pause: Duration,
}

/// Begins to listen to a program.
pub(super) fn start(program: Program, setup: &Setup<'_>) -> Result<Source> {
    let live = Arc::new(AtomicBool::new(true));
    let listener = Listener {
        program,
        options: setup.options.clone(),
        is_live: live.clone(),
        status: setup.status.clone(),
        hearing: setup.hearing.clone(),
    };
    Source::supervised(listener, live, setup)
}

/// A program that can be started.
struct Listener {
    program: Program,
    options: SourceOptions,
    is_live: Arc<AtomicBool>,
    status: Arc<Status>,
    hearing: Arc<Hearing>,
}

impl LiveSource for Listener {
    type Opened = OpenProgram;

    fn open(&mut self, watch: &Watch<'_>) -> Result<(Session, OpenProgram), Failure> {
        let name = &self.program.name;
        let failed = |kind, reason: String| Failure::new(kind, Error::source(name.clone(), reason));
        let mut child = Child::start(&self.program)?;
        let mut bytes = Bytes::from(child.output.take().ok_or_else(|| failed(fault::FAILED, "has no output".into()))?);
        let stream = Stream {
            name: name.clone(),
            channels: self.options.channels.clone(),
            is_live: self.is_live.clone(),
            watches_pace: false,
            pause: self.program.pause,
            status: self.status.clone(),
            hearing: self.hearing.clone(),
        };
        let found = first(&mut bytes, self.options.layout, watch, Some(PATIENCE_AT_START));
        let (session, flow) = match found.map_err(Error::io(format!("cannot read from {name}")))? {
            First::Sound(layout, start) => Flow::of_samples(&stream, bytes, start, layout)?,
            First::Encoded(start) => Flow::of_encoded(&stream, bytes, start, watch)?,
            First::Foreign(what) => {
                let remedy =
                    "let it write samples, or a WAV, FLAC, MP3, AAC or Ogg stream, as ffmpeg does with -f wav -";
                return Err(failed(fault::FOREIGN, format!("delivers {what}: {remedy}")));
            }
            First::NoSound(what) => return Err(failed(fault::FOREIGN, format!("delivers {what}"))),
            First::End => return Err(failed(fault::UNOPENED, child.why_ended())),
            First::Late => {
                let reason = format!("no sound within {} s{}", PATIENCE_AT_START.as_secs(), child.complaint());
                return Err(failed(fault::STALLED, reason));
            }
            First::Stopped => return Err(Failure::none()),
        };
        Ok((session, OpenProgram { name: name.clone(), patience: self.program.patience, flow, child }))
    }
}

/// A program that runs.
struct OpenProgram {
    name: String,
    patience: Duration,
    flow: Flow,
    child: Child,
}

impl Opened for OpenProgram {
    fn look(&mut self) -> Result<Look, Failure> {
        let failed = |kind, reason: String| Err(Failure::new(kind, Error::source(self.name.clone(), reason)));
        match self.flow.look() {
            Motion::Flows => Ok(Look::Delivers),
            Motion::Still(time) if time > self.patience => {
                failed(fault::STALLED, format!("no sound for {} s", self.patience.as_secs()))
            }
            Motion::Still(_) => Ok(Look::Nothing),
            Motion::Ended(Ok(())) => failed(fault::ENDED, self.child.why_ended()),
            Motion::Ended(Err(error)) => failed(fault::FAILED, error.to_string()),
        }
    }

    fn is_worth_reopening(&self) -> bool {
        // A camera that is muted is muted after another start of ffmpeg, too.
        false
    }

    fn close(self) {
        // The program first: what it still writes is not needed.
        drop(self.child);
        self.flow.close();
    }
}

/// A running program, which ends with this value.
struct Child {
    child: process::Child,
    output: Option<OwnedFd>,
    complaints: Arc<Mutex<VecDeque<String>>>,
    /// Takes the complaints down.
    reader: Option<JoinHandle<()>>,
}

impl Child {
    fn start(program: &Program) -> Result<Self> {
        let spawned = process::Command::new(&program.program)
            .args(&program.args)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = spawned.map_err(|error| Error::source(program.name.clone(), error))?;
        let output = child.stdout.take().map(OwnedFd::from);
        let complaints: Arc<Mutex<VecDeque<String>>> = Arc::default();
        // It ends with the program. Without it only the reasons are missing.
        let reader = child.stderr.take().and_then(|stderr| {
            let (complaints, name) = (complaints.clone(), program.name.clone());
            let body = move || take_down(stderr, &name, &complaints);
            thread::Builder::new().name("stderr".into()).spawn(body).ok()
        });
        Ok(Child { child, output, complaints, reader })
    }

    /// Why the program has ended, as far as is known.
    fn why_ended(&mut self) -> String {
        let until = Instant::now() + ENDING;
        let status = loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < until => thread::sleep(TICK),
                Ok(status) => break status,
                Err(_) => break None,
            }
        };
        // Its last words may still be on their way, or another program of its group may go on
        // talking.
        while self.reader.as_ref().is_some_and(|reader| !reader.is_finished()) && Instant::now() < until {
            thread::sleep(TICK / 5);
        }
        format!("{}{}", status.map_or("has closed its output".into(), spoken), self.complaint())
    }

    /// What the program complained of, after a colon.
    fn complaint(&self) -> String {
        let mut lines = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        complaint(lines.make_contiguous()).map_or(String::new(), |line| format!(": {line}"))
    }

    fn end_group(&self, signal: Signal) {
        // It has ended already where this fails.
        let _ = killpg(Pid::from_raw(self.child.id().cast_signed()), signal);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end_group(Signal::SIGTERM);
        let until = Instant::now() + ENDING;
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(TICK / 5);
        }
        // Also where the program itself has ended: others of its group may not have.
        self.end_group(Signal::SIGKILL);
        // Cannot fail but for a child that was waited for.
        let _ = self.child.wait();
    }
}

/// The last of what a program complained of, unless an earlier line is the reason: ffmpeg ends with
/// a hint about its options.
fn complaint(lines: &[String]) -> Option<&str> {
    if lines.iter().any(|line| line.contains("matches no streams")) {
        return Some("the stream has no sound: turn on audio in the camera");
    }
    let is_hint = |line: &&String| line.starts_with("To ignore this");
    lines.iter().rfind(|line| !is_hint(line)).or(lines.last()).map(String::as_str)
}

fn spoken(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "has ended".into(),
        (Some(code), _) => format!("has ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "has ended".into(),
    }
}

fn take_down(stderr: ChildStderr, name: &str, complaints: &Mutex<VecDeque<String>>) {
    let mut stderr = BufReader::new(stderr);
    loop {
        let mut line = Vec::new();
        match stderr.by_ref().take(LINE_LEN).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let line = redact(String::from_utf8_lossy(&line).trim());
        if line.is_empty() {
            continue;
        }
        tracing::debug!("{name}: {line}");
        let mut lines = complaints.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == N_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

/// Whether a program of that name can be started.
pub(super) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_last_complaint_that_is_no_hint() {
        let reason = |lines: &[&str]| {
            let lines: Vec<String> = lines.iter().map(|line| line.to_string()).collect();
            complaint(&lines).map(str::to_string)
        };
        assert_eq!(reason(&[]), None);
        assert_eq!(reason(&["a", "b"]).unwrap(), "b");
        assert_eq!(reason(&["a", "To ignore this, add x"]).unwrap(), "a");
        assert_eq!(reason(&["To ignore this, add x"]).unwrap(), "To ignore this, add x");
        let mute = ["Stream map '0:a:0' matches no streams.", "To ignore this, add a trailing '?' to the map.", "c"];
        assert_eq!(reason(&mute).unwrap(), "the stream has no sound: turn on audio in the camera");
    }
}

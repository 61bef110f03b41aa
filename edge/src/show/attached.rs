//! A terminal that is attached to a daemon: lines of JSON enter from its socket, messages leave. A
//! thread reads; if the daemon ends, it attaches to the next one.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::message::{About, Message};
use crate::error::{Error, Result};

/// News that wait to be taken, at most; the daemon skips what there is no room for.
const QUEUE: usize = 64;

/// A daemon that sends nothing for this long does not answer: it reports its health every second.
const PATIENCE: Duration = Duration::from_secs(10);

/// A daemon that has gone is looked for this often.
const RETRY: Duration = Duration::from_secs(1);

/// Longest line, bytes.
const MAX_LINE: u64 = 4 << 20;

/// What comes from the daemon.
#[derive(Debug)]
pub enum DaemonNews {
    /// Something that it sends.
    Message(Message),
    /// It is not there any more, for this reason, and is being looked for.
    Lost(String),
}

/// A terminal's end of the socket.
#[derive(Debug)]
pub struct Attached {
    news: Receiver<DaemonNews>,
}

impl Attached {
    /// Attaches to the daemon that listens at `path`; returns what it sends about itself.
    ///
    /// # Errors
    ///
    /// When there is none, or it does not let this user attach.
    pub fn start(path: &Path) -> Result<(Self, About)> {
        let failed = |reason| Error::io(path.display().to_string())(io::Error::other(reason));
        let mut lines = Lines::connect(path).map_err(failed)?;
        let about = match lines.next().map_err(failed)? {
            Message::About(about) => about,
            _ => return Err(failed(foreign(&"the first message does not describe the daemon"))),
        };
        let (sender, news) = sync_channel(QUEUE);
        let path = path.to_path_buf();
        let read = move || read(lines, &path, &sender);
        thread::Builder::new()
            .name("attached".into())
            .spawn(read)
            .map_err(Error::io("cannot start the thread that reads from the daemon"))?;
        Ok((Attached { news }, about))
    }

    /// What has come since the last time.
    pub fn news(&self) -> impl Iterator<Item = DaemonNews> {
        self.news.try_iter()
    }
}

/// Hands on what arrives until it is no longer taken.
fn read(mut lines: Lines, path: &Path, sender: &SyncSender<DaemonNews>) {
    loop {
        let reason = loop {
            match lines.next() {
                Ok(message) => {
                    if sender.send(DaemonNews::Message(message)).is_err() {
                        return;
                    }
                }
                Err(reason) => break reason,
            }
        };
        if sender.send(DaemonNews::Lost(reason)).is_err() {
            return;
        }
        lines = loop {
            thread::sleep(RETRY);
            match Lines::connect(path) {
                Ok(lines) => break lines,
                Err(reason) => {
                    if sender.send(DaemonNews::Lost(reason)).is_err() {
                        return;
                    }
                }
            }
        };
    }
}

/// Messages of a daemon.
#[derive(Debug)]
struct Lines {
    stream: BufReader<UnixStream>,
    line: String,
}

impl Lines {
    /// The reason is given without the path.
    fn connect(path: &Path) -> Result<Self, String> {
        let stream = UnixStream::connect(path).map_err(|error| unreachable_because(&error))?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
        Ok(Lines { stream: BufReader::new(stream), line: String::new() })
    }

    fn next(&mut self) -> Result<Message, String> {
        self.line.clear();
        match self.stream.by_ref().take(MAX_LINE).read_line(&mut self.line) {
            Ok(0) => Err("the daemon has ended".into()),
            // A line without an end is one that the end of the daemon has cut off.
            Ok(n) if !self.line.ends_with('\n') && (n as u64) < MAX_LINE => Err("the daemon has ended".into()),
            Ok(_) => match Message::read(&self.line) {
                Ok(Message::Refused(reason)) => Err(reason),
                Ok(message) => Ok(message),
                Err(error) => Err(foreign(&error)),
            },
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(format!("the daemon has not answered for {} s", PATIENCE.as_secs()))
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Err("the daemon has ended".into()),
            Err(error) => Err(foreign(&error)),
        }
    }
}

fn foreign(reason: &dyn std::fmt::Display) -> String {
    format!("the messages of the daemon are not understood, is it of version {}? {reason}", env!("CARGO_PKG_VERSION"))
}

/// Why nothing answers, and what to do about it.
fn unreachable_because(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => {
            "no daemon listens there: start one with socket in [top] of its configuration, or name its socket".into()
        }
        ErrorKind::ConnectionRefused => {
            "no daemon listens there any more: it has ended without removing its socket, so start it again".into()
        }
        ErrorKind::PermissionDenied => {
            "this user may not attach: run this as the user of the daemon (for the service: sudo -u earwitness), or let \
             its group attach with mode = \"0660\" in [top]"
                .into()
        }
        _ => error.to_string(),
    }
}

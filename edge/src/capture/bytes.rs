//! Bytes of a pipe as they come: an open file enters, and what it has to give leaves, and no wait
//! is longer than the caller allows. Runs on the thread that reads.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, poll};

use crate::identity::FileIdentity;

/// How often it is looked whether a FIFO that brings nothing is still the one at its path.
const LOOK: Duration = Duration::from_secs(2);

/// Bytes that can be waited for.
pub(super) struct Bytes {
    file: File,
    fifo: Option<Fifo>,
}

/// Where a FIFO was opened. One that is removed and made again has the same path, and the open one
/// gets no writer any more.
struct Fifo {
    path: PathBuf,
    identity: FileIdentity,
    looked: Instant,
}

impl Fifo {
    /// Looks now and then whether another FIFO has its path. Where there is none, a writer may
    /// still have this one open.
    fn is_replaced(&mut self) -> bool {
        if self.looked.elapsed() < LOOK {
            return false;
        }
        self.looked = Instant::now();
        let is_other = |now: Metadata| now.file_type().is_fifo() && FileIdentity::from(now) != self.identity;
        std::fs::metadata(&self.path).is_ok_and(is_other)
    }
}

/// What there is to read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Got {
    /// How many bytes have come, at least one.
    Some(usize),
    /// None yet.
    Nothing,
    /// None any more.
    End,
}

impl Bytes {
    /// The bytes of standard input.
    pub(super) fn stdin() -> io::Result<Self> {
        Ok(io::stdin().as_fd().try_clone_to_owned()?.into())
    }

    /// The bytes of the FIFO at `path`. Does not wait for one who writes.
    pub(super) fn fifo(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
        // Where there was nothing when the daemon began, something else may have come.
        let metadata = file.metadata()?;
        if !metadata.file_type().is_fifo() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "it is no FIFO"));
        }
        let fifo = Fifo { path: path.to_path_buf(), identity: metadata.into(), looked: Instant::now() };
        Ok(Bytes { file, fifo: Some(fifo) })
    }

    /// Reads what has come, waiting for at most `wait` for the first byte.
    ///
    /// # Errors
    ///
    /// When reading fails, or another FIFO has taken the place of one that brings nothing.
    pub(super) fn read(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<Got> {
        let mut fds = [PollFd::new(self.file.as_raw_fd(), PollFlags::POLLIN)];
        let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        match poll(&mut fds, wait_ms) {
            Ok(0) if self.fifo.as_mut().is_some_and(Fifo::is_replaced) => {
                return Err(io::Error::other("it was removed, and another FIFO has been made in its place"));
            }
            Ok(0) | Err(Errno::EINTR) => return Ok(Got::Nothing),
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        match self.file.read(buffer) {
            Ok(0) => Ok(Got::End),
            Ok(n) => Ok(Got::Some(n)),
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => Ok(Got::Nothing),
            Err(error) => Err(error),
        }
    }
}

impl From<OwnedFd> for Bytes {
    fn from(fd: OwnedFd) -> Self {
        Bytes { file: fd.into(), fifo: None }
    }
}

/// Whether there is a FIFO at `path`.
pub(super) fn is_fifo(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// Whether there is nothing at `path`.
pub(super) fn is_missing(path: &Path) -> bool {
    std::fs::metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// Whether standard input is a file of the disk, which comes as fast as it is read.
pub(super) fn stdin_is_file() -> bool {
    let metadata = Bytes::stdin().and_then(|bytes| bytes.file.metadata());
    metadata.is_ok_and(|metadata| metadata.is_file())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Instant;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn a_fifo_without_a_writer_is_open_at_once_and_waits() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(is_fifo(&path) && !is_fifo(dir.path()));
        assert!(!is_missing(&path) && is_missing(&dir.path().join("none")));
        assert!(Bytes::fifo(dir.path()).is_err());
        let begin = Instant::now();
        let mut bytes = Bytes::fifo(&path).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(bytes.read(&mut buffer, Duration::from_millis(20)).unwrap(), Got::Nothing);
        assert!(begin.elapsed() < PATIENCE);
        let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
        writer.write_all(b"abc").unwrap();
        assert_eq!(bytes.read(&mut buffer, PATIENCE).unwrap(), Got::Some(3));
        assert_eq!(bytes.read(&mut buffer, Duration::ZERO).unwrap(), Got::Nothing);
        drop(writer);
        assert_eq!(bytes.read(&mut buffer, PATIENCE).unwrap(), Got::End);
    }
}

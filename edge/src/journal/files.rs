//! The files beside the journal's: what lies there, and which one keeps other daemons away.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::trouble::{Result, Trouble};

/// A daemon that was ended a moment ago may still have its lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// The path with something at its end.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// What SQLite's files begin with (the file format, 1.3).
const HEADER: &[u8; 16] = b"SQLite format 3\0";

/// Whether the file at `path` may be a journal by how it begins: a database, or one whose beginning
/// a power cut has left empty. A file that does not exist may become one.
pub(super) fn check_kind(path: &Path) -> Result<()> {
    let mut start = Vec::new();
    match File::open(path).and_then(|file| file.take(HEADER.len() as u64).read_to_end(&mut start)) {
        Ok(_) if HEADER.starts_with(&start) || start.iter().all(|byte| *byte == 0) => Ok(()),
        Ok(_) => Err(Trouble::Foreign),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Takes the file that keeps other daemons away from the journal at `path`. The kernel gives it
/// back with the process, whatever ends that.
pub(super) fn lock(path: &Path, patient: bool) -> Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(with_suffix(path, "-lock"))?;
    let mut left = if patient { LOCK_PATIENCE } else { Duration::ZERO };
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if left.is_zero() => return Err(Trouble::Locked),
            Err(TryLockError::WouldBlock) => {
                let wait = Duration::from_millis(50).min(left);
                thread::sleep(wait);
                left -= wait;
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
}

/// An earlier version's spool becomes the journal.
pub(super) fn take_over(before: &Path, file: &Path) {
    let moved = |suffix: &str| {
        let (from, to) = (with_suffix(before, suffix), with_suffix(file, suffix));
        if from.exists() { fs::rename(from, to) } else { Ok(()) }
    };
    // The log first: without its database it means nothing, the other way round events would be
    // lost.
    match moved("-wal").and_then(|()| moved("")) {
        Ok(()) => {
            let (before, file) = (before.display(), file.display());
            tracing::info!(%before, %file, "the spool {before} of an earlier version becomes the journal {file}");
        }
        Err(error) => {
            tracing::error!(%error, "the spool {} of an earlier version cannot be taken over: {error}", before.display())
        }
    }
}

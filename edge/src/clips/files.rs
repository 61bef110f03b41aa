//! Files and folders for this user only: clips hold what was said in a room.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::name::Stem;

/// Creates the folder at `path` and those above it, for this user only. One that is there stays as
/// it is.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file of the clip `stem` in `folder`: whole, or not at all, also if the power fails.
pub(super) fn write(folder: &Path, stem: &Stem, ending: &str, bytes: &[u8]) -> io::Result<()> {
    let unfinished = folder.join(stem.unfinished(ending));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&unfinished, folder.join(stem.with(ending))));
    written.inspect_err(|_| {
        let _ = fs::remove_file(&unfinished);
    })
}

/// Removes a file, unless it is gone already.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

//! Why the journal's file cannot be opened, read or written, and what people are told of it.

use std::io;
use std::path::Path;

use rusqlite::ErrorCode;

use crate::fault::Fault;

pub(super) type Result<T> = std::result::Result<T, Trouble>;

/// Why the file cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
    #[error(transparent)]
    File(#[from] io::Error),
    #[error("another process has it")]
    Locked,
    #[error("its tables have the version {version}")]
    Newer { version: i64 },
    #[error("no folder")]
    Nowhere,
}

impl Trouble {
    fn code(&self) -> Option<ErrorCode> {
        match self {
            Trouble::Database(error) => error.sqlite_error_code(),
            _ => None,
        }
    }

    /// Whether the file is not a database, or a broken one.
    pub(super) fn is_damage(&self) -> bool {
        matches!(self.code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
    }

    /// Cause and remedy for the file at `path`. That events wait in memory meanwhile is for the
    /// caller to say.
    pub(super) fn fault(&self, path: &Path) -> Fault {
        let file = path.display();
        let folder = path.parent().unwrap_or(Path::new("/"));
        let is = |kind: io::ErrorKind| matches!(self, Trouble::File(error) if error.kind() == kind);
        if matches!(self, Trouble::Nowhere) {
            return Fault::new(
                "journal-nowhere",
                "this user has no home folder for the journal: name a file with journal.file",
            );
        }
        if path.is_dir() {
            let text = format!("{file} is a folder where the journal's file belongs: remove it or set journal.file");
            return Fault::new("journal-is-folder", text);
        }
        if let Some(above) = path.ancestors().skip(1).find(|above| above.exists()).filter(|above| !above.is_dir()) {
            let text = format!("{} is a file where a folder belongs: remove it or set journal.file", above.display());
            return Fault::new("journal-no-folder", text);
        }
        match (self, self.code()) {
            (Trouble::Locked, _) | (_, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)) => Fault::new(
                "journal-locked",
                format!(
                    "another earwitness uses the journal {file}: end it, or give each a name or journal.file of its own"
                ),
            ),
            (Trouble::Newer { .. }, _) => Fault::new(
                "journal-newer",
                format!("the journal {file} was written by a newer version of earwitness: use that, or another file"),
            ),
            (_, Some(ErrorCode::DiskFull)) => {
                Fault::new("journal-disk-full", format!("the disk of the journal {file} is full"))
            }
            _ if is(io::ErrorKind::StorageFull) => {
                Fault::new("journal-disk-full", format!("the disk of the journal {file} is full"))
            }
            (_, Some(ErrorCode::SystemIoFailure)) => {
                Fault::new("journal-disk-failed", format!("the disk of the journal {file} fails: {self}"))
            }
            (_, Some(ErrorCode::ReadOnly)) => Fault::new("journal-read-only", read_only(folder)),
            _ if is(io::ErrorKind::ReadOnlyFilesystem) => Fault::new("journal-read-only", read_only(folder)),
            (_, Some(ErrorCode::PermissionDenied)) => Fault::new("journal-no-permission", no_permission(path)),
            _ if is(io::ErrorKind::PermissionDenied) => Fault::new("journal-no-permission", no_permission(path)),
            _ => Fault::new("journal-failed", format!("the journal {file} fails: {self}")),
        }
    }
}

fn read_only(folder: &Path) -> String {
    format!("the journal's folder {} cannot be written, it is read-only: set journal.file", folder.display())
}

fn no_permission(path: &Path) -> String {
    format!("this user may not write the journal {}: give it the folder, or set journal.file", path.display())
}

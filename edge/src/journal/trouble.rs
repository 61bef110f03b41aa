//! Why the journal's file cannot be opened, read or written, and the fault that people see then.

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
    #[error("its tables are those of an earlier version")]
    Older,
    #[error("it belongs to another program")]
    Foreign,
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

    /// Whether the file, or what belongs beside it, could not be opened at all.
    pub(super) fn is_unopened(&self) -> bool {
        matches!(self.code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
    }

    /// Cause and remedy for the file at `path`. The caller adds that events wait in memory
    /// meanwhile.
    pub(super) fn fault(&self, path: &Path) -> Fault {
        let file = path.display();
        let folder = path.parent().unwrap_or(Path::new("/"));
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
        let io = match self {
            Trouble::File(error) => Some(error.kind()),
            _ => None,
        };
        match (self, self.code(), io) {
            (Trouble::Locked, ..) | (_, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked), _) => Fault::new(
                "journal-locked",
                format!(
                    "another earwitness uses the journal {file}: end it, or give each a name or journal.file of its own"
                ),
            ),
            (Trouble::Foreign, ..) => Fault::new(
                "journal-foreign",
                format!("{file} is not a journal of earwitness: name another file with journal.file"),
            ),
            (Trouble::Older, ..) => Fault::new(
                "journal-older",
                format!(
                    "the journal {file} is of an earlier version of earwitness: start the daemon once to convert it"
                ),
            ),
            (Trouble::Newer { .. }, ..) => Fault::new(
                "journal-newer",
                format!("the journal {file} was written by a newer version of earwitness: use that, or another file"),
            ),
            (_, Some(ErrorCode::DiskFull), _) | (_, _, Some(io::ErrorKind::StorageFull)) => Fault::new(
                "journal-disk-full",
                format!("the disk of the journal {file} is full: make room, or lower journal.max_mb"),
            ),
            (_, Some(ErrorCode::SystemIoFailure), _) => {
                Fault::new("journal-disk-failed", format!("the disk of the journal {file} fails: {self}"))
            }
            (_, Some(ErrorCode::ReadOnly), _) | (_, _, Some(io::ErrorKind::ReadOnlyFilesystem)) => Fault::new(
                "journal-read-only",
                format!(
                    "the journal's folder {} cannot be written, it is read-only: set journal.file",
                    folder.display()
                ),
            ),
            (_, Some(ErrorCode::PermissionDenied), _) | (_, _, Some(io::ErrorKind::PermissionDenied)) => Fault::new(
                "journal-no-permission",
                format!("this user may not write the journal {file}: give it the folder, or set journal.file"),
            ),
            _ if self.is_damage() => {
                Fault::new("journal-damaged", format!("{file} is not a journal of earwitness, or it is damaged"))
            }
            _ => Fault::new("journal-failed", format!("the journal {file} fails: {self}")),
        }
    }
}

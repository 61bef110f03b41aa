//! Why a folder of clips cannot be used, and what is wrong with a request for a clip.

use std::io;
use std::path::Path;

use uuid::Uuid;

use crate::fault::Fault;

/// Why a clip cannot be shown, marked, deleted or exported.
#[derive(Debug, thiserror::Error)]
pub enum ClipError {
    /// The folder holds no clip of this event.
    #[error("there is no clip {0}")]
    Unknown(Uuid),
    /// A label that the trainer would not take.
    #[error("{0}")]
    Label(String),
    /// The folder or a file in it cannot be used.
    #[error("{0}")]
    Folder(Fault),
}

/// Cause and remedy where something in the folder of clips at `path` cannot be read or written.
pub(super) fn fault(path: &Path, error: &io::Error) -> Fault {
    let folder = path.display();
    let above = path.ancestors().find(|above| above.exists()).filter(|above| !above.is_dir());
    if let Some(above) = above {
        let text = format!("{} is a file where the folder of clips belongs: set clips.folder", above.display());
        return Fault::new("clips-no-folder", text);
    }
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Fault::new(
            "clips-disk-full",
            format!("the disk of the folder of clips {folder} is full: make room, or lower clips.max_mb"),
        ),
        io::ErrorKind::ReadOnlyFilesystem => Fault::new(
            "clips-read-only",
            format!("the folder of clips {folder} is on a disk that is read-only: set clips.folder"),
        ),
        io::ErrorKind::PermissionDenied => {
            let text =
                format!("this user may not use the folder of clips {folder}: give it the folder, or set clips.folder");
            Fault::new("clips-no-permission", text)
        }
        io::ErrorKind::FileTooLarge => {
            Fault::new("clips-too-large", "a clip is larger than all clips together may be: raise clips.max_mb")
        }
        io::ErrorKind::Unsupported => Fault::new(
            "clips-no-folder",
            format!("the folder of clips {folder} cannot be made: {error}: set clips.folder"),
        ),
        io::ErrorKind::InvalidInput => Fault::new("clips-encoder", format!("a clip {error}")),
        _ => Fault::new("clips-failed", format!("the folder of clips {folder} fails: {error}")),
    }
}

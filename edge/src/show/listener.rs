//! The file of the socket for terminals: made so that only permitted users can connect, found to be
//! of an earlier daemon or of a running one, and removed at the end.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::config::TopSettings;
use crate::error::{Error, Result};
use crate::folder;
use crate::identity::FileIdentity;

/// Longest address of a local socket, bytes: what every system takes (unix(7)), less what the
/// address has in addition while the file is made.
const MAX_ADDRESS: usize = 90;

/// The configuration's key.
const KEY: &str = "top.socket";

/// Whether a socket could be made as `settings` say. That a daemon has it now, or that the folder
/// is not there yet, is not wrong: the service manager may make it.
///
/// # Errors
///
/// [`Error::Usage`] with what is wrong with the path.
pub fn check(settings: &TopSettings) -> Result<()> {
    let path = &settings.socket;
    let shown = path.display();
    if path.as_os_str().as_bytes().len() > MAX_ADDRESS {
        return Err(Error::usage(KEY, format!("{shown} has more than {MAX_ADDRESS} bytes: name a shorter path")));
    }
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            Err(Error::usage(KEY, format!("{shown} exists and is not a socket: name another file")))
        }
        _ => Ok(()),
    }
}

/// Why no socket can be made as `settings` say while things are as they are.
pub fn why_not_now(settings: &TopSettings) -> Option<String> {
    let folder = folder(&settings.socket);
    if !folder.exists() {
        return Some(no_folder(folder));
    }
    folder::check(folder).err().map(|error| no_files(folder, &error))
}

fn no_folder(folder: &Path) -> String {
    format!("there is no folder {}: make it, or name another one", folder.display())
}

fn no_files(folder: &Path, error: &io::Error) -> String {
    format!("this user may not make files in {}: {error}", folder.display())
}

/// A socket that listens. Its file is removed when it is dropped.
#[derive(Debug)]
pub struct Socket {
    pub(super) listener: UnixListener,
    pub(super) file: SocketFile,
}

/// The file of a socket. Removed when it is dropped.
#[derive(Debug)]
pub(super) struct SocketFile {
    pub(super) path: PathBuf,
    /// Another daemon may have put its own in its place.
    identity: Option<FileIdentity>,
}

impl Socket {
    /// Listens. A file that an earlier daemon has left is replaced.
    ///
    /// # Errors
    ///
    /// When another daemon listens there, or the file cannot be made.
    pub fn bind(settings: &TopSettings) -> Result<Self> {
        check(settings)?;
        let path = &settings.socket;
        let shown = path.display();
        match UnixStream::connect(path) {
            Ok(_) => {
                let reason = format!("another daemon listens at {shown}: end that one, or name another file");
                return Err(Error::usage(KEY, reason));
            }
            Err(error) if [ErrorKind::NotFound, ErrorKind::ConnectionRefused].contains(&error.kind()) => {}
            Err(error) => return Err(Error::usage(KEY, format!("{shown}: {error}"))),
        }
        let listener = bind(path, settings.mode.bits()).map_err(|error| {
            let folder = folder(path);
            match error.kind() {
                ErrorKind::NotFound => Error::usage(KEY, no_folder(folder)),
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                    Error::usage(KEY, no_files(folder, &error))
                }
                _ => Error::usage(KEY, format!("{shown}: {error}")),
            }
        })?;
        Ok(Socket { listener, file: SocketFile { identity: identity(path), path: path.clone() } })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // Where it cannot be removed, the next daemon replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn identity(path: &Path) -> Option<FileIdentity> {
    fs::symlink_metadata(path).ok().map(FileIdentity::from)
}

/// A listener whose file has its permissions before anybody can reach it: it is made in a folder of
/// its own that nobody else can enter, and takes its place with them.
fn bind(path: &Path, mode: u32) -> io::Result<UnixListener> {
    let private = folder(path).join(format!(".{}", std::process::id()));
    let fresh = private.join("s");
    let clean = || {
        // Neither is there, unless a process with this number was killed in the middle.
        let _ = fs::remove_file(&fresh);
        let _ = fs::remove_dir(&private);
    };
    clean();
    DirBuilder::new().mode(0o700).create(&private)?;
    let bound = UnixListener::bind(&fresh).and_then(|listener| {
        fs::set_permissions(&fresh, Permissions::from_mode(mode))?;
        fs::rename(&fresh, path)?;
        Ok(listener)
    });
    clean();
    bound
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(path: &Path, mode: &str) -> TopSettings {
        TopSettings { socket: path.to_path_buf(), mode: mode.parse().unwrap() }
    }

    fn refusal(settings: &TopSettings) -> String {
        Socket::bind(settings).unwrap_err().to_string()
    }

    #[test]
    fn the_file_has_its_permissions_and_goes_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("top.sock");
        for mode in ["0600", "0660"] {
            let socket = Socket::bind(&settings(&path, mode)).unwrap();
            let found = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
            assert_eq!(format!("{found:04o}"), mode);
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
            UnixStream::connect(&path).unwrap();
            drop(socket);
            assert!(!path.exists());
        }
    }

    #[test]
    fn what_an_earlier_daemon_left_is_replaced_and_what_a_running_one_has_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("top.sock");
        // Closed without being removed, as by a power cut.
        drop(UnixListener::bind(&path).unwrap());
        let socket = Socket::bind(&settings(&path, "0600")).unwrap();
        let refused = refusal(&settings(&path, "0600"));
        assert!(refused.starts_with("top.socket: another daemon listens at "), "{refused}");
        UnixStream::connect(&path).unwrap();
        // A file that has taken the place of ours is not ours to remove.
        fs::remove_file(&path).unwrap();
        let other = UnixListener::bind(&path).unwrap();
        drop(socket);
        UnixStream::connect(&path).unwrap();
        drop(other);
    }

    #[test]
    fn what_cannot_be_made_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("top.sock");
        fs::write(&path, "precious").unwrap();
        assert!(refusal(&settings(&path, "0600")).ends_with("exists and is not a socket: name another file"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        let nowhere = settings(&dir.path().join("no/top.sock"), "0600");
        let refused = refusal(&nowhere);
        assert!(refused.contains("there is no folder ") && refused.ends_with(": make it, or name another one"));
        // The folder may come with the service, so it is a note until then.
        assert!(check(&nowhere).is_ok());
        assert_eq!(why_not_now(&nowhere).map(|reason| format!("top.socket: {reason}")), Some(refused));
        assert_eq!(why_not_now(&settings(&path, "0600")), None);
        let long = refusal(&settings(&dir.path().join("s".repeat(100)), "0600"));
        assert!(long.ends_with("has more than 90 bytes: name a shorter path"), "{long}");
    }
}

//! Whether files can be made in a folder: a path enters, what speaks against it leaves. Nothing is
//! changed.

use std::io;
use std::path::Path;

use nix::unistd::{AccessFlags, access};

/// Looks at `folder`, or where it does not exist, at the nearest folder above it that does.
///
/// # Errors
///
/// Why this user could not make files there, as far as it can be seen from outside.
pub fn check(folder: &Path) -> io::Result<()> {
    let there = folder.ancestors().find(|above| above.exists()).unwrap_or(Path::new("."));
    if !there.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    if is_of_kernel(there) {
        let reason = format!("{} has only the files that the kernel shows there", there.display());
        return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
    }
    let needed = AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK;
    access(there, needed).map_err(io::Error::from)
}

/// Whether a folder shows what the kernel knows, such as `/proc`: there root may write, and still
/// cannot make a file.
#[cfg(target_os = "linux")]
fn is_of_kernel(folder: &Path) -> bool {
    use nix::sys::statfs::{PROC_SUPER_MAGIC, SYSFS_MAGIC, statfs};
    statfs(folder).is_ok_and(|found| [PROC_SUPER_MAGIC, SYSFS_MAGIC].contains(&found.filesystem_type()))
}

#[cfg(not(target_os = "linux"))]
fn is_of_kernel(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_can_be_made_in_folders_that_are_there_or_can_be() {
        let dir = tempfile::tempdir().unwrap();
        assert!(check(dir.path()).is_ok() && check(&dir.path().join("a/b")).is_ok());
        assert!(check(Path::new("not there")).is_ok());
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let kind = |folder: &Path| check(folder).unwrap_err().kind();
        assert_eq!(kind(&file.join("a")), io::ErrorKind::NotADirectory);
        // Root may write everywhere, but not there.
        #[cfg(target_os = "linux")]
        assert_eq!(kind(Path::new("/proc/x/y")), io::ErrorKind::Unsupported);
    }
}

//! A password in a file of its own: a path enters, the first line leaves.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::config::ConfigFile;
use crate::error::Result;

/// The first line of the file at `path`, which the configuration names under `key`.
///
/// # Errors
///
/// With file, line and key of the configuration.
pub(super) fn first_line(path: &Path, key: &str, file: &ConfigFile) -> Result<String> {
    let path = file.resolve(path);
    let refused = |reason: &str| file.error(key, format!("{}: {reason}", path.display()));
    let bytes = fs::read(&path).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => refused(
            "this user may not read it: give the file to the user that runs the daemon, which is earwitness for \
             the service: sudo chown earwitness FILE",
        ),
        _ => refused(&error.to_string()),
    })?;
    // Some editors begin a file with a byte order mark, which is not part of the password.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    let text = std::str::from_utf8(bytes).map_err(|_| refused("not a text file in UTF-8: save it as such"))?;
    match text.lines().next() {
        None | Some("") => Err(refused("its first line, which is the password, is empty")),
        Some(password) => Ok(password.to_string()),
    }
}

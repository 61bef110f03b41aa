//! Results as JSON: indented, in files and on standard output.

use crate::error::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// Reads the file at `path`.
///
/// # Errors
///
/// If it cannot be read, or holds something else.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    serde_json::from_str(&text).map_err(|e| Error::content(path, e.to_string()))
}

/// Writes `value` to the file at `path`.
///
/// # Errors
///
/// If the file cannot be written.
pub(crate) fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::content(path, e.to_string()))?;
    std::fs::write(path, text + "\n").map_err(Error::io(path))
}

/// Prints `value` on standard output.
///
/// # Errors
///
/// If it cannot be expressed as JSON.
pub(crate) fn print(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::Usage(e.to_string()))?;
    println!("{text}");
    Ok(())
}

/// The files called `name` in the folders `folders`, or, for folders that have none, in the folders
/// right under them.
///
/// # Errors
///
/// If a folder cannot be read.
pub(crate) fn files(folders: &[PathBuf], name: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in folders {
        if folder.join(name).exists() {
            files.push(folder.join(name));
            continue;
        }
        let entries = std::fs::read_dir(folder).map_err(Error::io(folder))?;
        let mut paths: Vec<PathBuf> =
            entries.filter_map(|e| Some(e.ok()?.path().join(name))).filter(|p| p.exists()).collect();
        paths.sort();
        files.extend(paths);
    }
    Ok(files)
}

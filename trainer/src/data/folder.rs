//! Folders of recordings: paths enter, the recordings in them leave, in order of their names.

use crate::error::{Error, Result};
use edge::audio;
use std::path::{Path, PathBuf};

/// The folders in `data` with the recordings in each: label and files.
///
/// # Errors
///
/// If `data` cannot be read, has no folders, or one of them no recordings.
pub(crate) fn classes(data: &Path) -> Result<Vec<(String, Vec<PathBuf>)>> {
    let folders: Vec<PathBuf> = entries(data)?.into_iter().filter(|path| path.is_dir()).collect();
    if folders.is_empty() {
        return Err(Error::input(
            data,
            None,
            "has no class folders: a folder of recordings for each label is expected",
        ));
    }
    let class = |folder: PathBuf| {
        let label = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok((label, recordings(&folder)?))
    };
    folders.into_iter().map(class).collect()
}

/// The recording at `path`, or all below it if it is a folder.
///
/// # Errors
///
/// If `path` cannot be read or holds no recordings.
pub(crate) fn recordings(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    collect(path, &mut found)?;
    if found.is_empty() {
        return Err(Error::input(path, None, format!("holds no recordings ({})", audio::EXTENSIONS.join(", "))));
    }
    Ok(found)
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for path in entries(folder)? {
        if path.is_dir() {
            collect(&path, found)?;
        } else if audio::is_recording(&path) {
            found.push(path);
        }
    }
    Ok(())
}

/// What is in a folder, without what is hidden.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |e: std::io::Error| Error::input(folder, None, format!("cannot be read: {e}"));
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// The path from `root`, with slashes.
pub(crate) fn name_below(path: &Path, root: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    below.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_folders_and_what_is_no_recording_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let message = || classes(root).unwrap_err().to_string();
        assert!(message().contains("has no class folders"), "{}", message());
        for file in ["kettle/b.WAV", "kettle/a.ogg", "kettle/deeper/c.flac", "kettle/notes.txt", "doorbell/x.mp3"] {
            let path = root.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        std::fs::create_dir(root.join(".hidden")).unwrap();
        let found = classes(root).unwrap();
        assert_eq!(found[0], ("doorbell".to_owned(), vec![root.join("doorbell/x.mp3")]));
        let kettle = ["kettle/a.ogg", "kettle/b.WAV", "kettle/deeper/c.flac"].map(|file| root.join(file)).to_vec();
        assert_eq!(found[1], ("kettle".to_owned(), kettle));
        std::fs::create_dir(root.join("empty")).unwrap();
        assert!(message().contains("empty: holds no recordings"), "{}", message());
        assert!(classes(&root.join("nowhere")).unwrap_err().to_string().contains("nowhere: cannot be read"));
    }
}

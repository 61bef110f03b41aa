//! Folders of recordings: paths enter, the recordings in them leave, in order of their names.

use crate::error::{Error, Result};
use edge::audio;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Most recordings that are left out by name; the others are counted.
const MOST_NAMED: usize = 20;

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
            "has no class folders: it must have a folder of recordings for each label",
        ));
    }
    let class = |folder: PathBuf| {
        let label = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok((label, recordings(&folder)?))
    };
    folders.into_iter().map(class).collect()
}

/// The recording at `path`, or all below it if it is a folder. Of a folder, files that cannot be
/// decoded are named on standard error, counted, and left out.
///
/// # Errors
///
/// If `path` cannot be read or holds no recordings.
pub(crate) fn recordings(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Found::default();
    collect(path, &mut found)?;
    let reasons: Vec<Option<String>> = found.recordings.par_iter().map(|path| why_unusable(path)).collect();
    let mut left_out: Vec<String> =
        found.foreign.iter().map(|path| format!("{}: its format cannot be decoded", path.display())).collect();
    left_out.extend(reasons.iter().flatten().cloned());
    let mut reasons = reasons.into_iter();
    found.recordings.retain(|_| reasons.next().flatten().is_none());
    for line in left_out.iter().take(MOST_NAMED) {
        eprintln!("left out: {line}");
    }
    match left_out.len() {
        0 => {}
        1 => eprintln!("{}: 1 recording is left out", path.display()),
        n => eprintln!("{}: {n} recordings are left out", path.display()),
    }
    if found.recordings.is_empty() {
        let message = match left_out.len() {
            0 => format!("holds no recordings ({})", audio::EXTENSIONS.join(", ")),
            n => format!("holds no recordings that can be decoded; {n} cannot"),
        };
        return Err(Error::input(path, None, message));
    }
    Ok(found.recordings)
}

/// What looks like a recording.
#[derive(Default)]
struct Found {
    recordings: Vec<PathBuf>,
    /// Those in formats that are not decoded.
    foreign: Vec<PathBuf>,
}

fn collect(folder: &Path, found: &mut Found) -> Result<()> {
    for path in entries(folder)? {
        if path.is_dir() {
            collect(&path, found)?;
        } else if audio::is_recording(&path) {
            found.recordings.push(path);
        } else if audio::is_foreign_recording(&path) {
            found.foreign.push(path);
        }
    }
    Ok(())
}

/// Why nothing can be decoded of a recording, by its beginning.
fn why_unusable(path: &Path) -> Option<String> {
    let first = || audio::AudioReader::open(path)?.next_block(&mut Vec::new());
    first().err().map(|error| error.to_string())
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

/// A recording of a few samples, for any name; its folder is made.
#[cfg(test)]
pub(crate) fn write_wav(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    (0..100).for_each(|sample| writer.write_sample(sample).unwrap());
    writer.finalize().unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_decoded_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for file in ["bell/a.wav", "bell/b.flac", "tap/c.wav"] {
            write_wav(&root.join(file));
        }
        for file in ["bell/broken.wav", "bell/._a.wav", "bell/phone.opus"] {
            std::fs::write(root.join(file), "no sound").unwrap();
        }
        let found = classes(root).unwrap();
        assert_eq!(found[0].1, ["bell/a.wav", "bell/b.flac"].map(|file| root.join(file)));
        std::fs::write(root.join("tap/c.wav"), "").unwrap();
        let message = classes(root).unwrap_err().to_string();
        assert!(message.contains("tap: holds no recordings that can be decoded; 1 cannot"), "{message}");
    }

    #[test]
    fn classes_are_folders_and_what_is_no_recording_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let message = || classes(root).unwrap_err().to_string();
        assert!(message().contains("has no class folders"), "{}", message());
        for file in ["kettle/b.WAV", "kettle/a.ogg", "kettle/deeper/c.flac", "kettle/notes.txt", "doorbell/x.mp3"] {
            write_wav(&root.join(file));
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

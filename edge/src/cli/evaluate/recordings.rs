//! Which truth belongs to which recording: `--audio` and `--truth` as typed enter, pairs of files
//! leave.

use std::fs;
use std::path::{Path, PathBuf};

use edge::audio;
use edge::{Error, Result};

/// A recording and the file that says what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recording {
    pub(super) audio: PathBuf,
    pub(super) truth: PathBuf,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Found {
    pub(super) recordings: Vec<Recording>,
    /// Files in folders that are recordings by their names, in formats that are not decoded.
    pub(super) foreign: Vec<PathBuf>,
}

/// Endings of files of truth beside recordings.
const TRUTH: [&str; 3] = ["csv", "tsv", "txt"];

/// The recordings in the order given, those of folders by name. Without `truth`, that of `a.flac`
/// is `a.csv` beside it, or `a.tsv` or `a.txt`.
///
/// # Errors
///
/// When a recording is missing, or there is not one truth for each.
pub(super) fn find(audio: &[PathBuf], truth: &[PathBuf]) -> Result<Found> {
    let missing: Vec<String> =
        audio.iter().filter(|path| !path.exists()).map(|path| path.display().to_string()).collect();
    if !missing.is_empty() {
        return Err(Error::usage("--audio", format!("there is no {}", missing.join(", no "))));
    }
    if !truth.is_empty() {
        return Ok(Found { recordings: in_pairs(audio, truth)?, foreign: Vec::new() });
    }
    let (mut recordings, mut foreign) = (Vec::new(), Vec::new());
    for path in audio {
        let files = if path.is_dir() { audio_files(path, &mut foreign)? } else { vec![path.clone()] };
        recordings.extend(files.into_iter().map(|audio| Recording { truth: truth_of(&audio), audio }));
    }
    let lacking: Vec<String> = recordings
        .iter()
        .filter(|recording| !recording.truth.is_file())
        .map(|recording| format!("{} for {}", recording.truth.display(), recording.audio.display()))
        .collect();
    if lacking.is_empty() {
        return Ok(Found { recordings, foreign });
    }
    Err(Error::usage("--truth", format!("not given, and there is no {}", lacking.join(", no "))))
}

fn truth_of(audio: &Path) -> PathBuf {
    let mut beside = TRUTH.iter().map(|ending| audio.with_extension(ending));
    beside.find(|truth| truth.is_file()).unwrap_or_else(|| audio.with_extension(TRUTH[0]))
}

fn in_pairs(audio: &[PathBuf], truth: &[PathBuf]) -> Result<Vec<Recording>> {
    if let Some(folder) = audio.iter().find(|path| path.is_dir()) {
        let reason = format!(
            "{} is a folder, whose recordings have their truth files beside them: leave out --truth",
            folder.display()
        );
        return Err(Error::usage("--truth", reason));
    }
    if audio.len() != truth.len() {
        let reason = format!("expected one file per recording, {} in all, actual {}", audio.len(), truth.len());
        return Err(Error::usage("--truth", reason));
    }
    let pair = |(audio, truth): (&PathBuf, &PathBuf)| Recording { audio: audio.clone(), truth: truth.clone() };
    Ok(audio.iter().zip(truth).map(pair).collect())
}

fn audio_files(folder: &Path, foreign: &mut Vec<PathBuf>) -> Result<Vec<PathBuf>> {
    let failed = || Error::io(format!("cannot read {}", folder.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed())? {
        let path = entry.map_err(failed())?.path();
        if path.is_file() && audio::is_recording(&path) {
            files.push(path);
        } else if path.is_file() && audio::is_foreign_recording(&path) {
            foreign.push(path);
        }
    }
    if files.is_empty() {
        let reason = format!("{} holds no {} file", folder.display(), audio::EXTENSIONS.join(", "));
        return Err(Error::usage("--audio", reason));
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        files.iter().for_each(|file| fs::write(dir.path().join(file), "").unwrap());
        dir
    }

    #[test]
    fn truth_lies_beside_the_recording_or_is_given_in_order() {
        let dir = folder(&["b.flac", "b.csv", "a.WAV", "a.csv", "notes.txt", "c.csv", "._a.WAV", "d.wma"]);
        let file = |name: &str| dir.path().join(name);
        let pair = |audio: &str, truth: &str| Recording { audio: file(audio), truth: file(truth) };
        let both = [pair("a.WAV", "a.csv"), pair("b.flac", "b.csv")];
        let found = find(&[dir.path().to_path_buf()], &[]).unwrap();
        assert_eq!((found.recordings.as_slice(), found.foreign), (&both[..], vec![file("d.wma")]));
        assert_eq!(find(&[file("b.flac")], &[]).unwrap().recordings, both[1..]);
        let crossed = find(&[file("b.flac"), file("a.WAV")], &[file("c.csv"), file("b.csv")]).unwrap().recordings;
        assert_eq!(crossed, [pair("b.flac", "c.csv"), pair("a.WAV", "b.csv")]);
    }

    #[test]
    fn what_has_no_truth_is_listed() {
        let dir = folder(&["a.wav", "b.wav", "b.csv", "c.ogg"]);
        let file = |name: &str| dir.path().join(name).display().to_string();
        let refused = |audio: &[PathBuf], truth: &[PathBuf]| find(audio, truth).unwrap_err().to_string();
        let expected = format!(
            "--truth: not given, and there is no {} for {}, no {} for {}",
            file("a.csv"),
            file("a.wav"),
            file("c.csv"),
            file("c.ogg")
        );
        assert_eq!(refused(&[dir.path().to_path_buf()], &[]), expected);
        let one = [dir.path().join("a.wav")];
        let two = [dir.path().join("b.csv"), dir.path().join("b.csv")];
        assert_eq!(refused(&one, &two), "--truth: expected one file per recording, 1 in all, actual 2");
        let mixed = refused(&[dir.path().to_path_buf()], &two[..1]);
        assert!(
            mixed.ends_with("is a folder, whose recordings have their truth files beside them: leave out --truth"),
            "{mixed}"
        );
        let missing = [dir.path().join("x.wav"), dir.path().join("a.wav"), dir.path().join("y")];
        let expected = format!("--audio: there is no {}, no {}", file("x.wav"), file("y"));
        assert_eq!((refused(&missing, &[]), refused(&missing, &two)), (expected.clone(), expected));
        let empty = folder(&["notes.txt"]);
        assert!(refused(&[empty.path().to_path_buf()], &[]).contains("holds no wav, wave, w64, flac, "));
    }
}

//! The marked clips as a folder of recordings for the trainer: `earwitness-train fit --data` takes
//! it as it is (docs/own-sounds.md). A folder for each label, with the clips that a listener marked
//! as its sound.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::files::{make_folder, remove};
use super::mark::{NOTHING, check_label, is_other_spelling};
use super::{Clip, ClipError, ClipFolder, ClipQuery};

/// Recordings that the trainer needs of a label: one of them is held out to measure on.
const LEAST: usize = 2;

/// What was exported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exported {
    /// Recordings in the folder of each label, those of earlier exports among them.
    pub n_of_label: BTreeMap<String, usize>,
}

impl ClipFolder {
    /// Copies the clips that are marked to `to`, each into the folder of its label. What lies there
    /// from earlier stays, but for clips that were marked otherwise since: these move.
    ///
    /// # Errors
    ///
    /// When a folder cannot be read or written, or the trainer would refuse a label beside those
    /// that are there.
    pub fn export(&self, to: &Path) -> Result<Exported, ClipError> {
        let marked: Vec<Clip> = self.list(&ClipQuery::default())?;
        let marked: Vec<(&str, &Clip)> =
            marked.iter().filter_map(|clip| Some((clip.facts.label_said()?, clip))).collect();
        let there = folders(to).map_err(|error| unusable(to, &error))?;
        for (label, _) in &marked {
            check_label(label).map_err(ClipError::Label)?;
            let known = there.iter().map(String::as_str).chain(marked.iter().map(|(label, _)| *label));
            if let Some(other) = known.into_iter().find(|other| is_other_spelling(other, label)) {
                let reason =
                    format!("{label:?} and {other:?} are one label written in two ways: mark with one of them");
                return Err(ClipError::Label(reason));
            }
        }
        for (label, clip) in &marked {
            copy(clip, label, &there, to).map_err(|error| unusable(to, &error))?;
        }
        let mut exported = Exported::default();
        for label in folders(to).map_err(|error| unusable(to, &error))? {
            let files = fs::read_dir(to.join(&label)).map_err(|error| unusable(to, &error))?;
            let n = files.flatten().filter(|file| crate::audio::is_recording(&file.path())).count();
            exported.n_of_label.insert(label, n);
        }
        Ok(exported)
    }
}

impl Exported {
    /// What the trainer still lacks, a sentence each.
    pub fn wanting(&self) -> Vec<String> {
        let is_sound = |label: &str| label.to_lowercase() != NOTHING;
        let mut wanting: Vec<String> = Vec::new();
        for (label, n) in self.n_of_label.iter().filter(|(label, n)| is_sound(label) && **n < LEAST) {
            wanting.push(format!("{label} has {n} of the {LEAST} recordings that training needs (better 10)"));
        }
        if !self.n_of_label.keys().any(|label| is_sound(label)) {
            wanting.push("there is no label to train: mark clips that are right, or say what they are".into());
        }
        wanting
    }
}

/// Copies a clip into the folder of `label`, and takes it out of the other folders.
fn copy(clip: &Clip, label: &str, there: &[String], to: &Path) -> io::Result<()> {
    let name = clip.file.file_name().unwrap_or_default();
    for other in there.iter().filter(|other| *other != label) {
        let folder = to.join(other);
        if folder.join(name).exists() {
            remove(&folder.join(name))?;
            // The trainer takes no empty folder. One that is not empty stays.
            let _ = fs::remove_dir(&folder);
        }
    }
    let folder = to.join(label);
    make_folder(&folder)?;
    // The copy has the permissions of the clip: this user's.
    fs::copy(&clip.file, folder.join(name)).map(drop)
}

/// Names of the folders in the one at `path`; none if that does not exist.
fn folders(path: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn unusable(to: &Path, error: &io::Error) -> ClipError {
    ClipError::Folder(crate::fault::Fault::new("clips-export", format!("{}: {error}", to.display())))
}

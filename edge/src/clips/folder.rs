//! What is in the folder of clips, for the daemon's page and `earwitness clips`, which use it at
//! any time and independently of each other. Runs on the caller's thread.
//!
//! A clip is known by the id of its event. An id is a UUID and never part of a path, so it cannot
//! name anything outside the folder.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ClipError;
use super::files::{remove, write};
use super::mark::{Mark, check_label, is_other_spelling};
use super::name::{FACTS, SOUND, Stem};
use super::trouble::fault;
use crate::event::Event;
use crate::fault::Fault;
use crate::folder;

/// A folder of clips. It need not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipFolder {
    path: PathBuf,
}

/// A clip.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Clip {
    /// What is known of it.
    #[serde(flatten)]
    pub facts: Facts,
    /// The sound, a FLAC file.
    pub file: PathBuf,
    /// Bytes of that file.
    pub n_bytes: u64,
}

/// What is known of a clip, as it lies beside the sound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The event. Of a sound that outlasts the clip it is as it was at the onset.
    pub event: Event,
    /// Length of the clip, seconds.
    pub length_s: f64,
    /// Where in the clip the sound begins, seconds; below 0 where that has been lost.
    pub onset_at_s: f64,
    /// How much of the clip is silent because samples were lost, seconds.
    pub missing_s: f64,
    /// Samples per second.
    pub sample_rate: u32,
    /// The listener's mark.
    pub mark: Option<Mark>,
}

/// Which clips are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClipQuery {
    /// Only those of events that began then or later.
    pub since: Option<Timestamp>,
    /// Only those of events that began before.
    pub until: Option<Timestamp>,
    /// Only those of this label.
    pub label: Option<String>,
    /// Only those of this source.
    pub source: Option<String>,
    /// At most this many, the newest.
    pub limit: Option<usize>,
}

impl ClipFolder {
    /// The folder at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        ClipFolder { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at the folder, which need not exist, and changes nothing.
    ///
    /// # Errors
    ///
    /// Why a daemon could not keep clips there, as far as it can be seen from outside.
    pub fn check(&self) -> Result<(), Fault> {
        folder::check(&self.path).map_err(|error| fault(&self.path, &error))
    }

    /// The clips that `query` asks for, oldest first. A file that cannot be understood is passed
    /// over.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read. One that does not exist is empty.
    pub fn list(&self, query: &ClipQuery) -> Result<Vec<Clip>, ClipError> {
        let mut stems: Vec<Stem> = self.stems(FACTS)?;
        stems.retain(|stem| {
            query.since.is_none_or(|since| stem.onset >= since) && query.until.is_none_or(|until| stem.onset < until)
        });
        stems.sort();
        let asked = |clip: &Clip| {
            let event = &clip.facts.event;
            query.label.as_ref().is_none_or(|label| *label == event.label)
                && query.source.as_ref().is_none_or(|source| *source == event.device)
        };
        let limit = query.limit.unwrap_or(usize::MAX);
        let newest = stems.iter().rev().filter_map(|stem| self.read(stem).ok()).filter(asked).take(limit);
        let mut clips: Vec<Clip> = newest.collect();
        clips.reverse();
        Ok(clips)
    }

    /// The listener's marks of the clips of these events, where there is a clip.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read. One that does not exist is empty.
    pub fn marks(&self, ids: &HashSet<Uuid>) -> Result<HashMap<Uuid, Option<Mark>>, ClipError> {
        let stems = self.stems(FACTS)?.into_iter().filter(|stem| ids.contains(&stem.id));
        Ok(stems.filter_map(|stem| self.read(&stem).ok().map(|clip| (stem.id, clip.facts.mark))).collect())
    }

    /// The clip of the event `id`.
    ///
    /// # Errors
    ///
    /// When there is none, or it cannot be read.
    pub fn clip(&self, id: Uuid) -> Result<Clip, ClipError> {
        self.read(&self.stem(id)?)
    }

    /// Removes the clip of the event `id`.
    ///
    /// # Errors
    ///
    /// When there is none, or it cannot be removed.
    pub fn delete(&self, id: Uuid) -> Result<(), ClipError> {
        let stem = self.stem(id)?;
        let remove = |ending| remove(&self.path.join(stem.with(ending))).map_err(|error| self.failed(&error));
        remove(FACTS).and_then(|()| remove(SOUND))
    }

    /// Stores a listener's mark of the clip of the event `id`, or removes it.
    ///
    /// # Errors
    ///
    /// When there is no such clip, it cannot be written, or the trainer would not take the label.
    pub fn mark(&self, id: Uuid, mark: Option<Mark>) -> Result<Clip, ClipError> {
        let stem = self.stem(id)?;
        let mut clip = self.read(&stem)?;
        clip.facts.mark = mark;
        if let Some(label) = clip.facts.label_said() {
            check_label(label).map_err(ClipError::Label)?;
            for other in self.list(&ClipQuery::default())?.iter().filter(|other| other.facts.event.id != id) {
                let known = [Some(other.facts.event.label.as_str()), other.facts.label_said()];
                if let Some(known) = known.into_iter().flatten().find(|known| is_other_spelling(known, label)) {
                    return Err(ClipError::Label(format!(
                        "{label:?} is the label {known:?} in another spelling: use {known:?}"
                    )));
                }
            }
        }
        write(&self.path, &stem, FACTS, clip.facts.to_json().as_bytes()).map_err(|error| self.failed(&error))?;
        Ok(clip)
    }

    /// The files of clips in the folder, none if there is no folder.
    pub(super) fn files(&self) -> io::Result<Vec<(Stem, PathBuf)>> {
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            if let Some((stem, _)) = entry.file_name().to_str().and_then(Stem::parse) {
                files.push((stem, entry.path()));
            }
        }
        Ok(files)
    }

    pub(super) fn failed(&self, error: &io::Error) -> ClipError {
        ClipError::Folder(fault(&self.path, error))
    }

    /// Names of files that end in `ending`.
    fn stems(&self, ending: &str) -> Result<Vec<Stem>, ClipError> {
        let files = self.files().map_err(|error| self.failed(&error))?.into_iter();
        let wanted = |path: &Path| path.to_string_lossy().ends_with(ending);
        Ok(files.filter(|(_, path)| wanted(path)).map(|(stem, _)| stem).collect())
    }

    fn stem(&self, id: Uuid) -> Result<Stem, ClipError> {
        self.stems(SOUND)?.into_iter().find(|stem| stem.id == id).ok_or(ClipError::Unknown(id))
    }

    fn read(&self, stem: &Stem) -> Result<Clip, ClipError> {
        let file = self.path.join(stem.with(SOUND));
        let read = || -> io::Result<Clip> {
            let n_bytes = fs::metadata(&file)?.len();
            let text = fs::read(self.path.join(stem.with(FACTS)))?;
            Ok(Clip { facts: serde_json::from_slice(&text)?, file: file.clone(), n_bytes })
        };
        read().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ClipError::Unknown(stem.id),
            _ => self.failed(&error),
        })
    }
}

impl Facts {
    /// The label that a listener gave to the sound.
    pub fn label_said(&self) -> Option<&str> {
        match &self.mark {
            Some(Mark::Right) => Some(&self.event.label),
            Some(Mark::Wrong(label)) => Some(label),
            None => None,
        }
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| unreachable!("a clip has only string keys: {error}"))
    }
}

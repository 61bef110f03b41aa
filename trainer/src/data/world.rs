//! Recordings of the world: what sounds in scenes beside the labelled clips.
//!
//! Enters: a `[[data]]` table of the kind `foreign`, `ambience` or `rooms`. Leaves: its recordings
//! for one [`Purpose`]. What the recipe reserves for tests is never trained on. Of the others one
//! in ten groups is kept for the choice of thresholds ([`Purpose::Validation`]), by a hash of the
//! folder and the first two words of the file's name. Recordings of one object, and of most
//! collections, stay together so; a group may be large, and the share of the recordings is not a
//! tenth.

use super::csv::{Row, read_table};
use crate::data::folder;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// One group in this many is kept for validation.
const GROUPS_A_VALIDATION: u64 = 10;

/// What recordings of the world are for a scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sounds that no class claims.
    Foreign,
    /// What may lie under a whole scene.
    Ambience,
    /// Impulse responses of rooms; each channel is one.
    Rooms,
}

/// What scenes are composed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Trained on.
    Training,
    /// Thresholds are chosen on it.
    Validation,
    /// Only measured on.
    Test,
}

/// A data set of recordings of the world.
#[derive(Debug, Clone, PartialEq)]
pub struct World {
    /// What they are for a scene.
    pub role: Role,
    /// A table with the column `file`, and optionally `like`: the label that the recording may be;
    /// without it, all recordings in the folder.
    pub csv: Option<PathBuf>,
    /// Files that are reserved for tests, as the table or the folder names them; `*` stands for
    /// anything.
    pub test: Vec<String>,
    /// How often its sounds come up among those without a label, against other sets'.
    pub weight: f64,
}

/// A recording of the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// The file.
    pub path: PathBuf,
    /// Its name in the data set.
    pub name: String,
    /// The label that it may be.
    pub like: Option<String>,
}

impl World {
    /// The recordings for `purpose`, in the order of the table or of their names. `audio` is the
    /// folder of the files, `csv` the table's place.
    ///
    /// # Errors
    ///
    /// If the table or the folder cannot be read, or a file of the table does not exist.
    pub fn recordings(&self, root: &Path, audio: &Path, purpose: Purpose) -> Result<Vec<Recording>> {
        let audio = root.join(audio);
        let all: Vec<Recording> = match &self.csv {
            Some(csv) => {
                let rows = read_table(&root.join(csv), &audio, true)?.into_iter();
                rows.map(|Row { path, file, content, .. }| Recording { path, name: file, like: content }).collect()
            }
            None => {
                let named = |path: PathBuf| Recording { name: folder::name_below(&path, &audio), path, like: None };
                folder::recordings(&audio)?.into_iter().map(named).collect()
            }
        };
        Ok(all.into_iter().filter(|recording| self.purpose(&recording.name) == purpose).collect())
    }

    /// What the recording called `name` is for.
    pub fn purpose(&self, name: &str) -> Purpose {
        if self.test.iter().any(|pattern| matches(pattern, name)) {
            Purpose::Test
        } else if hash(group(name)).is_multiple_of(GROUPS_A_VALIDATION) {
            Purpose::Validation
        } else {
            Purpose::Training
        }
    }
}

/// The folder and the first two words of the file's name.
fn group(name: &str) -> &str {
    let file = name.rfind('/').map_or(0, |at| at + 1);
    let mut words = name[file..].match_indices(['-', '_', '.']).map(|(at, _)| file + at);
    words.nth(1).map_or(name, |end| &name[..end])
}

/// FNV-1a (Fowler, Noll and Vo), 64 bits, folded so that the last digits depend on all of them.
fn hash(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    hash ^ (hash >> 32)
}

/// Whether `name` is what `pattern` says, in which `*` stands for any characters.
pub fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(between) = last.replace(part) {
            let Some(at) = rest.find(between) else { return false };
            rest = &rest[at + between.len()..];
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

impl Role {
    /// Its name as a kind of data set.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Ambience => "ambience",
            Self::Rooms => "rooms",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_matched_from_end_to_end() {
        for (pattern, name) in [
            ("a/b.ogg", "a/b.ogg"),
            ("*ccsounds-*", "audio/ccsounds-door.ogg"),
            ("urban*", "urban-road.ogg"),
            ("*", ""),
            ("a*b*c", "a-bb-c"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("a", "ab"), ("*b", "abc"), ("a*b*c", "acb"), ("urban-*", "suburban-x"), ("ab*ba", "aba")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn every_recording_has_one_purpose_and_objects_stay_together() {
        let world = World { role: Role::Foreign, csv: None, test: vec!["*reserved*".to_owned()], weight: 1.0 };
        let purposes: Vec<Purpose> = (0..2000).map(|i| world.purpose(&format!("audio/set-object{i}-a.ogg"))).collect();
        let n = purposes.iter().filter(|p| **p == Purpose::Validation).count();
        assert!((130..270).contains(&n), "{n} of 2000");
        for (i, purpose) in purposes.iter().enumerate().take(50) {
            assert_eq!(world.purpose(&format!("audio/set-object{i}-high.ogg")), *purpose);
        }
        assert_eq!(world.purpose("audio/reserved-object1-a.ogg"), Purpose::Test);
    }
}

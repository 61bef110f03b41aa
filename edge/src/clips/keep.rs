//! Clips into the folder, within its limits: what was cut enters, files leave.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Cursor};
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};

use super::files::{make_folder, remove, write};
use super::folder::Facts;
use super::name::{FACTS, SOUND, Stem};
use super::recent_sound::Cut;
use super::{ClipFolder, ClipSettings};
use crate::audio::write_flac;
use crate::clock::clock_is_set;

/// What lies in the folder of one clip.
#[derive(Debug, Default)]
struct Entry {
    files: Vec<PathBuf>,
    n_bytes: u64,
}

impl ClipFolder {
    /// Makes the folder if need be, and removes what an earlier process left unfinished.
    pub(super) fn prepare(&self) -> io::Result<()> {
        make_folder(self.path())?;
        for entry in fs::read_dir(self.path())? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(Stem::is_unfinished) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Writes a clip, after the oldest ones have made room for it. Returns how many of these went.
    pub(super) fn keep(&self, cut: &Cut, settings: &ClipSettings, now: Timestamp) -> io::Result<u64> {
        let rate = f64::from(cut.sample_rate);
        let event = &cut.event;
        let facts = Facts {
            event: event.clone(),
            length_s: to_ms(cut.samples.len() as f64 / rate),
            onset_at_s: to_ms(cut.onset_at_s),
            missing_s: to_ms(cut.n_missing as f64 / rate),
            sample_rate: cut.sample_rate,
            mark: None,
        };
        let (date, id) = (event.onset.to_string(), event.id.to_string());
        let tags = [
            ("TITLE", &event.label),
            ("ARTIST", &event.device),
            ("DATE", &date),
            ("EVENT", &id),
            ("MODEL", &event.model),
        ]
        .map(|(name, value)| (name, value.as_str()));
        let mut sound = Cursor::new(Vec::new());
        write_flac(&mut sound, cut.sample_rate, &tags, cut.samples.iter().copied())?;
        let (sound, facts) = (sound.into_inner(), facts.to_json());
        let n_bytes = (sound.len() + facts.len()) as u64;
        if n_bytes > settings.max_bytes {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        make_folder(self.path())?;
        let n_removed = self.make_room(settings, n_bytes, now)?;
        let stem = Stem::of(event);
        // The sound first: without it, what is known of it is no clip.
        write(self.path(), &stem, SOUND, &sound)?;
        write(self.path(), &stem, FACTS, facts.as_bytes()).inspect_err(|_| {
            // Half a clip is useless.
            let _ = remove(&self.path().join(stem.with(SOUND)));
        })?;
        Ok(n_removed)
    }

    /// Removes clips that are too old, and the oldest ones until `n_bytes` more are within the
    /// limit. Returns how many.
    pub(super) fn make_room(&self, settings: &ClipSettings, n_bytes: u64, now: Timestamp) -> io::Result<u64> {
        let mut entries: BTreeMap<Stem, Entry> = BTreeMap::new();
        for (stem, path) in self.files()? {
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let entry = entries.entry(stem).or_default();
            entry.files.push(path);
            entry.n_bytes += metadata.len();
        }
        let mut total: u64 = entries.values().map(|entry| entry.n_bytes).sum();
        let max_age = SignedDuration::try_from(settings.max_age).unwrap_or(SignedDuration::MAX);
        let mut n_removed = 0;
        for (stem, entry) in &entries {
            // Nobody knows how old a clip is that was made before the clock was set.
            let is_old = stem.onset >= clock_is_set() && now.duration_since(stem.onset) > max_age;
            if is_old || total + n_bytes > settings.max_bytes {
                entry.files.iter().try_for_each(|path| remove(path))?;
                total -= entry.n_bytes;
                n_removed += 1;
            }
        }
        Ok(n_removed)
    }
}

fn to_ms(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}

//! What there is to show: what the daemon knows enters when the page is started.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

use edge_frontend::Manifest;
use serde_json::{Value, json};

use crate::clips::ClipFolder;
use crate::config::{Overrides, Settings};
use crate::decide::Rules;
use crate::error::Result;
use crate::journal::{Journal, JournalPlace, JournalSettings};
use crate::pipeline::Shared;

/// Events of one answer, at most; the newest.
pub(super) const MAX_EVENTS: usize = 20_000;

/// A source and what its worker shares.
pub struct Source {
    /// Its name in events.
    pub name: String,
    /// What is listened to, in words.
    pub description: String,
    /// Tap, clock and status.
    pub shared: Shared,
}

/// A configuration file that the page may change.
pub struct Writable {
    /// The file.
    pub path: PathBuf,
    /// What the command line says on top of it.
    pub overrides: Overrides,
    /// Set to have the daemon read the file again.
    pub reload: Arc<AtomicBool>,
}

/// What the page shows.
pub struct Site {
    /// Name of the device.
    pub name: String,
    /// The model that is run.
    pub manifest: Manifest,
    /// What is listened to.
    pub sources: Vec<Source>,
    /// Where events are.
    pub journal: Journal,
    /// How long they are kept there.
    pub journal_settings: JournalSettings,
    /// The folder of clips, where they are kept.
    pub clips: Option<ClipFolder>,
    /// How the daemon is doing now: by source, the health message and findings in words.
    pub health: Box<dyn Fn() -> Value + Send + Sync>,
    /// What the page may change.
    pub writable: Option<Writable>,
    /// The rules that hold.
    pub rules: RwLock<Rules>,
}

impl Site {
    /// The rules that hold now.
    pub(super) fn rules(&self) -> Rules {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_rules(&self, rules: &Rules) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules.clone();
    }

    /// Whether the journal itself is the page's history: it is on a disk and kept.
    pub(super) fn is_kept(&self) -> bool {
        matches!(self.journal_settings.place, JournalPlace::File { .. }) && !self.journal_settings.keep.is_zero()
    }

    /// What does not change from pulse to pulse, as the page's scripts read it.
    pub(super) fn about(&self) -> Value {
        let rules = self.rules();
        let labels = self.manifest.labels.iter().zip(&rules.classes).enumerate().map(|(class_id, (label, class))| {
            json!({
                "label": label,
                "reported": class.is_some(),
                "background": Some(class_id) == rules.background,
                "on": class.map(|class| rounded(class.threshold_on)),
                "off": class.map(|class| rounded(class.threshold_off)),
            })
        });
        let sources = self.sources.iter().map(|source| {
            let scale = source.shared.tap.scale().map(|scale| {
                json!({
                    "n_mels": scale.n_mels,
                    "pulse_frames": scale.pulse_frames,
                    "pulse_s": scale.pulse_s,
                    "centres_hz": scale.centres_hz,
                    "floor_db": scale.floor_db,
                    "step_db": scale.step_db,
                })
            });
            json!({ "name": source.name, "description": source.description, "scale": scale })
        });
        json!({
            "name": self.name,
            "version": env!("CARGO_PKG_VERSION"),
            "model": format!("{}-{}", self.manifest.name, self.manifest.version),
            "labels": labels.collect::<Vec<_>>(),
            "sources": sources.collect::<Vec<_>>(),
            "writable": self.writable.as_ref().map(|writable| writable.path.display().to_string()),
            "clips": self.clips.is_some(),
            "keep_days": self.is_kept().then_some(self.journal_settings.keep.as_secs() / 86_400),
            "max_events": MAX_EVENTS,
        })
    }
}

impl Writable {
    /// What the file at `path` would mean.
    pub(super) fn rules(&self, path: &std::path::Path, manifest: &Manifest) -> Result<Rules> {
        Settings::load(Some(path), &self.overrides)?.rules(manifest)
    }

    pub(super) fn ask_to_reload(&self) {
        self.reload.store(true, Relaxed);
    }
}

/// A threshold as people write it.
pub(super) fn rounded(threshold: f32) -> f64 {
    (f64::from(threshold) * 1e4).round() / 1e4
}

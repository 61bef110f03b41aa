//! What there is on the page: what every viewer is shown, and what only the page has.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use edge_frontend::Manifest;
use serde::Serialize;
use serde_json::{Value, json};

use crate::clips::ClipFolder;
use crate::config::{Overrides, Settings};
use crate::decide::Rules;
use crate::error::Result;
use crate::journal::{Journal, JournalPlace, JournalSettings};

/// Events of one answer, at most; the newest.
pub(super) const MAX_ANSWER_EVENTS: usize = 20_000;

/// A configuration file that the page may change.
pub struct Writable {
    /// The file.
    pub path: PathBuf,
    /// What the command line adds to it.
    pub overrides: Overrides,
    /// Set to have the daemon read the file again.
    pub reload: Arc<AtomicBool>,
}

/// What the page shows.
pub struct PageSite {
    /// What every viewer is shown.
    pub shown: Arc<crate::show::Site>,
    /// Where events are.
    pub journal: Journal,
    /// How long they are kept there.
    pub journal_settings: JournalSettings,
    /// The folder of clips, where they are kept.
    pub clips: Option<ClipFolder>,
    /// What the page may change.
    pub writable: Option<Writable>,
}

/// What the page needs to know of itself.
#[derive(Serialize)]
struct About {
    #[serde(flatten)]
    shown: crate::show::About,
    /// The configuration that it may change.
    writable: Option<String>,
    /// Whether there is sound of events.
    clips: bool,
    /// How long events are kept.
    keep_days: Option<u64>,
    /// See [`MAX_ANSWER_EVENTS`].
    max_events: usize,
}

impl PageSite {
    /// Whether the journal itself is the page's history: it is on a disk and kept.
    pub(super) fn is_kept(&self) -> bool {
        matches!(self.journal_settings.place, JournalPlace::File { .. }) && !self.journal_settings.keep.is_zero()
    }

    /// What does not change from pulse to pulse, as the page's scripts read it.
    pub(super) fn about(&self) -> Value {
        json!(About {
            shown: self.shown.about(),
            writable: self.writable.as_ref().map(|writable| writable.path.display().to_string()),
            clips: self.clips.is_some(),
            keep_days: self.is_kept().then_some(self.journal_settings.keep.as_secs() / 86_400),
            max_events: MAX_ANSWER_EVENTS,
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

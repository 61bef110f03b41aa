//! The local page, if the configuration turns it on: what the daemon knows enters, what the page
//! shows leaves.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::clips::ClipFolder;
use crate::config::{Overrides, Settings};
use crate::error::Result;
use crate::journal::Journal;
use crate::web::{Page, PageSite, Writable};

/// What is read again when the page asks for it.
pub(super) struct Reread<'a> {
    pub(super) config: Option<&'a Path>,
    pub(super) overrides: &'a Overrides,
    pub(super) flag: Arc<AtomicBool>,
}

/// Serves the page, if there is to be one.
pub(super) fn start(
    settings: &Settings,
    shown: &Arc<crate::show::Site>,
    journal: Journal,
    reread: Reread<'_>,
) -> Result<Option<Page>> {
    let Some(web) = &settings.web else { return Ok(None) };
    let writable = reread.config.filter(|_| web.write).map(|path| Writable {
        path: path.to_path_buf(),
        overrides: reread.overrides.clone(),
        reload: reread.flag,
    });
    let site = PageSite {
        shown: Arc::clone(shown),
        journal,
        journal_settings: settings.journal.clone(),
        clips: settings.clips.as_ref().map(|clips| ClipFolder::new(&clips.folder)),
        writable,
    };
    Page::start(web, site).map(Some)
}

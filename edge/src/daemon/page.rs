//! The local page, where the configuration has it so: what the daemon knows enters, what the page
//! shows leaves.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, RwLock};

use serde_json::{Value, json};

use crate::clips::ClipFolder;
use crate::config::{Overrides, Settings, SourceSettings};
use crate::error::Result;
use crate::web::{Page, Site, Source, Writable};

use super::ear::{Common, Ear};
use super::findings::findings;
use super::health::{Report, Reporter};

/// What is read again when the page asks for it.
pub(super) struct Reread<'a> {
    pub(super) config: Option<&'a Path>,
    pub(super) overrides: &'a Overrides,
    pub(super) flag: Arc<AtomicBool>,
}

/// Serves the page, if there is to be one.
pub(super) fn start(
    settings: &Settings,
    common: &Common<'_>,
    ears: &[Ear],
    reporter: &Reporter,
    reread: Reread<'_>,
) -> Result<Option<Page>> {
    let Some(web) = &settings.web else { return Ok(None) };
    let source = |(ear, source): (&Ear, &SourceSettings)| Source {
        name: ear.name.clone(),
        description: source.spec.describe(&source.options),
        shared: ear.shared.clone(),
    };
    let sources: Vec<_> = ears.iter().map(|ear| (ear.name.clone(), ear.shared.clone())).collect();
    let (journal, reporter) = (reporter.journal(), reporter.clone());
    let writable = reread.config.filter(|_| web.write).map(|path| Writable {
        path: path.to_path_buf(),
        overrides: reread.overrides.clone(),
        reload: reread.flag,
    });
    let site = Site {
        name: settings.name.clone(),
        manifest: common.model.manifest.clone(),
        sources: ears.iter().zip(&settings.sources).map(source).collect(),
        journal,
        journal_settings: settings.journal.clone(),
        clips: settings.clips.as_ref().map(|clips| ClipFolder::new(&clips.folder)),
        health: Box::new(move || {
            Value::Array(sources.iter().map(|(name, shared)| spoken(name, &reporter.report(shared))).collect())
        }),
        writable,
        rules: RwLock::new(common.rules.clone()),
    };
    Page::start(web, site).map(Some)
}

/// A source's health message and what it means.
fn spoken(name: &str, report: &Report) -> Value {
    let hears = report.hearing.capture.hears();
    json!({ "source": name, "hears": hears, "report": report, "findings": findings(report) })
}

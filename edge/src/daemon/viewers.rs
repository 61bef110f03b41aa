//! The viewers of the running daemon, if the configuration permits any: the page and terminals.

use std::sync::{Arc, RwLock};

use serde_json::{Value, json};

use crate::config::{Settings, SourceSettings};
use crate::decide::Rules;
use crate::error::Result;
use crate::publish::Publisher;
use crate::show::{ShownSource, Site};

use super::ear::{Common, Ear};
use super::findings::findings;
use super::health::{HealthReport, Reporter};

/// What is shown, and to whom.
pub(super) struct Viewers {
    site: Arc<Site>,
    #[cfg(feature = "web")]
    page: Option<crate::web::Page>,
    #[cfg(feature = "top")]
    terminals: Option<crate::show::Terminals>,
}

impl Viewers {
    /// Of a daemon that listens to `ears`. Nobody looks yet.
    pub(super) fn new(settings: &Settings, common: &Common<'_>, ears: &[Ear], reporter: &Reporter) -> Self {
        let source = |(ear, source): (&Ear, &SourceSettings)| ShownSource {
            name: ear.name.clone(),
            description: source.spec.describe(&source.options),
            shared: ear.shared.clone(),
        };
        let sources: Vec<_> = ears.iter().map(|ear| (ear.name.clone(), ear.shared.clone())).collect();
        let reporter = reporter.clone();
        let site = Site {
            name: settings.name.clone(),
            manifest: common.model.manifest.clone(),
            sources: ears.iter().zip(&settings.sources).map(source).collect(),
            health: Box::new(move || {
                Value::Array(sources.iter().map(|(name, shared)| spoken(name, &reporter.report(shared))).collect())
            }),
            rules: RwLock::new(common.rules.clone()),
        };
        Viewers {
            site: Arc::new(site),
            #[cfg(feature = "web")]
            page: None,
            #[cfg(feature = "top")]
            terminals: None,
        }
    }

    /// Serves the page, if there is to be one.
    #[cfg(feature = "web")]
    pub(super) fn serve(
        &mut self,
        settings: &Settings,
        reporter: &Reporter,
        reread: super::page::Reread<'_>,
        publisher: &mut Publisher,
    ) -> Result<()> {
        self.page = super::page::start(settings, &self.site, reporter.journal(), reread)?;
        self.page.iter().for_each(|page| publisher.add(page.sink()));
        Ok(())
    }

    /// Lets terminals attach through the `socket`, if there is one.
    #[cfg(feature = "top")]
    pub(super) fn let_attach(&mut self, socket: Option<crate::show::Socket>, publisher: &mut Publisher) -> Result<()> {
        let Some(socket) = socket else { return Ok(()) };
        let (terminals, sink) = crate::show::Terminals::start(socket, Arc::clone(&self.site))?;
        publisher.add(sink);
        self.terminals = Some(terminals);
        Ok(())
    }

    /// Other rules hold from now on.
    pub(super) fn set_rules(&self, rules: &Rules) {
        self.site.set_rules(rules);
        #[cfg(feature = "web")]
        self.page.iter().for_each(crate::web::Page::rules_changed);
        #[cfg(feature = "top")]
        self.terminals.iter().for_each(crate::show::Terminals::rules_changed);
    }
}

/// A source's health message and what it means.
fn spoken(name: &str, report: &HealthReport) -> Value {
    let hears = report.hearing.capture.hears();
    json!({ "source": name, "hears": hears, "report": report, "findings": findings(report) })
}

//! Another configuration for the running daemon: SIGHUP enters, what can change without a restart
//! changes, between two pulses.
//!
//! That is `[decide]`, `[quiet_hours]` and `[log]`. For the rest a restart is asked for in the log.
//! A file with an error is refused whole, and everything stays as it is.

use std::path::PathBuf;

use crate::config::{Overrides, Settings};
use crate::decide::Rules;
use crate::error::Result;
use crate::logging::Log;
use crate::model::Model;
use crate::publish::Publisher;
use crate::quiet::QuietHours;

use super::ear::Ear;

/// Reads the configuration again.
pub(super) struct Reloader {
    path: Option<PathBuf>,
    overrides: Overrides,
    /// What the daemon runs by.
    settings: Settings,
    rules: Rules,
    log: Log,
}

impl Reloader {
    pub(super) fn new(path: Option<PathBuf>, overrides: Overrides, settings: Settings, rules: Rules, log: Log) -> Self {
        Reloader { path, overrides, settings, rules, log }
    }

    /// What holds now.
    #[cfg(any(feature = "web", feature = "top"))]
    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Takes over what has changed.
    pub(super) fn reload(&mut self, model: &Model, ears: &mut [Ear], publisher: &mut Publisher) {
        let Some(path) = &self.path else {
            tracing::warn!("there is no configuration file to read again");
            return;
        };
        let (settings, rules, hours) = match self.read(model) {
            Ok(read) => read,
            Err(error) => {
                tracing::error!("the configuration is refused, and the old one stays in force: {error}");
                return;
            }
        };
        if rules != self.rules {
            ears.iter().for_each(|ear| ear.shared.set_rules(rules.clone()));
            publisher.set_labels(&super::sinks::labels(&rules, model));
            self.rules = rules;
        }
        super::log_quiet_hours(&hours);
        ears.iter_mut().for_each(|ear| ear.set_quiet_hours(&hours));
        for part in self.settings.take_over(settings) {
            tracing::warn!(part, "{part} has changed and needs a restart; until then the old value stays in force");
        }
        tracing::info!(config = %path.display(), "configuration {} read again", path.display());
    }

    /// What the file says now. The log's level is set already.
    fn read(&self, model: &Model) -> Result<(Settings, Rules, Vec<Option<QuietHours>>)> {
        let settings = Settings::load(self.path.as_deref(), &self.overrides)?;
        let rules = settings.rules(&model.manifest)?;
        let hours = settings.quiet_hours(&model.manifest)?;
        self.log.set(&settings.log)?;
        Ok((settings, rules, hours))
    }
}

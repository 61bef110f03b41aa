//! What a configuration comes to: settings enter, everything that the daemon runs by leaves. `run`
//! and `check` build the same.

use crate::config::Settings;
use crate::decide::Rules;
use crate::engine::{Engine, load_engine};
use crate::error::Result;
use crate::model::{self, Model};
use crate::quiet::QuietHours;

/// Everything that the daemon runs by.
pub struct Plan {
    /// The settings it was made of.
    pub settings: Settings,
    /// The model that they name.
    pub model: Model,
    /// Its network, ready to run.
    pub engine: Box<dyn Engine>,
    /// How its outputs become events.
    pub rules: Rules,
    /// By class, when its events are not reported.
    pub quiet_hours: Vec<Option<QuietHours>>,
}

impl Plan {
    /// Loads the model and settles what the settings mean for it.
    ///
    /// # Errors
    ///
    /// When the model cannot be loaded or run, or the settings do not fit it.
    pub fn new(settings: Settings) -> Result<Self> {
        let model = settings.model(Model::load(&model::find(settings.model_dir.as_deref())?)?)?;
        let engine = load_engine(&model, settings.precision)?;
        let rules = settings.rules(&model.manifest)?;
        let quiet_hours = settings.quiet_hours(&model.manifest)?;
        settings.check_webhooks(&model.manifest)?;
        Ok(Plan { settings, model, engine, rules, quiet_hours })
    }
}

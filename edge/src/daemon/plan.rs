//! What a configuration comes to: settings enter, everything that the daemon runs by leaves. `run`
//! and `check` build the same.

use super::metrics;
use crate::config::{Settings, TopSettings, WebSettings};
use crate::decide::Rules;
use crate::engine::{Engine, load_engine};
use crate::error::{Error, Result};
use crate::model::{self, Model};
use crate::publish::MqttSettings;
use crate::publish::webhook::WebhookSettings;
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
    /// Loads the model, settles what the settings mean for it, and looks at everything that they
    /// name.
    ///
    /// # Errors
    ///
    /// When the model cannot be loaded or run, the settings do not fit it, or something that they
    /// name cannot be used.
    pub fn new(settings: Settings) -> Result<Self> {
        let model = model::find(settings.model_dir.as_deref()).and_then(|dir| Model::load(&dir));
        let model = settings.model(model.map_err(|error| settings.model_error(error))?)?;
        let engine = load_engine(&model, settings.precision)?;
        let rules = settings.rules(&model.manifest)?;
        let quiet_hours = settings.quiet_hours(&model.manifest)?;
        settings.check_webhooks(&model.manifest)?;
        if !cfg!(feature = "webhook") && !settings.webhooks.is_empty() {
            let error = Error::usage("webhook", "this build has no webhooks (cargo feature `webhook`)");
            return Err(settings.locate(error));
        }
        for (index, webhook) in settings.webhooks.iter().enumerate() {
            check_webhook(webhook).map_err(|error| settings.webhook_error(index, error))?;
        }
        for (index, source) in settings.sources.iter().enumerate() {
            let checked = source.spec.check(&source.options, &model.manifest.frontend);
            checked.map_err(|error| settings.source_error(index, error))?;
        }
        if let Some(mqtt) = &settings.mqtt {
            check_broker(mqtt).map_err(|error| settings.locate(error))?;
        }
        if let Some(address) = settings.metrics {
            metrics::check(address).map_err(|error| settings.locate(error))?;
        }
        if let Some(web) = &settings.web {
            check_page(web).map_err(|error| settings.locate(error))?;
        }
        if let Some(top) = &settings.top {
            check_socket(top).map_err(|error| settings.locate(error))?;
        }
        Ok(Plan { settings, model, engine, rules, quiet_hours })
    }
}

#[cfg(feature = "webhook")]
fn check_webhook(webhook: &WebhookSettings) -> Result<()> {
    crate::publish::webhook::check(webhook)
}

/// That there are any is refused already.
#[cfg(not(feature = "webhook"))]
fn check_webhook(_: &WebhookSettings) -> Result<()> {
    Ok(())
}

#[cfg(feature = "web")]
fn check_page(web: &WebSettings) -> Result<()> {
    crate::web::check(web)
}

#[cfg(not(feature = "web"))]
fn check_page(_: &WebSettings) -> Result<()> {
    Err(Error::usage("web.listen", "this build has no page (cargo feature `web`)"))
}

#[cfg(feature = "top")]
fn check_socket(top: &TopSettings) -> Result<()> {
    crate::show::check(top)
}

#[cfg(not(feature = "top"))]
fn check_socket(_: &TopSettings) -> Result<()> {
    Err(Error::usage("top.socket", "this build lets no terminal attach (cargo feature `top`)"))
}

#[cfg(feature = "mqtt")]
fn check_broker(mqtt: &MqttSettings) -> Result<()> {
    crate::publish::mqtt::check(mqtt)
}

#[cfg(not(feature = "mqtt"))]
fn check_broker(_: &MqttSettings) -> Result<()> {
    Err(Error::usage("mqtt.url", "this build has no MQTT support (cargo feature `mqtt`)"))
}

//! What the daemon runs by: a configuration file and the command line's overrides enter, complete
//! and consistent settings leave. What they mean for a model's labels is in `reporting`.

mod clips;
mod journal;
mod mqtt;
mod reporting;
mod secret;
mod source;
mod top;
mod web;
mod webhook;

pub use journal::{SERVICE_FOLDER, journal_files, journal_folders};
pub use source::SourceSettings;
pub use top::{FileMode, TopSettings, top_socket};
pub use web::{DEFAULT_LISTEN, WebSettings};

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use self::reporting::Selection;
use super::values::{TOPIC_LEVEL, is_topic_level};
use super::{ChannelChoice, Config, ConfigFile, MetricsSection};
use crate::capture::{RawFormat, SourceSpec};
use crate::clips::ClipSettings;
use crate::engine::PrecisionChoice;
use crate::error::{Error, Result};
use crate::journal::JournalSettings;
use crate::model::Model;
use crate::port;
use crate::publish::MqttSettings;
use crate::publish::webhook::WebhookSettings;

/// Where the kernel keeps the host name.
const HOST_NAME_FILE: &str = "/proc/sys/kernel/hostname";

/// What the command line sets instead of the configuration.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--source`
    pub source: Option<SourceSpec>,
    /// `--device`
    pub device: Option<String>,
    /// `--rate`
    pub rate: Option<u32>,
    /// `--format`
    pub format: Option<RawFormat>,
    /// `--raw-channels`
    pub raw_channels: Option<u16>,
    /// `--channels`
    pub channels: Option<ChannelChoice>,
    /// `--gain-db`
    pub gain_db: Option<f32>,
    /// `--live`
    pub live: Option<bool>,
    /// `--fast`
    pub fast: bool,
    /// `--model`
    pub model: Option<PathBuf>,
    /// `--precision`
    pub precision: Option<PrecisionChoice>,
    /// `--hop-ms`
    pub hop_ms: Option<f64>,
    /// `--mqtt`, as typed: an error does not repeat it, because it may hold a password.
    pub mqtt: Option<String>,
    /// `--allow`
    pub allow: Option<Vec<String>>,
    /// `--deny`
    pub deny: Option<Vec<String>>,
    /// `--web`: an address, or an empty text for the configuration's or the usual one.
    pub web: Option<String>,
    /// `--web-write`
    pub web_write: bool,
    /// Whether the settings are those that the packages' service has, whoever looks at them.
    pub as_service: bool,
}

/// Complete settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Name of this device in topics, and in events unless its sources have names of their own.
    pub name: String,
    /// What to listen to: at least one source, with names that differ.
    pub sources: Vec<SourceSettings>,
    /// The model's folder; `None` to look in the usual places.
    pub model_dir: Option<PathBuf>,
    /// Which of the model's files to run.
    pub precision: PrecisionChoice,
    /// Where events are kept.
    pub journal: JournalSettings,
    /// The broker, if there is one.
    pub mqtt: Option<MqttSettings>,
    /// HTTP servers that events are posted to.
    pub webhooks: Vec<WebhookSettings>,
    /// Which clips are kept, if any.
    pub clips: Option<ClipSettings>,
    /// The address at which figures are served, if at all.
    pub metrics: Option<SocketAddr>,
    /// The local page, if there is one.
    pub web: Option<WebSettings>,
    /// The socket for `earwitness top --attach`, if there is one.
    pub top: Option<TopSettings>,
    /// What to log, a filter of the tracing library.
    pub log: String,
    /// Notices about how the configuration is written.
    pub notices: Vec<String>,
    hop_ms: Option<f64>,
    /// Whether the source is the command line's.
    source_is_typed: bool,
    /// Whether the model is the command line's.
    model_is_typed: bool,
    selection: Option<Selection>,
    config: Config,
    file: ConfigFile,
}

impl Settings {
    /// The settings of the configuration file at `path`, or of none, under `overrides`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] or [`Error::Usage`], naming the file, line and key, or the option.
    pub fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Self> {
        let (config, file) = match path {
            Some(path) => Config::read(path)?,
            None => Default::default(),
        };
        Self::new(config, file, overrides)
    }

    /// The settings of a configuration that is no file yet.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn from_text(text: &str, overrides: &Overrides) -> Result<Self> {
        let file = ConfigFile::of_text(text);
        Self::new(file.parse()?, file, overrides)
    }

    fn new(config: Config, file: ConfigFile, overrides: &Overrides) -> Result<Self> {
        let name = match &config.name {
            Some(name) => name.clone(),
            None => host_name()?,
        };
        let mut mqtt = config.mqtt.clone();
        if let Some(typed) = &overrides.mqtt {
            mqtt.url = Some(typed.parse().map_err(|reason: String| Error::usage("--mqtt", reason))?);
        }
        let sources = source::sources(&name, &config, &file, overrides)?;
        reporting::refuse_contradictions(&config.quiet_hours, &file)?;
        let mqtt = mqtt::broker(mqtt, &name, &file)?;
        let client_id = mqtt.as_ref().map(|mqtt| mqtt.client_id.as_str());
        let webhooks = webhook::webhooks(&config.webhook, &file)?;
        let is_needed = mqtt.is_some() || !webhooks.is_empty();
        let metrics = metrics(&config.metrics, &file)?;
        let web = web::page(&config.web, &file, overrides)?;
        if let (Some(address), Some(web)) = (metrics, &web)
            && port::are_same(address, web.listen)
        {
            let reason = format!("the page is served at {}, on the same port: take another one", web.listen);
            return Err(file.error("metrics.port", reason));
        }
        let folder = journal::folder(overrides.as_service);
        let (journal, notice) = journal::journal(&config, &name, client_id, is_needed, folder, &file)?;
        Ok(Settings {
            sources,
            model_dir: overrides.model.clone().or_else(|| config.model.dir.as_deref().map(|dir| file.resolve(dir))),
            precision: overrides.precision.or(config.model.precision).unwrap_or_default(),
            journal,
            mqtt,
            webhooks,
            clips: clips::clips(&config.clips, &file)?,
            notices: notice.into_iter().collect(),
            metrics,
            web,
            top: top::socket(&config.top, &file)?,
            log: config.log.level.clone().unwrap_or_else(|| "info".into()),
            hop_ms: overrides.hop_ms,
            source_is_typed: overrides.source.is_some(),
            model_is_typed: overrides.model.is_some(),
            selection: Selection::new(&config.decide, &file, overrides)?,
            name,
            config,
            file,
        })
    }

    /// Takes over from `newer` what a running daemon can; returns what has changed and needs a
    /// restart, where the old values stay.
    pub fn take_over(&mut self, newer: Settings) -> Vec<&'static str> {
        let fixed = [
            ("name", self.name != newer.name),
            ("source", self.sources != newer.sources),
            ("model", self.config.model != newer.config.model),
            ("journal", self.journal != newer.journal),
            ("mqtt", self.mqtt != newer.mqtt),
            ("webhook", self.webhooks != newer.webhooks),
            ("clips", self.clips != newer.clips),
            ("metrics", self.metrics != newer.metrics),
            ("web", self.web != newer.web),
            ("top", self.top != newer.top),
        ];
        let old = std::mem::replace(self, newer);
        (self.name, self.sources, self.config.model) = (old.name, old.sources, old.config.model);
        (self.journal, self.mqtt, self.webhooks) = (old.journal, old.mqtt, old.webhooks);
        (self.clips, self.metrics) = (old.clips, old.metrics);
        (self.web, self.top) = (old.web, old.top);
        fixed.into_iter().filter(|(_, changed)| *changed).map(|(part, _)| part).collect()
    }

    /// The same error, with file and line where it is about a key that the configuration has.
    pub fn locate(&self, error: Error) -> Error {
        self.file.locate(error)
    }

    /// An error about the source at `index`, with the place where the configuration names it. On
    /// the command line it is what it was.
    pub fn source_error(&self, index: usize, error: Error) -> Error {
        let key = if self.config.sources.is_empty() { "source.input".into() } else { format!("sources.{index}.input") };
        match self.file.error(&key, &error) {
            located @ Error::Config { .. } if !self.source_is_typed => located,
            _ => error,
        }
    }

    /// An error about the model, with the place where the configuration names its folder if that
    /// is what is wrong.
    pub fn model_error(&self, error: Error) -> Error {
        match &error {
            Error::ModelFile { path, reason } if Some(path) == self.model_dir.as_ref() && !self.model_is_typed => {
                self.file.error("model.dir", format!("{}: {reason}", path.display()))
            }
            _ => error,
        }
    }

    /// An error about the webhook at `index`, with the place where the configuration names it.
    pub fn webhook_error(&self, index: usize, error: Error) -> Error {
        match error {
            Error::Usage { option, reason } => {
                let key = option.strip_prefix("webhook.").map(|key| format!("webhook.{index}.{key}"));
                self.file.error(&key.unwrap_or(option), reason)
            }
            other => other,
        }
    }

    /// The model as this configuration requires it: with its hop, if it names one.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] or [`Error::Usage`] for a hop that the model cannot have.
    pub fn model(&self, model: Model) -> Result<Model> {
        match (self.hop_ms, self.config.model.hop_ms) {
            (Some(hop_ms), _) => model.with_hop_ms(hop_ms).map_err(|reason| Error::usage("--hop-ms", reason)),
            (None, Some(hop_ms)) => model.with_hop_ms(hop_ms).map_err(|reason| self.file.error("model.hop_ms", reason)),
            (None, None) => Ok(model),
        }
    }
}

fn metrics(section: &MetricsSection, file: &ConfigFile) -> Result<Option<SocketAddr>> {
    if section.address.is_some() && section.port.is_none() {
        return Err(file.error("metrics.address", "an address needs a port: set metrics.port"));
    }
    let address = section.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    Ok(section.port.map(|port| SocketAddr::new(address, port)))
}

fn host_name() -> Result<String> {
    let name = fs::read_to_string(HOST_NAME_FILE).unwrap_or_default();
    let name = name.trim();
    if is_topic_level(name) {
        return Ok(name.to_string());
    }
    Err(Error::usage(
        "name",
        format!("expected {TOPIC_LEVEL}, actual host name {name:?}: set name in the configuration"),
    ))
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

//! What the daemon runs by: a configuration file and the command line's overrides enter, complete and consistent settings leave.
//! What they mean for a model's labels is in `reporting`.

mod reporting;

use std::fs;
use std::path::{Path, PathBuf};

use self::reporting::Selection;
use super::values::{TOPIC_LEVEL, is_topic_level};
use super::{BrokerUrl, Config, MqttSection, Source};
use crate::capture::{RawFormat, SourceSpec};
use crate::engine::PrecisionChoice;
use crate::error::{Error, Result};
use crate::model::Model;

/// Where the kernel keeps the host name.
const HOST_NAME_FILE: &str = "/proc/sys/kernel/hostname";

/// What the command line says instead of the configuration.
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
    /// `--channels`
    pub channels: Option<u16>,
    /// `--fast`
    pub fast: bool,
    /// `--model`
    pub model: Option<PathBuf>,
    /// `--precision`
    pub precision: Option<PrecisionChoice>,
    /// `--hop-ms`
    pub hop_ms: Option<f64>,
    /// `--mqtt`
    pub mqtt: Option<BrokerUrl>,
    /// `--allow`
    pub allow: Option<Vec<String>>,
    /// `--deny`
    pub deny: Option<Vec<String>>,
}

/// Complete settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Name of this device in events and topics.
    pub name: String,
    /// What to listen to.
    pub source: SourceSpec,
    /// Whether a file is read as fast as the machine can.
    pub fast: bool,
    /// The model's folder; `None` to look in the usual places.
    pub model_dir: Option<PathBuf>,
    /// Which of the model's files to run.
    pub precision: PrecisionChoice,
    /// The broker, if there is one.
    pub mqtt: Option<MqttSettings>,
    /// What to log, a filter of the tracing library.
    pub log: String,
    hop_ms: Option<f64>,
    selection: Option<Selection>,
    config: Config,
    file: Source,
}

/// How to reach a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttSettings {
    /// Where it is.
    pub url: BrokerUrl,
    /// How it knows this device.
    pub client_id: String,
    /// User name.
    pub user: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// Root certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Certificate and private key by which this device identifies itself.
    pub client_cert: Option<(PathBuf, PathBuf)>,
    /// First part of all topics.
    pub topic: String,
    /// Seconds between two signs of life.
    pub keep_alive_s: u16,
    /// Seconds between two health messages; 0 for none.
    pub health_s: u32,
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

    fn new(config: Config, file: Source, overrides: &Overrides) -> Result<Self> {
        let name = match &config.name {
            Some(name) => name.clone(),
            None => host_name()?,
        };
        let mut mqtt = config.mqtt.clone();
        mqtt.url = overrides.mqtt.clone().or(mqtt.url);
        let source = source(&config, &file, overrides)?;
        refuse_idle_options(&source, overrides)?;
        reporting::refuse_contradictions(&config.quiet_hours, &file)?;
        Ok(Settings {
            fast: overrides.fast || config.source.fast.unwrap_or(false),
            source,
            model_dir: overrides.model.clone().or_else(|| config.model.dir.as_deref().map(|dir| file.resolve(dir))),
            precision: overrides.precision.or(config.model.precision).unwrap_or_default(),
            mqtt: MqttSettings::new(mqtt, &name, &file)?,
            log: config.log.level.clone().unwrap_or_else(|| "info".into()),
            hop_ms: overrides.hop_ms,
            selection: Selection::new(&config.decide, &file, overrides)?,
            name,
            config,
            file,
        })
    }

    /// The model as this configuration wants it: with its hop, if it names one.
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

impl MqttSettings {
    fn new(section: MqttSection, name: &str, file: &Source) -> Result<Option<Self>> {
        let Some(url) = section.url else { return Ok(None) };
        let password = match (section.password, &section.password_file) {
            (Some(_), Some(_)) => return Err(file.error("mqtt.password_file", "mqtt.password is given, too")),
            (None, Some(path)) => Some(first_line(&file.resolve(path), file)?),
            (password, None) => password,
        };
        if password.is_some() && section.user.is_none() {
            return Err(file.error("mqtt.password", "a password needs a user: mqtt.user"));
        }
        let resolve = |path: Option<PathBuf>| path.map(|path| file.resolve(&path));
        let client_cert = match (resolve(section.cert_file), resolve(section.key_file)) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => return Err(file.error("mqtt.cert_file", "a certificate needs its key: mqtt.key_file")),
            (None, Some(_)) => return Err(file.error("mqtt.key_file", "a key needs its certificate: mqtt.cert_file")),
        };
        if !url.tls && (section.ca_file.is_some() || client_cert.is_some()) {
            return Err(
                file.error("mqtt.url", format!("certificates are given but {url} is not encrypted: use mqtts://"))
            );
        }
        Ok(Some(MqttSettings {
            url,
            client_id: section.client_id.unwrap_or_else(|| format!("earwitness-{name}")),
            user: section.user,
            password,
            ca_file: resolve(section.ca_file),
            client_cert,
            topic: section.topic.unwrap_or_else(|| "earwitness".into()),
            keep_alive_s: section.keep_alive_s.unwrap_or(30),
            health_s: section.health_s.unwrap_or(60),
        }))
    }
}

fn source(config: &Config, file: &Source, overrides: &Overrides) -> Result<SourceSpec> {
    let section = &config.source;
    let source = match (&overrides.source, &section.input) {
        (Some(source), _) => source.clone(),
        (None, Some(SourceSpec::File(path))) => SourceSpec::File(file.resolve(path)),
        (None, Some(source)) => source.clone(),
        (None, None) => SourceSpec::Mic { device: None },
    };
    let device = overrides.device.clone().or_else(|| section.device.clone());
    let SourceSpec::Stdin { rate, format, channels } = source else { return Ok(source.with_device(device)) };
    source.with_raw(
        overrides.rate.or(section.rate).unwrap_or(rate),
        overrides.format.or(section.format).unwrap_or(format),
        overrides.channels.or(section.channels).unwrap_or(channels),
    )
}

/// An option that the chosen source does not heed is a mistake. In a configuration file it is not: there it waits for its source.
fn refuse_idle_options(source: &SourceSpec, overrides: &Overrides) -> Result<()> {
    let raw = overrides.rate.is_some() || overrides.format.is_some() || overrides.channels.is_some();
    let misplaced = match source {
        SourceSpec::Mic { .. } if overrides.fast => {
            Some(("--fast", "a microphone cannot be read faster than real time"))
        }
        SourceSpec::File(_) | SourceSpec::Stdin { .. } if overrides.device.is_some() => {
            Some(("--device", "only for --source mic"))
        }
        SourceSpec::Mic { .. } | SourceSpec::File(_) if raw => {
            Some(("--rate, --format, --channels", "only for --source stdin"))
        }
        _ => None,
    };
    misplaced.map_or(Ok(()), |(option, reason)| Err(Error::usage(option, reason)))
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

fn first_line(path: &Path, file: &Source) -> Result<String> {
    let text = fs::read_to_string(path)
        .map_err(|error| file.error("mqtt.password_file", format!("{}: {error}", path.display())))?;
    Ok(text.lines().next().unwrap_or_default().to_string())
}

#[cfg(test)]
mod tests;

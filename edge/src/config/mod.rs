//! The configuration: a TOML file and the command line enter, validated settings leave. Read once,
//! before anything starts.
//!
//! [`Config`] is the file as written: every key is optional, unknown keys are errors. [`Settings`]
//! is what the daemon runs by: defaults filled in, the command line's overrides applied, values
//! that contradict each other refused. `earwitness.example.toml` lists every key with its default.

mod file;
mod labels;
mod settings;
mod values;

pub use file::{Source, at_home};
pub use settings::{Overrides, Settings, SourceSettings};

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use edge_frontend::Smoothing;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::capture::{Channels, RawFormat, SourceSpec};
use crate::decide::Phase;
use crate::engine::PrecisionChoice;
use crate::error::Result;
use crate::publish::BrokerUrl;
use crate::publish::webhook::{Template, WebhookUrl};
use crate::quiet::QuietRange;

/// A configuration file as written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name of this device in events and topics; the host name if absent.
    #[serde(deserialize_with = "values::topic_level")]
    pub name: Option<String>,
    /// What to listen to.
    pub source: SourceSection,
    /// Several sources at once, instead.
    pub sources: Vec<SourceSection>,
    /// What to recognise by.
    pub model: ModelSection,
    /// How scores become events.
    pub decide: DecideSection,
    /// When events are not reported.
    pub quiet_hours: QuietHoursSection,
    /// Where events are kept.
    pub journal: JournalSection,
    /// Where to report events besides standard output.
    pub mqtt: MqttSection,
    /// HTTP servers that events are posted to.
    pub webhook: Vec<WebhookSection>,
    /// Who may ask for figures.
    pub metrics: MetricsSection,
    /// What to log.
    pub log: LogSection,
}

/// `[source]`, or one of `[[sources]]`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourceSection {
    /// Its name in events and topics; each of `[[sources]]` needs one, and `[source]` has the
    /// device's if absent.
    #[serde(deserialize_with = "values::topic_level")]
    pub name: Option<String>,
    /// `mic`, `file:PATH`, `stdin`, `rtsp://..` and so on.
    #[serde(deserialize_with = "values::parsed")]
    pub input: Option<SourceSpec>,
    /// Which microphone: its id, its name or a part of its name; the default device if absent.
    #[serde(deserialize_with = "values::filled")]
    pub device: Option<String>,
    /// Read a file as fast as the machine can instead of in real time.
    pub fast: Option<bool>,
    /// Samples per second in a raw stream.
    #[serde(deserialize_with = "values::rate")]
    pub rate: Option<u32>,
    /// Sample type of a raw stream.
    #[serde(deserialize_with = "values::parsed")]
    pub format: Option<RawFormat>,
    /// Interleaved channels of a raw stream.
    #[serde(deserialize_with = "values::raw_channels")]
    pub raw_channels: Option<u16>,
    /// Which channels are heard. A number alone says of a raw stream how many it has, unless
    /// `raw_channels` does.
    #[serde(deserialize_with = "values::channels")]
    pub channels: Option<ChannelChoice>,
    /// How much louder the sound is made, dB.
    #[serde(deserialize_with = "values::gain_db")]
    pub gain_db: Option<f32>,
    /// Whether a pipe's sound comes as it happens; its pace tells if absent.
    pub live: Option<bool>,
}

/// Channels as they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelChoice {
    /// One number.
    Number(u16),
    /// Anything else.
    Channels(Channels),
}

impl std::str::FromStr for ChannelChoice {
    type Err = String;

    /// As on the command line: a number, or what [`Channels`] reads.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(number) => Channels::only(&[number]).map(|_| ChannelChoice::Number(number)),
            Err(_) => text.parse().map(ChannelChoice::Channels),
        }
    }
}

/// `[model]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSection {
    /// The model's folder.
    pub dir: Option<PathBuf>,
    /// Which of its files to run.
    pub precision: Option<PrecisionChoice>,
    /// Milliseconds from one patch to the next, for a model that takes whole patches; the model's
    /// own if absent.
    #[serde(deserialize_with = "values::hop_ms")]
    pub hop_ms: Option<f64>,
}

/// `[decide]`: values that differ from the model's own.
///
/// A value given here holds for all classes, also for those to which the model gives their own;
/// `classes` has the last word.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DecideSection {
    /// The only labels that are reported. Not together with `deny`.
    pub allow: Option<Vec<String>>,
    /// Labels that are not reported.
    pub deny: Option<Vec<String>>,
    /// No event begins while the sound is quieter than this, dBFS.
    #[serde(deserialize_with = "values::level_dbfs")]
    pub level_gate_dbfs: Option<f32>,
    /// Always the mean; accepted because older configurations name it.
    pub smoothing: Option<Smoothing>,
    /// Span that a score is made of, milliseconds.
    #[serde(deserialize_with = "values::window_ms")]
    pub window_ms: Option<u32>,
    /// No event begins while the network's free energy is below this.
    pub min_energy: Option<f32>,
    /// An event begins when the score reaches this.
    #[serde(deserialize_with = "values::probability")]
    pub threshold_on: Option<f32>,
    /// It ends when the score falls below this.
    #[serde(deserialize_with = "values::probability")]
    pub threshold_off: Option<f32>,
    /// A shorter event is not reported, milliseconds.
    pub min_duration_ms: Option<u32>,
    /// A shorter pause does not end an event, milliseconds.
    pub min_gap_ms: Option<u32>,
    /// Time after an event in which the class is not reported again, milliseconds.
    pub cooldown_ms: Option<u32>,
    /// An event that lasts this long is ended, milliseconds.
    pub max_duration_ms: Option<u32>,
    /// Values for single classes, by label.
    pub classes: BTreeMap<String, ClassSection>,
}

/// `[decide.classes.LABEL]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClassSection {
    /// See [`DecideSection::window_ms`].
    #[serde(deserialize_with = "values::window_ms")]
    pub window_ms: Option<u32>,
    /// See [`DecideSection::threshold_on`].
    #[serde(deserialize_with = "values::probability")]
    pub threshold_on: Option<f32>,
    /// See [`DecideSection::threshold_off`].
    #[serde(deserialize_with = "values::probability")]
    pub threshold_off: Option<f32>,
    /// See [`DecideSection::min_duration_ms`].
    pub min_duration_ms: Option<u32>,
    /// See [`DecideSection::min_gap_ms`].
    pub min_gap_ms: Option<u32>,
    /// See [`DecideSection::cooldown_ms`].
    pub cooldown_ms: Option<u32>,
    /// See [`DecideSection::max_duration_ms`].
    pub max_duration_ms: Option<u32>,
    /// The label's own quiet hours, instead of those of [`QuietHoursSection`]; empty for none.
    pub quiet_hours: Option<Vec<QuietRange>>,
}

/// `[quiet_hours]`: events that begin in them are not reported.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuietHoursSection {
    /// Ranges of local time.
    pub ranges: Vec<QuietRange>,
    /// Their time zone, and that of the labels' own quiet hours; the machine's if absent.
    #[serde(deserialize_with = "values::time_zone")]
    pub time_zone: Option<TimeZone>,
    /// The labels for which these hold; all if absent. Not together with `except`.
    pub labels: Option<Vec<String>>,
    /// Labels for which they do not hold.
    pub except: Option<Vec<String>>,
}

/// `[mqtt]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MqttSection {
    /// `mqtt://HOST[:PORT]`, or `mqtts://` for TLS. No MQTT if absent.
    #[serde(deserialize_with = "values::parsed")]
    pub url: Option<BrokerUrl>,
    /// How the broker knows this device; `earwitness-<name>` if absent.
    #[serde(deserialize_with = "values::filled")]
    pub client_id: Option<String>,
    /// User name at the broker.
    #[serde(deserialize_with = "values::filled")]
    pub user: Option<String>,
    /// Its password.
    pub password: Option<String>,
    /// A file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// Root certificates to trust instead of the system's, PEM.
    pub ca_file: Option<PathBuf>,
    /// Certificate by which this device identifies itself, PEM.
    pub cert_file: Option<PathBuf>,
    /// Its private key, PEM.
    pub key_file: Option<PathBuf>,
    /// First part of all topics.
    #[serde(deserialize_with = "values::topic")]
    pub topic: Option<String>,
    /// Seconds between two signs of life.
    #[serde(deserialize_with = "values::keep_alive_s")]
    pub keep_alive_s: Option<u16>,
    /// Seconds between two messages on the health topic; 0 for none.
    pub health_s: Option<u32>,
    /// Whether Home Assistant is told of this device.
    pub home_assistant: Option<bool>,
    /// First part of the topics on which it is told.
    #[serde(deserialize_with = "values::topic")]
    pub home_assistant_prefix: Option<String>,
    /// What is `[journal]` today; accepted because older configurations have it.
    pub spool: Option<JournalSection>,
}

/// `[journal]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalSection {
    /// The file; one in the machine's usual place, named after this device, if absent.
    pub file: Option<PathBuf>,
    /// Most megabytes of events; 0 to keep events in memory only.
    pub max_mb: Option<u32>,
    /// Most days that an event waits for a sink.
    #[serde(deserialize_with = "values::max_age_days")]
    pub max_age_days: Option<u32>,
    /// Days that an event is kept after every sink has it; 0 for none.
    #[serde(deserialize_with = "values::keep_days")]
    pub keep_days: Option<u32>,
}

/// One of `[[webhook]]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookSection {
    /// `http://HOST/..` or `https://HOST/..`
    #[serde(deserialize_with = "values::parsed")]
    pub url: Option<WebhookUrl>,
    /// The only labels whose events are posted.
    pub labels: Option<Vec<String>>,
    /// Phases that are posted; both if absent.
    pub phases: Option<Vec<Phase>>,
    /// Names and values of headers.
    #[serde(deserialize_with = "values::headers")]
    pub headers: BTreeMap<String, Template>,
    /// The body; the event's JSON object if absent.
    #[serde(deserialize_with = "values::parsed")]
    pub template: Option<Template>,
}

/// `[metrics]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsSection {
    /// Port on which figures are given to Prometheus; none if absent.
    pub port: Option<u16>,
    /// Address of this machine on which that port is; only this machine can reach it if absent.
    pub address: Option<IpAddr>,
}

/// `[log]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSection {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a list of directives such as
    /// `edge=debug,warn`.
    #[serde(deserialize_with = "values::log_filter")]
    pub level: Option<String>,
}

impl Config {
    /// Reads the file at `path`. Returns its text, too, for errors that are found later.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) with file, line and key.
    pub fn read(path: &Path) -> Result<(Self, Source)> {
        let source = Source::read(path)?;
        Ok((source.parse()?, source))
    }
}

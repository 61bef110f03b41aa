//! The configuration: reads a TOML file and the command line, and makes validated settings of them,
//! once, before anything starts.
//!
//! [`Config`] is the file as written: every key is optional, unknown keys are errors. [`Settings`]
//! is what the daemon runs by: defaults filled in, the command line's overrides applied, values
//! that contradict each other refused. `earwitness.example.toml` lists every key with its default,
//! and docs/configuration.md is written from the comments of the sections below.

mod file;
mod labels;
mod settings;
mod values;

pub use file::{ConfigFile, at_home};
pub use labels::nearest;
pub use values::MAX_KEEP_DAYS;

pub use settings::{
    DEFAULT_LISTEN, FileMode, Overrides, SERVICE_FOLDER, Settings, SourceSettings, TopSettings, WebSettings,
    journal_files, journal_folders, top_socket,
};

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
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
    /// Name of this device in events and MQTT topics.
    #[serde(deserialize_with = "values::topic_level")]
    pub name: Option<String>,
    /// What to listen to.
    pub source: SourceSection,
    /// Several sources at once, in place of the one.
    pub sources: Vec<SourceSection>,
    /// The model.
    pub model: ModelSection,
    /// How scores become events.
    pub decide: DecideSection,
    /// Hours in which no event is reported.
    pub quiet_hours: QuietHoursSection,
    /// Where events are kept.
    pub journal: JournalSection,
    /// The broker, if there is one.
    pub mqtt: MqttSection,
    /// HTTP servers that events are posted to.
    pub webhook: Vec<WebhookSection>,
    /// Where the sound of events is kept.
    pub clips: ClipsSection,
    /// The listener for Prometheus, if there is one.
    pub metrics: MetricsSection,
    /// The local page, if there is one.
    pub web: WebSection,
    /// The socket for `earwitness top --attach`, if there is one.
    pub top: TopSection,
    /// What to log.
    pub log: LogSection,
}

/// `[source]`, or one of `[[sources]]`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourceSection {
    /// Name of the source in events and MQTT topics. Required in `[[sources]]`.
    #[serde(deserialize_with = "values::topic_level")]
    pub name: Option<String>,
    /// What to listen to: `mic`, `rtsp://USER:PASSWORD@HOST/PATH`, `https://HOST/PATH`,
    /// `exec:COMMAND`, `serial:PATH`, `stdin` or `file:PATH` ([all forms](sources.md)).
    #[serde(deserialize_with = "values::parsed")]
    pub input: Option<SourceSpec>,
    /// The microphone: its id, its name, a part of its name, or its USB identity or socket, as
    /// `earwitness devices` lists them.
    #[serde(deserialize_with = "values::filled")]
    pub device: Option<String>,
    /// Whether a recording is read as fast as the machine can and not in real time.
    pub fast: Option<bool>,
    /// Sample rate of raw samples that have no WAV header.
    #[serde(deserialize_with = "values::rate")]
    pub rate: Option<u32>,
    /// Sample type of raw samples, such as `s16le`, `s24le` or `f32le`
    /// ([all types](sources.md#raw-samples)).
    #[serde(deserialize_with = "values::parsed")]
    pub format: Option<RawFormat>,
    /// Number of interleaved channels of raw samples.
    #[serde(deserialize_with = "values::raw_channels")]
    pub raw_channels: Option<u16>,
    /// The channels that are used: `"mean"`, `"loudest"`, one such as `1`, or the mean of several
    /// such as `[1, 3]`. For raw samples without `raw_channels` an integer is their number.
    #[serde(deserialize_with = "values::channels")]
    pub channels: Option<ChannelChoice>,
    /// Gain that is applied to the sound.
    #[serde(deserialize_with = "values::gain_db")]
    pub gain_db: Option<f32>,
    /// Whether the samples of a pipe arrive as they are recorded, so that events carry the time of
    /// the clock and the end of the pipe is a failure.
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
    /// Folder of the model.
    #[serde(deserialize_with = "values::path")]
    pub dir: Option<PathBuf>,
    /// Which of the network files to run; `auto` runs the faster one.
    pub precision: Option<PrecisionChoice>,
    /// Time from one patch to the next, for a model of the kind `window`: a whole number of its
    /// log-mel frames. Half the hop is twice the load.
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
    /// The only labels that are reported; not together with `deny`. Labels that the model does not
    /// report by itself (`reported = false` in its manifest) are reported if they are listed here.
    pub allow: Option<Vec<String>>,
    /// Labels that are not reported; not together with `allow`.
    pub deny: Option<Vec<String>>,
    /// No event begins in sound that is quieter than this: root mean square of the loudest pulse
    /// (80 ms) that the network has in view.
    #[serde(deserialize_with = "values::level_dbfs")]
    pub level_gate_dbfs: Option<f32>,
    /// Always the mean; accepted because older configurations name it.
    pub smoothing: Option<Smoothing>,
    /// Time over which the outputs of the network are averaged: longer is steadier, shorter is
    /// quicker.
    #[serde(deserialize_with = "values::window_ms")]
    pub window_ms: Option<u32>,
    /// No event begins while the free energy of the network's logits is below this, which is the
    /// case for sounds unlike any that it was trained on.
    pub min_energy: Option<f32>,
    /// An event begins when the score reaches this.
    #[serde(deserialize_with = "values::probability")]
    pub threshold_on: Option<f32>,
    /// An event ends when the score falls below this; below `threshold_on`.
    #[serde(deserialize_with = "values::probability")]
    pub threshold_off: Option<f32>,
    /// Shorter events are not reported.
    pub min_duration_ms: Option<u32>,
    /// Shorter pauses do not end an event.
    pub min_gap_ms: Option<u32>,
    /// Time after an event in which the same class is not reported again.
    pub cooldown_ms: Option<u32>,
    /// An event that lasts this long is ended, and the class is not reported again before its score
    /// has fallen.
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
    /// Quiet hours of this label, in place of those of `[quiet_hours]`; `[]` for none.
    pub quiet_hours: Option<Vec<QuietRange>>,
}

/// `[quiet_hours]`: events that begin in them are not reported.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuietHoursSection {
    /// Ranges of local time such as `"mon-fri 22:00-06:30"`, over midnight if need be; without
    /// weekdays a range holds every day. An event that begins in one is not reported.
    pub ranges: Vec<QuietRange>,
    /// Time zone of all quiet hours.
    #[serde(deserialize_with = "values::time_zone")]
    pub time_zone: Option<TimeZone>,
    /// The labels for which the ranges hold; not together with `except`.
    pub labels: Option<Vec<String>>,
    /// Labels for which the ranges do not hold; not together with `labels`.
    pub except: Option<Vec<String>>,
}

/// `[mqtt]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MqttSection {
    /// The broker: `mqtt://HOST[:PORT]`, or `mqtts://HOST[:PORT]` for TLS.
    #[serde(deserialize_with = "values::parsed")]
    pub url: Option<BrokerUrl>,
    /// Client identifier at the broker. Two clients with the same one disconnect each other.
    #[serde(deserialize_with = "values::filled")]
    pub client_id: Option<String>,
    /// User name at the broker.
    #[serde(deserialize_with = "values::filled")]
    pub user: Option<String>,
    /// Password at the broker; needs `user`.
    pub password: Option<String>,
    /// File whose first line is the password; not together with `password`.
    #[serde(deserialize_with = "values::path")]
    pub password_file: Option<PathBuf>,
    /// Certificates that are trusted in place of the system's, PEM or DER; needs `mqtts://`.
    #[serde(deserialize_with = "values::path")]
    pub ca_file: Option<PathBuf>,
    /// Certificate by which this device identifies itself, PEM; needs `key_file`.
    #[serde(deserialize_with = "values::path")]
    pub cert_file: Option<PathBuf>,
    /// Private key of the certificate, PEM.
    #[serde(deserialize_with = "values::path")]
    pub key_file: Option<PathBuf>,
    /// First part of all topics: `<topic>/<name>/event` and so on.
    #[serde(deserialize_with = "values::topic")]
    pub topic: Option<String>,
    /// Time between two signs of life to the broker.
    #[serde(deserialize_with = "values::keep_alive_s")]
    pub keep_alive_s: Option<u16>,
    /// Time between two messages on `<topic>/<name>/health`; 0 for none.
    pub health_s: Option<u32>,
    /// Whether the device is announced to Home Assistant (MQTT discovery).
    pub home_assistant: Option<bool>,
    /// First part of the topics of MQTT discovery.
    #[serde(deserialize_with = "values::topic")]
    pub home_assistant_prefix: Option<String>,
    /// The section `[journal]` of today; accepted because older configurations have it.
    pub spool: Option<JournalSection>,
}

/// `[journal]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalSection {
    /// File of the journal, which keeps events until every sink has acknowledged them.
    #[serde(deserialize_with = "values::path")]
    pub file: Option<PathBuf>,
    /// Largest size of the journal; the oldest events are dropped and counted. 0: events are kept
    /// in memory only and are lost when the daemon ends.
    pub max_mb: Option<u32>,
    /// Longest time that an event waits for a sink; after it the event is dropped and counted.
    #[serde(deserialize_with = "values::max_age_days")]
    pub max_age_days: Option<u32>,
    /// Time that events are kept after every sink has acknowledged them, within `max_mb`.
    #[serde(deserialize_with = "values::keep_days")]
    pub keep_days: Option<u32>,
}

/// One of `[[webhook]]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookSection {
    /// Address to which each event is posted, `http://` or `https://`. Logs show its host only.
    #[serde(deserialize_with = "values::parsed")]
    pub url: Option<WebhookUrl>,
    /// Certificates that are trusted in place of the system's, PEM or DER; needs `https://`.
    #[serde(deserialize_with = "values::path")]
    pub ca_file: Option<PathBuf>,
    /// The only labels whose events are posted.
    pub labels: Option<Vec<String>>,
    /// Phases that are posted.
    pub phases: Option<Vec<Phase>>,
    /// HTTP headers; fields of the event such as `{{label}}` are filled in.
    #[serde(deserialize_with = "values::headers")]
    pub headers: BTreeMap<String, Template>,
    /// Body of the request; fields of the event such as `{{label}}` are filled in.
    #[serde(deserialize_with = "values::parsed")]
    pub template: Option<Template>,
}

/// `[clips]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClipsSection {
    /// Folder in which the sound of each event is kept, as FLAC ([Clips](clips.md)).
    #[serde(deserialize_with = "values::path")]
    pub folder: Option<PathBuf>,
    /// Sound before the onset.
    #[serde(deserialize_with = "values::roll_s")]
    pub pre_roll_s: Option<f64>,
    /// Sound after the offset.
    #[serde(deserialize_with = "values::roll_s")]
    pub post_roll_s: Option<f64>,
    /// Length of the longest clip, with the sound before and after the event.
    #[serde(deserialize_with = "values::clip_length_s")]
    pub max_length_s: Option<f64>,
    /// Size of all clips together, above which the oldest are removed.
    #[serde(deserialize_with = "values::clips_mb")]
    pub max_mb: Option<u32>,
    /// Age at which a clip is removed.
    #[serde(deserialize_with = "values::max_age_days")]
    pub max_age_days: Option<u32>,
}

/// `[metrics]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsSection {
    /// Port on which `/metrics` is served for Prometheus.
    pub port: Option<u16>,
    /// Address of this machine on which the port listens; other machines cannot reach the default.
    pub address: Option<IpAddr>,
}

/// `[web]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebSection {
    /// Address and port at which [the local page](page.md) is served.
    #[serde(deserialize_with = "values::listen")]
    pub listen: Option<SocketAddr>,
    /// Password of the page; needed where other machines can reach the address.
    #[serde(deserialize_with = "values::filled")]
    pub password: Option<String>,
    /// File whose first line is the password.
    #[serde(deserialize_with = "values::path")]
    pub password_file: Option<PathBuf>,
    /// Further host names under which the page is served, such as that of a proxy.
    pub hosts: Vec<String>,
    /// Whether the page may change thresholds in the configuration file, and mark and delete clips.
    pub write: Option<bool>,
}

/// `[top]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TopSection {
    /// File of the local socket through which `earwitness top --attach` shows what this daemon
    /// hears ([First minutes](install.md#first-minutes)).
    #[serde(deserialize_with = "values::path")]
    pub socket: Option<PathBuf>,
    /// Permissions of that file, octal: whoever may write to it may attach.
    #[serde(deserialize_with = "values::parsed")]
    pub mode: Option<FileMode>,
}

/// `[log]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSection {
    /// What is logged to standard error: `error`, `warn`, `info`, `debug`, `trace`, or a list of
    /// directives such as `edge=debug,warn`.
    #[serde(deserialize_with = "values::log_filter")]
    pub level: Option<String>,
}

impl Config {
    /// Reads the file at `path`. Returns its text, too, for errors that are found later.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) with file, line and key.
    pub fn read(path: &Path) -> Result<(Self, ConfigFile)> {
        let file = ConfigFile::read(path)?;
        Ok((file.parse()?, file))
    }
}

//! The options of the commands for people at a terminal: setup, doctor, top and events.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use clap::builder::NonEmptyStringValueParser;
#[cfg(feature = "top")]
use edge::Result;
use edge::config::MAX_KEEP_DAYS;
#[cfg(feature = "top")]
use edge::config::{ChannelChoice, Overrides};
#[cfg(feature = "top")]
use edge::engine::PrecisionChoice;

#[cfg(feature = "top")]
use super::source;
#[cfg(feature = "top")]
use crate::cli::screen::ColorChoice;

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct SetupArgs {
    /// Configuration file to write [default: the service's if this user may write it, otherwise
    /// ~/.config/earwitness/earwitness.toml]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) out: Option<PathBuf>,
    /// Ask nothing
    #[arg(long, short)]
    pub(in crate::cli) yes: bool,
    /// Overwrite an existing file; the old one is kept as FILE.old
    #[arg(long)]
    pub(in crate::cli) force: bool,
    /// Name of this device in events and topics [default: the host name]
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) name: Option<String>,
    /// What to listen to, as for run [default: mic]
    #[arg(long, value_name = "SOURCE")]
    pub(in crate::cli) source: Option<OsString>,
    /// The microphone: its id, its name or part of its name
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(in crate::cli) device: Option<String>,
    /// Gain applied to the sound, dB
    #[arg(long, value_name = "DB", allow_negative_numbers = true)]
    pub(in crate::cli) gain_db: Option<f32>,
    /// Seconds to listen to the source; 0 skips the trial
    #[arg(long, value_name = "SECONDS", default_value_t = 6, value_parser = clap::value_parser!(u16).range(0..=600))]
    pub(in crate::cli) listen: u16,
    /// Broker to report to: mqtt://HOST[:PORT] or mqtts://HOST[:PORT]
    #[arg(long, value_name = "URL", conflicts_with = "no_mqtt")]
    pub(in crate::cli) mqtt: Option<String>,
    /// Use no broker
    #[arg(long)]
    pub(in crate::cli) no_mqtt: bool,
    /// User name for the broker
    #[arg(long, value_name = "NAME", requires = "mqtt")]
    pub(in crate::cli) mqtt_user: Option<String>,
    /// File whose first line is the password for the broker
    #[arg(long, value_name = "FILE", requires = "mqtt_user")]
    pub(in crate::cli) mqtt_password_file: Option<PathBuf>,
    /// Certificates of brokers or authorities to trust instead of the system's
    #[arg(long, value_name = "FILE", requires = "mqtt")]
    pub(in crate::cli) mqtt_ca_file: Option<PathBuf>,
    /// Whether the device is announced to Home Assistant
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", requires = "mqtt")]
    pub(in crate::cli) home_assistant: Option<bool>,
    /// Web server to post events to: http://HOST/.. or https://HOST/..
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) webhook: Option<String>,
    /// Days for which events are kept for queries; 0 keeps none [default: 30]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_KEEP_DAYS)))]
    pub(in crate::cli) keep_days: Option<u32>,
    /// Whether the service starts now and at each boot
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(in crate::cli) service: Option<bool>,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct DoctorArgs {
    /// Configuration file [default: the service's, or else the one that `setup` writes for this
    /// user]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) config: Option<PathBuf>,
    /// Print one JSON document: {"problems", "warnings", "checks": [{"check", "state", "text",
    /// "advice"}, ..]}
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

#[cfg(feature = "top")]
#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct TopArgs {
    /// Configuration file; the options below override it
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) config: Option<PathBuf>,
    /// Show what a running daemon hears, through its socket [default: that of the configuration, or
    /// /run/earwitness/top.sock]
    #[arg(long, value_name = "SOCKET", num_args = 0..=1, conflicts_with_all = ["source", "device", "channels", "gain_db", "model", "precision"])]
    pub(in crate::cli) attach: Option<Option<PathBuf>>,
    /// What to listen to, as for run [default: mic]
    #[arg(long, value_name = "SOURCE")]
    source: Option<OsString>,
    /// The microphone: its id, its name or part of its name [default: the system's]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    device: Option<String>,
    /// The channels to use, as for run [default: mean]
    #[arg(long, value_name = "CHANNELS")]
    channels: Option<ChannelChoice>,
    /// Gain applied to the sound, dB [default: 0]
    #[arg(long, value_name = "DB", allow_negative_numbers = true)]
    gain_db: Option<f32>,
    /// Folder of the model [default: models/home, or share/earwitness/models/home beside the
    /// program]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Which of the model's network files to run: auto (the faster one), f32 or int8 [default:
    /// auto]
    #[arg(long, value_name = "PRECISION")]
    precision: Option<PrecisionChoice>,
    /// Colours: auto (those that the terminal announces), truecolor, 256 or never
    #[arg(long, value_name = "COLORS", default_value = "auto")]
    pub(in crate::cli) color: ColorChoice,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct EventsArgs {
    /// Configuration file of the daemon whose journal is read [default: the only journal in the
    /// usual places]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) config: Option<PathBuf>,
    /// File of the journal, instead of a configuration
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub(in crate::cli) journal: Option<PathBuf>,
    /// Start of the period: how long ago, such as 24h or 7d; a date or a time; today, yesterday or
    /// all
    #[arg(long, value_name = "TIME", default_value = "24h", allow_hyphen_values = true)]
    pub(in crate::cli) since: String,
    /// End of the period, in the same forms [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(in crate::cli) until: Option<String>,
    /// Show only events of this label
    #[arg(long, value_name = "LABEL")]
    pub(in crate::cli) label: Option<String>,
    /// Show only events of the source with this name
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) source: Option<String>,
    /// Print one JSON document: {"journal", "since", "until", "events": [..], "by_hour": [{"hour",
    /// "label", "n"}, ..]}, times in UTC
    #[arg(long, conflicts_with = "csv")]
    pub(in crate::cli) json: bool,
    /// Print comma-separated values with a header, times in UTC
    #[arg(long)]
    pub(in crate::cli) csv: bool,
}

#[cfg(feature = "top")]
impl TopArgs {
    /// # Errors
    ///
    /// As [`RunArgs::overrides`](super::RunArgs::overrides).
    pub(in crate::cli) fn overrides(&self) -> Result<Overrides> {
        Ok(Overrides {
            source: self.source.as_deref().map(source).transpose()?,
            device: self.device.clone(),
            channels: self.channels.clone(),
            gain_db: self.gain_db,
            model: self.model.clone(),
            precision: self.precision,
            ..Overrides::default()
        })
    }
}

//! Single values of the configuration: checked while they are parsed, so that the parser knows
//! their line.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use edge_frontend::RATES_HZ;
use jiff::tz::TimeZone;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::{ChannelChoice, at_home};
use crate::capture::{Channels, MAX_CHANNELS};
use crate::publish::webhook::Template;

/// A string that its type can read.
pub(super) fn parsed<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(from: D) -> Result<Option<T>, D::Error> {
    String::deserialize(from)?.parse().map(Some).map_err(D::Error::custom)
}

/// A string that is not empty.
pub(super) fn filled<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    checked(from, "some text", |text: &String| !text.is_empty())
}

/// A path; `~/` is the user's home folder.
pub(super) fn path<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    at_home(&PathBuf::deserialize(from)?).map(Some).map_err(D::Error::custom)
}

/// One level of a topic.
pub(super) fn topic_level<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    checked(from, TOPIC_LEVEL, |text: &String| is_topic_level(text))
}

/// One level of a topic or several.
pub(super) fn topic<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let levels = "levels of a topic, with '/' between them, without '+', '#' and control characters, and without '$' \
                  in front, which is for the broker's own topics";
    checked(from, levels, |text: &String| !text.starts_with('$') && text.split('/').all(is_topic_level))
}

/// A rate that can be processed.
pub(super) fn rate<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    let expected = format!("{} to {} Hz", RATES_HZ.start(), RATES_HZ.end());
    checked(from, &expected, |rate| RATES_HZ.contains(rate))
}

pub(super) fn raw_channels<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u16>, D::Error> {
    checked(from, &format!("1 to {MAX_CHANNELS} channels"), |n| (1..=MAX_CHANNELS).contains(n))
}

/// A filter for the log.
pub(super) fn log_filter<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let filter = String::deserialize(from)?;
    crate::logging::check(&filter).map(|()| Some(filter)).map_err(D::Error::custom)
}

pub(super) fn probability<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f32>, D::Error> {
    checked(from, "a score above 0, at most 1", |value: &f32| *value > 0.0 && *value <= 1.0)
}

pub(super) fn window_ms<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    checked(from, "1 to 60000 milliseconds", |value| (1..=60_000).contains(value))
}

pub(super) fn hop_ms<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    checked(from, "a number of milliseconds above 0", |value: &f64| value.is_finite() && *value > 0.0)
}

pub(super) fn level_dbfs<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f32>, D::Error> {
    checked(from, "a level from -120 to 0 dBFS", |value: &f32| (-120.0..=0.0).contains(value))
}

/// A name of the time zone database.
pub(super) fn time_zone<'de, D: Deserializer<'de>>(from: D) -> Result<Option<TimeZone>, D::Error> {
    let name = String::deserialize(from)?;
    let expected = || D::Error::custom(format!("expected a time zone such as \"Europe/Berlin\", actual {name:?}"));
    TimeZone::get(&name).map(Some).map_err(|_| expected())
}

pub(super) fn keep_alive_s<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u16>, D::Error> {
    checked(from, "5 to 3600 seconds", |value| (5..=3600).contains(value))
}

pub(super) fn max_age_days<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    checked(from, "1 to 3650 days", |value| (1..=3650).contains(value))
}

/// The longest time that events are kept, days.
pub const MAX_KEEP_DAYS: u32 = 3650;

pub(super) fn keep_days<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    checked(from, &format!("0 to {MAX_KEEP_DAYS} days"), |value| (0..=MAX_KEEP_DAYS).contains(value))
}

/// Sound before or after an event.
pub(super) fn roll_s<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    checked(from, "0 to 60 seconds", |value: &f64| (0.0..=60.0).contains(value))
}

pub(super) fn clip_length_s<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    checked(from, "1 to 300 seconds", |value: &f64| (1.0..=300.0).contains(value))
}

pub(super) fn clips_mb<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    checked(from, "1 to 10000000 megabytes", |value| (1..=10_000_000).contains(value))
}

/// Headers that belong to the request itself.
const OWN_HEADERS: [&str; 4] = ["Connection", "Content-Length", "Host", "Transfer-Encoding"];

/// HTTP headers, whose names are tokens (RFC 9110, 5.6.2).
pub(super) fn headers<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Template>, D::Error> {
    let texts = BTreeMap::<String, String>::deserialize(from)?;
    let is_token = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
    };
    let header = |(name, text): (String, String)| {
        if !is_token(&name) {
            return Err(D::Error::custom(format!("expected the name of a header, actual {name:?}")));
        }
        if OWN_HEADERS.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            return Err(D::Error::custom(format!("{name}: is set for each request, leave it out")));
        }
        let template = text.parse().map_err(|reason| D::Error::custom(format!("{name}: {reason}")))?;
        Ok((name, template))
    };
    texts.into_iter().map(header).collect()
}

/// `"mean"`, `"loudest"`, a number or an array of numbers.
pub(super) fn channels<'de, D: Deserializer<'de>>(from: D) -> Result<Option<ChannelChoice>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected \"mean\", \"loudest\", a channel such as 1, or several such as [1, 3]")]
    enum Written {
        Number(u16),
        Word(String),
        Numbers(Vec<u16>),
    }
    let channels = match Written::deserialize(from)? {
        Written::Number(number) => number.to_string().parse(),
        Written::Word(word) => word.parse(),
        Written::Numbers(numbers) => Channels::only(&numbers).map(ChannelChoice::Channels),
    };
    channels.map(Some).map_err(D::Error::custom)
}

/// An address of this machine with a port.
pub(super) fn listen<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    listen_address(&String::deserialize(from)?).map(Some).map_err(D::Error::custom)
}

/// As [`listen`], of the command line.
pub(super) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_string(),
    };
    let expected = || format!("expected an address and a port such as \"127.0.0.1:8420\", actual {text:?}");
    numeric.parse().map_err(|_| expected())
}

pub(super) fn gain_db<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f32>, D::Error> {
    checked(from, "a gain from -60 to 60 dB", |value| is_gain_db(*value))
}

pub(super) fn is_gain_db(value: f32) -> bool {
    (-60.0..=60.0).contains(&value)
}

pub(super) const TOPIC_LEVEL: &str = "a name without '/', '+', '#' and control characters";

pub(super) fn is_topic_level(text: &str) -> bool {
    !text.is_empty() && !text.contains(['/', '+', '#']) && !text.contains(char::is_control)
}

fn checked<'de, D, T>(from: D, expected: &str, holds: impl Fn(&T) -> bool) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + fmt::Debug,
{
    let value = T::deserialize(from)?;
    if holds(&value) {
        Ok(Some(value))
    } else {
        Err(D::Error::custom(format!("expected {expected}, actual {value:?}")))
    }
}

//! How to reach a broker: the section `[mqtt]` enters, complete settings leave.

use std::path::PathBuf;

use super::secret;
use crate::config::{ConfigFile, MqttSection};
use crate::error::Result;
use crate::publish::MqttSettings;

const HOME_ASSISTANT: &str = "homeassistant";

/// The settings of the daemon `name`; `None` where there is no broker.
pub(super) fn broker(section: MqttSection, name: &str, file: &ConfigFile) -> Result<Option<MqttSettings>> {
    let Some(url) = section.url else {
        return match without_broker(&section) {
            Some(key) => Err(file.error(key, "has no effect without mqtt.url: name the broker, or leave this key out")),
            None => Ok(None),
        };
    };
    let password = match (section.password, &section.password_file) {
        (Some(_), Some(_)) => {
            return Err(file.error("mqtt.password_file", "mqtt.password is given as well: keep one of them"));
        }
        (None, Some(path)) => Some(secret::first_line(path, "mqtt.password_file", file)?),
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
        return Err(file.error("mqtt.url", format!("certificates are given but {url} is not encrypted: use mqtts://")));
    }
    let prefix = section.home_assistant_prefix.unwrap_or_else(|| HOME_ASSISTANT.into());
    let client_id = section.client_id.unwrap_or_else(|| format!("earwitness-{name}"));
    Ok(Some(MqttSettings {
        url,
        user: section.user,
        password,
        ca_file: resolve(section.ca_file),
        client_cert,
        topic: section.topic.unwrap_or_else(|| "earwitness".into()),
        keep_alive_s: section.keep_alive_s.unwrap_or(30),
        health_s: section.health_s.unwrap_or(60),
        home_assistant: section.home_assistant.unwrap_or(false).then_some(prefix),
        client_id,
    }))
}

/// The first key of a section without a broker that only means something with one.
fn without_broker(section: &MqttSection) -> Option<&'static str> {
    let given = [
        ("mqtt.client_id", section.client_id.is_some()),
        ("mqtt.user", section.user.is_some()),
        ("mqtt.password", section.password.is_some()),
        ("mqtt.password_file", section.password_file.is_some()),
        ("mqtt.ca_file", section.ca_file.is_some()),
        ("mqtt.cert_file", section.cert_file.is_some()),
        ("mqtt.key_file", section.key_file.is_some()),
        ("mqtt.topic", section.topic.is_some()),
        ("mqtt.keep_alive_s", section.keep_alive_s.is_some()),
        ("mqtt.health_s", section.health_s.is_some()),
        ("mqtt.home_assistant", section.home_assistant == Some(true)),
        ("mqtt.home_assistant_prefix", section.home_assistant_prefix.is_some()),
    ];
    given.into_iter().find(|(_, given)| *given).map(|(key, _)| key)
}

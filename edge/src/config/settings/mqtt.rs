//! How to reach a broker: the section `[mqtt]` enters, complete settings leave.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use crate::config::{MqttSection, Source, SpoolSection};
use crate::error::Result;
use crate::publish::{MqttSettings, SpoolSettings};

const MAX_MB: u32 = 64;
const MAX_AGE_DAYS: u32 = 30;
const HOME_ASSISTANT: &str = "homeassistant";

/// The settings of the daemon `name`; `None` where there is no broker.
pub(super) fn broker(section: MqttSection, name: &str, file: &Source) -> Result<Option<MqttSettings>> {
    let Some(url) = section.url else {
        return match without_broker(&section) {
            Some(key) => Err(file.error(key, "has no effect without mqtt.url: name the broker, or leave this key out")),
            None => Ok(None),
        };
    };
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
        spool: spool(&section.spool, &client_id, file)?,
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

fn spool(section: &SpoolSection, client_id: &str, file: &Source) -> Result<Option<SpoolSettings>> {
    let max_mb = section.max_mb.unwrap_or(MAX_MB);
    if max_mb == 0 {
        return Ok(None);
    }
    let path = match &section.file {
        Some(path) => file.resolve(path),
        None => state_folder(|name| env::var(name).ok())
            .ok_or_else(|| {
                file.error("mqtt.spool.file", "this user has no home folder: name a file, or set max_mb = 0")
            })?
            .join(format!("{}.spool", client_id.replace(['/', '\0'], "_"))),
    };
    let days = section.max_age_days.unwrap_or(MAX_AGE_DAYS);
    Ok(Some(SpoolSettings {
        file: path,
        max_bytes: u64::from(max_mb) * 1_000_000,
        max_age: Duration::from_secs(u64::from(days) * 86_400),
    }))
}

/// Where a program keeps what is to survive it: what systemd says (`StateDirectory=`), or the user's place (XDG Base Directory
/// Specification 0.8).
fn state_folder(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let path = |name: &str| variable(name).filter(|value| value.starts_with('/'));
    if let Some(given) = path("STATE_DIRECTORY") {
        // Several are separated by colons.
        return given.split(':').next().map(PathBuf::from);
    }
    let user = path("XDG_STATE_HOME").map(PathBuf::from);
    user.or_else(|| path("HOME").map(|home| Path::new(&home).join(".local/state")))
        .map(|folder| folder.join("earwitness"))
}

fn first_line(path: &Path, file: &Source) -> Result<String> {
    let text = fs::read_to_string(path)
        .map_err(|error| file.error("mqtt.password_file", format!("{}: {error}", path.display())))?;
    Ok(text.lines().next().unwrap_or_default().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spool_lies_where_the_system_keeps_state() {
        let folder = |variables: &[(&str, &str)]| {
            state_folder(|name| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| value.to_string()))
        };
        let all = [("STATE_DIRECTORY", "/var/lib/earwitness:/b"), ("XDG_STATE_HOME", "/x"), ("HOME", "/home/u")];
        assert_eq!(folder(&all), Some("/var/lib/earwitness".into()));
        assert_eq!(folder(&all[1..]), Some("/x/earwitness".into()));
        assert_eq!(folder(&all[2..]), Some("/home/u/.local/state/earwitness".into()));
        assert_eq!(folder(&[("HOME", "")]), None);
    }
}

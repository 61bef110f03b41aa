//! Where events are kept: the section `[journal]` enters, complete settings leave.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::{Config, ConfigFile, JournalSection};
use crate::error::Result;
use crate::journal::{JournalPlace, JournalSettings};

/// The service's folder, `StateDirectory=` of packaging/systemd/earwitness.service.
pub const SERVICE_FOLDER: &str = "/var/lib/earwitness";

const MAX_MB: u32 = 64;
const MAX_AGE_DAYS: u32 = 30;

/// The settings of the daemon `name`, and notices about how they were written. `client_id` is the
/// one that it has at a broker, if there is one, and `folder` the place of files that have no
/// other.
///
/// Without a section `[journal]` a file is kept only where a sink needs it (`is_needed`): one that
/// may be away.
pub(super) fn journal(
    config: &Config,
    name: &str,
    client_id: Option<&str>,
    is_needed: bool,
    folder: Option<PathBuf>,
    file: &ConfigFile,
) -> Result<(JournalSettings, Option<String>)> {
    let (section, key) = match &config.mqtt.spool {
        Some(_) if config.journal != JournalSection::default() => {
            return Err(file.error(
                "mqtt.spool",
                "[journal] is given as well; it is the new name of [mqtt.spool], so keep only [journal]",
            ));
        }
        Some(spool) => (spool, "mqtt.spool"),
        None => (&config.journal, "journal"),
    };
    let notice = (key == "mqtt.spool").then(|| "[mqtt.spool] is now called [journal], with the same keys".to_string());
    let settings = JournalSettings {
        place: place(section, name, client_id, is_needed, folder, file),
        max_bytes: u64::from(section.max_mb.unwrap_or(MAX_MB)) * 1_000_000,
        max_age: days(section.max_age_days.unwrap_or(MAX_AGE_DAYS)),
        keep: days(section.keep_days.unwrap_or(0)),
    };
    Ok((settings, notice))
}

fn place(
    section: &JournalSection,
    name: &str,
    client_id: Option<&str>,
    is_needed: bool,
    folder: Option<PathBuf>,
    file: &ConfigFile,
) -> JournalPlace {
    let is_wanted = is_needed || *section != JournalSection::default();
    if section.max_mb == Some(0) || !is_wanted {
        return JournalPlace::Memory;
    }
    if let Some(path) = &section.file {
        return JournalPlace::File { file: file.resolve(path), before: None };
    }
    let Some(folder) = folder else { return JournalPlace::Nowhere };
    let named = |name: &str, suffix: &str| folder.join(file_name(name, suffix));
    JournalPlace::File { file: named(name, "journal"), before: client_id.map(|client_id| named(client_id, "spool")) }
}

/// The folder for the journal, unless the configuration names a file: the service's, or that of a
/// daemon started by this user.
pub(super) fn folder(as_service: bool) -> Option<PathBuf> {
    let is_of_service = |name: &str| name == "STATE_DIRECTORY";
    let given = state_folder(|name| env::var(name).ok().filter(|_| !as_service || is_of_service(name)));
    given.or_else(|| as_service.then(|| PathBuf::from(SERVICE_FOLDER)))
}

/// Where the daemon of the configuration at `path` would keep its journal: as a service, and
/// started by this user.
///
/// # Errors
///
/// [`Error::Config`](crate::Error::Config) when the configuration cannot be read.
pub fn journal_files(path: &Path) -> Result<Vec<PathBuf>> {
    let (config, file) = Config::read(path)?;
    let section = config.mqtt.spool.as_ref().unwrap_or(&config.journal);
    if let Some(path) = &section.file {
        return Ok(vec![file.resolve(path)]);
    }
    let name = match config.name {
        Some(name) => name,
        None => super::host_name()?,
    };
    Ok(journal_folders().into_iter().map(|folder| folder.join(file_name(&name, "journal"))).collect())
}

/// The folders in which daemons keep their journals unless they are configured otherwise.
pub fn journal_folders() -> Vec<PathBuf> {
    folder(false).into_iter().chain([PathBuf::from(SERVICE_FOLDER)]).collect()
}

fn file_name(name: &str, suffix: &str) -> String {
    format!("{}.{suffix}", name.replace(['/', '\0'], "_"))
}

fn days(n: u32) -> Duration {
    Duration::from_secs(u64::from(n) * 86_400)
}

/// Where a program keeps what is to survive it: what systemd says (`StateDirectory=`), or the
/// user's place (XDG Base Directory Specification 0.8).
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_lies_where_the_system_keeps_state() {
        let folder = |variables: &[(&str, &str)]| {
            state_folder(|name| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| value.to_string()))
        };
        let all = [("STATE_DIRECTORY", "/var/lib/earwitness:/b"), ("XDG_STATE_HOME", "/x"), ("HOME", "/home/u")];
        assert_eq!(folder(&all), Some("/var/lib/earwitness".into()));
        assert_eq!(folder(&all[1..]), Some("/x/earwitness".into()));
        assert_eq!(folder(&all[2..]), Some("/home/u/.local/state/earwitness".into()));
        assert_eq!(folder(&[("HOME", "")]), None);
    }

    #[test]
    fn nothing_is_stored_unless_it_is_configured_or_a_sink_may_be_away() {
        let place = |section: &JournalSection, is_needed| {
            place(section, "ear", Some("earwitness-ear"), is_needed, folder(true), &ConfigFile::default())
        };
        let none = JournalSection::default();
        assert_eq!(place(&none, false), JournalPlace::Memory);
        let (file, before) = ("/var/lib/earwitness/ear.journal", "/var/lib/earwitness/earwitness-ear.spool");
        assert_eq!(place(&none, true), JournalPlace::File { file: file.into(), before: Some(before.into()) });
        let file = JournalSection { file: Some("a".into()), ..none.clone() };
        assert_eq!(place(&file, false), JournalPlace::File { file: "a".into(), before: None });
        assert_eq!(place(&JournalSection { max_mb: Some(0), ..file }, true), JournalPlace::Memory);
    }
}

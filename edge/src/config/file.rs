//! A configuration file's text: places in it enter and leave, so that every error names file, line
//! and key.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

use crate::error::{Error, Result, one_line};
use crate::wording::plain;

/// A configuration file that was read, or the absence of one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConfigFile {
    file: Option<PathBuf>,
    text: String,
}

impl ConfigFile {
    /// Reads `path`.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| Error::Config {
            file: path.to_path_buf(),
            line: None,
            key: String::new(),
            reason: match error.kind() {
                ErrorKind::NotFound => "no such file: name another one, or make one with `earwitness setup`".into(),
                ErrorKind::InvalidData => "not a text file in UTF-8: save it as such".into(),
                _ => error.to_string(),
            },
        })?;
        Ok(ConfigFile { file: Some(path.to_path_buf()), text })
    }

    /// A text that is in no file.
    pub(super) fn of_text(text: &str) -> Self {
        ConfigFile { file: None, text: text.to_string() }
    }

    /// The text as `T`.
    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        toml::from_str(&self.text).map_err(|error| {
            let at = error.span().map(|span| span.start);
            let key = at.map(|at| key_at(&self.text, at)).unwrap_or_default();
            let reason = brackets(&self.text, &key).unwrap_or_else(|| one_line(plain(error.message())));
            let is_secret = at.is_some_and(|at| line_at(&self.text, at).contains("password"));
            let reason = if is_secret { without_value(&reason) } else { reason };
            match &self.file {
                Some(file) => {
                    Error::Config { file: file.clone(), line: at.map(|at| line_of(&self.text, at)), key, reason }
                }
                None => Error::usage(key, reason),
            }
        })
    }

    /// An error about the dotted `key`, with its line where the file has it. A key that the file
    /// does not have was left at its default or given on the command line. One of `[[sources]]` is
    /// `sources.1.rate`, counted from 0.
    pub fn error(&self, key: &str, reason: impl std::fmt::Display) -> Error {
        match (&self.file, self.find(key)) {
            (Some(file), Some((line, key))) => {
                Error::Config { file: file.clone(), line: Some(line), key, reason: one_line(reason) }
            }
            _ => Error::usage(key, reason),
        }
    }

    /// The same error, with file and line where it is about a key that the file has.
    pub fn locate(&self, error: Error) -> Error {
        match error {
            Error::Usage { option, reason } => self.error(&option, reason),
            other => other,
        }
    }

    /// Whether there is a file.
    pub(super) fn is_file(&self) -> bool {
        self.file.is_some()
    }

    /// `path` as seen from the folder of the configuration file.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        match self.file.as_deref().and_then(Path::parent) {
            Some(folder) => folder.join(path),
            None => path.to_path_buf(),
        }
    }

    /// The line of a key, and how the file writes it.
    fn find(&self, key: &str) -> Option<(usize, String)> {
        let document = DeTable::parse(&self.text).ok()?;
        let (at, written) = find(document.get_ref(), key, String::new())?;
        Some((line_of(&self.text, at), written))
    }
}

/// Sections of which there may be several.
const SEVERAL: [&str; 2] = ["sources", "webhook"];

/// What to write where a section is written as one of several although there is only one, or the
/// other way round.
fn brackets(text: &str, key: &str) -> Option<String> {
    let document = DeTable::parse(text).ok()?;
    let section = document.get_ref().iter().find(|(name, _)| name.get_ref() == key)?.1.get_ref();
    match (section, SEVERAL.contains(&key)) {
        (DeValue::Table(_), true) => Some(format!("there may be several: write [[{key}]]")),
        (DeValue::Array(all), false) if all.iter().all(|one| one.get_ref().is_table()) => {
            Some(format!("there is only one: write [{key}]"))
        }
        _ => None,
    }
}

/// Where the rest of a dotted key is named in `table`, and the key as it is written; `before` is
/// what led here. A label may have dots of its own.
fn find(table: &DeTable, rest: &str, before: String) -> Option<(usize, String)> {
    let joined = |name: &str| if before.is_empty() { name.to_string() } else { format!("{before}.{name}") };
    if let Some((name, _)) = table.iter().find(|(name, _)| name.get_ref() == rest) {
        return Some((name.span().start, joined(rest)));
    }
    table.iter().find_map(|(name, value)| {
        let rest = rest.strip_prefix(name.get_ref().as_ref())?.strip_prefix('.')?;
        let written = joined(name.get_ref());
        match value.get_ref() {
            DeValue::Table(table) => find(table, rest, written),
            DeValue::Array(tables) => {
                let (index, rest) = rest.split_once('.')?;
                find(tables.get(index.parse::<usize>().ok()?)?.get_ref().as_table()?, rest, written)
            }
            _ => None,
        }
    })
}

/// `path` with the user's home folder in place of `~/`, as a shell would have it.
///
/// # Errors
///
/// For a path that begins with `~/` where there is no home folder.
pub fn at_home(path: &Path) -> Result<PathBuf, String> {
    in_home(path, env::var_os("HOME").as_deref().map(Path::new))
}

fn in_home(path: &Path, home: Option<&Path>) -> Result<PathBuf, String> {
    match (path.strip_prefix("~"), home.filter(|home| !home.as_os_str().is_empty())) {
        (Err(_), _) => Ok(path.to_path_buf()),
        (Ok(rest), Some(home)) => Ok(home.join(rest)),
        (Ok(_), None) => {
            Err(format!("{}: this user has no home folder (HOME is not set): write the whole path", path.display()))
        }
    }
}

/// Line of the byte `at`, from 1.
fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

/// The line of the byte `at`.
fn line_at(text: &str, at: usize) -> &str {
    text.lines().nth(line_of(text, at) - 1).unwrap_or_default()
}

/// A complaint about a value of the wrong type, without the value.
fn without_value(reason: &str) -> String {
    match reason.splitn(3, '`').collect::<Vec<_>>()[..] {
        [before, _, after] if reason.starts_with("invalid ") => format!("{}{after}", before.trim_end()),
        _ => reason.to_string(),
    }
}

/// The dotted key on the line of the byte `at`: the name before `=`, below the nearest table
/// header.
fn key_at(text: &str, at: usize) -> String {
    let before: Vec<&str> = text.lines().take(line_of(text, at)).collect();
    let header = |line: &&&str| line.trim_start().starts_with('[');
    let strip = |line: &str| line.split('#').next().unwrap_or_default().trim().trim_matches(['[', ']']).to_string();
    let table = before.iter().rev().find(header).map(|line| strip(line)).unwrap_or_default();
    match before.last().and_then(|line| line.split_once('=')) {
        Some((name, _)) if table.is_empty() => name.trim().to_string(),
        Some((name, _)) => format!("{table}.{}", name.trim()),
        None => table,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "name = \"x\"\n\n[mqtt] # the broker\nurl = \"mqtt://a\"\n\n[decide.classes.bell]\nthreshold_on = 0.5\n";

    #[test]
    fn keys_are_found_with_their_lines() {
        let file = ConfigFile { file: Some("c.toml".into()), text: TEXT.into() };
        let line = |key: &str| file.find(key).map(|(line, _)| line);
        assert_eq!(line("name"), Some(1));
        assert_eq!(line("mqtt.url"), Some(4));
        assert_eq!(line("decide.classes.bell"), Some(6));
        assert_eq!(line("mqtt.user"), None);
        assert_eq!(file.error("mqtt.url", "no").to_string(), "c.toml:4: mqtt.url: no");
        assert_eq!(file.error("mqtt.user", "no").to_string(), "mqtt.user: no");
    }

    #[test]
    fn one_of_several_sources_is_found() {
        let text = "[[sources]]\nname = \"a\"\n[[sources]]\nname = \"b\"\nrate = 5\n";
        let file = ConfigFile { file: Some("c.toml".into()), text: text.into() };
        assert_eq!(file.error("sources.1.rate", "no").to_string(), "c.toml:5: sources.rate: no");
        assert_eq!(file.error("sources.0.rate", "no").to_string(), "sources.0.rate: no");
    }

    #[test]
    fn a_password_without_quotes_is_not_repeated() {
        for text in [
            "[web]\npassword = 87654321\n",
            "[mqtt]\npassword = 87654321\n",
            "mqtt = { user = \"u\", password = 87654321 }\n",
            "mqtt.password = 87654321.5\n",
            "[web]\npassword = [87654321]\n",
            "[web]\npassword = 87654321876543218765432187654321\n",
            "[web]\npassword = 087654321\n",
            "[web]\npassword = 87654321x\n",
        ] {
            let error = ConfigFile::of_text(text).parse::<crate::config::Config>().unwrap_err().to_string();
            assert!(!error.contains("87654321"), "{error}");
        }
        let text = "[mqtt]\npassword = 87654321\n";
        let error = ConfigFile::of_text(text).parse::<crate::config::Config>().unwrap_err().to_string();
        assert_eq!(error, "mqtt.password: invalid type: integer, expected text in quotes");
    }

    #[test]
    fn a_path_may_begin_at_home_where_there_is_one() {
        let path = |path: &str, home: Option<&str>| in_home(Path::new(path), home.map(Path::new));
        assert_eq!(path("~/a.wav", Some("/home/u")), Ok("/home/u/a.wav".into()));
        assert_eq!(path("a~/b", None), Ok("a~/b".into()));
        for home in [None, Some("")] {
            let refused = path("~/a.wav", home).unwrap_err();
            assert!(refused.starts_with("~/a.wav: this user has no home folder"), "{refused}");
        }
    }

    #[test]
    fn a_path_is_seen_from_the_folder_of_the_file() {
        let file = ConfigFile { file: Some("/etc/ear/c.toml".into()), text: String::new() };
        assert_eq!(file.resolve(Path::new("a~/b")), Path::new("/etc/ear/a~/b"));
        assert_eq!(file.resolve(Path::new("/a")), Path::new("/a"));
    }

    #[test]
    fn a_place_is_named_by_its_table_and_key() {
        let at = |needle: &str| TEXT.find(needle).unwrap();
        assert_eq!(key_at(TEXT, at("\"x\"")), "name");
        assert_eq!(key_at(TEXT, at("\"mqtt://a\"")), "mqtt.url");
        assert_eq!(key_at(TEXT, at("0.5")), "decide.classes.bell.threshold_on");
        assert_eq!(key_at(TEXT, at("[mqtt]")), "mqtt");
    }
}

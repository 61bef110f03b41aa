//! A configuration file's text: places in it enter and leave, so that every error names file, line and key.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::de::DeTable;

use crate::error::{Error, Result, one_line};

/// A configuration file that was read, or the absence of one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Source {
    file: Option<PathBuf>,
    text: String,
}

impl Source {
    /// Reads `path`.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| Error::Config {
            file: path.to_path_buf(),
            line: None,
            key: String::new(),
            reason: error.to_string(),
        })?;
        Ok(Source { file: Some(path.to_path_buf()), text })
    }

    /// The text as `T`.
    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        toml::from_str(&self.text).map_err(|error| {
            let at = error.span().map(|span| span.start);
            Error::Config {
                file: self.file.clone().unwrap_or_default(),
                line: at.map(|at| line_of(&self.text, at)),
                key: at.map(|at| key_at(&self.text, at)).unwrap_or_default(),
                reason: one_line(error.message()),
            }
        })
    }

    /// An error about the dotted `key`, with its line where the file has it. A key that the file does not have was left at its
    /// default or given on the command line.
    pub fn error(&self, key: &str, reason: impl std::fmt::Display) -> Error {
        match (&self.file, self.find(key)) {
            (Some(file), Some(line)) => {
                Error::Config { file: file.clone(), line: Some(line), key: key.to_string(), reason: one_line(reason) }
            }
            _ => Error::usage(key, reason),
        }
    }

    /// `path` as seen from the folder of the configuration file.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        match self.file.as_deref().and_then(Path::parent) {
            Some(folder) => folder.join(path),
            None => path.to_path_buf(),
        }
    }

    fn find(&self, key: &str) -> Option<usize> {
        let document = DeTable::parse(&self.text).ok()?;
        let mut table = document.get_ref();
        let mut parts = key.split('.').peekable();
        loop {
            let part = parts.next()?;
            let (name, value) = table.iter().find(|(name, _)| name.get_ref() == part)?;
            if parts.peek().is_none() {
                return Some(line_of(&self.text, name.span().start));
            }
            table = value.get_ref().as_table()?;
        }
    }
}

/// Line of the byte `at`, from 1.
fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

/// The dotted key on the line of the byte `at`: the name before `=`, below the nearest table header.
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
        let source = Source { file: Some("c.toml".into()), text: TEXT.into() };
        assert_eq!(source.find("name"), Some(1));
        assert_eq!(source.find("mqtt.url"), Some(4));
        assert_eq!(source.find("decide.classes.bell"), Some(6));
        assert_eq!(source.find("mqtt.user"), None);
        assert_eq!(source.error("mqtt.url", "no").to_string(), "c.toml:4: mqtt.url: no");
        assert_eq!(source.error("mqtt.user", "no").to_string(), "mqtt.user: no");
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

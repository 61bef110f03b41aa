//! What a training ran on.
//!
//! Enters: the machine. Leaves: `environment.json` in the run folder, for comparing runs later. It
//! chooses nothing.

use crate::common::json;
use crate::common::progress::device_name;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tch::Device;

/// Name of the file in a run folder.
pub const ENVIRONMENT: &str = "environment.json";

/// Programs and machine of a training.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// Version of this crate.
    pub trainer: String,
    /// Version of libtorch.
    pub libtorch: String,
    /// Where the network was trained.
    pub device: String,
    /// Model of the processor.
    pub cpu: String,
    /// Processor cores that the program could use.
    pub n_cores: usize,
    /// Operating system and kind of processor.
    pub os: String,
    /// When the training ended, UTC.
    pub finished: String,
    /// Folder that the recipe's data sets were found in.
    pub data_root: PathBuf,
}

impl Environment {
    /// This machine, now.
    pub fn here(device: Device, data_root: &Path) -> Self {
        Self {
            trainer: env!("CARGO_PKG_VERSION").to_owned(),
            libtorch: option_env!("LIBTORCH_VERSION").unwrap_or(UNKNOWN).to_owned(),
            device: device_name(device),
            cpu: value_of("/proc/cpuinfo", "model name", ':'),
            n_cores: std::thread::available_parallelism().map_or(1, usize::from),
            os: format!("{}, {}", system(), std::env::consts::ARCH),
            finished: now(),
            data_root: std::path::absolute(data_root).unwrap_or_else(|_| data_root.to_owned()),
        }
    }

    /// Writes it into the run folder.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write(&self, run: &Path) -> Result<()> {
        json::write(&run.join(ENVIRONMENT), self)
    }
}

impl Default for Environment {
    fn default() -> Self {
        let unknown = || UNKNOWN.to_owned();
        Self {
            trainer: unknown(),
            libtorch: unknown(),
            device: unknown(),
            cpu: unknown(),
            n_cores: 0,
            os: unknown(),
            finished: unknown(),
            data_root: PathBuf::new(),
        }
    }
}

const UNKNOWN: &str = "unknown";

/// The time, UTC, to the second.
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn system() -> String {
    match value_of("/etc/os-release", "PRETTY_NAME", '=').as_str() {
        UNKNOWN => std::env::consts::OS.to_owned(),
        name => name.to_owned(),
    }
}

/// The first value of `key` in a text file of Linux.
fn value_of(path: &str, key: &str, separator: char) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut pairs = text.lines().filter_map(|line| line.split_once(separator));
    let value = pairs.find(|(k, _)| k.trim() == key).map(|(_, value)| value.trim().trim_matches('"').to_owned());
    value.unwrap_or_else(|| UNKNOWN.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_survives_and_what_is_not_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let here = Environment::here(Device::Cpu, Path::new("data"));
        here.write(folder.path()).unwrap();
        assert_eq!(json::read::<Environment>(&folder.path().join(ENVIRONMENT)).unwrap(), here);
        assert!(here.libtorch.starts_with("2."), "{here:?}");
        assert!(here.data_root.is_absolute() && here.device.starts_with("CPU"));
        assert_eq!(value_of("/nowhere", "model name", ':'), UNKNOWN);
        let older: Environment = serde_json::from_str(r#"{"trainer": "0.1.0"}"#).unwrap();
        assert_eq!((older.trainer.as_str(), older.cpu.as_str()), ("0.1.0", UNKNOWN));
    }
}

//! The record of a training: one JSON object per line.
//!
//! Enters: objects. Leaves: `metrics.jsonl` in the run folder, without the lines of steps that a
//! resumed training does again.

use crate::error::{Error, Result};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Appends to `metrics.jsonl`.
#[derive(Debug)]
pub struct Metrics {
    path: PathBuf,
    file: std::fs::File,
}

impl Metrics {
    /// Opens the file; lines of steps after `step`, which a resumed training does again, are
    /// dropped.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or written.
    pub fn open(path: &Path, step: u64) -> Result<Self> {
        let text = match std::fs::read_to_string(path) {
            _ if step == 0 => String::new(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text.map_err(Error::io(path))?,
        };
        let step_of =
            |line: &str| serde_json::from_str::<serde_json::Value>(line).ok().and_then(|v| v["step"].as_u64());
        let kept = text.lines().filter(|line| step_of(line).is_some_and(|s| s <= step));
        let kept: String = kept.map(|line| format!("{line}\n")).collect();
        std::fs::write(path, kept).map_err(Error::io(path))?;
        let file = std::fs::OpenOptions::new().append(true).open(path).map_err(Error::io(path))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Appends an object, which has a `step`.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write(&mut self, object: &serde_json::Value) -> Result<()> {
        writeln!(self.file, "{object}").map_err(Error::io(&self.path))
    }
}

/// Losses of a step, each by its name in the record. The first is the loss with the labels.
pub type Losses = Vec<(&'static str, f64)>;

/// What a step reports.
#[derive(Debug, Clone)]
pub struct Step {
    /// By name.
    pub losses: Losses,
    /// Share of the items whose most likely class is the heavier of their labels.
    pub accuracy: f64,
    /// Learning rate used.
    pub lr: f64,
}

/// Means over the steps of an epoch.
#[derive(Debug, Default)]
pub struct Running {
    losses: Losses,
    accuracy: f64,
    n: u64,
}

impl Running {
    /// Adds a step.
    pub fn add(&mut self, step: &Step) {
        if self.losses.is_empty() {
            self.losses = step.losses.iter().map(|(name, _)| (*name, 0.0)).collect();
        }
        self.losses.iter_mut().zip(&step.losses).for_each(|((_, sum), (_, value))| *sum += value);
        self.accuracy += step.accuracy;
        self.n += 1;
    }

    /// Mean losses by name.
    pub fn losses(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        self.losses.iter().map(|(name, sum)| (*name, sum / self.n.max(1) as f64))
    }

    /// Mean accuracy.
    pub fn accuracy(&self) -> f64 {
        self.accuracy / self.n.max(1) as f64
    }
}

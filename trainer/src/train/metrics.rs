//! The record of a training: one JSON object a line.
//!
//! Enters: objects. Leaves: `metrics.jsonl` in the run folder, without the lines of steps that a resumed training does again.

use crate::error::{Error, Result};
use crate::train::training::StepReport;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Appends to `metrics.jsonl`.
#[derive(Debug)]
pub struct Metrics {
    path: PathBuf,
    file: std::fs::File,
}

impl Metrics {
    /// Opens the file; lines of steps after `step`, which a resumed training does again, are dropped.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn open(path: &Path, step: u64) -> Result<Self> {
        let text = if step > 0 { std::fs::read_to_string(path).unwrap_or_default() } else { String::new() };
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

/// Means over the steps of an epoch.
#[derive(Debug, Default)]
pub struct Running {
    sums: [f64; 3],
    n: u64,
}

impl Running {
    /// Takes a step in.
    pub fn add(&mut self, report: &StepReport) {
        let values = [report.loss, report.teacher_loss, report.accuracy];
        self.sums.iter_mut().zip(values).for_each(|(s, v)| *s += v);
        self.n += 1;
    }

    /// Means of loss, distance to the teacher, and accuracy.
    pub fn means(&self) -> [f64; 3] {
        self.sums.map(|s| s / self.n.max(1) as f64)
    }
}

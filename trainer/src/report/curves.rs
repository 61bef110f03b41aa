//! The course of a training.
//!
//! Enters: `metrics.jsonl` of a stage. Leaves: its epochs and its evaluations on what is held out,
//! in order.

use crate::error::{Error, Result};
use crate::judge::evaluate::Evaluation;
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// One training's course.
#[derive(Debug, Clone, Default)]
pub struct Curves {
    /// The stage that is trained; empty where there is only one.
    pub stage: String,
    pub epochs: Vec<Epoch>,
    pub evaluations: Vec<Evaluated>,
}

/// Means over an epoch's steps.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Epoch {
    pub epoch: f64,
    pub loss: f64,
    /// Distance to the teacher's embedding; 0 without a teacher.
    #[serde(default)]
    pub teacher_loss: f64,
    pub accuracy: f64,
    /// Learning rate of the last step.
    pub lr: f64,
    #[serde(default)]
    pub seconds: f64,
}

/// An evaluation after an epoch.
#[derive(Debug, Clone, Deserialize)]
pub struct Evaluated {
    pub epoch: f64,
    pub evaluation: Evaluation,
}

impl Curves {
    /// Reads a record. Lines of other kinds are left out, and so is an incomplete last line, which
    /// a killed training leaves.
    pub fn read(path: &Path, stage: &str) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        let mut curves = Self { stage: stage.to_owned(), ..Self::default() };
        let n_lines = text.lines().count();
        for (at, line) in text.lines().enumerate() {
            match curves.take(line) {
                Err(_) if at + 1 == n_lines => {}
                taken => taken.map_err(|e| Error::content(path, format!("line {}: {e}", at + 1)))?,
            }
        }
        Ok(curves)
    }

    fn take(&mut self, line: &str) -> serde_json::Result<()> {
        let value: Value = serde_json::from_str(line)?;
        match value["kind"].as_str() {
            Some("train") => self.epochs.push(serde_json::from_value(value)?),
            Some("evaluation") => self.evaluations.push(serde_json::from_value(value)?),
            _ => {}
        }
        Ok(())
    }

    /// Time spent on training.
    pub fn seconds(&self) -> f64 {
        self.epochs.iter().map(|e| e.seconds).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: &str = r#"{"kind":"train","epoch":1,"step":4,"loss":2.5,"accuracy":0.25,"lr":0.001,"seconds":1.5}"#;

    fn read(text: &str) -> Result<Curves> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.jsonl");
        std::fs::write(&path, text).unwrap();
        Curves::read(&path, "")
    }

    #[test]
    fn a_killed_training_and_later_kinds_of_lines_are_read() {
        let curves = read(&format!("{EPOCH}\n{{\"kind\":\"new\"}}\n{EPOCH}\n{}", &EPOCH[..30])).unwrap();
        assert_eq!((curves.epochs.len(), curves.seconds()), (2, 3.0));
        assert_eq!(curves.epochs[0].teacher_loss, 0.0);
    }

    #[test]
    fn a_broken_line_is_named() {
        let error = read(&format!("{EPOCH}\nbroken\n{EPOCH}\n")).unwrap_err().to_string();
        assert!(error.contains("m.jsonl: line 2: "), "{error}");
    }
}

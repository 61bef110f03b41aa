//! A scene's files: audio, truth, and how it was made.

use super::compose::Scene;
use super::flac;
use crate::common::json;
use crate::error::{Error, Result};
use std::path::Path;

impl Scene {
    /// Writes `<name>.flac` (16 bits), `<name>.csv` (`onset_s,offset_s,label`) and `<name>.json`
    /// (how it was made) into `folder`.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub fn write(&self, folder: &Path, name: &str) -> Result<()> {
        flac::write(&folder.join(format!("{name}.flac")), self.sample_rate, &self.samples)?;
        self.write_truth(&folder.join(format!("{name}.csv")))?;
        json::write(&folder.join(format!("{name}.json")), &self.made)
    }

    fn write_truth(&self, path: &Path) -> Result<()> {
        let failed = |e: csv::Error| Error::content(path, format!("cannot be written: {e}"));
        let mut table = csv::Writer::from_path(path).map_err(failed)?;
        table.write_record(["onset_s", "offset_s", "label"]).map_err(failed)?;
        for event in &self.truth {
            let times = [event.onset_s, event.offset_s].map(|s| format!("{s:.3}"));
            table.write_record([&times[0], &times[1], &event.label]).map_err(failed)?;
        }
        table.flush().map_err(Error::io(path))
    }
}

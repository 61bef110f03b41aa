//! What is really in a recording: a file enters, sounds leave.
//!
//! The file is a table with a header that has the columns `onset_s`, `offset_s` and `label`, in any
//! order; others are ignored. A header alone means that nothing in the recording is to be reported.
//! Other programs write the same in other ways, which are read, too: columns called `onset`,
//! `start`, `end`, `event_label` and so on, between commas, semicolons or tabs, numbers with a
//! decimal comma where that is not what separates the columns; and Audacity's label tracks, which
//! have no header.

mod form;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use edge_frontend::Manifest;

use self::form::{Form, text};
use crate::{Error, Result, Sound};

/// What to do about sounds that the model cannot report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownLabels {
    /// They are an error.
    Refuse,
    /// They are left out, and counted.
    LeaveOut,
}

/// What is really in a recording.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Truth {
    /// By onset. Those that the manifest calls background are none.
    pub sounds: Vec<Sound>,
    /// How many sounds of which labels were left out because the model does not know them.
    pub unknown: BTreeMap<String, usize>,
}

impl Truth {
    /// The same in a recording of `duration_s`: a sound that its end cuts off ends there.
    ///
    /// # Errors
    ///
    /// [`Error::Truth`] for a sound that begins after the end: the file, at `path`, is that of
    /// another recording.
    pub fn within(mut self, duration_s: f64, path: &Path) -> Result<Self> {
        for sound in &mut self.sounds {
            if sound.onset_s >= duration_s {
                let reason = format!("a sound begins at {} s, the recording ends at {duration_s} s", sound.onset_s);
                return Err(Error::truth(path, None, "onset_s", reason));
            }
            sound.offset_s = sound.offset_s.min(duration_s);
        }
        Ok(self)
    }
}

/// Reads the file at `path`.
///
/// # Errors
///
/// [`Error::Truth`] with line and column for a file that cannot be read, lacks a column, has a
/// value that makes no sense, or, unless they are to be left out, labels that the model does not
/// know; all of them are listed.
pub fn truth(path: &Path, manifest: &Manifest, unknown_labels: UnknownLabels) -> Result<Truth> {
    let failed = |line: Option<u64>, field: &str, reason: String| Error::truth(path, line, field, reason);
    let bytes = fs::read(path).map_err(|error| failed(None, "", error.to_string()))?;
    let text = text(&bytes).map_err(|reason| failed(None, "", reason))?;
    let form = Form::of(&text).map_err(|(field, reason)| failed(Some(1), field, reason))?;
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .delimiter(form.delimiter)
        .has_headers(form.has_header)
        // What an Audacity label track has beside its labels are lines of frequencies.
        .flexible(!form.has_header)
        .quoting(form.has_header)
        .from_reader(text.as_bytes());
    let unreadable = |error: csv::Error| failed(error.position().map(csv::Position::line), "", csv_reason(&error));
    let mut truth = Truth::default();
    let mut first_unknown = None;
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        if !form.has_header && record.get(0).is_none_or(|first| first == "\\" || first.is_empty()) {
            continue;
        }
        let line = record.position().map(csv::Position::line);
        let seconds = |at: usize, name: &str| {
            form.seconds(record.get(at).unwrap_or_default()).map_err(|actual| {
                failed(line, name, format!("expected seconds from the recording's start, actual {actual:?}"))
            })
        };
        let (onset_s, offset_s) = (seconds(form.onset, "onset_s")?, seconds(form.offset, "offset_s")?);
        if offset_s <= onset_s {
            return Err(failed(line, "offset_s", format!("expected above onset_s ({onset_s}), actual {offset_s}")));
        }
        let name = record.get(form.label).unwrap_or_default();
        match manifest.class_of(name) {
            Some(class_id) if manifest.background.as_ref() == Some(&manifest.labels[class_id]) => {}
            Some(class_id) => truth.sounds.push(Sound { class_id, onset_s, offset_s }),
            None => {
                first_unknown = first_unknown.or(line);
                *truth.unknown.entry(name.to_string()).or_default() += 1;
            }
        }
    }
    if unknown_labels == UnknownLabels::Refuse && !truth.unknown.is_empty() {
        let labels: Vec<String> = truth.unknown.keys().map(|label| format!("{label:?}")).collect();
        let reason = format!("the model {} has no label {}", manifest.name, labels.join(", "));
        return Err(failed(first_unknown, "label", reason));
    }
    truth.sounds.sort_by(|a, b| a.onset_s.total_cmp(&b.onset_s));
    Ok(truth)
}

fn csv_reason(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("expected {expected_len} values as in the header, actual {len}")
        }
        csv::ErrorKind::Utf8 { .. } => "not UTF-8".to_string(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;

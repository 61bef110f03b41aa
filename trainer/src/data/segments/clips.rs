//! Clips as segments: a folder of recordings and a table of them.
//!
//! Enters: a table with the columns `file`, `label`, `fold` and `source_id`. Leaves: one segment
//! per clip, as long as the decoded recording, and the labels in alphabetical order. Recordings are
//! decoded on all threads of the pool, and stay in the folder's memory as far as that reaches.

use super::Segment;
use super::folder::Folder;
use crate::data::csv::{Row, read_table};
use crate::error::{Error, Result};
use edge_frontend::FrontendConfig;
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::Path;

/// Reads the table at `csv`; its files are relative to `folder`. Leaves segments, labels and the
/// folder of the recordings.
///
/// # Errors
///
/// Those of [`read_table`]; if two clips have the same file name, or a recording cannot be decoded
/// or is empty.
pub fn read(
    csv: &Path,
    folder: &Path,
    background: bool,
    frontend: &FrontendConfig,
    max_bytes: usize,
) -> Result<(Vec<Segment>, Vec<String>, Folder)> {
    let rows = read_table(csv, folder, background)?;
    let Decoded { segments, labels, folder } = decode(csv, rows, frontend, max_bytes);
    Ok((segments.into_iter().collect::<Result<_>>()?, labels, folder))
}

/// Rows of a table as segments.
pub struct Decoded {
    /// A segment per row, or what is wrong with its recording.
    pub segments: Vec<Result<Segment>>,
    /// In alphabetical order.
    pub labels: Vec<String>,
    /// The recordings.
    pub folder: Folder,
}

/// The recordings of `rows`, decoded.
pub fn decode(csv: &Path, rows: Vec<Row>, frontend: &FrontendConfig, max_bytes: usize) -> Decoded {
    let mut labels: Vec<String> = rows.iter().map(|row| row.label.clone()).filter(|l| !l.is_empty()).collect();
    labels.sort_unstable();
    labels.dedup();
    let mut segments: Vec<Result<Segment>> = Vec::with_capacity(rows.len());
    let mut lines: HashMap<String, usize> = HashMap::with_capacity(rows.len());
    let mut paths = HashMap::with_capacity(rows.len());
    for row in rows {
        let name = row.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(other) = lines.insert(name.clone(), row.line) {
            let message = format!("file: another clip named {name:?} is in line {other}");
            segments.push(Err(Error::input(csv, Some(row.line), message)));
            continue;
        }
        segments.push(Ok(Segment {
            annotation_id: name,
            recording: row.file.clone(),
            start: 0,
            stop: 0,
            class: labels.binary_search(&row.label).ok(),
            fold: row.fold,
            source: row.source,
            line: row.line,
        }));
        paths.insert(row.file, row.path);
    }
    let folder = Folder::new(paths, frontend.sample_rate, max_bytes);
    let bar = crate::common::progress::bar(segments.len() as u64, "recordings");
    let measured = segments.into_par_iter().map(|segment| {
        let segment = segment?;
        let length = folder.samples(&segment.recording).map(|samples| samples.len() as u64);
        bar.inc(1);
        let wrong = |message: String| Error::input(csv, Some(segment.line), message);
        match length.map_err(wrong)? {
            0 => Err(wrong(format!("file: {} has no samples", paths_of(&folder, &segment)))),
            stop => Ok(Segment { stop, ..segment }),
        }
    });
    let segments = measured.collect();
    bar.finish_and_clear();
    Decoded { segments, labels, folder }
}

fn paths_of(folder: &Folder, segment: &Segment) -> String {
    folder.path(&segment.recording).map_or_else(String::new, |p| p.display().to_string())
}

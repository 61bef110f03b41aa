//! Clips as segments: a folder of recordings and a table of them.
//!
//! Enters: a table with the columns `file`, `label`, `fold` and `source_id`. Leaves: one segment a clip, as long as the decoded
//! recording, and the labels in alphabetical order. Recordings are decoded on all threads of the pool, and stay in the
//! folder's memory as far as that reaches.

use super::Segment;
use super::folder::Folder;
use crate::data::csv::read_table;
use crate::error::{Error, Result};
use edge_frontend::FrontendConfig;
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::Path;

/// Reads the table at `csv`; its files are relative to `folder`. Leaves segments, labels and the folder of the recordings.
///
/// # Errors
///
/// Those of [`read_table`]; if two clips have the same file name, or a recording cannot be decoded or is empty.
pub fn read(
    csv: &Path,
    folder: &Path,
    frontend: &FrontendConfig,
    max_bytes: usize,
) -> Result<(Vec<Segment>, Vec<String>, Folder)> {
    let rows = read_table(csv, folder, false)?;
    let mut labels: Vec<String> = rows.iter().map(|row| row.label.clone()).collect();
    labels.sort_unstable();
    labels.dedup();
    let mut segments: Vec<Segment> = Vec::with_capacity(rows.len());
    let mut lines: HashMap<String, usize> = HashMap::with_capacity(rows.len());
    let mut paths = HashMap::with_capacity(rows.len());
    for row in rows {
        let name = row.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(other) = lines.insert(name.clone(), row.line) {
            let message = format!("file: another clip named {name:?} is in line {other}");
            return Err(Error::input(csv, Some(row.line), message));
        }
        segments.push(Segment {
            annotation_id: name.clone(),
            recording: name.clone(),
            start: 0,
            stop: 0,
            class: labels.binary_search(&row.label).ok(),
            fold: row.fold,
            source: row.source,
            line: row.line,
        });
        paths.insert(name, row.path);
    }
    let folder = Folder::new(paths, frontend.sample_rate, max_bytes);
    let bar = crate::common::progress::bar(segments.len() as u64, "recordings");
    let lengths: Vec<_> = segments
        .par_iter()
        .map(|segment| {
            let n = folder.samples(&segment.recording).map(|samples| samples.len() as u64);
            bar.inc(1);
            n
        })
        .collect();
    bar.finish_and_clear();
    for (segment, length) in segments.iter_mut().zip(lengths) {
        segment.stop = length.map_err(|message| Error::input(csv, Some(segment.line), message))?;
        if segment.stop == 0 {
            let message = format!("file: {} has no samples", paths_of(&folder, segment));
            return Err(Error::input(csv, Some(segment.line), message));
        }
    }
    Ok((segments, labels, folder))
}

fn paths_of(folder: &Folder, segment: &Segment) -> String {
    folder.path(&segment.recording).map_or_else(String::new, |p| p.display().to_string())
}

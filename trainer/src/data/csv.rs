//! Tables of clips.
//!
//! Enters: a CSV file with a header. Leaves: checked rows. Columns `file`, `label`, `fold` and
//! `source_id` are read, others ignored; a table of negatives needs `file` alone, and its `label`
//! or `like` says what the recording holds. Every error names the file and the line.

use crate::error::{Error, Result};
use csv::StringRecord;
use std::path::{Path, PathBuf};

/// One clip of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The recording.
    pub path: PathBuf,
    /// The recording as the table names it.
    pub file: String,
    /// Class; empty in a table of negatives.
    pub label: String,
    /// Official fold, from 1; 0 in a table of negatives.
    pub fold: u32,
    /// What the clip was cut from.
    pub source: String,
    /// Line of the table, from 1.
    pub line: usize,
    /// What a recording in a table of negatives holds, where the table says it.
    pub content: Option<String>,
}

/// Reads the table at `csv`; its `file` column is relative to `audio`.
///
/// # Errors
///
/// If the table cannot be read, lacks a column, is empty, or a row has an empty field, a fold that
/// is not a positive number, or a file that does not exist.
pub fn read_table(csv: &Path, audio: &Path, negatives: bool) -> Result<Vec<Row>> {
    read_rows(csv, Some(audio), negatives)?.into_iter().collect()
}

/// The rows of the table at `csv`, each checked for itself; whether its file exists only if there
/// is an `audio` folder.
///
/// # Errors
///
/// If the table cannot be read, lacks a column or is empty.
pub fn read_rows(csv: &Path, audio: Option<&Path>, negatives: bool) -> Result<Vec<Result<Row>>> {
    let text = read_text(csv)?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|e| csv_error(csv, &e))?.clone();
    let column = |name: &str| {
        let found = header.iter().position(|h| h == name);
        found.ok_or_else(|| Error::input(csv, Some(1), format!("column {name:?} is missing")))
    };
    let file_at = column("file")?;
    let columns = if negatives { None } else { Some((column("label")?, column("fold")?, column("source_id")?)) };
    let content_at = header.iter().position(|h| h == "label" || h == "like").filter(|_| negatives);
    let row = |record: csv::Result<StringRecord>| {
        let record = record.map_err(|e| csv_error(csv, &e))?;
        let line = record.position().map(|p| p.line() as usize);
        let field = |at: usize, name: &str| match record.get(at) {
            Some(value) if !value.is_empty() => Ok(value.to_owned()),
            _ => Err(Error::input(csv, line, format!("{name} is empty"))),
        };
        let file = field(file_at, "file")?;
        let path = audio.unwrap_or(Path::new("")).join(&file);
        if audio.is_some() && !path.is_file() {
            return Err(Error::input(csv, line, format!("file {} does not exist", path.display())));
        }
        let content = content_at.and_then(|at| record.get(at)).filter(|v| !v.is_empty()).map(str::to_owned);
        let line_number = line.unwrap_or(0);
        Ok(match columns {
            None => {
                let source = file.clone();
                Row { path, file, label: String::new(), fold: 0, source, line: line_number, content }
            }
            Some((label_at, fold_at, source_at)) => {
                let fold = field(fold_at, "fold")?;
                let fold = fold.parse().ok().filter(|&f: &u32| f >= 1);
                let fold = fold.ok_or_else(|| Error::input(csv, line, "fold must be a whole number from 1"))?;
                let (label, source) = (field(label_at, "label")?, field(source_at, "source_id")?);
                Row { path, file, label, fold, source, line: line_number, content }
            }
        })
    };
    let rows: Vec<Result<Row>> = reader.records().map(row).collect();
    if rows.is_empty() {
        return Err(Error::input(csv, None, "table has no rows"));
    }
    Ok(rows)
}

/// The text of a table.
///
/// # Errors
///
/// If it cannot be read.
pub(crate) fn read_text(csv: &Path) -> Result<String> {
    std::fs::read_to_string(csv).map_err(|e| Error::input(csv, None, format!("table cannot be read: {e}")))
}

/// The error of the reader of tables, with the line.
pub(crate) fn csv_error(path: &Path, error: &csv::Error) -> Error {
    Error::input(path, error.position().map(|p| p.line() as usize), error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, negatives: bool) -> Result<Vec<Row>> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.ogg"), b"").unwrap();
        let table = folder.path().join("t.csv");
        std::fs::write(&table, text).unwrap();
        read_table(&table, folder.path(), negatives)
    }

    #[test]
    fn extra_columns_are_ignored() {
        let rows = read("x,file,fold,label,source_id\n1,a.ogg,2,dog,s7\n", false).unwrap();
        assert_eq!((rows[0].label.as_str(), rows[0].fold, rows[0].source.as_str()), ("dog", 2, "s7"));
        assert_eq!(rows[0].line, 2);
        let negatives = read("file,seconds,label\na.ogg,3,fan\n", true).unwrap();
        assert_eq!((negatives[0].label.as_str(), negatives[0].content.as_deref()), ("", Some("fan")));
        assert_eq!(read("file\na.ogg\n", true).unwrap()[0].content, None);
    }

    #[test]
    fn errors_name_the_line_and_the_field() {
        let message = |text: &str, negatives| read(text, negatives).unwrap_err().to_string();
        let head = "file,label,fold,source_id\na.ogg,dog,1,s\n";
        assert!(message(&format!("{head}b.ogg,dog,1,s\n"), false).contains("t.csv:3: file"));
        assert!(message(&format!("{head}a.ogg,dog,none,s\n"), false).contains("t.csv:3: fold"));
        assert!(message(&format!("{head}a.ogg,,1,s\n"), false).contains("t.csv:3: label is empty"));
        assert!(message(&format!("{head}a.ogg,dog\n"), false).contains("t.csv:3"));
        assert!(message("file,label,fold\na.ogg,dog,1\n", false).contains("t.csv:1: column \"source_id\""));
        assert!(message("file\n", true).contains("no rows"));
    }
}

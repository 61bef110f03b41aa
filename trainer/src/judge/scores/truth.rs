//! What the segments of a scores file really are.
//!
//! Enters: an annotations table, either EPIC-SOUNDS' (columns `annotation_id` and `class_id`;
//! `class`, if there, names the classes) or one of clips (columns `file` and `label`: the
//! annotation_id is the file's name without folder and extension, the class is the label's place in
//! alphabetical order). Leaves: the class of every row of a scores file; exactly its rows must be
//! annotated. Every error names file and line, or file and row.

use crate::data::csv::read_text;
use crate::data::scores::Scores;
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Name of the class that the challenge leaves out.
pub const BACKGROUND: &str = "background";
/// Its id in EPIC-SOUNDS.
pub const EPIC_SOUNDS_BACKGROUND: usize = 13;

/// Classes by annotation_id.
#[derive(Debug, Clone)]
pub struct Truth {
    path: PathBuf,
    rows: Vec<Row>,
    /// Labels by class id, of a table of clips: then the table decides how many classes there are.
    labels: Option<Vec<String>>,
    background: Option<usize>,
}

#[derive(Debug, Clone)]
struct Row {
    annotation_id: String,
    class: usize,
    line: usize,
}

impl Truth {
    /// Reads an annotations table.
    ///
    /// # Errors
    ///
    /// If it cannot be read, lacks columns or rows, a field is empty, a class_id is no whole
    /// number, or an annotation_id is there twice.
    pub fn read(csv: &Path) -> Result<Self> {
        let text = read_text(csv)?;
        let table = Table::parse(csv, &text)?;
        let truth = match (table.column("annotation_id"), table.column("file")) {
            (Some(ids), _) => Self::epic_sounds(&table, ids)?,
            (None, Some(files)) => Self::clips(&table, files)?,
            (None, None) => {
                let message = "column \"annotation_id\" (EPIC-SOUNDS) or \"file\" (clips) is missing";
                return Err(Error::input(csv, Some(1), message));
            }
        };
        if truth.rows.is_empty() {
            return Err(Error::input(csv, None, "table has no rows"));
        }
        let mut lines = HashMap::with_capacity(truth.rows.len());
        for Row { annotation_id, line, .. } in &truth.rows {
            if let Some(first) = lines.insert(annotation_id, *line) {
                let message = format!("annotation_id {annotation_id:?} is in line {first} already");
                return Err(Error::input(csv, Some(*line), message));
            }
        }
        Ok(truth)
    }

    fn epic_sounds(table: &Table, id_at: usize) -> Result<Self> {
        let class_at = table.needed("class_id")?;
        let name_at = table.column("class");
        let mut background = EPIC_SOUNDS_BACKGROUND;
        let mut rows = Vec::with_capacity(table.records.len());
        for record in &table.records {
            let text = table.field(record, class_at)?;
            let class = text.parse().map_err(|_| {
                Error::input(table.path, Some(record.0), format!("class_id {text:?} must be a whole number from 0"))
            })?;
            if name_at.and_then(|at| record.1.get(at)) == Some(BACKGROUND) {
                background = class;
            }
            rows.push(Row { annotation_id: table.field(record, id_at)?.to_owned(), class, line: record.0 });
        }
        Ok(Self { path: table.path.to_owned(), rows, labels: None, background: Some(background) })
    }

    fn clips(table: &Table, file_at: usize) -> Result<Self> {
        let label_at = table.needed("label")?;
        let labels: Vec<&str> =
            table.records.iter().map(|record| table.field(record, label_at)).collect::<Result<_>>()?;
        let mut names = labels.clone();
        names.sort_unstable();
        names.dedup();
        let mut rows = Vec::with_capacity(labels.len());
        for (record, label) in table.records.iter().zip(labels) {
            let file = table.field(record, file_at)?;
            let stem = Path::new(file).file_stem().and_then(|stem| stem.to_str());
            let stem =
                stem.ok_or_else(|| Error::input(table.path, Some(record.0), format!("file {file:?} has no name")))?;
            let class = names.partition_point(|name| *name < label);
            rows.push(Row { annotation_id: stem.to_owned(), class, line: record.0 });
        }
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let background = names.iter().position(|name| name == BACKGROUND);
        Ok(Self { path: table.path.to_owned(), rows, labels: Some(names), background })
    }

    /// The table.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Id of the class that is named `background`; in a table of EPIC-SOUNDS that names none, 13.
    pub fn background(&self) -> Option<usize> {
        self.background
    }

    /// The class of each row of `scores`, in their order; each annotation must have a row.
    ///
    /// # Errors
    ///
    /// As [`Truth::classes_among`], or if an annotation has no row.
    pub fn classes_of(&self, scores: &Scores) -> Result<Vec<usize>> {
        let classes = self.classes_among(scores)?;
        if scores.len() < self.rows.len() {
            let scored: std::collections::HashSet<&String> = scores.annotation_id.iter().collect();
            let without: Vec<&Row> = self.rows.iter().filter(|row| !scored.contains(&row.annotation_id)).collect();
            let message = format!(
                "annotation_id {:?} has no scores in {} ({} such rows)",
                without[0].annotation_id,
                scores.path.display(),
                without.len()
            );
            return Err(Error::input(&self.path, Some(without[0].line), message));
        }
        Ok(classes)
    }

    /// The class of each row of `scores`, which may be of a part of the segments.
    ///
    /// # Errors
    ///
    /// If a class is not among those of `scores`, or a row has no annotation.
    pub fn classes_among(&self, scores: &Scores) -> Result<Vec<usize>> {
        let n_classes = scores.n_classes;
        if let Some(labels) = self.labels.as_ref().filter(|labels| labels.len() != n_classes) {
            let message = format!("table has {} labels, {} scores of {n_classes}", labels.len(), scores.path.display());
            return Err(Error::input(&self.path, None, message));
        }
        if let Some(row) = self.rows.iter().find(|row| row.class >= n_classes) {
            let message =
                format!("class_id {} is unknown to {}: {n_classes} classes", row.class, scores.path.display());
            return Err(Error::input(&self.path, Some(row.line), message));
        }
        let by_id: HashMap<&str, &Row> = self.rows.iter().map(|row| (row.annotation_id.as_str(), row)).collect();
        let mut classes = Vec::with_capacity(scores.len());
        for (row, id) in scores.annotation_id.iter().enumerate() {
            let found = by_id.get(id.as_str()).ok_or_else(|| {
                Error::content(&scores.path, format!("row {row}: {id:?} is not annotated in {}", self.path.display()))
            })?;
            classes.push(found.class);
        }
        Ok(classes)
    }
}

/// A CSV file with a header; a record comes with its line.
struct Table<'a> {
    path: &'a Path,
    header: csv::StringRecord,
    records: Vec<(usize, csv::StringRecord)>,
}

impl<'a> Table<'a> {
    fn parse(path: &'a Path, text: &str) -> Result<Self> {
        let failed = |e: csv::Error| Error::input(path, e.position().map(|p| p.line() as usize), e.to_string());
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let header = reader.headers().map_err(failed)?.clone();
        let mut records = Vec::new();
        for record in reader.into_records() {
            let record = record.map_err(failed)?;
            let line = record.position().map_or(0, |p| p.line() as usize);
            records.push((line, record));
        }
        Ok(Self { path, header, records })
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }

    fn needed(&self, name: &str) -> Result<usize> {
        self.column(name).ok_or_else(|| Error::input(self.path, Some(1), format!("column {name:?} is missing")))
    }

    fn field<'r>(&self, (line, record): &'r (usize, csv::StringRecord), at: usize) -> Result<&'r str> {
        let value = record.get(at).filter(|value| !value.is_empty());
        value.ok_or_else(|| Error::input(self.path, Some(*line), format!("{} is empty", &self.header[at])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(text: &str) -> Result<Truth> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, text).unwrap();
        Truth::read(&path)
    }

    fn scores(ids: &[&str], n_classes: usize) -> Scores {
        let ids: Vec<String> = ids.iter().map(|id| id.to_string()).collect();
        let values = vec![0.0; ids.len() * n_classes];
        Scores::new("s.npz", ids, 1, n_classes, values).unwrap()
    }

    #[test]
    fn classes_follow_the_scores_order() {
        let epic = truth("annotation_id,description,class_id,class\na,\"x, y\",2,pour\nb,,0,background\nc,z,2,pour\n")
            .unwrap();
        assert_eq!(epic.classes_of(&scores(&["c", "b", "a"], 3)).unwrap(), [2, 0, 2]);
        assert_eq!(epic.background(), Some(0));
        assert_eq!(truth("annotation_id,class_id\na,2\n").unwrap().background(), Some(EPIC_SOUNDS_BACKGROUND));
    }

    #[test]
    fn clips_are_named_by_file_and_classed_by_alphabet() {
        let table = "\u{feff}file,label,fold,source_id\naudio/w-1.ogg,water,1,a\nd.2.wav,dog,1,b\nx/d-3,dog,2,b\n";
        let clips = truth(table).unwrap();
        assert_eq!(clips.classes_of(&scores(&["d-3", "w-1", "d.2"], 2)).unwrap(), [0, 1, 0]);
        assert_eq!(clips.background(), None);
        let message = clips.classes_of(&scores(&["d-3", "w-1", "d.2"], 3)).unwrap_err().to_string();
        assert!(message.contains("table has 2 labels, s.npz scores of 3"), "{message}");
        assert_eq!(truth("file,label\na.ogg,dog\nb.ogg,background\n").unwrap().background(), Some(0));
    }

    #[test]
    fn mistakes_in_the_table_name_the_line() {
        let message = |text: &str| truth(text).unwrap_err().to_string();
        assert!(message("annotation_id,class_id\na,1\nb,one\n").contains("t.csv:3: class_id \"one\""));
        assert!(message("annotation_id,class_id\na,-1\n").contains("t.csv:2: class_id \"-1\""));
        assert!(message("annotation_id,class_id\na,1\n,2\n").contains("t.csv:3: annotation_id is empty"));
        assert!(message("annotation_id,class_id\na,1\nb\n").contains("t.csv:3"));
        let twice = message("annotation_id,class_id\na,1\nb,1\na,1\n");
        assert!(twice.contains("t.csv:4: annotation_id \"a\" is in line 2 already"), "{twice}");
        assert!(message("x/a.ogg,label\n").contains("t.csv:1: column \"annotation_id\" (EPIC-SOUNDS) or \"file\""));
        assert!(message("annotation_id,video_id\na,v\n").contains("t.csv:1: column \"class_id\" is missing"));
        assert!(message("file,fold\na,1\n").contains("t.csv:1: column \"label\" is missing"));
        assert!(message("file,label\nx/a.ogg,dog\ny/a.ogg,dog\n").contains("t.csv:3: annotation_id \"a\""));
        assert!(message("annotation_id,class_id\n").contains("no rows"));
        assert!(message("").contains("t.csv:1: column"));
    }

    #[test]
    fn scores_and_annotations_must_be_of_the_same_segments() {
        let table = truth("annotation_id,class_id\na,0\nb,1\nc,1\n").unwrap();
        let message = |ids: &[&str], n_classes| table.classes_of(&scores(ids, n_classes)).unwrap_err().to_string();
        let unknown = message(&["a", "d", "b", "c"], 2);
        assert!(
            unknown.starts_with("s.npz: row 1: \"d\" is not annotated in") && unknown.ends_with("t.csv"),
            "{unknown}"
        );
        let without = message(&["a"], 2);
        assert!(without.contains("t.csv:3: annotation_id \"b\" has no scores in s.npz (2 such rows)"), "{without}");
        let class = message(&["a", "b", "c"], 1);
        assert!(class.contains("t.csv:3: class_id 1 is unknown to s.npz: 1 classes"), "{class}");
    }
}

//! Scores files.
//!
//! Enters: an .npz with the arrays `annotation_id` (N strings; bytes and whole numbers are taken
//! too) and `scores` (float32 or float64, N x n_classes or N x n_views x n_classes, C or Fortran
//! order), stored or deflated; other arrays are ignored. Leaves: [`Scores`], checked; and the same
//! format, strings `<U` and float32, as `numpy.savez` writes it.

use super::archive::{Arrays, add_floats, add_strings, write_archive};
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

pub(super) const ID: &str = "annotation_id";
pub(super) const SCORES: &str = "scores";

/// What one model, or a fusion of several, outputs for segments.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// File they are from or for; for messages.
    pub path: PathBuf,
    /// Which segment a row is of: N, each once, none empty.
    pub annotation_id: Vec<String>,
    /// Views of a segment; 1 where they are summed.
    pub n_views: usize,
    /// Classes.
    pub n_classes: usize,
    /// `(N, n_views, n_classes)`, row-major, finite.
    pub scores: Vec<f32>,
}

impl Scores {
    /// Scores `(N, n_views, n_classes)`; `path` is for messages.
    ///
    /// # Errors
    ///
    /// If there are no rows, views or classes, sizes do not fit each other, an id is empty or there
    /// twice, or a score is not finite; the message names `path` and the row.
    pub fn new(
        path: impl Into<PathBuf>,
        annotation_id: Vec<String>,
        n_views: usize,
        n_classes: usize,
        scores: Vec<f32>,
    ) -> Result<Self> {
        let scores = Self { path: path.into(), annotation_id, n_views, n_classes, scores };
        scores.check().map_err(|message| Error::content(&scores.path, message))?;
        Ok(scores)
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, is no .npz, lacks an array or holds what [`Scores::new`] refuses.
    pub fn read(path: &Path) -> Result<Self> {
        let mut arrays = Arrays::open(path)?;
        let ids = arrays.strings(ID)?;
        let (shape, scores) = arrays.floats(SCORES)?;
        let (n, n_views, n_classes) = match shape[..] {
            [n, n_classes] => (n, 1, n_classes),
            [n, n_views, n_classes] => (n, n_views, n_classes),
            _ => {
                let message = format!("array {SCORES}: shape {shape:?} must have two or three dimensions");
                return Err(Error::content(path, message));
            }
        };
        if n != ids.len() {
            return Err(Error::content(path, format!("{ID} has {} rows, {SCORES} {n}", ids.len())));
        }
        Self::new(path, ids, n_views, n_classes, scores)
    }

    /// Writes a file; `scores` gets three dimensions if there is more than one view.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let (n, v, c) = (self.len(), self.n_views, self.n_classes);
        let shape = if v == 1 { vec![n, c] } else { vec![n, v, c] };
        write_archive(path, |archive| {
            add_strings(archive, ID, &self.annotation_id)?;
            add_floats(archive, SCORES, &self.scores, &shape)
        })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.annotation_id.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.annotation_id.is_empty()
    }

    /// The same rows with their views summed: `(N, n_classes)`. Sums are computed in double
    /// precision.
    pub fn summed(&self) -> Self {
        if self.n_views == 1 {
            return self.clone();
        }
        let mut scores = Vec::with_capacity(self.len() * self.n_classes);
        for row in self.scores.chunks_exact(self.n_views * self.n_classes) {
            let sum = |class: usize| row.iter().skip(class).step_by(self.n_classes).map(|&s| f64::from(s)).sum::<f64>();
            scores.extend((0..self.n_classes).map(|class| sum(class) as f32));
        }
        Self { path: self.path.clone(), annotation_id: self.annotation_id.clone(), n_views: 1, scores, ..*self }
    }

    fn check(&self) -> std::result::Result<(), String> {
        let (n, v, c) = (self.len(), self.n_views, self.n_classes);
        if n == 0 || v == 0 || c == 0 {
            return Err(format!("scores are empty: {n} rows, {v} views, {c} classes"));
        }
        if self.scores.len() != n * v * c {
            return Err(format!("{} scores for {n} rows, {v} views and {c} classes", self.scores.len()));
        }
        let mut seen = HashMap::with_capacity(n);
        for (row, id) in self.annotation_id.iter().enumerate() {
            if id.is_empty() {
                return Err(format!("row {row}: {ID} is empty"));
            }
            if let Some(first) = seen.insert(id.as_str(), row) {
                return Err(format!("row {row}: {ID} {id:?} is in row {first} already"));
            }
        }
        if let Some(at) = self.scores.iter().position(|s| !s.is_finite()) {
            let (row, id) = (at / (v * c), &self.annotation_id[at / (v * c)]);
            return Err(format!("row {row} ({id:?}): score of class {} is {}", at % c, self.scores[at]));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(n_views: usize, n_classes: usize, values: &[f32]) -> Result<Scores> {
        let n = values.len() / (n_views * n_classes);
        Scores::new("s.npz", (0..n).map(|i| format!("P01_{i}")).collect(), n_views, n_classes, values.to_vec())
    }

    #[test]
    fn a_file_reads_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let tiny = f32::from_bits(1);
        for (n_views, n_classes) in [(1, 6), (2, 3), (3, 2)] {
            let written = scores(n_views, n_classes, &[0.1, tiny, 3.0, -0.0, f32::MAX, 1e-30]).unwrap();
            written.write(&path).unwrap();
            let read = Scores::read(&path).unwrap();
            assert_eq!(
                (read.n_views, read.n_classes, &read.annotation_id),
                (n_views, n_classes, &written.annotation_id)
            );
            assert!(read.scores.iter().zip(&written.scores).all(|(a, b)| a.to_bits() == b.to_bits()));
        }
        let bytes = std::fs::read(&path).unwrap();
        Scores::read(&path).unwrap().write(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "no clock and no chance in the file");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left aside");
    }

    #[test]
    fn views_are_summed_class_by_class() {
        let two = scores(2, 3, &[1.0, 2.0, 3.0, 10.0, 20.0, 30.0, 0.5, 0.0, 0.0, 0.5, 0.0, 1.0]).unwrap();
        let summed = two.summed();
        assert_eq!((summed.n_views, summed.n_classes), (1, 3));
        assert_eq!(summed.scores, [11.0, 22.0, 33.0, 1.0, 0.0, 1.0]);
        assert_eq!(summed.summed(), summed);
    }

    #[test]
    fn what_does_not_fit_names_file_and_row() {
        let message = |result: Result<Scores>| result.unwrap_err().to_string();
        let nan = message(scores(1, 2, &[0.0, 1.0, 0.5, f32::NAN]));
        assert_eq!(nan, "s.npz: row 1 (\"P01_1\"): score of class 1 is NaN");
        let infinite = message(scores(2, 2, &[0.0, 1.0, f32::INFINITY, 0.5]));
        assert_eq!(infinite, "s.npz: row 0 (\"P01_0\"): score of class 0 is inf");
        let ids = |ids: &[&str]| Scores::new("s.npz", ids.iter().map(|s| s.to_string()).collect(), 1, 1, vec![0.0; 3]);
        assert_eq!(message(ids(&["a", "b", "a"])), "s.npz: row 2: annotation_id \"a\" is in row 0 already");
        assert_eq!(message(ids(&["a", "", "c"])), "s.npz: row 1: annotation_id is empty");
        assert_eq!(message(ids(&["a", "b"])), "s.npz: 3 scores for 2 rows, 1 views and 1 classes");
        assert!(message(Scores::new("s.npz", vec![], 1, 4, vec![])).contains("0 rows"));
    }

    #[test]
    fn a_file_that_cannot_be_written_or_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("none/a.npz");
        assert!(scores(1, 1, &[0.0]).unwrap().write(&absent).unwrap_err().to_string().contains("none/a.npz"));
        assert!(Scores::read(&absent).unwrap_err().to_string().contains("none/a.npz"));
        assert!(Scores::read(folder.path()).is_err());
    }
}

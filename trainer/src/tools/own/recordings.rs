//! What the user recorded.
//!
//! Enters: a folder with a folder of recordings for each label. Leaves: the classes with their
//! files and folds, and the recordings that hold nothing of them. Nothing is decoded here: mistakes
//! in names and counts are reported before the long work begins.

use crate::data::folder;
use crate::data::folds;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Names of folders that hold none of the classes.
const NEGATIVES: [&str; 3] = ["background", "negative", "negatives"];
/// Least number of recordings of a class, so that one can be held out.
const LEAST: usize = 2;

/// A folder of recordings.
#[derive(Debug, Clone, PartialEq)]
pub struct Recordings {
    /// The folder.
    pub root: PathBuf,
    /// Labels in alphabetical order.
    pub labels: Vec<String>,
    /// Recordings of the classes.
    pub files: Vec<Recording>,
    /// Recordings of nothing in particular.
    pub negatives: Vec<PathBuf>,
}

/// A recording of a class.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// The file.
    pub path: PathBuf,
    /// Index into the labels.
    pub class: usize,
    /// Fold that holds it out, from 1.
    pub fold: u32,
}

impl Recordings {
    /// Finds the recordings in `root`. `known` are the labels of the model that is started from.
    ///
    /// # Errors
    ///
    /// If there are no class folders, a folder has no recordings, a class has too few for one to be
    /// held out, or two labels differ in nothing but their spelling.
    pub fn find(root: &Path, known: &[String]) -> Result<Self> {
        let mut found = Self { root: root.to_owned(), labels: Vec::new(), files: Vec::new(), negatives: Vec::new() };
        for (label, files) in folder::classes(root)? {
            let wrong = |message: String| Err(Error::input(&root.join(&label), None, message));
            if NEGATIVES.contains(&label.to_lowercase().as_str()) {
                found.negatives.extend(files);
                continue;
            }
            if label.contains(['+', '#']) || label.contains(char::is_control) {
                return wrong("a label must not contain '+', '#' or control characters".to_owned());
            }
            if let Some(other) = found.labels.iter().chain(known).find(|k| **k != label && alike(k, &label)) {
                return wrong(format!("is the label {other:?} in another spelling: rename the folder to {other:?}"));
            }
            if files.len() < LEAST {
                return wrong(format!(
                    "has {} recording, needs at least {LEAST} (better 10): some are held out to measure on",
                    files.len()
                ));
            }
            let class = found.labels.len();
            found.files.extend(files.into_iter().map(|path| Recording { path, class, fold: 0 }));
            found.labels.push(label);
        }
        if found.labels.is_empty() {
            let message = "has only negatives: it must have a folder of recordings for each label";
            return Err(Error::input(root, None, message));
        }
        found.divide();
        Ok(found)
    }

    /// Gives each recording a fold: as even as can be in each class.
    fn divide(&mut self) {
        let keys: Vec<_> = self.files.iter().map(|f| (f.class, f.path.to_string_lossy().into_owned())).collect();
        self.files.iter_mut().zip(folds::by_source(&keys)).for_each(|(file, fold)| file.fold = fold);
    }

    /// Takes out recordings that turned out to be unusable.
    ///
    /// # Errors
    ///
    /// If a class has too few left.
    pub fn without(&mut self, unusable: &[PathBuf]) -> Result<()> {
        self.files.retain(|file| !unusable.contains(&file.path));
        for (class, label) in self.labels.iter().enumerate() {
            let n = self.files.iter().filter(|f| f.class == class).count();
            if n < LEAST {
                let message = format!("recordings that are not silent: {n}, at least {LEAST} are needed");
                return Err(Error::input(&self.root.join(label), None, message));
            }
        }
        self.divide();
        Ok(())
    }

    /// Folds that hold something out.
    pub fn folds(&self) -> Vec<u32> {
        (1..=folds::N_FOLDS).filter(|&fold| self.files.iter().any(|f| f.fold == fold)).collect()
    }

    /// How a file is named in results: below the folder, with slashes.
    pub fn name(&self, path: &Path) -> String {
        folder::name_below(path, &self.root)
    }
}

/// Whether two labels are one to a reader.
fn alike(a: &str, b: &str) -> bool {
    let plain = |label: &str| label.to_lowercase().replace(['_', ' '], "-");
    plain(a) == plain(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            folder::write_wav(&root.path().join(file));
        }
        root
    }

    fn message(files: &[&str]) -> String {
        Recordings::find(folder(files).path(), &["crying_baby".to_owned()]).unwrap_err().to_string()
    }

    #[test]
    fn folds_divide_each_class_by_recording() {
        let files: Vec<String> =
            ["a", "b"].iter().flat_map(|label| (0..10).map(move |i| format!("{label}/{i}.wav"))).collect();
        let mut files: Vec<&str> = files.iter().map(String::as_str).collect();
        files.push("Background/hum.flac");
        let root = folder(&files);
        let mut found = Recordings::find(root.path(), &[]).unwrap();
        assert_eq!((found.labels.join(" ").as_str(), found.negatives.len()), ("a b", 1));
        let of =
            |found: &Recordings, class, fold| found.files.iter().filter(|f| (f.class, f.fold) == (class, fold)).count();
        for (class, fold) in [(0, 1), (0, 5), (1, 1), (1, 3)] {
            assert_eq!(of(&found, class, fold), 2);
        }
        let silent: Vec<PathBuf> = (0..8).map(|i| root.path().join(format!("a/{i}.wav"))).collect();
        found.without(&silent).unwrap();
        assert_eq!(found.files.len(), 12);
        assert_eq!(found.folds(), [1, 2, 3, 4, 5]);
        let error = found.without(&[root.path().join("a/8.wav")]).unwrap_err().to_string();
        assert!(error.contains("a: recordings that are not silent: 1"), "{error}");
    }

    #[test]
    fn mistakes_are_named() {
        for (files, part) in [
            (&["kettle/1.wav"][..], "kettle: has 1 recording, needs at least 2"),
            (
                &["Kettle/1.wav", "Kettle/2.wav", "kettle/1.wav", "kettle/2.wav"],
                "is the label \"Kettle\" in another spelling",
            ),
            (&["crying baby/1.wav", "crying baby/2.wav"], "rename the folder to \"crying_baby\""),
            (&["negatives/1.wav"], "has only negatives"),
            (&["a+b/1.wav", "a+b/2.wav"], "must not contain '+'"),
            (&["kettle/notes.txt"], "kettle: holds no recordings"),
            (&["1.wav"], "has no class folders"),
        ] {
            let message = message(files);
            assert!(message.contains(part), "{message}, expected {part}");
        }
    }
}

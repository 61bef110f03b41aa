//! What a trained network outputs for recordings that it was not trained on, together with what
//! they are.
//!
//! Enters and leaves: an .npz that is a scores file ([`Scores`]: `annotation_id`, and as `scores`
//! the logits of the network in single precision) with further arrays. A row each: `label`, `set`
//! (name of the data set; empty for a stretch of background) and `source` (what the recording was
//! cut from). Of the whole: `labels` (the classes in order), `background` (none or one of them),
//! `activation` (one string), `own_set` and `own_label` (a row for each class that a data set has),
//! and, where there is an 8-bit network, its logits as `scores_int8`.

use super::archive::{Arrays, add_floats, add_strings, write_archive};
use super::file::{ID, SCORES, Scores};
use crate::error::{Error, Result};
use edge_frontend::Activation;
use serde_json::Value;
use std::path::Path;

const SCORES_INT8: &str = "scores_int8";

/// What networks say of recordings, and what these are.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// Classes in order.
    pub labels: Vec<String>,
    /// Index of the class that stands for none of the others.
    pub background: Option<usize>,
    /// From logits to posteriors.
    pub activation: Activation,
    /// Data set and class, for every class that a data set has.
    pub own: Vec<(String, usize)>,
    /// One each.
    pub recordings: Vec<Recording>,
    /// `(N, n_classes)` row-major, of the network in single precision.
    pub logits: Vec<f32>,
    /// The same of the 8-bit network.
    pub logits_int8: Option<Vec<f32>>,
}

/// A labelled clip, or a stretch of background.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// Unique: data set and file.
    pub id: String,
    /// Data set; empty for a stretch of background.
    pub set: String,
    /// What it was cut from; unique over sets.
    pub source: String,
    /// Index into the labels.
    pub label: usize,
}

impl Predictions {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, is not a scores file, lacks an array, or arrays do not fit each other.
    pub fn read(path: &Path) -> Result<Self> {
        let wrong = |message: String| Error::content(path, message);
        let mut arrays = Arrays::open(path)?;
        let ids = arrays.strings(ID)?;
        let labels = arrays.strings("labels")?;
        let class = |array: &str, label: &String| {
            let found = labels.iter().position(|l| l == label);
            found.ok_or_else(|| wrong(format!("array {array}: {label:?} is not among the labels")))
        };
        let classes = |array: &str, texts: Vec<String>| {
            texts.iter().map(|label| class(array, label)).collect::<Result<Vec<usize>>>()
        };
        let per_row = |array: &str, texts: Vec<String>| {
            let (n, expected) = (texts.len(), ids.len());
            let differs = || Error::mismatch(path, format!("array {array}: rows"), expected, n);
            if n == expected { Ok(texts) } else { Err(differs()) }
        };
        let label = classes("label", per_row("label", arrays.strings("label")?)?)?;
        let set = per_row("set", arrays.strings("set")?)?;
        let source = per_row("source", arrays.strings("source")?)?;
        let (own_set, own_label) = (arrays.strings("own_set")?, classes("own_label", arrays.strings("own_label")?)?);
        if own_set.len() != own_label.len() {
            return Err(Error::mismatch(path, "array own_label: rows", own_set.len(), own_label.len()));
        }
        let activation = Value::from(arrays.strings("activation")?.pop());
        let activation = serde_json::from_value(activation).map_err(|e| wrong(format!("array activation: {e}")))?;
        let background = classes("background", arrays.strings("background")?)?.pop();
        let mut checked = |array: &str| {
            let Some((shape, values)) = arrays.floats_if_any(array)? else { return Ok(None) };
            let expected = [ids.len(), labels.len()];
            if shape != expected {
                let (expected, shape) = (format!("{expected:?}"), format!("{shape:?}"));
                return Err(Error::mismatch(path, format!("array {array}: shape"), expected, shape));
            }
            Scores::new(path, ids.clone(), 1, labels.len(), values).map(|scores| Some(scores.scores))
        };
        let logits = checked(SCORES)?.ok_or_else(|| wrong(format!("array {SCORES} is missing")))?;
        let logits_int8 = checked(SCORES_INT8)?;
        let rows = ids.into_iter().zip(set).zip(source.into_iter().zip(label));
        let recordings = rows.map(|((id, set), (source, label))| Recording { id, set, source, label }).collect();
        let own = own_set.into_iter().zip(own_label).collect();
        Ok(Self { labels, background, activation, own, recordings, logits, logits_int8 })
    }

    /// Writes a file.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let shape = [self.recordings.len(), self.labels.len()];
        let activation = serde_json::to_value(self.activation).ok().and_then(|v| v.as_str().map(str::to_owned));
        let per_row = |text: fn(&Recording) -> &String| self.recordings.iter().map(|r| text(r).clone()).collect();
        let names = |classes: Vec<usize>| classes.into_iter().map(|class| self.labels[class].clone()).collect();
        let arrays: [(&str, Vec<String>); 9] = [
            (ID, per_row(|r| &r.id)),
            ("set", per_row(|r| &r.set)),
            ("source", per_row(|r| &r.source)),
            ("label", names(self.recordings.iter().map(|r| r.label).collect())),
            ("labels", self.labels.clone()),
            ("background", names(self.background.into_iter().collect())),
            ("activation", activation.into_iter().collect()),
            ("own_set", self.own.iter().map(|(set, _)| set.clone()).collect()),
            ("own_label", names(self.own.iter().map(|&(_, class)| class).collect())),
        ];
        write_archive(path, |archive| {
            for (name, texts) in &arrays {
                add_strings(archive, name, texts)?;
            }
            add_floats(archive, SCORES, &self.logits, &shape)?;
            match &self.logits_int8 {
                Some(logits) => add_floats(archive, SCORES_INT8, logits, &shape),
                None => Ok(()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predictions() -> Predictions {
        let recording = |id: &str, set: &str, label| Recording {
            id: id.to_owned(),
            set: set.to_owned(),
            source: format!("{id}'s source"),
            label,
        };
        Predictions {
            labels: ["tap", "çöp", "room"].map(str::to_owned).to_vec(),
            background: Some(2),
            activation: Activation::Softmax,
            own: vec![("home".to_owned(), 0), ("home".to_owned(), 1)],
            recordings: vec![recording("home/a.wav", "home", 1), recording("room@0", "", 2)],
            logits: vec![0.5, 1.0, -3.0, 0.0, 0.25, 2.0],
            logits_int8: Some(vec![0.4, 1.1, -3.0, 0.0, 0.25, 2.0]),
        }
    }

    #[test]
    fn a_file_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.npz");
        let plain =
            Predictions { background: None, logits_int8: None, activation: Activation::Sigmoid, ..predictions() };
        for written in [predictions(), plain] {
            written.write(&path).unwrap();
            assert_eq!(Predictions::read(&path).unwrap(), written);
            let scores = Scores::read(&path).unwrap();
            assert_eq!((scores.scores, scores.n_classes), (written.logits, 3), "it is a scores file, too");
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.npz");
        let message = || Predictions::read(&path).unwrap_err().to_string();
        Scores::new(&path, vec!["a".to_owned()], 1, 1, vec![0.0]).unwrap().write(&path).unwrap();
        assert!(message().ends_with("p.npz: array labels is missing"), "{}", message());
        let mut twice = predictions();
        twice.recordings[1].id = "home/a.wav".to_owned();
        twice.write(&path).unwrap();
        assert!(message().contains("row 1: annotation_id \"home/a.wav\" is in row 0 already"), "{}", message());
        Predictions { logits: vec![f32::NAN; 6], ..predictions() }.write(&path).unwrap();
        assert!(message().contains("score of class 0 is NaN"), "{}", message());
    }
}

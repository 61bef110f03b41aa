//! What a data set holds, and everything that is wrong with it.
//!
//! Enters: a [`DataSet`] and the folder of the data. Leaves: figures of its parts, and a problem
//! for each file, row and recording that a training would stumble over.

use super::segments::{Options, SegmentSet, check};
use super::sets::{DataSet, Opened, Tables};
use super::world::{Purpose, World};
use crate::common::progress;
use crate::error::{Error, Result};
use edge_frontend::FrontendConfig;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::Path;

/// A data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SetReport {
    /// Name from the recipe.
    pub name: String,
    /// Kind, as in the recipe.
    pub kind: &'static str,
    /// Names of the classes, by class index.
    pub classes: Vec<String>,
    /// What it consists of; empty if it cannot be opened.
    pub parts: Vec<Part>,
}

/// Segments of a data set that serve one purpose.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// What they serve for.
    pub name: &'static str,
    /// How many.
    pub segments: usize,
    /// Recordings that they are of.
    pub recordings: usize,
    /// Hours of all together.
    pub hours: f64,
    /// Folds that they belong to.
    pub folds: Vec<u32>,
    /// Names of the classes that no segment has.
    pub without_segment: Vec<String>,
}

/// Opens the set, whose files lie under `root`. Leaves its figures and its problems, each a
/// sentence with a remedy.
pub fn check(set: &DataSet, root: &Path, frontend: &FrontendConfig, options: &Options) -> (SetReport, Vec<String>) {
    let mut report = SetReport { name: set.name.clone(), kind: set.kind(), classes: Vec::new(), parts: Vec::new() };
    let read = set.open(root, frontend, options).and_then(|opened| {
        report.classes.clone_from(&opened.labels);
        parts(set, opened, root, frontend, options)
    });
    let failure = read.map(|parts| report.parts = parts).err();
    // Opening neither decodes the recordings of a folder with annotations nor continues after the
    // first mistake.
    let folder_of_videos = matches!(set.tables, Tables::EpicSounds(_)) && root.join(&set.audio).is_dir();
    if failure.is_none() && !folder_of_videos {
        return (report, Vec::new());
    }
    let mut errors = wrong(set, root, frontend, options);
    if let (true, Some(error)) = (errors.is_empty(), failure) {
        errors.push(error);
    }
    (report, errors.iter().map(with_remedy).collect())
}

/// All that is wrong with the set's files.
fn wrong(set: &DataSet, root: &Path, frontend: &FrontendConfig, options: &Options) -> Vec<Error> {
    let mut errors = set.missing(root);
    let audio = root.join(&set.audio);
    let audio = audio.exists().then_some(audio.as_path());
    for (_, table) in set.files().into_iter().filter(|(key, _)| *key != "audio") {
        let table = root.join(table);
        if !table.exists() {
            continue;
        }
        errors.extend(match &set.tables {
            Tables::EpicSounds(epic) => check::annotated(&table, audio, frontend, epic.n_classes, options.audio_bytes),
            Tables::Clips(_) | Tables::Background(_) | Tables::World(_) => {
                let background = !set.has_labels();
                check::clips(&table, audio, background, frontend, options.audio_bytes)
            }
        });
    }
    errors
}

/// The error and what to do about it.
fn with_remedy(error: &Error) -> String {
    let text = error.to_string();
    let remedy = match error {
        Error::Input { message, .. } if message.contains("--data-root") => "docs/data-sets.md says where to get it",
        Error::Input { message, .. } if message.starts_with("video_id") => {
            "add the recording to the audio, or remove its rows from the table"
        }
        Error::Input { message, .. } if message.starts_with("file") => {
            "put a recording there that can be decoded, or remove the row from the table"
        }
        Error::Input { message, .. } if message.starts_with("column") => {
            "write the header with this column; docs/data-sets.md lists the columns of each table"
        }
        Error::Input { line: Some(_), .. } => "correct the row or its recording, or remove the row from the table",
        _ => "replace the file",
    };
    format!("{text}; {remedy}")
}

fn parts(
    set: &DataSet,
    opened: Opened,
    root: &Path,
    frontend: &FrontendConfig,
    options: &Options,
) -> Result<Vec<Part>> {
    if let Some(world) = set.world() {
        return recordings(set, world, root);
    }
    let Opened { labels, segments, validation, background, validation_background, .. } = opened;
    let Tables::EpicSounds(epic) = &set.tables else {
        let clips = segments.map(|segments| part("clips", &[&segments], &labels));
        let background = background.map(|segments| part("background", &[&segments], &[]));
        return Ok(clips.into_iter().chain(background).collect());
    };
    let (Some(train), Some(validation)) = (segments, validation) else { return Ok(Vec::new()) };
    let mut parts = vec![part("train", &[&train], &labels), part("validation", &[&validation], &labels)];
    if let Some(csv) = &epic.uncategorised {
        let options = Options { n_classes: Some(epic.n_classes), ..options.clone() };
        let marked = SegmentSet::annotated(&root.join(csv), &root.join(&set.audio), frontend, &options)?;
        let of = |set: &SegmentSet| set.without_class(Some(&marked), None);
        parts.push(part("uncategorised", &[&of(&train)?, &of(&validation)?], &[]));
    }
    if let (true, Some(train), Some(validation)) = (epic.least_gap_s.is_some(), background, validation_background) {
        let all = part("between segments", &[&train, &validation], &[]);
        let marked = parts.iter().find(|p| p.name == "uncategorised");
        let (n, hours) = marked.map_or((0, 0.0), |p| (p.segments, p.hours));
        parts.push(Part { segments: all.segments - n, hours: (all.hours - hours).max(0.0), ..all });
    }
    Ok(parts)
}

/// The recordings of a set of the world by what they are for, all of which are decoded.
fn recordings(set: &DataSet, world: &World, root: &Path) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    for (name, purpose) in
        [("training", Purpose::Training), ("validation", Purpose::Validation), ("test", Purpose::Test)]
    {
        let recordings = world.recordings(root, &set.audio, purpose)?;
        let bar = progress::bar(recordings.len() as u64, "decoding");
        let seconds = recordings.par_iter().map(|recording| {
            let audio = edge::audio::decode_file(&recording.path)?;
            bar.inc(1);
            Ok(audio.samples.len() as f64 / f64::from(audio.sample_rate))
        });
        let seconds: f64 = seconds.collect::<Result<Vec<_>>>()?.into_iter().sum();
        bar.finish_and_clear();
        let n = recordings.len();
        let part = Part {
            name,
            segments: n,
            recordings: n,
            hours: seconds / 3600.0,
            folds: Vec::new(),
            without_segment: Vec::new(),
        };
        parts.extend((n > 0).then_some(part));
    }
    if parts.is_empty() {
        return Err(Error::input(&root.join(&set.audio), None, "holds no recordings"));
    }
    Ok(parts)
}

fn part(name: &'static str, sets: &[&SegmentSet], labels: &[String]) -> Part {
    let (mut recordings, mut folds, mut classes) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let (mut segments, mut seconds) = (0, 0.0);
    for set in sets {
        for segment in set.segments() {
            recordings.insert(segment.recording.as_str());
            folds.extend((segment.fold > 0).then_some(segment.fold));
            classes.extend(segment.class);
            seconds += (segment.stop - segment.start) as f64 / f64::from(set.frontend().sample_rate);
        }
        segments += set.segments().len();
    }
    let absent = labels.iter().enumerate().filter(|(class, _)| !classes.contains(class)).map(|(_, name)| name.clone());
    Part {
        name,
        segments,
        recordings: recordings.len(),
        hours: seconds / 3600.0,
        folds: folds.into_iter().collect(),
        without_segment: absent.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_has_a_remedy() {
        let error = |line, message: &str| with_remedy(&Error::input(Path::new("t.csv"), line, message));
        assert!(
            error(Some(2), "fold must be a whole number from 1")
                .ends_with("; correct the row or its recording, or remove the row from the table")
        );
        assert!(
            error(Some(2), "file a.wav does not exist").contains("t.csv:2: file a.wav does not exist; put a recording")
        );
        assert!(error(Some(2), "video_id: missing").contains("add the recording"));
        assert!(error(Some(1), "column \"file\" is missing").contains("docs/data-sets.md"));
        assert!(error(None, "table has no rows").ends_with("; replace the file"));
    }

    #[test]
    fn missing_files_are_all_named() {
        let text =
            "name = \"e\"\nkind = \"epic_sounds\"\naudio = \"x.hdf5\"\ntrain = \"t.csv\"\nvalidation = \"v.csv\"";
        let set: DataSet = toml::from_str(text).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("v.csv"), "annotation_id\n").unwrap();
        let frontend = FrontendConfig::epic_sounds();
        let (report, problems) = check(&set, folder.path(), &frontend, &Options::default());
        assert!(report.parts.is_empty() && report.kind == "epic_sounds");
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].contains("t.csv: does not exist: it is `train` of data set \"e\""));
        assert!(problems[1].contains("x.hdf5: does not exist"));
        assert!(problems[2].contains("v.csv:1: column"));
    }
}

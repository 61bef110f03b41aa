//! Predictions of the runs that left none.
//!
//! Enters: runs of SlowFast or without predictions, and the folder of the data sets. Leaves:
//! predictions from each run's model and the recipe's data, with features from the cache; a note
//! for each run whose predictions cannot be made.

use super::ReportOptions;
use super::run::{Notes, Run};
use super::subject::Subject;
use crate::chain::slowfast::{FUSED, SCORES};
use crate::chain::student::MODEL;
use crate::data::csv::{Row, read_table};
use crate::data::procedural::Procedural;
use crate::data::sets::{DataSet, Tables};
use crate::data::{Corpus, Places, Split, data_root};
use crate::error::{Error, Result};
use crate::judge::evaluate::HeldOut;
use crate::judge::scores::predictions::Recording;
use crate::judge::scores::{Predictions, Scores};
use crate::train::recipe::{Network, Recipe};
use edge_frontend::Activation;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tch::Device;

/// The folder of the recordings, if it is found.
#[derive(Debug)]
pub struct DataSets(Option<PathBuf>);

impl DataSets {
    /// The folder that the options name, or where the trainings found theirs.
    pub fn find(subject: &Subject, options: &ReportOptions) -> Self {
        let theirs = subject.runs.iter().find_map(|run| run.environment.as_ref().map(|e| e.data_root.clone()));
        let root = data_root(&theirs.unwrap_or_default(), Path::new(""), options.data_root.as_deref());
        Self(root.is_dir().then_some(root))
    }

    /// The folder, or an error that says how to name it.
    pub fn root(&self) -> Result<&Path> {
        let message = "the data sets are not found; --data-root or EARWITNESS_DATA names their folder";
        self.0.as_deref().ok_or_else(|| Error::Usage(message.to_owned()))
    }

    /// The file of the labelled clip `id` of `run`. An error if the recipe has no such data set or
    /// clip.
    pub fn recording(&self, run: &Run, id: &str) -> Result<PathBuf> {
        let root = self.root()?;
        let found = match &run.recipe {
            None => None,
            Some(recipe) => match &recipe.network {
                Network::Student(_) | Network::Ced(_) => id.split_once('/').and_then(|(set, file)| {
                    let set = recipe.data.iter().find(|s| s.name == set)?;
                    Some(root.join(&set.audio).join(file))
                }),
                Network::Slowfast(_) => {
                    clips_of(&recipe.data, root)?.into_iter().find(|row| stem(row) == id).map(|row| row.path)
                }
            },
        };
        found.ok_or_else(|| Error::Usage(format!("{id}: the recipe has no such recording")))
    }
}

/// Runs the networks of those runs that held a fold out and left no predictions.
pub fn complete(subject: &mut Subject, data: &DataSets, options: &ReportOptions, notes: &mut Notes) {
    let mut corpora: Vec<(Recipe, Corpus)> = Vec::new();
    for run in subject.runs.iter_mut().filter(|run| run.predictions.is_none() && run.fold.is_some()) {
        let predictions = match &run.recipe {
            Some(recipe) => match &recipe.network {
                Network::Student(_) => student(run, recipe, data, options, &mut corpora),
                Network::Slowfast(_) => slowfast(run, &recipe.data, data),
                Network::Ced(_) => Err(Error::Usage("its predictions are those that its training leaves".to_owned())),
            },
            None => continue,
        };
        match predictions {
            Ok(predictions) => run.predictions = Some(predictions),
            Err(e) => notes.push(format!("{}: no predictions: {e}.", run.name)),
        }
    }
}

fn student(
    run: &Run,
    recipe: &Recipe,
    data: &DataSets,
    options: &ReportOptions,
    corpora: &mut Vec<(Recipe, Corpus)>,
) -> Result<Predictions> {
    let model = run.folder.join(MODEL);
    if !model.is_dir() {
        return Err(Error::content(&model, "the run left neither predictions nor a model"));
    }
    // Only the labels matter here: neither a teacher nor generated clips, which are never evaluated
    // on.
    let procedural = recipe.procedural.clone().map(|p| Procedural { clips_per_class: 0, ..p });
    let recipe = Recipe { teacher: None, distill: None, procedural, seed: 0, ..recipe.clone() };
    let corpus = match corpora.iter().find(|(known, _)| *known == recipe) {
        Some((_, corpus)) => corpus.clone(),
        None => {
            let (data_root, cache) = (data.root()?.to_owned(), options.cache.clone());
            let places = Places { data_root, cache, recipe_folder: PathBuf::new() };
            let corpus = Corpus::load(&recipe.contents(), &places, run.folds)?;
            corpora.push((recipe.clone(), corpus.clone()));
            corpus
        }
    };
    if corpus.labels != run.labels {
        return Err(Error::content(&run.folder, "the data sets found have other classes than it was trained with"));
    }
    let (sets, background) = (corpus.sets.clone(), corpus.background);
    let split = corpus.split(run.fold)?;
    eprintln!("{}: running its network on {} clips", run.name, split.held_out.len());
    let Split { held_out: clips, held_out_negatives: negatives, .. } = split;
    let held_out = HeldOut { sets, clips, negatives, background, frontend: recipe.frontend, device: Device::Cpu };
    held_out.predict(&model)?.ok_or_else(|| Error::content(&run.folder, "its fold has no clips"))
}

/// Predictions of a run of SlowFast: the scores of its fusion, or else of its last stage, and
/// the truth of its table.
fn slowfast(run: &Run, sets: &[DataSet], data: &DataSets) -> Result<Predictions> {
    let rows = clips_of(sets, data.root()?)?;
    let stages = run.curves.iter().rev().map(|curves| curves.stage.as_str());
    let files = [FUSED].into_iter().chain(stages).map(|model| run.folder.join(model).join(SCORES));
    let missing = || Error::content(&run.folder, format!("no stage has {SCORES}"));
    let file = files.into_iter().find(|file| file.is_file()).ok_or_else(missing)?;
    let scores = Scores::read(&file)?.summed();
    if scores.n_classes != run.labels.len() {
        let message = format!("scores of {} classes, the run has {}", scores.n_classes, run.labels.len());
        return Err(Error::content(&file, message));
    }
    let by_id: HashMap<String, &Row> = rows.iter().map(|row| (stem(row), row)).collect();
    let recording = |id: &String| {
        let row = by_id.get(id).ok_or_else(|| Error::content(&file, format!("{id:?} is not in the recipe's table")))?;
        let label = run.labels.iter().position(|label| *label == row.label);
        let label = label.ok_or_else(|| Error::content(&file, format!("{id:?}: label {:?} is unknown", row.label)))?;
        Ok(Recording { id: id.clone(), set: SET.to_owned(), source: row.source.clone(), label })
    };
    // Sums of posteriors over views, up to a factor: their logarithms are logits.
    let logits = scores.scores.iter().map(|s| s.max(f32::MIN_POSITIVE).ln()).collect();
    Ok(Predictions {
        labels: run.labels.clone(),
        background: None,
        activation: Activation::Posterior,
        own: (0..run.labels.len()).map(|class| (SET.to_owned(), class)).collect(),
        recordings: scores.annotation_id.iter().map(recording).collect::<Result<_>>()?,
        logits,
        logits_int8: None,
    })
}

/// Name of the one data set of a recipe of SlowFast on the page.
const SET: &str = "clips";

fn clips_of(sets: &[DataSet], root: &Path) -> Result<Vec<Row>> {
    let [DataSet { audio, tables: Tables::Clips(csv), .. }] = sets else {
        let message = "segments of EPIC-SOUNDS are measured by `earwitness-train evaluate`";
        return Err(Error::Usage(message.to_owned()));
    };
    read_table(&root.join(csv), &root.join(audio), false)
}

/// The name of a clip in the scores of SlowFast.
fn stem(row: &Row) -> String {
    row.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

//! What the networks say where they left no predictions.
//!
//! Enters: runs of before predictions were written, or of staged recipes, and the folder of the data sets. Leaves: their
//! predictions, from each run's model and the recipe's data. What cannot be done is noted. Features come from the cache.

use super::ReportOptions;
use super::run::{AnyRecipe, Notes, Run};
use super::subject::Subject;
use crate::chain::fit::MODEL;
use crate::chain::staged::recipe::StagedData;
use crate::chain::staged::run::{FUSED, SCORES};
use crate::data::csv::{Row, read_table};
use crate::data::{Corpus, Places, data_root};
use crate::error::{Error, Result};
use crate::judge::evaluate::HeldOut;
use crate::judge::scores::predictions::Recording;
use crate::judge::scores::{Predictions, Scores};
use crate::train::recipe::{Procedural, Recipe};
use edge_frontend::Activation;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tch::Device;

/// Where the recordings are.
#[derive(Debug)]
pub struct DataSets {
    root: Option<PathBuf>,
}

impl DataSets {
    /// The folder that was asked for, or where the trainings found theirs.
    pub fn find(subject: &Subject, options: &ReportOptions) -> Self {
        let theirs = subject.runs.iter().find_map(|run| run.environment.as_ref().map(|e| e.data_root.clone()));
        let root = data_root(&theirs.unwrap_or_default(), Path::new(""), options.data_root.as_deref());
        Self { root: root.is_dir().then_some(root) }
    }

    /// The folder.
    ///
    /// # Errors
    ///
    /// If it is not known, or not there any more.
    pub fn root(&self) -> Result<&Path> {
        let message = "the data sets are not found; --data-root or EARWITNESS_DATA names their folder";
        self.root.as_deref().ok_or_else(|| Error::Usage(message.to_owned()))
    }

    /// The file of a labelled clip that `run` was asked about.
    ///
    /// # Errors
    ///
    /// If the folder or the recipe is not known, or the recipe has no such data set or clip.
    pub fn recording(&self, run: &Run, id: &str) -> Result<PathBuf> {
        let (root, unknown) = (self.root()?, || Error::Usage(format!("{id}: the recipe has no such recording")));
        match run.recipe.as_ref().ok_or_else(unknown)? {
            AnyRecipe::Student(recipe) => {
                let of_set = |name: &str| Some(root.join(recipe.data.iter().find(|s| s.name == name)?.audio.as_path()));
                let split = id.split_once('/').and_then(|(set, file)| Some(of_set(set)?.join(file)));
                split.ok_or_else(unknown)
            }
            AnyRecipe::Staged(recipe) => {
                let rows = clips_of(&recipe.data, root)?;
                rows.into_iter().find(|row| stem(row) == id).map(|row| row.path).ok_or_else(unknown)
            }
        }
    }
}

/// Asks the networks of those runs that held a fold out and left no predictions.
pub fn complete(subject: &mut Subject, data: &DataSets, options: &ReportOptions, notes: &mut Notes) {
    let mut corpora: Vec<(Recipe, Corpus)> = Vec::new();
    for run in subject.runs.iter_mut().filter(|run| run.predictions.is_none()) {
        let predictions = match (&run.recipe, run.fold) {
            (Some(AnyRecipe::Student(recipe)), Some(_)) => ask(run, recipe, data, options, &mut corpora),
            (Some(AnyRecipe::Staged(recipe)), Some(_)) => staged(run, &recipe.data, data),
            _ => continue,
        };
        match predictions {
            Ok(predictions) => run.predictions = Some(predictions),
            Err(e) => notes.push(format!("{}: no predictions: {e}.", run.name)),
        }
    }
}

fn ask(
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
    // Of the training, only its labels matter: no teacher, and no generated clips, which are never evaluated on.
    let procedural = recipe.procedural.clone().map(|p| Procedural { clips_per_class: 0, ..p });
    let recipe = Recipe { teacher: None, distill: None, procedural, seed: 0, ..recipe.clone() };
    if !corpora.iter().any(|(known, _)| *known == recipe) {
        let places =
            Places { data_root: data.root()?.to_owned(), cache: options.cache.clone(), recipe_folder: PathBuf::new() };
        corpora.push((recipe.clone(), Corpus::load(&recipe, &places, run.folds)?));
    }
    let known = corpora.iter().find(|(known, _)| *known == recipe);
    let corpus = known.map(|(_, corpus)| corpus.clone()).ok_or_else(|| Error::Usage("no data".to_owned()))?;
    if corpus.labels != run.labels {
        return Err(Error::content(&run.folder, "the data sets found have other classes than it was trained with"));
    }
    let (sets, background) = (corpus.sets.clone(), corpus.background);
    let split = corpus.split(run.fold, recipe.frontend.n_mels)?;
    eprintln!("{}: asking its network about {} clips", run.name, split.held_out.len());
    let held_out = HeldOut {
        sets,
        clips: split.held_out,
        negatives: split.held_out_negatives,
        background,
        frontend: recipe.frontend,
        device: Device::Cpu,
    };
    held_out.predict(&model)?.ok_or_else(|| Error::content(&run.folder, "its fold has no clips"))
}

/// Predictions of a staged recipe's run: the scores of its fusion, or else of its last stage, and the truth of its table.
fn staged(run: &Run, data_set: &StagedData, data: &DataSets) -> Result<Predictions> {
    let rows = clips_of(data_set, data.root()?)?;
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

/// What the one data set of a staged recipe is called.
const SET: &str = "clips";

fn clips_of(data: &StagedData, root: &Path) -> Result<Vec<Row>> {
    match data {
        StagedData::Clips { csv, audio } => read_table(&root.join(csv), &root.join(audio), false),
        StagedData::EpicSounds { .. } => {
            Err(Error::Usage("segments of EPIC-SOUNDS are measured by `earwitness-train evaluate`".to_owned()))
        }
    }
}

/// The name of a clip in the scores of a staged recipe.
fn stem(row: &Row) -> String {
    row.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

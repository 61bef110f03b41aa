//! The runs that a page is about.
//!
//! Enters: a run folder, or a folder of run folders. Leaves: the runs that belong together, which
//! are folds of one recipe, in the order of the folds; and a note that names the others.

use super::run::{Notes, Run};
use crate::data::folds::FoldMode;
use crate::error::{Error, Result};
use std::path::Path;

/// The runs of one page; at least one.
#[derive(Debug)]
pub struct Subject {
    /// Name of the recipe, or of the folder.
    pub name: String,
    pub runs: Vec<Run>,
}

impl Subject {
    /// Reads `folder`. If it has folds of both kinds, those of `folds` are taken, or those that the
    /// recipe prefers.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read, or holds no run.
    pub fn open(folder: &Path, folds: Option<FoldMode>, notes: &mut Notes) -> Result<Self> {
        let entries = std::fs::read_dir(folder).map_err(Error::io(folder))?;
        let mut folders = vec![folder.to_owned()];
        if !Run::is_at(folder) {
            folders = entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| Run::is_at(p)).collect();
            folders.sort();
        }
        let runs: Vec<Run> = folders.iter().map(|folder| Run::read(folder, notes)).collect();
        let Some(first) = runs.first() else {
            let message = "no run here: neither checkpoint, result.json, metrics.jsonl nor predictions.npz";
            return Err(Error::Usage(format!("{}: {message}, nor in the folders directly below", folder.display())));
        };
        let preferred = || first.recipe.as_ref().map_or(first.folds, |recipe| recipe.folds);
        let wanted = folds.unwrap_or_else(preferred);
        let runs = belonging(runs, wanted, notes);
        let name = runs.iter().find_map(Run::recipe_name).unwrap_or(&runs[0].name).to_owned();
        Ok(Self { name, runs })
    }

    /// The heading: the folds that are pooled, or the one run.
    pub fn title(&self) -> String {
        let folds: Vec<String> = self.runs.iter().filter_map(|r| Some(r.fold?.to_string())).collect();
        let kind = if self.runs[0].folds == FoldMode::Official { "official" } else { "source-grouped" };
        match folds.len() {
            0 => format!("{}, {}", self.name, self.runs[0].name),
            1 => format!("{}, {kind} fold {}", self.name, folds[0]),
            _ => format!("{}, {kind} folds {}", self.name, folds.join(", ")),
        }
    }
}

/// The folds of one recipe, each once; of runs that hold nothing out, the first. The others are
/// noted.
fn belonging(runs: Vec<Run>, wanted: FoldMode, notes: &mut Notes) -> Vec<Run> {
    if runs.len() == 1 {
        return runs;
    }
    let kind = |run: &Run| (run.recipe_name().map(str::to_owned), run.folds, run.is_held_out());
    let is_wanted = |run: &Run| run.is_held_out() && run.folds == wanted;
    let chosen = runs.iter().position(is_wanted).or(runs.iter().position(Run::is_held_out)).unwrap_or(0);
    let chosen = kind(&runs[chosen]);
    let (mut kept, mut others) = (Vec::<Run>::new(), Vec::new());
    for run in runs {
        if kind(&run) == chosen && kept.iter().all(|k| k.fold != run.fold) {
            kept.push(run);
        } else {
            others.push(run.name);
        }
    }
    kept.sort_by_key(|run| run.fold);
    if !others.is_empty() {
        let hint = "--folds, or a report of the folder itself, shows them";
        notes.push(format!("Also in this folder, but not on this page: {}; {hint}.", others.join(", ")));
    }
    kept
}

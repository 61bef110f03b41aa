//! Which runs a page is about.
//!
//! Enters: a run folder, or a folder of run folders. Leaves: the runs that belong together, being folds of one recipe, in the order of
//! the folds; and notes about those that do not.

use super::run::{AnyRecipe, Notes, Run};
use crate::error::{Error, Result};
use crate::train::recipe::FoldMode;
use std::path::Path;

/// The runs of one page.
#[derive(Debug)]
pub struct Subject {
    /// Name of the recipe, or of the folder.
    pub name: String,
    /// At least one.
    pub runs: Vec<Run>,
}

impl Subject {
    /// Reads `folder`. Of folds of both kinds in one folder, those of `folds` are taken, or those that the recipe prefers.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read, or holds no run.
    pub fn open(folder: &Path, folds: Option<FoldMode>, notes: &mut Notes) -> Result<Self> {
        let entries = std::fs::read_dir(folder).map_err(Error::io(folder))?;
        let runs = if Run::is_at(folder) {
            vec![Run::read(folder, notes)]
        } else {
            let mut folders: Vec<_> = entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| Run::is_at(p)).collect();
            folders.sort();
            folders.iter().map(|folder| Run::read(folder, notes)).collect()
        };
        let Some(first) = runs.first() else {
            let message = "no run here: neither checkpoint, result.json, metrics.jsonl nor predictions.npz";
            return Err(Error::Usage(format!("{}: {message}, nor in the folders right below", folder.display())));
        };
        let wanted = folds.unwrap_or_else(|| preferred(first));
        let runs = belonging(runs, wanted, notes);
        let name = runs.iter().find_map(Run::recipe_name).unwrap_or(&runs[0].name).to_owned();
        Ok(Self { name, runs })
    }

    /// What it is called in a heading: folds that are pooled, or the one run.
    pub fn title(&self) -> String {
        let folds: Vec<String> = self.runs.iter().filter_map(|r| Some(r.fold?.to_string())).collect();
        let kind = match self.runs[0].folds {
            FoldMode::Official => "official",
            FoldMode::Source => "source-grouped",
        };
        match folds.len() {
            0 => format!("{}, {}", self.name, self.runs[0].name),
            1 => format!("{}, {kind} fold {}", self.name, folds[0]),
            _ => format!("{}, {kind} folds {}", self.name, folds.join(", ")),
        }
    }
}

fn preferred(run: &Run) -> FoldMode {
    match &run.recipe {
        Some(AnyRecipe::Student(recipe)) => recipe.folds,
        Some(AnyRecipe::Staged(recipe)) => recipe.folds,
        None => run.folds,
    }
}

/// The folds of one recipe, each once; of runs that hold nothing out, the first. The others are noted.
fn belonging(runs: Vec<Run>, wanted: FoldMode, notes: &mut Notes) -> Vec<Run> {
    if runs.len() == 1 {
        return runs;
    }
    let folds = |run: &Run| run.is_held_out() && run.folds == wanted;
    let chosen = runs.iter().position(folds).or(runs.iter().position(Run::is_held_out)).unwrap_or(0);
    let like = (runs[chosen].recipe_name().map(str::to_owned), runs[chosen].folds, runs[chosen].is_held_out());
    let (mut kept, mut others): (Vec<Run>, Vec<Run>) = (Vec::new(), Vec::new());
    for run in runs {
        let same = (run.recipe_name().map(str::to_owned), run.folds, run.is_held_out()) == like;
        let twice = kept.iter().any(|k| k.fold == run.fold);
        if same && !twice { &mut kept } else { &mut others }.push(run);
    }
    kept.sort_by_key(|run| run.fold);
    if !others.is_empty() {
        let names: Vec<&str> = others.iter().map(|run| run.name.as_str()).collect();
        let hint = "--folds, or a report of the folder itself, shows them";
        notes.push(format!("Also in this folder, but not on this page: {}; {hint}.", names.join(", ")));
    }
    kept
}

//! The fused models of other recipes as teachers of a student.
//!
//! Enters: `[distill]` of a student's recipe, and the runs of its teachers. Leaves: scores by
//! segment, the spectra of crops for the models that hear them, and these models themselves.

use super::FitOptions;
use super::slowfast::{TRAIN_LOGITS, is_min_max};
use crate::data::folds::{FoldMode, run_name};
use crate::data::{Audio, Origin, SetInfo};
use crate::error::{Error, Result};
use crate::nets::slowfast::fused::{Ensemble, Member};
use crate::train::checkpoint::Checkpoint;
use crate::train::recipe::{Distill, Fused, Hears, Recipe, ScoreKind};
use crate::train::slowfast::slowfast_of;
use crate::train::student::score_files::Scored;
use crate::train::student::teach::Taught;
use crate::train::student::teachers::FusedTeacher;
use std::path::Path;

/// Stands for the name of the run in the path of a scores file.
const FOLD: &str = "{fold}";

/// How the models of a fused teacher are trained: on the same fold, in a folder of their own.
///
/// # Errors
///
/// If the recipe cannot be read or is not one of SlowFast, or the folds do not go together.
pub fn teacher_options(options: &FitOptions, fused: &Fused) -> Result<FitOptions> {
    let labelled = options.recipe.data.iter().filter(|set| set.has_labels()).count();
    if options.folds == FoldMode::Source && options.fold.is_some() && labelled > 1 {
        let message = "folds by source divide all labelled data sets together, but the fused models were trained on \
                       one of them: use official folds, or a recipe with one labelled data set";
        return Err(Error::Usage(message.to_owned()));
    }
    let (recipe, path) = Recipe::load(&options.places.recipe_folder.join(&fused.recipe))?;
    recipe.slowfast()?;
    let mut places = options.places.clone();
    places.recipe_folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let out = options.runs.join(&recipe.name).join(run_name(options.folds, options.fold));
    Ok(FitOptions { recipe, places, out, resume: true, stop_after: None, ..options.clone() })
}

/// The set that a teacher knows, by its index among those with labels.
fn set_of(name: Option<&str>, sets: &[SetInfo]) -> Result<usize> {
    let position = match name {
        None => Some(0),
        Some(name) => sets.iter().position(|set| set.name == name),
    };
    position.ok_or_else(|| Error::Usage(format!("there is no data set {:?}", name.unwrap_or_default())))
}

/// The scores by segment that the student learns from: files of the recipe, and those of fused
/// models that hear segments.
///
/// # Errors
///
/// If a set is unknown, or a teacher's recipe cannot be read.
pub fn score_files(options: &FitOptions, settings: &Distill, sets: &[SetInfo]) -> Result<Vec<Scored>> {
    let (folder, run) = (&options.places.recipe_folder, run_name(options.folds, options.fold));
    let mut files = Vec::new();
    for file in &settings.scores {
        let path = folder.join(file.path.to_string_lossy().replace(FOLD, &run));
        files.push(Scored { set: set_of(Some(&file.set), sets)?, path, weight: file.weight, kind: file.kind });
    }
    for fused in settings.fused.iter().filter(|fused| fused.hears == Hears::Segments) {
        let (teacher, set) = (teacher_options(options, fused)?, set_of(fused.set.as_deref(), sets)?);
        let fusion = teacher.recipe.fusion();
        let total: f64 = fusion.iter().map(|(_, weight)| weight).sum();
        for (stage, weight) in fusion {
            let path = teacher.stage_folder(stage).join(TRAIN_LOGITS);
            if !path.exists() {
                return Err(missing(&path, fused));
            }
            files.push(Scored { set, path, weight: fused.weight * weight / total, kind: ScoreKind::Logits });
        }
    }
    Ok(files)
}

/// Gives `clips` the spectra that the recipe's fused teacher hears crops with, if one does: those
/// of the teacher's set and of the background.
///
/// # Errors
///
/// If the front ends do not go in step.
pub fn let_hear(options: &FitOptions, settings: &Distill, clips: &mut [Taught], sets: &[SetInfo]) -> Result<()> {
    let Some(fused) = settings.fused.iter().find(|fused| fused.hears == Hears::Crops) else { return Ok(()) };
    let (teacher, set) = (teacher_options(options, fused)?, set_of(fused.set.as_deref(), sets)?);
    for taught in clips {
        let known = [Origin::Set(set), Origin::Background].contains(&taught.clip.origin);
        if let (true, Audio::Segment(segments, index)) = (known, &taught.clip.audio) {
            let range = taught.clip.frames.range();
            taught.heard = Some(segments.powers_on_demand(*index, range, &teacher.recipe.frontend)?);
        }
    }
    Ok(())
}

/// The fused teacher that hears crops, if the recipe has one.
///
/// # Errors
///
/// If its models are not trained, or their labels are not those of the student's set.
pub fn fused_teacher(
    options: &FitOptions,
    settings: &Distill,
    sets: &[SetInfo],
    labels: &[String],
    background: Option<usize>,
) -> Result<Option<FusedTeacher>> {
    let Some(fused) = settings.fused.iter().find(|fused| fused.hears == Hears::Crops) else { return Ok(None) };
    let (teacher, set) = (teacher_options(options, fused)?, set_of(fused.set.as_deref(), sets)?);
    let mut members = Vec::new();
    for (stage, weight) in teacher.recipe.fusion() {
        let path = teacher.checkpoint(stage);
        if !path.exists() {
            return Err(missing(&path, fused));
        }
        let checkpoint = Checkpoint::load(&path)?;
        checkpoint.finished()?;
        let theirs = &checkpoint.header.labels;
        check_labels(&path, theirs, sets[set].labels.iter().map(|&class| &labels[class]), &sets[set].name)?;
        let network = slowfast_of(&checkpoint, options.device)?.frozen_copy()?;
        members.push((Member { network, min_max: is_min_max(&teacher.recipe, stage), weight }, theirs.clone()));
    }
    let theirs = members.first().map(|(_, labels)| labels.clone()).unwrap_or_default();
    let ensemble = Ensemble::new(members.into_iter().map(|(member, _)| member).collect())?;
    Ok(Some(FusedTeacher::new(ensemble, fused.clone(), teacher.recipe.frontend, &theirs, labels, background)))
}

/// Whether the teacher with the checkpoint at `path` has the labels of the student's set, in any
/// order.
fn check_labels<'a>(
    path: &Path,
    teacher: &'a [String],
    student: impl Iterator<Item = &'a String>,
    set: &str,
) -> Result<()> {
    let student: Vec<&String> = student.collect();
    let theirs = teacher.iter().find(|label| !student.contains(label));
    let own = student.iter().find(|label| !teacher.contains(label));
    let only = |who: &str, label: Option<&String>| label.map(|label| format!("only {who} has {label:?}"));
    let differs = [only("the teacher", theirs), only(&format!("data set {set:?} of the student"), own.copied())];
    let differs: Vec<String> = differs.into_iter().flatten().collect();
    if differs.is_empty() {
        return Ok(());
    }
    Err(Error::content(path, format!("labels of teacher and student differ: {}", differs.join("; "))))
}

fn missing(path: &Path, fused: &Fused) -> Error {
    let recipe = fused.recipe.display();
    Error::content(
        path,
        format!("is missing: `earwitness-train distill` trains {recipe} first, `fit` expects it to be trained"),
    )
}

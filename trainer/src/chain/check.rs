//! What a training by a recipe would find: its data sets, its checkpoints, and those of its fused
//! teachers.
//!
//! Enters: a recipe and the folder of the data. Leaves: figures, and all problems at once. Nothing
//! is trained or written.

use super::slowfast::segment_options;
use crate::data::check::{SetReport, check as check_set};
use crate::data::data_root;
use crate::nets::teacher::ced;
use crate::train::recipe::{Fused, Init, Recipe};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What was found, for a recipe and for the recipes of its fused teachers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checked {
    /// Whether there are no problems.
    pub ok: bool,
    /// The recipe, then those of its teachers.
    pub recipes: Vec<RecipeReport>,
    /// Everything that is missing or wrong, each a sentence with a remedy.
    pub problems: Vec<String>,
}

/// What a recipe names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecipeReport {
    /// Name of the model.
    pub name: String,
    /// The recipe.
    pub recipe: PathBuf,
    /// Folder that the data sets' paths are relative to.
    pub data_root: PathBuf,
    /// Its data sets.
    pub sets: Vec<SetReport>,
    /// Checkpoints that it starts from or learns from.
    pub checkpoints: Vec<CheckpointReport>,
}

/// A checkpoint that a recipe names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckpointReport {
    /// The key that names it.
    pub key: String,
    /// Where it is expected.
    pub path: PathBuf,
    /// Whether it is there.
    pub found: bool,
}

/// Opens what the recipe at `path` names, under the folder that the option names, or else
/// `EARWITNESS_DATA`, or else the recipe.
pub fn check(path: &Path, option: Option<&Path>) -> Checked {
    let mut checked = Checked { ok: false, recipes: Vec::new(), problems: Vec::new() };
    match Recipe::load(path) {
        Err(error) => checked.problems.push(format!("{error}; correct the recipe")),
        Ok((recipe, path)) => {
            let root = data_root(&recipe.data_root, &path, option);
            checked.add(&recipe, &path, &root);
        }
    }
    checked.ok = checked.problems.is_empty();
    checked
}

impl Checked {
    /// Two recipes or two tables may have the same problem.
    fn problem(&mut self, problem: String) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Adds a recipe and those of its teachers, which take their data from the same folder.
    fn add(&mut self, recipe: &Recipe, path: &Path, root: &Path) {
        let options = segment_options(recipe, None);
        let mut sets = Vec::new();
        for set in &recipe.data {
            let (report, problems) = check_set(set, root, &recipe.frontend, &options);
            sets.push(report);
            problems.into_iter().for_each(|problem| self.problem(problem));
        }
        let checkpoints = checkpoints(recipe, root);
        for CheckpointReport { key, path: file, .. } in checkpoints.iter().filter(|c| !c.found) {
            self.problem(format!(
                "{}: {key}: {} does not exist; put the file there: docs/data-sets.md says where to get it",
                path.display(),
                file.display()
            ));
        }
        let (name, place) = (recipe.name.clone(), self.recipes.len());
        self.recipes.push(RecipeReport {
            name,
            recipe: path.to_owned(),
            data_root: root.to_owned(),
            sets,
            checkpoints,
        });
        for fused in recipe.distill.iter().flat_map(|distill| &distill.fused) {
            self.add_teacher(fused, path, root, place);
        }
    }

    fn add_teacher(&mut self, fused: &Fused, path: &Path, root: &Path, student: usize) {
        let of = path.parent().unwrap_or(Path::new("")).join(&fused.recipe);
        let (recipe, of) = match Recipe::load(&of) {
            Ok(read) => read,
            Err(error) => {
                let key = "[[distill.fused]] recipe";
                self.problem(format!("{}: {key}: {error}; correct that recipe or its path", path.display()));
                return;
            }
        };
        if let Err(error) = recipe.slowfast() {
            self.problem(format!("{}: [[distill.fused]] recipe: {error}; name a recipe of SlowFast", path.display()));
            return;
        }
        let teacher = self.recipes.len();
        self.add(&recipe, &of, root);
        let labels = |recipe: &RecipeReport, name: Option<&str>| {
            let labelled = |set: &&SetReport| !set.classes.is_empty() && name.is_none_or(|name| set.name == name);
            let mut labels = recipe.sets.iter().find(labelled)?.classes.clone();
            labels.sort_unstable();
            Some(labels)
        };
        let (own, theirs) =
            (labels(&self.recipes[student], fused.set.as_deref()), labels(&self.recipes[teacher], None));
        if let (Some(own), Some(theirs)) = (own, theirs)
            && own != theirs
        {
            let odd = theirs.iter().find(|l| !own.contains(l)).or(own.iter().find(|l| !theirs.contains(l)));
            self.problem(format!(
                "{}: [[distill.fused]] set: the student's data set has {} labels, the teacher's in {} has {}{}; name the \
                 same data set in both recipes",
                path.display(),
                own.len(),
                of.display(),
                theirs.len(),
                odd.map_or(String::new(), |label| format!(", and only one of them has {label:?}"))
            ));
        }
    }
}

/// The checkpoints that a recipe names.
fn checkpoints(recipe: &Recipe, root: &Path) -> Vec<CheckpointReport> {
    let of_stages = recipe.stages.iter().filter_map(|stage| match &stage.init {
        Init::File(path) => Some((format!("init of stage {:?}", stage.name), path)),
        Init::Scratch | Init::Stage(_) => None,
    });
    let of_teacher = recipe.teacher.iter().map(|teacher| ("weights of [teacher]".to_owned(), &teacher.weights));
    let report = |(key, path): (String, &PathBuf)| {
        let path = root.join(path);
        CheckpointReport { key, found: path.is_file(), path }
    };
    let of_tagger = recipe.tagger.as_ref().map(|_| {
        let path = ced::place();
        CheckpointReport { key: "CED-tiny of [tagger]".to_owned(), found: path.is_file(), path }
    });
    of_stages.chain(of_teacher).map(report).chain(of_tagger).collect()
}

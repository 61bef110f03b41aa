//! The stage of a head on CED-tiny, and what follows it.
//!
//! Enters: a recipe and a run folder. Leaves: in the stage's folder the finished head; in the run
//! folder `model/` and, where something is held out, `predictions.npz`.

use super::student::{MODEL, PREDICTIONS};
use super::{FitOptions, scenes};
use crate::common::progress::device_name;
use crate::data::{Corpus, Split};
use crate::error::{Error, Result};
use crate::judge::evaluate::{HeldOut, describe};
use crate::judge::summary::FitResult;
use crate::nets::head::HeadNetwork;
use crate::ship::export::{ExportOptions, export};
use crate::train::checkpoint::{Checkpoint, Header, save};
use crate::train::learner::{Learner as _, train};
use crate::train::scenes::head::{HeadLearner, Lessons, steps_per_epoch};

/// Trains the head, evaluates and exports.
///
/// # Errors
///
/// If data, cache or run folder fail, or with [`Error::Interrupted`] if it was stopped; the state
/// is saved then.
pub fn fit(options: &FitOptions) -> Result<FitResult> {
    let recipe = &options.recipe;
    let corpus = Corpus::load(&recipe.contents(), &options.places, options.folds)?;
    let header = stage(options, &corpus)?;
    let mut result = FitResult::new(&recipe.name, options.fold, options.folds);
    result.n_steps = header.n_steps;
    let model = options.out.join(MODEL);
    export(&options.checkpoint(&header.stage), &model, &ExportOptions::default())?;
    let (sets, background) = (corpus.sets.clone(), corpus.background);
    let Split { held_out, held_out_negatives, .. } = corpus.split(options.fold)?;
    let held_out = HeldOut {
        sets,
        clips: held_out,
        negatives: held_out_negatives,
        background,
        frontend: recipe.frontend.clone(),
        device: options.device,
    };
    if let Some(predictions) = held_out.predict(&model)? {
        predictions.write(&options.out.join(PREDICTIONS))?;
        let evaluation = held_out.measure(predictions.activation, &predictions.logits);
        eprintln!("result: {}", describe(&evaluation));
        result.evaluation = Some(evaluation);
    }
    Ok(result)
}

/// Trains only the head.
///
/// # Errors
///
/// As [`fit`].
pub fn fit_stage(options: &FitOptions, _index: usize) -> Result<()> {
    let corpus = Corpus::load(&options.recipe.contents(), &options.places, options.folds)?;
    stage(options, &corpus).map(|_| ())
}

/// Trains the one stage, or continues it, and leaves its finished checkpoint.
fn stage(options: &FitOptions, corpus: &Corpus) -> Result<Header> {
    let (recipe, config) = (&options.recipe, options.recipe.head()?);
    let none = || Error::Usage("the recipe has no stage with a [stage.scenes] table".to_owned());
    let of = recipe.stages.first().ok_or_else(none)?;
    let (scenes, tagger) = (of.scenes.as_ref().ok_or_else(none)?, recipe.tagger.as_ref().ok_or_else(none)?);
    let (folder, exists) = options.existing(&of.name)?;
    let path = options.checkpoint(&of.name);
    let header = |n_steps: u64| options.header(&of.name, &corpus.labels, n_steps);
    let earlier = match exists {
        true => {
            let checkpoint = Checkpoint::load(&path)?;
            let n_steps = checkpoint.header.n_steps;
            Some(checkpoint.belonging_to(&header(n_steps))?)
        }
        false => None,
    };
    if let Some(Checkpoint { header, .. }) = earlier.as_ref().filter(|checkpoint| checkpoint.header.finished) {
        return Ok(header.clone());
    }
    let scenes = scenes::corpus(options, 0, scenes)?;
    eprintln!(
        "{}, stage {}: {} classes{}; CED-tiny listens to {} scenes",
        recipe.name,
        of.name,
        corpus.labels.len(),
        options.described_fold(),
        scenes.len()
    );
    let lessons = Lessons::gather(&scenes, config, &corpus.labels, corpus.background, tagger)?;
    let mut header = header(of.epochs * steps_per_epoch(&lessons, of.batch));
    let resumed = earlier.map(|checkpoint| checkpoint.belonging_to(&header)).transpose()?;
    eprintln!("{} steps on {}", header.n_steps, device_name(options.device));
    let (n_classes, seed) = (corpus.labels.len(), recipe.stage_seed(0));
    let head = HeadNetwork::new(config, n_classes, lessons.statistics()?, seed, options.device)?;
    let mut learner = HeadLearner::new(&header, 0, head, lessons, options.device)?;
    train(&mut learner, &mut header, resumed.as_ref(), &folder, options.stop())?;
    let mut tensors = learner.tensors();
    tensors.extend(learner.averaged().tensors("final/"));
    header.finished = true;
    save(&path, &header, &tensors)?;
    Ok(header)
}

//! The scenes of a student's stage: a recipe and its stage enter, a batcher of crops leaves.

use super::FitOptions;
use crate::data::scenes::{Listing, Share};
use crate::data::world::Purpose;
use crate::error::{Error, Result};
use crate::nets::head::Patches;
use crate::nets::teacher::ced;
use crate::train::recipe::{Init, Network, Scenes};
use crate::train::scenes::batcher::{SceneBatcher, Settings, Slots};
use crate::train::scenes::corpus::{Hearing, Making, SceneCorpus};

/// Makes batches of the scenes of stage number `index`, for the classes `labels`.
///
/// # Errors
///
/// If the stage hears no scenes, a recording cannot be read, or the cache cannot be written.
pub fn batcher(
    options: &FitOptions,
    index: usize,
    labels: &[String],
    background: Option<usize>,
) -> Result<SceneBatcher> {
    let recipe = &options.recipe;
    let stage = &recipe.stages[index];
    let none = || Error::Usage(format!("stage {:?} has no [stage.scenes] table", stage.name));
    let (scenes, tagger) = (stage.scenes.as_ref().ok_or_else(none)?, recipe.tagger.as_ref().ok_or_else(none)?);
    let own = corpus(options, index, scenes)?;
    let before = match &stage.init {
        Init::Stage(name) => Some(recipe.stage(name)?),
        Init::Scratch | Init::File(_) => None,
    };
    let rehearsal = match before.and_then(|at| Some((at, recipe.stages[at].scenes.as_ref()?))) {
        Some((at, before)) if scenes.rehearse > 0.0 => Some((corpus(options, at, before)?, scenes.rehearse)),
        _ => None,
    };
    let network = recipe.student()?;
    let settings = Settings {
        labels,
        background,
        tagger,
        frontend: &recipe.frontend,
        slots: Slots {
            crop_frames: recipe.train.crop_frames,
            pulse_frames: network.pulse_frames(),
            receptive_field: network.receptive_field(),
            centre_s: network.slot_centre_s(&recipe.frontend),
        },
        n_batch: stage.batch,
        seed: recipe.stage_seed(index),
        scenes,
        augment: &stage.augment(),
    };
    SceneBatcher::new(own, rehearsal, &settings)
}

/// The scenes of stage number `index`.
///
/// # Errors
///
/// As [`batcher`].
pub fn corpus(options: &FitOptions, index: usize, scenes: &Scenes) -> Result<SceneCorpus> {
    let (recipe, places) = (&options.recipe, &options.places);
    // What all folds share has no recording that a fold holds out.
    let fold = options.fold.filter(|_| !scenes.shared);
    let share = Share { folds: options.folds, fold, purpose: Purpose::Training };
    let listing = Listing::of_data(&recipe.name, &recipe.contents(), &places.data_root, share)?;
    let listing = if scenes.shared { listing.of_the_world() } else { listing };
    let n_scenes = (scenes.hours * 3600.0 / scenes.settings.seconds).ceil() as usize;
    let seed = recipe.stage_seed(index);
    let making = Making {
        cache: places.cache.clone(),
        memory_mb: recipe.train.memory_mb,
        tagger: ced::place(),
        precision: recipe.train.precision,
        hearing: match &recipe.network {
            Network::Ced(config) => Hearing::Patches(Patches::of(config)),
            Network::Student(_) | Network::Slowfast(_) => Hearing::Pieces,
        },
    };
    SceneCorpus::new(&scenes.settings, n_scenes, seed, listing, &recipe.frontend, making)
}

//! The stages of the student, and what follows the last one.
//!
//! Enters: a recipe and a run folder. Leaves, after the stages: in the folder of the last one the
//! finished network with its 8-bit form; in the run folder `model/` and, where something is held
//! out, `peaks.json` and `predictions.npz`. The result is that of the last step's averaged weights.

use super::{FitOptions, scenes, teachers};
use crate::common::json;
use crate::common::progress::device_name;
use crate::data::{Corpus, SetInfo, Split};
use crate::error::{Error, Result};
use crate::judge::evaluate::{HeldOut, describe};
use crate::judge::summary::FitResult;
use crate::judge::thresholds::{self, PEAKS};
use crate::nets::student::Student;
use crate::nets::teacher::{self, EMBEDDING_WIDTH, Listener, Tutor};
use crate::ship::export::{ExportOptions, export};
use crate::ship::quantize::{Fidelity, Quantized, quantize};
use crate::train::checkpoint::{Checkpoint, Header, save};
use crate::train::learner::{Learner, train};
use crate::train::recipe::{Init, Recipe};
use crate::train::scenes::{SceneLearner, TAGGER_WIDTH};
use crate::train::student::batcher::{Batcher, Hearing, Settings};
use crate::train::student::probe::{self, Lessons};
use crate::train::student::teach::{Taught, ask_mn04};
use crate::train::student::teachers::{Classifier, HearingTeacher, Teachers};
use crate::train::student::{Bands, StudentLearner, score_files};
use std::path::Path;

/// Name of the model in a run folder, as the daemon takes it.
pub const MODEL: &str = "model";
/// Name of the finished network's logits of what is held out, in a run folder.
pub const PREDICTIONS: &str = "predictions.npz";
/// Batches that show how large the embeddings of fused models are.
const SAMPLE_BATCHES: u64 = 4;

/// The data of a training, with what teachers know of it.
struct Material {
    labels: Vec<String>,
    sets: Vec<SetInfo>,
    background: Option<usize>,
    train: Vec<Taught>,
    negatives: Vec<Taught>,
    held_out: HeldOut,
    statistics: teacher::Statistics,
    lessons: Option<Lessons>,
}

/// Trains all stages, quantizes, evaluates and exports.
///
/// # Errors
///
/// If data, cache or run folder fail, or with [`Error::Interrupted`] if it was stopped; the state
/// is saved then.
pub fn fit(options: &FitOptions) -> Result<FitResult> {
    let material = Material::gather(options)?;
    let none = || Error::Usage("the recipe has no stage".to_owned());
    let last = options.recipe.stages.len().checked_sub(1).ok_or_else(none)?;
    for index in 0..last {
        if !material.is_finished(options, index)? {
            stage(options, &material, index)?.save(options)?;
        }
    }
    finish(options, &material, stage(options, &material, last)?)
}

/// Trains only stage number `index`.
///
/// # Errors
///
/// As [`fit`]; if the stage it starts from is not finished.
pub fn fit_stage(options: &FitOptions, index: usize) -> Result<()> {
    stage(options, &Material::gather(options)?, index)?.save(options)
}

impl Material {
    /// Opens the data and asks the teachers about the clips.
    fn gather(options: &FitOptions) -> Result<Self> {
        let (recipe, places) = (&options.recipe, &options.places);
        let corpus = Corpus::load(&recipe.contents(), places, options.folds)?;
        let (labels, sets, background) = (corpus.labels.clone(), corpus.sets.clone(), corpus.background);
        let Split { train, held_out, negatives, held_out_negatives } = corpus.split(options.fold)?;
        let taught = |clips: Vec<_>| clips.into_iter().map(Taught::of).collect::<Vec<_>>();
        let (mut train, mut negatives) = (taught(train), taught(negatives));
        let hop_seconds = recipe.frontend.hop_seconds();
        let tutor = Tutor::load(recipe.teacher.as_ref(), hop_seconds, &places.data_root, &places.cache)?;
        if let Some(tutor) = &tutor {
            ask_mn04(tutor, &mut train, true, &recipe.frontend)?;
            ask_mn04(tutor, &mut negatives, false, &recipe.frontend)?;
        }
        let statistics = teacher::standardise(train.iter_mut().filter_map(|taught| taught.targets.as_mut()));
        if let Some(settings) = &recipe.distill {
            let files = teachers::score_files(options, settings, &sets)?;
            score_files::attach(&mut train, &sets, labels.len(), &files, settings.temperature)?;
            for clips in [&mut train, &mut negatives] {
                teachers::let_hear(options, settings, clips, &sets)?;
            }
        }
        let held_out = HeldOut {
            sets: sets.clone(),
            clips: held_out,
            negatives: held_out_negatives,
            background,
            frontend: recipe.frontend.clone(),
            device: options.device,
        };
        let lessons = Lessons::gather(&train);
        Ok(Self { labels, sets, background, train, negatives, held_out, statistics, lessons })
    }

    /// What a checkpoint of stage number `index` belongs to.
    fn header(&self, options: &FitOptions, index: usize, n_steps: u64) -> Header {
        options.header(&options.recipe.stages[index].name, &self.labels, n_steps)
    }

    /// Whether stage number `index` is there, trained by this very recipe.
    fn is_finished(&self, options: &FitOptions, index: usize) -> Result<bool> {
        let stage = &options.recipe.stages[index].name;
        let path = options.checkpoint(stage);
        if !path.exists() || !(options.resume || options.is_shared(stage)) {
            return Ok(false);
        }
        let checkpoint = Checkpoint::load(&path)?;
        let expected = self.header(options, index, checkpoint.header.n_steps);
        Ok(checkpoint.belonging_to(&expected)?.header.finished)
    }

    /// The teachers of the training.
    fn teachers(&self, options: &FitOptions) -> Result<Teachers> {
        let (recipe, device) = (&options.recipe, options.device);
        let mut teachers = Teachers { settings: recipe.distill.clone(), ..Teachers::default() };
        if let Some(teacher) = recipe.teacher.as_ref().filter(|t| t.online > 0.0) {
            let listener = Listener::load(&options.places.data_root.join(&teacher.weights), &self.statistics, device)?;
            teachers.hearing = Some(HearingTeacher::Mn04(listener));
        }
        if let Some(distill) = &recipe.distill {
            if let (Some(lessons), Some(teacher)) = (&self.lessons, &recipe.teacher)
                && distill.classifier > 0.0
            {
                teachers.classifier = Some(Classifier::fit(lessons, self.labels.len(), teacher.probe_c, device)?);
            }
            if let Some(fused) = teachers::fused_teacher(options, distill, &self.sets, &self.labels, self.background)? {
                teachers.hearing = Some(HearingTeacher::Fused(Box::new(fused)));
            }
        }
        Ok(teachers)
    }

    fn batcher(&self, recipe: &Recipe, index: usize, teachers: &Teachers) -> Result<Batcher> {
        let online = recipe.teacher.as_ref().map_or(0.0, |teacher| teacher.online);
        let settings = Settings {
            n_classes: self.labels.len(),
            background: self.background,
            with_embeddings: recipe.teacher.is_some(),
            hearing: match &teachers.hearing {
                None => None,
                Some(HearingTeacher::Mn04(_)) => {
                    Some(Hearing { bands: Bands::mn04(&recipe.frontend), share: online, masked: false })
                }
                Some(HearingTeacher::Fused(teacher)) => Some(teacher.hearing(&recipe.frontend)),
            },
        };
        let (train, negatives) = (self.train.clone(), self.negatives.clone());
        Batcher::new(recipe, &recipe.stages[index], recipe.stage_seed(index), settings, train, negatives)
    }
}

/// A student in training.
enum Learning<'a> {
    Clips(Box<StudentLearner<'a>>),
    Scenes(Box<SceneLearner<'a>>),
}

impl Learning<'_> {
    fn averaged(&self) -> &Student {
        match self {
            Self::Clips(learner) => learner.averaged(),
            Self::Scenes(learner) => learner.averaged(),
        }
    }

    fn tensors(&self) -> Vec<(String, tch::Tensor)> {
        match self {
            Self::Clips(learner) => learner.tensors(),
            Self::Scenes(learner) => learner.tensors(),
        }
    }

    /// The crops of step `step` as the network takes them, `(B, T, n_mels)`.
    fn crops(&self, step: u64) -> Result<tch::Tensor> {
        match self {
            Self::Clips(learner) => learner.crops(step),
            Self::Scenes(learner) => learner.crops(step),
        }
    }
}

/// The result of a stage. Its header says whether the checkpoint holds it already.
struct Trained<'a> {
    index: usize,
    header: Header,
    learning: Learning<'a>,
}

impl Trained<'_> {
    /// Saves a stage that others start from, unless it was finished before: the last stage may hold
    /// the merged head and the 8-bit form by then.
    fn save(self, options: &FitOptions) -> Result<()> {
        if self.header.finished {
            return Ok(());
        }
        let mut tensors = self.learning.tensors();
        tensors.extend(final_tensors(self.learning.averaged(), None)?);
        save(&options.checkpoint(&self.header.stage), &Header { finished: true, ..self.header }, &tensors)
    }
}

/// Trains a stage, or continues it.
fn stage<'a>(options: &FitOptions, material: &'a Material, index: usize) -> Result<Trained<'a>> {
    let of = &options.recipe.stages[index];
    let (folder, exists) = options.existing(&of.name)?;
    let held_out = &material.held_out;
    let evaluate = Box::new(|student: &Student| {
        let Some(evaluation) = held_out.evaluate(student)? else { return Ok(None) };
        Ok(Some((describe(&evaluation), serde_json::json!(evaluation))))
    });
    let begin = |steps_per_epoch: u64, n_embedding: usize| -> Result<_> {
        let header = material.header(options, index, of.epochs * steps_per_epoch);
        let resumed = exists.then(|| Checkpoint::resume(&options.checkpoint(&of.name), &header)).transpose()?;
        let student = first_weights(options, index, material.labels.len(), n_embedding)?;
        announce(options, material, &header, resumed.as_ref().map_or(0, |c| c.header.step))?;
        Ok((header, resumed, student))
    };
    if of.scenes.is_some() {
        let batcher = scenes::batcher(options, index, &material.labels, material.background)?;
        let (header, resumed, student) = begin(batcher.steps_per_epoch(), TAGGER_WIDTH)?;
        let mut learner = SceneLearner::new(&header, index, student, batcher, evaluate)?;
        let header = run(&mut learner, header, resumed.as_ref(), &folder, options)?;
        return Ok(Trained { index, header, learning: Learning::Scenes(Box::new(learner)) });
    }
    let mut teachers = material.teachers(options)?;
    let batcher = material.batcher(&options.recipe, index, &teachers)?;
    if let Some(HearingTeacher::Fused(teacher)) = &mut teachers.hearing {
        let crops = (0..SAMPLE_BATCHES).map(|step| Ok(batcher.batch(step)?.heard)).collect::<Result<Vec<_>>>()?;
        teacher.standardise(&crops.into_iter().flatten().collect::<Vec<_>>(), options.device)?;
    }
    let n_embedding = if options.recipe.teacher.is_some() { EMBEDDING_WIDTH } else { teachers.embedding_width() };
    let (header, resumed, student) = begin(batcher.steps_per_epoch(), n_embedding)?;
    let mut learner = StudentLearner::new(&header, index, student, batcher, teachers, evaluate)?;
    let header = run(&mut learner, header, resumed.as_ref(), &folder, options)?;
    Ok(Trained { index, header, learning: Learning::Clips(Box::new(learner)) })
}

/// Does the steps that are left after those of `resumed`. The header says then whether the
/// checkpoint was finished before.
fn run(
    learner: &mut impl Learner,
    mut header: Header,
    resumed: Option<&Checkpoint>,
    folder: &Path,
    options: &FitOptions,
) -> Result<Header> {
    train(learner, &mut header, resumed, folder, options.stop())?;
    header.finished = resumed.is_some_and(|checkpoint| checkpoint.header.finished);
    Ok(header)
}

/// The weights that a stage starts from: fresh ones, or an earlier stage's or another checkpoint's
/// wherever name and shape agree.
fn first_weights(options: &FitOptions, index: usize, n_classes: usize, n_embedding: usize) -> Result<Student> {
    let (recipe, device) = (&options.recipe, options.device);
    let seed = recipe.stage_seed(index);
    let fresh = Student::new(recipe.student()?, recipe.frontend.n_mels, n_classes, n_embedding, seed, device)?;
    let path = match &recipe.stages[index].init {
        Init::Scratch => return Ok(fresh),
        Init::Stage(name) => options.checkpoint(name),
        Init::File(path) => options.places.data_root.join(path),
    };
    let checkpoint = Checkpoint::load(&path)?;
    checkpoint.finished()?;
    checkpoint.header.recipe.student()?;
    for param in fresh.params() {
        let earlier = checkpoint.tensor(&format!("final/{}", param.name)).ok();
        match earlier.filter(|value| value.size() == param.value.size()) {
            Some(value) => tch::no_grad(|| param.value.shallow_clone().f_copy_(value))?,
            None => {
                eprintln!("warning: {}: {} starts with fresh weights", path.display(), param.name);
                continue;
            }
        };
    }
    Ok(fresh)
}

/// What a finished checkpoint holds besides the state of the training.
fn final_tensors(student: &Student, int8: Option<&Quantized>) -> Result<Vec<(String, tch::Tensor)>> {
    let params = student.params().iter().map(|p| (format!("final/{}", p.name), p.value.shallow_clone()));
    let int8 = int8.map(Quantized::tensors).transpose()?.unwrap_or_default();
    let int8 = int8.into_iter().map(|(name, value)| (format!("int8/{name}"), value));
    Ok(params.chain(int8).collect())
}

/// After the last stage: merges the teacher's classifier, quantizes, evaluates and exports.
fn finish(options: &FitOptions, material: &Material, last: Trained) -> Result<FitResult> {
    let Trained { index, header, learning } = last;
    let (recipe, held_out) = (&options.recipe, &material.held_out);
    let mut finished = learning.averaged().frozen_copy()?;
    let teacher = recipe.teacher.as_ref().filter(|t| t.probe_share > 0.0);
    if let (Some(lessons), Some(teacher)) = (&material.lessons, teacher) {
        if let Some(evaluation) = held_out.evaluate(&finished)? {
            eprintln!("before merging the teacher's classifier: {}", describe(&evaluation));
        }
        finished = probe::merge(&finished, lessons, teacher, material.background, &recipe.frontend, options.device)?;
    }
    let int8 = match &recipe.quantize {
        None => None,
        Some(settings) => {
            // Other crops than the training's.
            let batch = |step| learning.crops(header.n_steps + step);
            let (network, Fidelity { calibrated, tuned }) = quantize(&finished, settings, batch, options.device)?;
            eprintln!("8 bits: logits differ by {:.2} % calibrated, {:.2} % tuned", calibrated * 100.0, tuned * 100.0);
            Some(network)
        }
    };
    let checkpoint = options.checkpoint(&recipe.stages[index].name);
    let mut tensors = learning.tensors();
    tensors.extend(final_tensors(&finished, int8.as_ref())?);
    save(&checkpoint, &Header { finished: true, ..header.clone() }, &tensors)?;

    let mut result = FitResult::new(&recipe.name, options.fold, options.folds);
    result.n_steps = header.n_steps;
    result.evaluation = held_out.evaluate(&finished)?;
    if let Some(evaluation) = &result.evaluation {
        eprintln!("result: {}", describe(evaluation));
    }
    let model = options.out.join(MODEL);
    export(&checkpoint, &model, &ExportOptions::default())?;
    if !held_out.clips.is_empty() {
        let recordings = [&held_out.clips[..], &held_out.negatives[..]].concat();
        json::write(&options.out.join(PEAKS), &thresholds::peaks(&model, &recordings)?)?;
    }
    if let Some(predictions) = held_out.predict(&model)? {
        predictions.write(&options.out.join(PREDICTIONS))?;
        result.int8 = predictions.logits_int8.as_ref().map(|logits| held_out.measure(predictions.activation, logits));
    }
    if let Some(evaluation) = &result.int8 {
        eprintln!("8 bits: {}", describe(evaluation));
    }
    Ok(result)
}

fn announce(options: &FitOptions, material: &Material, header: &Header, step: u64) -> Result<()> {
    let Header { recipe, labels, n_steps, stage, .. } = header;
    let (n_train, n_held_out) = (material.train.len(), material.held_out.clips.len());
    if options.is_shared(stage) {
        eprintln!("{}, stage {stage}: no labelled clips; all folds share its result", recipe.name);
    } else {
        let (fold, n_classes) = (options.described_fold(), labels.len());
        eprintln!("{}, stage {stage}: {n_classes} classes, {n_train} clips, {n_held_out} held out{fold}", recipe.name);
    }
    let cost = recipe.student_cost(labels.len())?;
    let device = device_name(options.device);
    eprintln!(
        "network: {} parameters, {:.1} MMAC per second, receptive field {} frames; {n_steps} steps on {device}",
        cost.n_params, cost.mmac_per_second, cost.receptive_field
    );
    if step > 0 {
        eprintln!("continuing at step {step} of {n_steps}");
    }
    Ok(())
}

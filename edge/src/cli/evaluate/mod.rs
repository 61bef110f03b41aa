//! `earwitness evaluate`: measures the daemon on recordings whose sounds are known.

mod document;
mod recordings;
mod table;

use std::io::Write as _;

use edge::Result;
use edge::config::{Overrides, Settings};
use edge::decide::Rules;
use edge::engine::{Precision, PrecisionChoice, load_engine};
use edge::evaluate::{Detection, Evaluation, Heard, Sound, Truth, UnknownLabels, listen, sweep, truth};
use edge::model::{self, Model};

use super::args::EvaluateArgs;
use super::stdout_error;
use document::Document;
use recordings::Recording;

/// A recording with all that is known of it.
struct Measured {
    recording: Recording,
    truth: Truth,
    heard: Heard,
}

pub(super) fn evaluate(args: &EvaluateArgs) -> Result<()> {
    let overrides =
        Overrides { model: args.model.clone(), precision: args.precision, hop_ms: args.hop_ms, ..Overrides::default() };
    let settings = Settings::load(args.config.as_deref(), &overrides)?;
    super::logging::start("warn")?;
    let recordings = recordings::find(&args.audio, &args.truth)?;
    let model = settings.model(Model::load(&model::find(settings.model_dir.as_deref())?)?)?;
    let rules = Rules::new(&model.manifest, &settings.decision(&model.manifest)?);
    let unknown = if args.ignore_unknown { UnknownLabels::LeaveOut } else { UnknownLabels::Refuse };
    // All truth is read before anything is listened to: its errors come at once.
    let truths: Vec<Truth> =
        recordings.iter().map(|recording| truth(&recording.truth, &model.manifest, unknown)).collect::<Result<_>>()?;
    // One choice for all recordings.
    let precision = load_engine(&model, settings.precision)?.precision();
    let choice = match precision {
        Precision::F32 => PrecisionChoice::F32,
        Precision::Int8 => PrecisionChoice::Int8,
    };
    let mut measured = Vec::new();
    for (recording, truth) in recordings.into_iter().zip(truths) {
        let heard = listen(&model, &rules, choice, &recording.audio)?;
        let mut truth = truth.within(heard.duration_s, &recording.truth)?;
        // What is never reported is not missed.
        truth.sounds.retain(|sound| rules.classes[sound.class_id].is_some());
        measured.push(Measured { recording, truth, heard });
    }

    let sounds: Vec<Vec<Sound>> = measured.iter().map(|m| m.truth.sounds.clone()).collect();
    let detections: Vec<Vec<Detection>> = measured.iter().map(|m| m.heard.detections.clone()).collect();
    let duration_s: Vec<f64> = measured.iter().map(|m| m.heard.duration_s).collect();
    let heard: Vec<Heard> = measured.iter().map(|m| m.heard.clone()).collect();
    let points = sweep(&rules, &heard);
    let evaluation = Evaluation {
        labels: &model.manifest.labels,
        background: rules.background,
        truth: &sounds,
        detections: &detections,
        duration_s: &duration_s,
        points: &points,
    };
    let document = Document::new(&model, precision, &measured, &evaluation);
    let text = if args.json { document.to_json() + "\n" } else { table::table(&document) };
    std::io::stdout().write_all(text.as_bytes()).map_err(stdout_error)
}

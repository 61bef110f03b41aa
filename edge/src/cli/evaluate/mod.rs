//! `earwitness evaluate`: measures the daemon on recordings whose sounds are known.

mod document;
mod recordings;
mod table;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use edge::config::Settings;
use edge::engine::load_engine;
use edge::heard::{listen, spectrogram, sweep};
use edge::model::{self, Model};
use edge::{Error, ErrorKind, Result};
use edge_evaluate::{Detection, Evaluation, Truth, UnknownLabels, plot, truth};

use super::args::EvaluateArgs;
use super::stdout_error;
use document::{Document, Skipped};
use recordings::{Found, Recording};

/// A recording that cannot be decoded is named and does not keep the others from being measured;
/// then the exit code is 1.
pub(super) fn evaluate(args: &EvaluateArgs) -> Result<ExitCode> {
    let settings = Settings::load(args.config.as_deref(), &args.overrides())?;
    edge::logging::start("warn")?;
    let Found { recordings, foreign } = recordings::find(&args.audio, &args.truth)?;
    let mut skipped: Vec<Skipped> =
        foreign.iter().map(|path| Skipped::new(path, "its format cannot be decoded")).collect();
    let model = model::find(settings.model_dir.as_deref()).and_then(|dir| Model::load(&dir));
    let model = settings.model(model.map_err(|error| settings.model_error(error))?)?;
    let rules = settings.rules(&model.manifest)?;
    let unknown = if args.ignore_unknown { UnknownLabels::LeaveOut } else { UnknownLabels::Refuse };
    // All truth is read before anything is listened to: its errors come at once.
    let truths: Vec<Truth> = recordings
        .iter()
        .map(|recording| truth(&recording.truth, &model.manifest, unknown))
        .collect::<Result<_, _>>()?;
    // One choice for all recordings.
    let precision = load_engine(&model, settings.precision)?.precision();
    let n_recordings = recordings.len();
    let (mut measured, mut heard, mut sounds) = (Vec::new(), Vec::new(), Vec::new());
    let mut code = ExitCode::SUCCESS;
    for (recording, truth) in recordings.into_iter().zip(&truths) {
        let recorded = match listen(&model, &rules, precision.into(), &recording.audio) {
            Err(error) if error.kind() == ErrorKind::Audio && n_recordings > 1 => {
                skipped.push(Skipped::new(&recording.audio, &error));
                code = ExitCode::FAILURE;
                continue;
            }
            recorded => recorded?,
        };
        let mut truth = truth.clone().within(recorded.duration_s, &recording.truth)?;
        // What is never reported is not missed.
        truth.sounds.retain(|sound| rules.classes[sound.class_id].is_some());
        sounds.push(truth.sounds);
        heard.push(recorded);
        measured.push(recording);
    }

    for Skipped { audio, reason } in &skipped {
        super::say(format_args!("earwitness: {audio} is left out: {reason}"));
    }
    if measured.is_empty() {
        return Err(Error::usage("--audio", "none of the recordings can be decoded"));
    }

    let detections: Vec<Vec<Detection>> = heard.iter().map(|heard| heard.detections.clone()).collect();
    let duration_s: Vec<f64> = heard.iter().map(|heard| heard.duration_s).collect();
    let points = sweep(&rules, &heard);
    let evaluation = Evaluation {
        labels: &model.manifest.labels,
        background: rules.background,
        truth: &sounds,
        detections: &detections,
        duration_s: &duration_s,
        points: &points,
    };
    let document = Document::new(&model, precision, &measured, skipped, unknown_labels(&truths), &evaluation);
    let text = if args.json { document.to_json() + "\n" } else { table::table(&document) };
    std::io::stdout().write_all(text.as_bytes()).map_err(stdout_error)?;
    if let Some(dir) = &args.plot {
        draw(dir, &evaluation, &measured, &model)?;
    }
    Ok(code)
}

/// How many sounds of which labels were left out of all recordings.
fn unknown_labels(truths: &[Truth]) -> BTreeMap<String, usize> {
    let mut unknown = BTreeMap::new();
    for (label, n) in truths.iter().flat_map(|truth| &truth.unknown) {
        *unknown.entry(label.clone()).or_default() += n;
    }
    unknown
}

fn draw(dir: &Path, evaluation: &Evaluation, recordings: &[Recording], model: &Model) -> Result<()> {
    let audio: Vec<PathBuf> = recordings.iter().map(|recording| recording.audio.clone()).collect();
    let drawn = plot::write(dir, evaluation, &audio, |path| spectrogram(&model.manifest.frontend, path))?;
    let left_out = match drawn.n_left_out {
        0 => String::new(),
        n => format!("; {n} minutes of long recordings, those with the fewest errors, are not drawn"),
    };
    super::say(format_args!("{} drawings in {}{left_out}", drawn.files.len(), dir.display()));
    Ok(())
}

//! `earwitness evaluate`: measures the daemon on recordings whose sounds are known.

mod document;
mod recordings;
mod table;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use edge::Result;
use edge::config::Settings;
use edge::engine::load_engine;
use edge::heard::{listen, spectrogram, sweep};
use edge::model::{self, Model};
use edge_evaluate::{Detection, Evaluation, Truth, UnknownLabels, plot, truth};

use super::args::EvaluateArgs;
use super::stdout_error;
use document::Document;
use recordings::Recording;

pub(super) fn evaluate(args: &EvaluateArgs) -> Result<()> {
    let settings = Settings::load(args.config.as_deref(), &args.overrides())?;
    edge::logging::start("warn")?;
    let recordings = recordings::find(&args.audio, &args.truth)?;
    let model = settings.model(Model::load(&model::find(settings.model_dir.as_deref())?)?)?;
    let rules = settings.rules(&model.manifest)?;
    let unknown = if args.ignore_unknown { UnknownLabels::LeaveOut } else { UnknownLabels::Refuse };
    // All truth is read before anything is listened to: its errors come at once.
    let truths: Vec<Truth> = recordings
        .iter()
        .map(|recording| truth(&recording.truth, &model.manifest, unknown))
        .collect::<Result<_, _>>()?;
    // One choice for all recordings.
    let precision = load_engine(&model, settings.precision)?.precision();
    let (mut heard, mut sounds) = (Vec::new(), Vec::new());
    for (recording, truth) in recordings.iter().zip(&truths) {
        let recorded = listen(&model, &rules, precision.into(), &recording.audio)?;
        let mut truth = truth.clone().within(recorded.duration_s, &recording.truth)?;
        // What is never reported is not missed.
        truth.sounds.retain(|sound| rules.classes[sound.class_id].is_some());
        sounds.push(truth.sounds);
        heard.push(recorded);
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
    let document = Document::new(&model, precision, &recordings, unknown_labels(&truths), &evaluation);
    let text = if args.json { document.to_json() + "\n" } else { table::table(&document) };
    std::io::stdout().write_all(text.as_bytes()).map_err(stdout_error)?;
    if let Some(dir) = &args.plot {
        draw(dir, &evaluation, &recordings, &model)?;
    }
    Ok(())
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

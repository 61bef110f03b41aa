//! The model: whether it is complete, computes what it should, and is fast enough on this machine.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use edge::Result;
use edge::audio::decode_file;
use edge::config::Settings;
use edge::decide::Rules;
use edge::engine::load_engine;
use edge::model::{self, Model};
use edge::pipeline::Chain;
use edge::status::Status;

use super::finding::{CORRECT, Finding};

/// How long the speed is measured.
const TRIAL: Duration = Duration::from_millis(1500);

/// Shares of a core at which the load is reported, and at which it is too high.
const BUSY: f64 = 0.5;
const OVERLOADED: f64 = 0.9;

/// Noise after the receptive field for a model without a golden recording.
const NOISE_S: f64 = 2.0;

/// What a golden recording must be recognised as.
const GOLDEN_CLIP: &str = "golden/clip.wav";

/// The model of the settings, if it can be run.
pub(super) fn check(settings: &Settings) -> (Vec<Finding>, Option<Model>) {
    let loaded = model::find(settings.model_dir.as_deref()).and_then(|dir| Model::load(&dir));
    let model = match loaded.and_then(|model| settings.model(model)) {
        Ok(model) => model,
        Err(error) => {
            let finding = Finding::problem("model", super::reason(&settings.model_error(error)))
                .advise("install the model, or name its folder with model.dir: nothing can be recognised without it");
            return (vec![finding], None);
        }
    };
    let text =
        format!("{} in {}, {} labels, checksums agree", model.id(), model.dir.display(), model.manifest.labels.len());
    let mut findings = vec![Finding::ok("model", text)];
    match golden(settings, &model) {
        Ok(text) => findings.push(Finding::ok("golden run", text)),
        Err(reason) => {
            findings
                .push(Finding::problem("golden run", reason).advise("copy or export the model's whole folder again"));
        }
    }
    (findings, Some(model))
}

/// Runs the recording that the model was exported with, or noise where the folder has none.
fn golden(settings: &Settings, model: &Model) -> Result<String, String> {
    let clip = model.dir.join(GOLDEN_CLIP);
    let error = |error: edge::Error| error.to_string();
    let (samples, sample_rate) = if clip.exists() {
        let audio = decode_file(&clip).map_err(error)?;
        (audio.samples, audio.sample_rate)
    } else {
        let (frontend, network) = (&model.manifest.frontend, &model.manifest.network);
        // A network's first output comes after its receptive field, which may be longer than
        // NOISE_S.
        let n_frames = network.receptive_field_frames.max(network.pulse_frames);
        let seconds = n_frames as f64 * frontend.hop_seconds() + NOISE_S;
        (noise((seconds * f64::from(frontend.sample_rate)) as usize), frontend.sample_rate)
    };
    let engine = load_engine(model, settings.precision).map_err(error)?;
    let precision = engine.precision();
    let rules = Rules::new(&model.manifest, &model.manifest.decision);
    let mut chain = Chain::new(&model.manifest, rules, engine, sample_rate, Arc::default()).map_err(error)?;
    let outputs = Arc::new(std::sync::Mutex::new(Vec::new()));
    let sink = Arc::clone(&outputs);
    chain.observe(Box::new(move |output| {
        sink.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend_from_slice(output.logits);
    }));
    chain.push(&samples).map_err(error)?;
    drop(chain);
    let outputs = outputs.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if outputs.is_empty() || outputs.iter().any(|logit| !logit.is_finite()) {
        return Err(format!("the network ({precision}) outputs nothing, or values that are not numbers"));
    }
    if !clip.exists() {
        return Ok(format!("the network ({precision}) runs; its golden recording is not installed, which is usual"));
    }
    let golden = model.dir.join(match precision {
        edge::engine::Precision::F32 => "golden/logits.npy",
        edge::engine::Precision::Int8 => "golden/logits.int8.npy",
    });
    let expected = npy(&golden).map_err(|reason| format!("{}: {reason}", golden.display()))?;
    let n = outputs.len().min(expected.len());
    let off = outputs.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    // Across processors, as in the model's contract; an 8-bit value may fall on the other side of
    // a step.
    let tolerance = if precision == edge::engine::Precision::F32 { 1e-2 } else { 0.5 };
    if n == 0 || off > tolerance {
        return Err(format!(
            "the network ({precision}) differs by {off:.3} from {}, its outputs for the golden recording",
            golden.display()
        ));
    }
    Ok(format!("the golden recording gives the golden outputs ({precision}, largest difference {off:.4})"))
}

/// The values of a NumPy file of single-precision numbers (NEP 1).
fn npy(path: &Path) -> std::result::Result<Vec<f32>, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let header_len = bytes.get(8..10).map(|len| usize::from(u16::from_le_bytes([len[0], len[1]])));
    let is_f32 =
        bytes.starts_with(b"\x93NUMPY\x01") && String::from_utf8_lossy(&bytes[..bytes.len().min(128)]).contains("<f4");
    let Some(values) = header_len.filter(|_| is_f32).and_then(|len| bytes.get(10 + len..)) else {
        return Err("not a NumPy file of single-precision numbers".into());
    };
    Ok(values.chunks_exact(4).map(|value| f32::from_le_bytes([value[0], value[1], value[2], value[3]])).collect())
}

/// Whether the settings fit the model.
pub(super) fn fitting(settings: &Settings, model: Option<&Model>) -> Option<Finding> {
    let model = model?;
    let fits = settings.rules(&model.manifest).and_then(|rules| {
        settings.quiet_hours(&model.manifest)?;
        settings.check_webhooks(&model.manifest)?;
        Ok(rules)
    });
    Some(match fits {
        Err(error) => Finding::problem("labels", super::reason(&error)).advise(CORRECT),
        Ok(rules) => {
            let (n, n_labels) = rules
                .reported(&model.manifest.labels)
                .fold((0, 0), |(n, n_labels), (_, is_reported)| (n + usize::from(is_reported), n_labels + 1));
            match n {
                0 => Finding::problem("labels", "no label is reported").advise("see allow and deny in [decide]"),
                n => Finding::ok("labels", format!("{n} of {n_labels} are reported")),
            }
        }
    })
}

/// How much of a core the sources take.
pub(super) fn speed(settings: &Settings, model: Option<&Model>) -> Option<Finding> {
    let model = model?;
    let load = match load(settings, model) {
        Ok(load) => load * settings.sources.len() as f64,
        Err(error) => {
            let finding = Finding::problem("processor", super::reason(&error));
            return Some(finding.advise("copy or export the model's whole folder again"));
        }
    };
    let sources = if settings.sources.len() == 1 { "the source" } else { "the sources" };
    let text = format!("recognition of {sources} takes {:.1} % of a core", load * 100.0);
    Some(if load > OVERLOADED {
        Finding::problem("processor", text)
            .advise("sound will be lost: take a smaller model, fewer sources, or a faster machine")
    } else if load > BUSY {
        Finding::warning("processor", text)
            .advise("sound may be lost while other programs run; take a smaller model or fewer sources")
    } else {
        Finding::ok("processor", text)
    })
}

/// Time to compute over the time that it covers: the fastest of several trials, as other programs
/// make them slower.
fn load(settings: &Settings, model: &Model) -> Result<f64> {
    let frontend = &model.manifest.frontend;
    let rules = Rules::new(&model.manifest, &model.manifest.decision);
    let engine = load_engine(model, settings.precision)?;
    let mut chain = Chain::new(&model.manifest, rules, engine, frontend.sample_rate, Arc::new(Status::default()))?;
    let second = noise(frontend.sample_rate as usize);
    let begin = Instant::now();
    let mut best = f64::INFINITY;
    chain.push(&second)?;
    while begin.elapsed() < TRIAL || best.is_infinite() {
        let start = Instant::now();
        chain.push(&second)?;
        chain.transitions();
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// White noise: nothing in the path may be faster for being zero.
fn noise(n_samples: usize) -> Vec<f32> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 16_777_216.0 - 0.5
    };
    (0..n_samples).map(|_| next()).collect()
}

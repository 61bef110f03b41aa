//! Command `calibrate`.

use super::PrecisionArg;
use crate::chain::student::MODEL;
use crate::common::json;
use crate::common::spread::Spread;
use crate::error::{Error, Result};
use crate::judge::calibrate::{Calibration, Goal, Material, Measured, calibrate as choose};
use crate::judge::summary::RESULT;
use clap::Args;
use edge::engine::PrecisionChoice;
use edge::model::{MANIFEST_FILE, Model};
use edge_frontend::{Decision, Manifest};
use std::path::{Path, PathBuf};

/// Arguments of `calibrate`.
#[derive(Debug, Args)]
pub struct CalibrateArgs {
    /// Model folder to calibrate. The scenes must consist of recordings that it was not trained on.
    #[arg(long, value_name = "DIR", conflicts_with = "runs", required_unless_present = "runs")]
    model: Option<PathBuf>,
    /// Run folders of held-out folds, or folders of such run folders. The scenes of each fold are
    /// run through the model that was not trained on its clips. The values are chosen on the scenes
    /// of all folds, and tested on each fold with values that were chosen on the other folds.
    #[arg(long, num_args = 1.., value_name = "RUNS")]
    runs: Vec<PathBuf>,
    /// Folders of recordings with a truth CSV beside each recording. With --runs, each of these
    /// folders has one subfolder per run, named like the run.
    #[arg(long, num_args = 1.., required = true, value_name = "DIR")]
    scenes: Vec<PathBuf>,
    /// Further recordings, laid out like --scenes, on which the figures of held-out folds are
    /// measured; they take no part in the choice.
    #[arg(long, num_args = 1.., value_name = "DIR")]
    test: Vec<PathBuf>,
    /// Largest number of false alarms per hour of all classes together, in recordings without
    /// sounds of these classes.
    #[arg(long, default_value_t = 1.0, value_name = "N")]
    max_false_alarms: f64,
    /// Longest window that may be chosen.
    #[arg(long, default_value_t = 960, value_name = "MS")]
    max_window_ms: u32,
    /// Which of a model's network files to run.
    #[arg(long, value_enum, default_value = "f32")]
    precision: PrecisionArg,
    /// Model folders into whose manifests the values are written; without this option nothing is
    /// written.
    #[arg(long, num_args = 1.., value_name = "DIR")]
    out: Vec<PathBuf>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Calibrates, prints the figures, and writes the manifests.
///
/// # Errors
///
/// If models or recordings cannot be read, or do not belong together.
pub fn calibrate(args: &CalibrateArgs) -> Result<()> {
    if !(args.max_false_alarms > 0.0 && args.max_false_alarms.is_finite()) {
        return Err(Error::Usage("--max-false-alarms: must be positive".to_owned()));
    }
    for folder in &args.out {
        Model::load(folder)?;
    }
    let precision = PrecisionChoice::from(args.precision.precision());
    let (mut material, mut tests) = (Vec::new(), Vec::new());
    let mut manifest: Option<Manifest> = None;
    for Part { name, model: folder, scenes, test } in parts(args)? {
        let model = Model::load(&folder)?;
        let known = manifest.get_or_insert_with(|| model.manifest.clone());
        if known.labels != model.manifest.labels || known.network != model.manifest.network {
            let message = "has other labels or another network than the model before it";
            return Err(Error::content(&folder.join(MANIFEST_FILE), message));
        }
        eprintln!("{name}: listening with {}", folder.display());
        material.push(Material::listen(&name, &model, precision, &scenes)?);
        if !test.is_empty() {
            tests.push(Material::listen(&name, &model, precision, &test)?);
        }
    }
    let none = "--runs: no finished run there has a folder of its name in --scenes";
    let manifest = manifest.ok_or_else(|| Error::Usage(none.to_owned()))?;
    if !args.test.is_empty() && tests.len() != material.len() {
        return Err(Error::Usage("--test: not every run has a folder of its name there".to_owned()));
    }
    let hours = |of: fn(&Material) -> f64| material.iter().map(of).sum::<f64>();
    let quiet = hours(|m| m.quiet.hours());
    eprintln!("calibrating on {:.2} h with and {quiet:.2} h without sounds", hours(|m| m.scenes.hours()));
    if quiet * args.max_false_alarms < 1.0 {
        eprintln!(
            "note: {quiet:.2} h without sounds cannot show {} false alarms per hour; with more of them the \
             thresholds are more reliable",
            args.max_false_alarms
        );
    }
    let goal = Goal { max_false_alarms: args.max_false_alarms, max_window_ms: args.max_window_ms };
    let calibration = choose(&manifest, &material, &tests, &goal)?;
    if calibration.own.false_alarms > args.max_false_alarms {
        eprintln!(
            "warning: {} false alarms per hour cannot be reached with any thresholds, {:.1} are left: report fewer labels, \
             or raise --max-false-alarms",
            args.max_false_alarms, calibration.own.false_alarms
        );
    }
    for folder in &args.out {
        write(folder, &calibration.decision)?;
        eprintln!("decision values written to {}", folder.join(MANIFEST_FILE).display());
    }
    if args.json {
        return json::print(&calibration);
    }
    print!("{}", table(&calibration));
    Ok(())
}

/// A model and what it listens to.
struct Part {
    name: String,
    model: PathBuf,
    scenes: Vec<PathBuf>,
    test: Vec<PathBuf>,
}

fn parts(args: &CalibrateArgs) -> Result<Vec<Part>> {
    if let Some(model) = &args.model {
        let (scenes, test) = (args.scenes.clone(), args.test.clone());
        return Ok(vec![Part { name: "model".to_owned(), model: model.clone(), scenes, test }]);
    }
    let mut parts = Vec::new();
    for result in json::files(&args.runs, RESULT)? {
        let run = result.parent().unwrap_or(Path::new(""));
        let name = run.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let of = |roots: &[PathBuf]| roots.iter().map(|root| root.join(&name)).filter(|dir| dir.is_dir()).collect();
        let (scenes, test): (Vec<PathBuf>, _) = (of(&args.scenes), of(&args.test));
        if scenes.is_empty() {
            eprintln!("{name}: left out, no scenes in a folder of that name");
            continue;
        }
        parts.push(Part { model: run.join(MODEL), name, scenes, test });
    }
    Ok(parts)
}

/// Puts the decision into a model folder's manifest; values of labels that it does not have are
/// left out.
fn write(folder: &Path, decision: &Decision) -> Result<()> {
    let mut manifest = Model::load(folder)?.manifest;
    manifest.decision = decision.clone();
    manifest.decision.classes.retain(|label, _| manifest.labels.contains(label));
    let path = folder.join(MANIFEST_FILE);
    std::fs::write(&path, manifest.to_toml()?).map_err(Error::io(&path))
}

fn table(calibration: &Calibration) -> String {
    let Calibration { decision, own, held_out, nll } = calibration;
    let mut text = format!(
        "temperature {} (negative log likelihood {:.3} before, {:.3} after)\n\n",
        decision.temperature, nll[0], nll[1]
    );
    text += &format!(
        "{:<24} {:>6} {:>6} {:>6} {:>6} {:>6} {:>8} {:>7} {:>7}  false alarms without sounds\n",
        "", "F1", "F1 1s", "macro", "found", "FA/h", "FA/h", "latency", "p95"
    );
    text += &format!(
        "{:<24} {:>6} {:>6} {:>6} {:>6} {:>6} {:>8} {:>7} {:>7}\n",
        "", "", "", "", "", "scenes", "without", "s", "s"
    );
    let row = |name: &str, m: &Measured| {
        format!(
            "{name:<24} {:>6.3} {:>6.3} {:>6.3} {:>6.3} {:>6.1} {:>8.2} {:>7.2} {:>7.2}  {} in {:.2} h\n",
            m.event_f1,
            m.event_f1_wide,
            m.event_f1_macro,
            m.found,
            m.false_alarms_in_scenes,
            m.false_alarms,
            m.latency_s[0],
            m.latency_s[1],
            m.n_false_alarms,
            m.hours[1],
        )
    };
    for (name, measured) in held_out {
        text += &row(&format!("{name}, held out"), measured);
    }
    if !held_out.is_empty() {
        let of = |value: fn(&Measured) -> f64| Spread::of(held_out.iter().map(|(_, m)| value(m)));
        let [f1, alarms] = [of(|m| m.event_f1), of(|m| m.false_alarms)];
        text += &format!(
            "{:<24} F1 {:.3} +- {:.3}, false alarms per hour {:.2} +- {:.2}\n",
            "held out, mean", f1.mean, f1.std, alarms.mean, alarms.std
        );
    }
    text += &row("chosen on", own);
    text += &format!(
        "\n{:<20} {:>5} {:>6} {:>7} {:>6} {:>6} {:>7} {:>7} {:>7}\n",
        "label", "n", "F1", "alarms", "on", "off", "window", "least", "gap"
    );
    for class in &own.classes {
        let values = decision.of_class(&class.label);
        text += &format!(
            "{:<20} {:>5} {:>6} {:>7} {:>6.3} {:>6.3} {:>7} {:>7} {:>7}\n",
            class.label,
            class.n,
            class.f1.map_or("-".to_owned(), |f1| format!("{f1:.3}")),
            class.n_false_alarms,
            values.threshold_on,
            values.threshold_off,
            values.window_ms,
            values.min_duration_ms,
            values.min_gap_ms,
        );
    }
    text
}

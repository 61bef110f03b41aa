//! From a checkpoint to a model folder that the daemon runs.
//!
//! Enters: a finished checkpoint, and measured figures. Leaves: `model.onnx`, `model.int8.onnx`
//! where the training quantized the network, `manifest.toml` and `golden/`, which holds a generated
//! clip, its log-mel frames and its logits. The folder is then loaded as the daemon loads it, and
//! must compute what libtorch does, as a whole and pulse by pulse; otherwise the export fails.
//! [`export_fused`] does the same for several networks of a staged recipe with their weights.

mod fused;
pub(crate) mod golden;
mod head;
mod int8;
mod onnx;
pub mod reread;
mod verify;

use crate::data::folds::FoldMode;
use crate::error::{Error, Result};
use crate::judge::summary::{INT8, Summary};
use crate::judge::thresholds;
use crate::ship::quantize::Quantized;
use crate::train::checkpoint::{Checkpoint, Header};
use crate::train::recipe::{Export, Network, Recipe};
use crate::train::student::finished_student;
use assemble::sha256;
use edge::model::MANIFEST_FILE;
use edge_frontend::manifest::MANIFEST_VERSION;
use edge_frontend::{DataNotes, Decision, Files, Manifest, ModelFile, Smoothing};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::Device;

pub use fused::{
    FusedAgreement, FusedReport, Fusion, Given, Member, Networks, export_fused, fused_metrics, verify_fused,
};
pub use verify::{Agreement, INT8_TOLERANCE, TOLERANCE, verify, verify_int8};

/// Names of the network's files in the folder.
const NETWORK_FILE: &str = "model.onnx";
const INT8_FILE: &str = "model.int8.onnx";

/// What an export tells: what a model card wants to know.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExportReport {
    /// Size of `model.onnx`.
    pub n_bytes: usize,
    /// Size of `model.int8.onnx`, where there is one.
    pub n_bytes_int8: Option<usize>,
    /// Trained values, batch norm folded.
    pub n_params: usize,
    /// Multiply-accumulates for a second of sound, in millions.
    pub mmac_per_second: f64,
    /// Log-mel frames that one output sees.
    pub receptive_field_frames: usize,
    /// Largest differences from libtorch.
    pub agreement: Agreement,
    /// The same of the 8-bit network, from fake quantization.
    pub int8_agreement: Option<Agreement>,
}

/// What to write besides the network.
#[derive(Debug, Default)]
pub struct ExportOptions<'a> {
    /// Replaces the checkpoint's `[export]`.
    pub recipe: Option<&'a Recipe>,
    /// Fills the manifest's metrics.
    pub summary: Option<&'a Summary>,
    /// Run folders of held-out folds, whose peaks set the thresholds of the classes; empty to leave
    /// the recipe's.
    pub thresholds: &'a [PathBuf],
    /// Name of one of `[[export.subsets]]`, to write the model that knows its labels only.
    pub subset: Option<&'a str>,
}

/// Writes the model of `checkpoint` into the folder `out` and verifies it.
///
/// # Errors
///
/// If the checkpoint is not finished, the subset is unknown, a file cannot be written, or the
/// verification fails.
pub fn export(checkpoint: &Path, out: &Path, options: &ExportOptions) -> Result<ExportReport> {
    let loaded = Checkpoint::load(checkpoint)?;
    let header = loaded.finished()?;
    let trained = &header.recipe;
    let mut settings = options.recipe.unwrap_or(trained).export.clone().unwrap_or_else(default_export);
    if !options.thresholds.is_empty() {
        let background = trained.background.as_deref();
        thresholds::calibrate(&mut settings.decision, options.thresholds, &header.labels, background)?;
    }
    let (name, classes) = named_classes(header, &settings, options.subset)?;
    let golden_folder = out.join("golden");
    std::fs::create_dir_all(&golden_folder).map_err(Error::io(&golden_folder))?;
    settings.decision.classes.retain(|label, _| classes.iter().any(|&c| header.labels[c] == *label));
    let by_class = std::mem::take(&mut settings.decision.classes).into_iter();
    settings.decision.classes = by_class.map(|(label, decision)| (topic_level(&label), decision)).collect();
    let metrics = options.summary.map(|s| metrics(s, &trained.name)).unwrap_or_default();
    let parts = Parts { header, settings, metrics, name, classes };
    match &trained.network {
        Network::Ced(config) => head::write_model(&loaded, config, out, parts),
        _ => write_student(&loaded, out, parts),
    }
}

/// What all kinds of models have.
struct Parts<'a> {
    header: &'a Header,
    settings: Export,
    metrics: BTreeMap<String, f64>,
    name: String,
    classes: Vec<usize>,
}

impl Parts<'_> {
    fn manifest(self, network: edge_frontend::Network, files: Files) -> Manifest {
        let Self { header, settings, metrics, name, classes } = self;
        let recipe = &header.recipe;
        Manifest {
            manifest_version: MANIFEST_VERSION,
            metrics,
            name,
            version: settings.version,
            labels: classes.iter().map(|&c| topic_level(&header.labels[c])).collect(),
            background: recipe.background.as_deref().map(topic_level),
            frontend_hash: recipe.frontend.hash(),
            frontend: recipe.frontend.clone(),
            network,
            files,
            decision: settings.decision,
            data: settings.data,
        }
    }
}

/// Writes the file called `file` into the folder `out`, and returns what a manifest states about
/// it.
pub(crate) fn write(out: &Path, file: &str, bytes: &[u8]) -> Result<ModelFile> {
    let path = out.join(file);
    std::fs::write(&path, bytes).map_err(Error::io(&path))?;
    Ok(ModelFile { path: file.to_owned(), sha256: sha256(bytes) })
}

fn write_student(loaded: &Checkpoint, out: &Path, parts: Parts) -> Result<ExportReport> {
    let recipe = &parts.header.recipe;
    let (layers, golden_folder) = (recipe.student()?, out.join("golden"));
    let student = finished_student(loaded, Device::Cpu)?;
    let int8 = loaded.has("int8/").then(|| Quantized::from_tensors(&student, loaded.values(), "int8/", loaded.path()));
    let (int8, classes) = (int8.transpose()?, parts.classes.clone());
    let bytes = onnx::encode(&student, &classes, &parts.name)?;
    let int8_bytes = int8.as_ref().map(|q| int8::encode(q, &classes, student.n_mels(), &parts.name)).transpose()?;
    let files = Files {
        f32: write(out, NETWORK_FILE, &bytes)?,
        int8: int8_bytes.as_ref().map(|bytes| write(out, INT8_FILE, bytes)).transpose()?,
    };
    let manifest = parts.manifest(layers.described(), files);
    write(out, MANIFEST_FILE, manifest.to_toml()?.as_bytes())?;
    let frames = golden::write_clip(&golden_folder, &recipe.frontend)?;
    let agreement = verify(out, &student, &classes, &frames)?;
    let int8_agreement = int8.as_ref().map(|q| verify_int8(out, q, &classes, &frames)).transpose()?;
    golden::write_logits(&golden_folder, out, &frames)?;
    let cost = recipe.student_cost(classes.len())?;
    Ok(ExportReport {
        n_bytes: bytes.len(),
        n_bytes_int8: int8_bytes.map(|bytes| bytes.len()),
        n_params: cost.n_params,
        mmac_per_second: cost.mmac_per_second,
        receptive_field_frames: cost.receptive_field,
        agreement,
        int8_agreement,
    })
}

/// Name and classes of the model: all, or those of a subset and the background's, in the order of
/// the labels.
fn named_classes(header: &Header, settings: &Export, subset: Option<&str>) -> Result<(String, Vec<usize>)> {
    let Some(wanted) = subset else {
        return Ok((header.recipe.name.clone(), (0..header.labels.len()).collect()));
    };
    let Some(subset) = settings.subsets.iter().find(|s| s.name == wanted) else {
        let names: Vec<&str> = settings.subsets.iter().map(|s| s.name.as_str()).collect();
        return Err(Error::Usage(format!(
            "--subset {wanted}: expected one of the recipe's [[export.subsets]], {names:?}"
        )));
    };
    if let Some(unknown) = subset.labels.iter().find(|l| !header.labels.contains(l)) {
        return Err(Error::Usage(format!("--subset {wanted}: the network has no label {unknown:?}")));
    }
    let belongs = |label: &String| subset.labels.contains(label) || header.recipe.background.as_ref() == Some(label);
    let classes = (0..header.labels.len()).filter(|&c| belongs(&header.labels[c])).collect();
    Ok((subset.name.clone(), classes))
}

/// A label without the characters that have a meaning in MQTT topics: `chop / cut` of EPIC-SOUNDS
/// becomes `chop-cut`.
fn topic_level(label: &str) -> String {
    label.split(['/', '+', '#']).map(str::trim).collect::<Vec<_>>().join("-")
}

/// Used where the recipe has no `[export]`.
pub fn default_export() -> Export {
    let decision = Decision {
        temperature: 1.0,
        smoothing: Smoothing::Mean,
        min_energy: None,
        max_duration_ms: 3_600_000,
        window_ms: 960,
        threshold_on: 0.5,
        threshold_off: 0.3,
        min_duration_ms: 160,
        min_gap_ms: 480,
        cooldown_ms: 0,
        classes: BTreeMap::new(),
    };
    let unknown = || "not stated".to_owned();
    let data = DataNotes { training: unknown(), licence: unknown() };
    Export { version: "0.1.0".to_owned(), decision, data, subsets: Vec::new() }
}

/// Means over folds, named like `kitchen20_official_top1`: top-1 among the set's own labels, as
/// published figures are.
fn metrics(summary: &Summary, recipe: &str) -> BTreeMap<String, f64> {
    let mut metrics = BTreeMap::new();
    for row in summary.rows.iter().filter(|r| r.recipe == recipe) {
        let (measure, network) = match row.measure.strip_suffix(INT8) {
            Some(measure) => (measure, "_int8"),
            None => (row.measure.as_str(), ""),
        };
        let Some((set, measure)) = measure.split_once(' ') else { continue };
        let folds = folds_name(row.folds);
        let (name, with_spread) = match measure {
            "top1_own_labels" => ("top1", true),
            "top1" => ("top1_all_labels", false),
            other => (other, false),
        };
        metrics.insert(format!("{set}_{folds}_{name}{network}"), rounded(row.mean));
        if with_spread {
            metrics.insert(format!("{set}_{folds}_{name}{network}_std"), rounded(row.std));
        }
    }
    metrics
}

/// A kind of folds in the names of metrics.
fn folds_name(folds: FoldMode) -> &'static str {
    if folds == FoldMode::Source { "source" } else { "official" }
}

/// To four digits: a fold has a few hundred clips.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

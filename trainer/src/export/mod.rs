//! From a checkpoint to a model folder that the daemon runs.
//!
//! Enters: a finished checkpoint, and measured figures. Leaves: `model.onnx`, `manifest.toml` and `golden/`, which holds a generated
//! clip, its log-mel frames and its logits. The folder is then loaded as the daemon loads it, and must compute what libtorch
//! does, as a whole and pulse by pulse; otherwise the export fails. [`export_fused`] does the same for several networks of a staged
//! recipe with their weights.

mod fused;
mod golden;
mod graph;
mod onnx;
mod verify;

use crate::checkpoint::Checkpoint;
use crate::crossval::Summary;
use crate::error::{Error, Result};
use crate::fit::network_cost;
use crate::recipe::{Export, FoldMode, Recipe};
use crate::student::receptive_field;
use edge_frontend::manifest::MANIFEST_VERSION;
use edge_frontend::{Activation, DataNotes, Decision, Files, Manifest, ModelFile, Network, NetworkKind};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use tch::Device;

pub use fused::{
    FusedAgreement, FusedReport, Fusion, Given, Member, Networks, export_fused, fused_metrics, verify_fused,
};
pub use verify::{Agreement, TOLERANCE, verify};

/// Name of the network's file in the folder.
const NETWORK_FILE: &str = "model.onnx";

/// What an export tells: what a model card wants to know.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExportReport {
    /// Size of `model.onnx`.
    pub n_bytes: usize,
    /// Trained values, batch norm folded.
    pub n_params: usize,
    /// Multiply-accumulates for a second of sound, in millions.
    pub mmac_per_second: f64,
    /// Log-mel frames that one output sees.
    pub receptive_field_frames: usize,
    /// Largest differences from libtorch.
    pub agreement: Agreement,
}

/// Writes the model of `checkpoint` into the folder `out` and verifies it. `recipe` replaces the checkpoint's `[export]`;
/// `summary` fills the manifest's metrics.
///
/// # Errors
///
/// If the checkpoint is not finished, a file cannot be written, or the verification fails.
pub fn export(
    checkpoint: &Path,
    out: &Path,
    recipe: Option<&Recipe>,
    summary: Option<&Summary>,
) -> Result<ExportReport> {
    let loaded = Checkpoint::load(checkpoint)?;
    let student = loaded.finished(Device::Cpu)?;
    let trained = &loaded.header.recipe;
    let golden_folder = out.join("golden");
    std::fs::create_dir_all(&golden_folder).map_err(Error::io(&golden_folder))?;
    let bytes = onnx::encode(&student, &trained.name)?;
    let path = out.join(NETWORK_FILE);
    std::fs::write(&path, &bytes).map_err(Error::io(&path))?;
    let settings = recipe.unwrap_or(trained).export.clone().unwrap_or_else(default_export);
    let metrics = summary.map(|s| metrics(s, &trained.name)).unwrap_or_default();
    let (field, pulse_frames) = (receptive_field(&trained.network.layers), trained.network.pulse_frames());
    let manifest = Manifest {
        manifest_version: MANIFEST_VERSION,
        name: trained.name.clone(),
        version: settings.version,
        labels: loaded.header.labels.clone(),
        background: trained.background.clone(),
        frontend_hash: trained.frontend.hash(),
        frontend: trained.frontend.clone(),
        network: Network {
            kind: NetworkKind::Stream,
            pulse_frames,
            receptive_field_frames: field,
            output_delay: field.div_ceil(pulse_frames) - 1,
            activation: Activation::Softmax,
        },
        files: Files { f32: ModelFile { path: NETWORK_FILE.to_owned(), sha256: sha256(&bytes) }, int8: None },
        decision: settings.decision,
        metrics,
        data: settings.data,
    };
    let path = out.join("manifest.toml");
    std::fs::write(&path, manifest.to_toml()?).map_err(Error::io(&path))?;
    let frames = golden::write_clip(&golden_folder, &trained.frontend)?;
    let agreement = verify(out, &student, &frames)?;
    golden::write_logits(&golden_folder, out, &frames)?;
    let cost = network_cost(trained, loaded.header.labels.len());
    Ok(ExportReport {
        n_bytes: bytes.len(),
        n_params: cost.n_params,
        mmac_per_second: cost.mmac_per_second,
        receptive_field_frames: field,
        agreement,
    })
}

/// Used where the recipe has no `[export]`.
pub fn default_export() -> Export {
    let decision = Decision {
        window_ms: 960,
        threshold_on: 0.5,
        threshold_off: 0.3,
        min_duration_ms: 160,
        min_gap_ms: 480,
        cooldown_ms: 0,
        classes: BTreeMap::new(),
    };
    let unknown = || "not stated".to_owned();
    Export { version: "0.1.0".to_owned(), decision, data: DataNotes { training: unknown(), licence: unknown() } }
}

/// Means over folds, named like `kitchen20_official_top1`: top-1 among the set's own labels, as published figures are.
fn metrics(summary: &Summary, recipe: &str) -> BTreeMap<String, f64> {
    let mut metrics = BTreeMap::new();
    for row in summary.rows.iter().filter(|r| r.recipe == recipe) {
        let Some((set, measure)) = row.measure.split_once(' ') else { continue };
        let folds = if row.folds == FoldMode::Source { "source" } else { "official" };
        let (name, with_spread) = match measure {
            "top1_own_labels" => ("top1", true),
            "top1" => ("top1_all_labels", false),
            other => (other, false),
        };
        metrics.insert(format!("{set}_{folds}_{name}"), rounded(row.mean));
        if with_spread {
            metrics.insert(format!("{set}_{folds}_{name}_std"), rounded(row.std));
        }
    }
    metrics
}

/// To four digits: a fold has a few hundred clips.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

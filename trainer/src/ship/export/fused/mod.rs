//! Several trained networks and their weights as one model folder: a patch enters, fused posteriors
//! leave.
//!
//! Enters: networks of the same classes and patch, with one weight each. Leaves: `model.onnx`,
//! `manifest.toml` (`kind = "window"`) and `golden/`, as for a student. Networks that differ in the
//! head only share one backbone in the graph: the recipe's stages that train a frozen backbone cost
//! next to nothing more. The folder is then loaded as the daemon loads it, and must compute what
//! libtorch does; otherwise the export fails.

mod graph;
mod read;
mod verify;

use super::{NETWORK_FILE, golden, topic_level, write};
use crate::error::{Error, Result};
use crate::judge::summary::Summary;
use crate::nets::slowfast::fused::leaders;
use crate::nets::slowfast::{SlowFast, cost};
use crate::train::recipe::Export;
use edge::model::MANIFEST_FILE;
use edge_frontend::manifest::MANIFEST_VERSION;
use edge_frontend::{Activation, Files, FrontendConfig, Manifest, ModelFile, Network, NetworkKind};
use std::collections::BTreeMap;
use std::path::Path;

pub use read::{Given, Networks};
pub use verify::{FusedAgreement, verify_fused};

/// Label that is the manifest's background where a model has it, as EPIC-SOUNDS does.
const BACKGROUND: &str = "background";
/// Begins the measures of the fusion in a summary.
const FUSED: &str = "fused ";

/// One network of a fusion.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// The network, on the CPU.
    pub network: &'a SlowFast,
    /// Share of its posteriors, in any unit: weights are divided by their sum.
    pub weight: f64,
    /// Whether its patches are scaled to [0, 1], as a stage of a recipe may do.
    pub min_max: bool,
}

/// What is written.
#[derive(Debug, Clone)]
pub struct Fusion<'a> {
    /// Name of the model.
    pub name: &'a str,
    /// The networks.
    pub members: &'a [Member<'a>],
    /// Classes in order, as the data set has them; one called `background` is never an event. In
    /// the manifest, `ceramic / wood collision` becomes `ceramic-wood collision`: labels are levels
    /// of MQTT topics.
    pub labels: &'a [String],
    /// Front end that all networks were trained with.
    pub frontend: &'a FrontendConfig,
    /// Log-mel frames from one patch to the next, unless the daemon's configuration says otherwise.
    pub hop_frames: usize,
    /// What the manifest says besides.
    pub settings: &'a Export,
    /// Measured figures for the manifest.
    pub metrics: BTreeMap<String, f64>,
}

/// What an export of a fusion tells: what a model card wants to know.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FusedReport {
    /// Size of `model.onnx`.
    pub n_bytes: usize,
    /// Trained values, batch norm folded, shared ones once.
    pub n_params: usize,
    /// Multiply-accumulates for a patch, in millions.
    pub mmac_per_patch: f64,
    /// Networks.
    pub n_models: usize,
    /// Backbones that are computed for them.
    pub n_backbones: usize,
    /// Comparison with libtorch.
    pub agreement: FusedAgreement,
}

/// Writes the fusion into the folder `out` and verifies it.
///
/// # Errors
///
/// If the networks do not fit each other, labels or front end, a file cannot be written, or the
/// verification fails.
pub fn export_fused(fusion: &Fusion, out: &Path) -> Result<FusedReport> {
    check(fusion)?;
    let leaders = leaders(&fusion.members.iter().map(|m| (m.network, m.min_max)).collect::<Vec<_>>());
    let encoded = graph::encode(fusion.members, &leaders, fusion.name)?;
    let golden_folder = out.join("golden");
    std::fs::create_dir_all(&golden_folder).map_err(Error::io(&golden_folder))?;
    let manifest = manifest(fusion, write(out, NETWORK_FILE, &encoded.bytes)?);
    write(out, MANIFEST_FILE, manifest.to_toml()?.as_bytes())?;
    let frames = golden::write_clip(&golden_folder, fusion.frontend)?;
    let agreement = verify_fused(out, fusion.members, &frames)?;
    golden::write_logits(&golden_folder, out, &frames)?;
    let is_leader = |i: &usize| leaders[*i] == *i;
    Ok(FusedReport {
        n_bytes: encoded.bytes.len(),
        n_params: encoded.n_params,
        mmac_per_patch: mmac_per_patch(fusion.members, &leaders),
        n_models: leaders.len(),
        n_backbones: (0..leaders.len()).filter(is_leader).count(),
        agreement,
    })
}

/// The fusion's means over folds, named like `kitchen20-slowfast_official_top1`.
pub fn fused_metrics(summary: &Summary) -> BTreeMap<String, f64> {
    let mut metrics = BTreeMap::new();
    for row in &summary.rows {
        let Some(measure) = row.measure.strip_prefix(FUSED) else { continue };
        let name = format!("{}_{}_{}", row.recipe, super::folds_name(row.folds), measure.to_lowercase());
        if measure == "top1" {
            metrics.insert(format!("{name}_std"), super::rounded(row.std));
        }
        metrics.insert(name, super::rounded(row.mean));
    }
    metrics
}

fn manifest(fusion: &Fusion, f32: ModelFile) -> Manifest {
    let Fusion { settings, frontend, members, labels, .. } = fusion;
    let network = Network {
        kind: NetworkKind::Window,
        pulse_frames: fusion.hop_frames,
        receptive_field_frames: members[0].network.config().n_frames,
        output_delay: 0,
        lookahead_ms: None,
        activation: Activation::Posterior,
    };
    Manifest {
        manifest_version: MANIFEST_VERSION,
        name: fusion.name.to_owned(),
        version: settings.version.clone(),
        labels: labels.iter().map(|label| topic_level(label)).collect(),
        background: labels.iter().find(|l| *l == BACKGROUND).cloned(),
        frontend_hash: frontend.hash(),
        frontend: (*frontend).clone(),
        network: network.with_pulse(fusion.hop_frames),
        files: Files { f32, int8: None },
        decision: settings.decision.clone(),
        metrics: fusion.metrics.clone(),
        data: settings.data.clone(),
    }
}

fn check(fusion: &Fusion) -> Result<()> {
    let Fusion { members, labels, frontend, hop_frames, .. } = fusion;
    let usage = |message: String| Err(Error::Usage(message));
    let Some(first) = members.first() else { return usage("no network to fuse".to_owned()) };
    let (n_frames, n_mels) = (first.network.config().n_frames, frontend.n_mels);
    for (i, member) in members.iter().enumerate() {
        let (config, number) = (member.network.config(), i + 1);
        // Weight 0 would cost a network and change nothing.
        if !(member.weight > 0.0 && member.weight.is_finite()) {
            return usage(format!("network {number}: weight {} must be above 0", member.weight));
        }
        if member.network.n_classes() != labels.len() {
            let n_classes = member.network.n_classes();
            return usage(format!("network {number}: has {n_classes} classes, there are {} labels", labels.len()));
        }
        if (config.n_frames, config.n_mels) != (n_frames, n_mels) {
            let actual = format!("{} frames of {} bands", config.n_frames, config.n_mels);
            return usage(format!("network {number}: takes {actual}, expected {n_frames} of {n_mels}"));
        }
    }
    if *hop_frames == 0 {
        return usage("the hop must be at least one frame".to_owned());
    }
    Ok(())
}

/// Every head, but each backbone once.
fn mmac_per_patch(members: &[Member], leaders: &[usize]) -> f64 {
    let cost_of = |(i, member): (usize, &Member)| {
        let (config, n_classes) = (member.network.config(), member.network.n_classes());
        let head = (config.n_features() * n_classes) as f64 / 1e6;
        if leaders[i] == i { cost(config, n_classes).mmac_a_view } else { head }
    };
    members.iter().enumerate().map(cost_of).sum()
}

#[cfg(test)]
mod tests;

//! Decision values of a model, chosen on recordings with known sounds.
//!
//! Enters: models of held-out folds (or one model) and scenes that they have not heard: some with
//! sounds, some without any of the classes. Leaves: a temperature, and for every class thresholds,
//! window, least duration and gap, under a limit on false alarms per hour in recordings without any
//! of the classes; and how that does on a fold that had no part in the choice.
//!
//! Everything is decided by the daemon's own decide stage, replayed over what the network said
//! ([`edge::heard`], [`edge_evaluate`]). Runs on the pool's threads.

mod material;
mod measure;
mod search;
mod temperature;

pub use material::{Material, Recordings};
pub use measure::{Measured, measure};
pub use search::search;
pub use temperature::{nll, temperature};

use crate::error::{Error, Result};
use edge::decide::Rules;
use edge_frontend::{Decision, Manifest};
use serde::Serialize;

/// The limits of the search.
#[derive(Debug, Clone, PartialEq)]
pub struct Goal {
    /// Most false alarms per hour, of all classes together, where none of the classes is to be
    /// heard.
    pub max_false_alarms: f64,
    /// Longest windows that may be chosen, milliseconds.
    pub max_window_ms: u32,
}

/// What came of a calibration.
#[derive(Debug, Clone, Serialize)]
pub struct Calibration {
    /// Chosen on all material.
    #[serde(skip)]
    pub decision: Decision,
    /// On the material that it was chosen on.
    pub own: Measured,
    /// On each part's tests, or on the part itself where it has none, with values chosen on the
    /// other parts. Of a single part, its tests, if it has any.
    pub held_out: Vec<(String, Measured)>,
    /// Mean negative log likelihood of the truth of an output, at a temperature of 1 and at the
    /// chosen one.
    pub nll: [f64; 2],
}

/// Calibrates `manifest`'s decision on `material`, whose parts were heard by models with the same
/// labels. `tests` has no part in any choice: recordings for each part, in the same order, heard by
/// the same models; or none at all.
///
/// # Errors
///
/// If the longest window is shorter than one output, or the result is not a valid decision.
pub fn calibrate(manifest: &Manifest, material: &[Material], tests: &[Material], goal: &Goal) -> Result<Calibration> {
    let period_ms = Rules::new(manifest, &manifest.decision).frame_period_s * 1e3;
    if f64::from(goal.max_window_ms) < period_ms.floor() {
        let message = format!("--max-window-ms: {} is shorter than one output, {period_ms:.0} ms", goal.max_window_ms);
        return Err(Error::Usage(message));
    }
    let parts: Vec<&Material> = material.iter().collect();
    let mut held_out = Vec::new();
    if parts.len() > 1 {
        for (at, part) in material.iter().enumerate() {
            let others: Vec<&Material> =
                material.iter().enumerate().filter(|(k, _)| *k != at).map(|(_, m)| m).collect();
            let decision = choose(manifest, &others, goal);
            held_out.push((part.name.clone(), measure(manifest, &decision, &[tests.get(at).unwrap_or(part)])));
        }
    }
    let decision = choose(manifest, &parts, goal);
    if let ([_], [test]) = (material, tests) {
        held_out.push((test.name.clone(), measure(manifest, &decision, &[test])));
    }
    Manifest { decision: decision.clone(), ..manifest.clone() }.validate()?;
    Ok(Calibration {
        own: measure(manifest, &decision, &parts),
        held_out,
        nll: [nll(manifest, &parts, 1.0), nll(manifest, &parts, decision.temperature)],
        decision,
    })
}

fn choose(manifest: &Manifest, parts: &[&Material], goal: &Goal) -> Decision {
    let mut decision = manifest.decision.clone();
    decision.temperature = temperature(manifest, parts);
    search(manifest, decision, parts, goal)
}

//! Other networks to compare with.
//!
//! Enters: folders of other runs. Leaves: cost and accuracy of each, with the page's own runs among them, and the Pareto front. Accuracy is
//! the mean over data sets of the share of clips whose most likely class among the set's own is right, itself a mean over trainings.

use super::ReportOptions;
use super::pareto::front;
use super::run::{Notes, Run};
use super::subject::Subject;
use crate::chain::fit::network_cost;
use crate::error::Result;
use std::collections::BTreeMap;
use std::path::Path;

/// Networks by cost and accuracy.
#[derive(Debug)]
pub struct Rivals {
    /// The runs of the page first, then other runs.
    pub networks: Vec<Network>,
}

/// What a network is here for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The page is about it.
    Own,
    /// Another run.
    Run,
}

/// Cost and accuracy of a network.
#[derive(Debug, Clone)]
pub struct Network {
    /// Recipe and folder.
    pub name: String,
    /// What it is here for.
    pub role: Role,
    /// Trained values.
    pub n_params: usize,
    /// Multiply-accumulates for a second of sound, in millions.
    pub mmac_per_second: f64,
    /// By data set: share of clips whose most likely class among the set's own is right.
    pub top1: BTreeMap<String, f64>,
    /// Mean over the data sets.
    pub accuracy: f64,
    /// How it was trained.
    pub training: String,
    /// Whether no other network is at least as accurate with at most as many multiplications, and better in one of the two.
    pub on_front: bool,
}

impl Rivals {
    /// Reads what the options name; none if they name nothing.
    ///
    /// # Errors
    ///
    /// If a run that is named cannot be read.
    pub fn gather(subject: &Subject, options: &ReportOptions, notes: &mut Notes) -> Result<Option<Self>> {
        if options.compare.is_empty() {
            notes.push("No comparison with other networks: --compare RUN_DIR draws one.".to_owned());
            return Ok(None);
        }
        let mut networks = Vec::new();
        let mut add = |subject: &Subject, name: String, role: Role| match of_runs(&subject.runs, name, role) {
            Ok(network) => networks.push(network),
            Err((name, why)) => notes.push(format!("{name}: not among the networks compared: {why}.")),
        };
        add(subject, format!("this: {}", subject.name), Role::Own);
        for folder in &options.compare {
            let other = Subject::open(folder, options.folds, &mut Notes::new())?;
            add(&other, name_of(folder), Role::Run);
        }
        let on_front = front(&networks.iter().map(|n| (n.mmac_per_second, n.accuracy)).collect::<Vec<_>>());
        networks.iter_mut().zip(on_front).for_each(|(network, on)| network.on_front = on);
        Ok(Some(Self { networks }))
    }

    /// Data sets over which the accuracies are means, in order.
    pub fn sets(&self) -> Vec<&str> {
        let mut sets: Vec<&str> = self.networks.iter().flat_map(|n| n.top1.keys().map(String::as_str)).collect();
        sets.sort_unstable();
        sets.dedup();
        sets
    }
}

/// Cost and accuracy of finished runs of one student.
fn of_runs(runs: &[Run], name: String, role: Role) -> std::result::Result<Network, (String, String)> {
    let Some((recipe, n_classes)) = runs.iter().find_map(|run| Some((run.student()?, run.labels.len()))) else {
        return Err((name, "it is no student, or its checkpoint is not there".to_owned()));
    };
    let mut sums: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for (set, result) in runs.iter().filter_map(|r| r.student_result()?.evaluation.as_ref()).flat_map(|e| &e.sets) {
        let (sum, n) = sums.entry(set.clone()).or_default();
        (*sum, *n) = (*sum + result.top1_own_labels, *n + 1.0);
    }
    if sums.is_empty() {
        return Err((name, "it has evaluated nothing".to_owned()));
    }
    let top1: BTreeMap<String, f64> = sums.into_iter().map(|(set, (sum, n))| (set, sum / n)).collect();
    let cost = network_cost(recipe, n_classes);
    let folds: Vec<String> = runs.iter().filter_map(|run| Some(run.fold?.to_string())).collect();
    Ok(Network {
        name,
        role,
        n_params: cost.n_params,
        mmac_per_second: cost.mmac_per_second,
        accuracy: top1.values().sum::<f64>() / top1.len() as f64,
        top1,
        training: format!("{} epochs, fold {}", recipe.train.epochs, folds.join(", ")),
        on_front: false,
    })
}

/// The last two parts of a path: `home` and `official-1` say more than one of them.
fn name_of(folder: &Path) -> String {
    let parts: Vec<_> = folder.iter().map(|part| part.to_string_lossy()).collect();
    parts[parts.len().saturating_sub(2)..].join("/")
}

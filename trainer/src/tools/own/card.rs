//! The card of a model of own sounds.
//!
//! Enters: figures of all folds. Leaves: `CARD.md` in the model folder, and the figures as the
//! manifest has them.

use super::figures::Figures;
use super::start::{Classes, Start};
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// Figures by name: `<label>_found`, `<label>_top1`, and `<label>_false_alarms` as a share of
/// clips.
pub fn metrics(figures: &Figures) -> BTreeMap<String, f64> {
    let share = |n: usize, of: usize| (n as f64 / of.max(1) as f64 * 1e4).round() / 1e4;
    let of_class = figures.classes.iter().flat_map(|class| {
        [
            (format!("{}_top1", class.label), share(class.n_right, class.n_sounds)),
            (format!("{}_found", class.label), share(class.n_found, class.n_sounds)),
            (format!("{}_false_alarms", class.label), share(class.n_false, figures.n_others)),
        ]
    });
    of_class.collect()
}

/// Writes the card into the model folder `out`.
///
/// # Errors
///
/// If it cannot be written.
pub fn write(out: &Path, start: &Start, classes: &Classes, figures: &Figures) -> Result<()> {
    let manifest = &start.model.manifest;
    let kept = match classes.are_all_new() {
        true => "None of its classes are kept.".to_owned(),
        false => format!("Its {} classes are kept.", manifest.labels.len()),
    };
    let text = format!(
        "# Own sounds\n\n\
         Made by `earwitness-train fit --data` from {id}: its network with a head that was trained on the user's \
         recordings. {kept}\n\n\
         ## How good it is\n\n\
         Every recording was held out once and classified by a head that was trained without it; the model itself was \
         trained on all of them.\n\n\
         ```\n{table}```\n\n\
         *top-1*: sounds of the class that are classified as it, of all {n}. *found*: sounds in which its score \
         reaches the threshold at which the daemon reports it. *false alarms*: clips of other sounds in which it \
         does; most of them are synthesised. Figures from few recordings are rough.\n\n\
         ## Terms\n\nThose of {id}: {licence}. The terms of the recordings apply in addition.\n",
        id = start.model.id(),
        table = figures.table(),
        n = classes.labels.len(),
        licence = manifest.data.licence,
    );
    let path = out.join("CARD.md");
    std::fs::write(&path, text).map_err(Error::io(&path))
}

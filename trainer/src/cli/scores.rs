//! Commands on scores: `fuse`, `evaluate` and `submit`.

use crate::common::json;
use crate::error::{Error, Result};
use crate::judge::scores::fuse::{aligned, default_weights};
use crate::judge::scores::search::{Found, folds_of};
use crate::judge::scores::submit::{self, N_CLASSES};
use crate::judge::scores::{Ensemble, Measures, Scores, Truth, fuse as fused, measure, search};
use clap::Args;
use std::path::PathBuf;

/// Arguments of `fuse`.
#[derive(Debug, Args)]
pub struct FuseArgs {
    /// Scores files (.npz) of the same segments, joined by annotation_id; views are summed.
    #[arg(long, required = true, num_args = 1.., value_name = "NPZ")]
    scores: Vec<PathBuf>,
    /// Weight of each file [default: for four files .1 .4 .25 .25, those of the 2023 report;
    /// otherwise equal].
    #[arg(long, num_args = 1.., value_name = "W")]
    weights: Option<Vec<f64>>,
    /// Find the weights that are best on annotated validation rows, print their gain, and fuse with
    /// them.
    #[arg(long, requires = "annotations")]
    search: bool,
    /// Annotations of the rows: EPIC-SOUNDS' table (annotation_id, class_id) or a table of clips
    /// (file, label).
    #[arg(long, value_name = "CSV", requires = "search")]
    annotations: Option<PathBuf>,
    #[command(flatten)]
    redact: Redact,
    /// Print the search's result as one JSON document.
    #[arg(long, requires = "search")]
    json: bool,
    /// Scores file to write, in the order of the first file.
    #[arg(long, required_unless_present = "search", value_name = "NPZ")]
    out: Option<PathBuf>,
}

/// Arguments of `evaluate`.
#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// Scores file (.npz); views are summed.
    #[arg(long, value_name = "NPZ")]
    scores: PathBuf,
    /// Annotations of the rows: EPIC-SOUNDS' table (annotation_id, class_id) or a table of clips
    /// (file, label).
    #[arg(long, value_name = "CSV")]
    annotations: PathBuf,
    #[command(flatten)]
    redact: Redact,
    /// Print one JSON document; measures are shares from 0 to 1, mauc is null where it is
    /// undefined.
    #[arg(long)]
    json: bool,
}

/// Arguments of `submit`.
#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// Scores file (.npz); views are summed.
    #[arg(long, value_name = "NPZ")]
    scores: PathBuf,
    /// Submission to write, a zip that holds test.json.
    #[arg(long, value_name = "ZIP")]
    out: PathBuf,
    /// Number of classes that the scores must have.
    #[arg(long, default_value_t = N_CLASSES)]
    classes: usize,
}

#[derive(Debug, Args)]
struct Redact {
    /// Leave the rows of the class background out of every measure, as the challenge does.
    #[arg(long, alias = "redact_background", requires = "annotations")]
    redact_background: bool,
    /// Id of the class background [default: that of the class with this name; 13 in an EPIC-SOUNDS
    /// table without such a name].
    #[arg(long, alias = "background_id", requires = "redact_background")]
    background_id: Option<usize>,
}

/// Fuses scores files.
///
/// # Errors
///
/// If a file cannot be read or written, files or annotations do not fit each other, or weights are
/// wrong.
pub fn fuse(args: &FuseArgs) -> Result<()> {
    let sets: Vec<Scores> = args.scores.iter().map(|path| Scores::read(path)).collect::<Result<_>>()?;
    let mut weights = args.weights.clone().unwrap_or_else(|| default_weights(sets.len()));
    if weights.len() != sets.len() {
        let message = format!("--weights: {} given for {} scores files", weights.len(), sets.len());
        return Err(Error::Usage(message));
    }
    let sets = aligned(&sets)?;
    warn_of_scales(&sets);
    if let Some(annotations) = &args.annotations {
        weights = search_weights(&sets, &weights, &Truth::read(annotations)?, &args.redact, args.json)?;
    }
    let Some(out) = &args.out else { return Ok(()) };
    fused(&sets, &weights)?.write(out)?;
    eprintln!("{}: {} rows of {} classes, weights {}", out.display(), sets[0].len(), sets[0].n_classes, list(&weights));
    Ok(())
}

/// Measures a scores file.
///
/// # Errors
///
/// If the scores or annotations cannot be read or do not fit each other, or no row is left to be
/// measured.
pub fn evaluate(args: &EvaluateArgs) -> Result<()> {
    let truth = Truth::read(&args.annotations)?;
    let redact = args.redact.class(&truth)?;
    let scores = Scores::read(&args.scores)?.summed();
    let measures = measure(&scores.scores, scores.n_classes, &truth.classes_of(&scores)?, redact)?;
    if args.json {
        return json::print(&measures);
    }
    println!("rows   {}", rows(&measures, redact));
    for (name, value) in NAMES.iter().zip(figures(&measures)) {
        println!("{name:<6} {value:>7}");
    }
    Ok(())
}

/// Writes a submission.
///
/// # Errors
///
/// As [`submit::submit`].
pub fn submit(args: &SubmitArgs) -> Result<()> {
    let scores = Scores::read(&args.scores)?;
    submit::submit(&scores, args.classes, &args.out)?;
    eprintln!("{}: {} rows of {} classes", args.out.display(), scores.len(), scores.n_classes);
    Ok(())
}

impl Redact {
    /// The class to leave out.
    fn class(&self, truth: &Truth) -> Result<Option<usize>> {
        if !self.redact_background {
            return Ok(None);
        }
        let class = self.background_id.or(truth.background()).ok_or_else(|| {
            let table = truth.path().display();
            Error::Usage(format!("--redact-background: {table} has no label background; give --background-id"))
        })?;
        Ok(Some(class))
    }
}

/// Searches, prints what was found, and gives the weights.
fn search_weights(sets: &[Scores], given: &[f64], truth: &Truth, redact: &Redact, json: bool) -> Result<Vec<f64>> {
    let redact = redact.class(truth)?;
    let first = &sets[0];
    let (classes, n_classes) = (truth.classes_of(first)?, first.n_classes);
    for set in sets {
        if let Some(at) = set.scores.iter().position(|&score| score < 0.0) {
            let id = &set.annotation_id[at / n_classes];
            let message = format!("{id:?}: score {} of class {} is not a posterior", set.scores[at], at % n_classes);
            return Err(Error::content(&set.path, message));
        }
    }
    let values: Vec<&[f32]> = sets.iter().map(|set| set.scores.as_slice()).collect();
    let ensemble = Ensemble { sets: &values, n_classes, truth: &classes };
    let found = search(&ensemble, given, &folds_of(&first.annotation_id), redact)?;
    let alone: Vec<Measures> =
        values.iter().map(|scores| measure(scores, n_classes, &classes, redact)).collect::<Result<_>>()?;
    if json {
        let files: Vec<serde_json::Value> = sets
            .iter()
            .zip(&alone)
            .map(|(set, measures)| serde_json::json!({"scores": set.path, "measures": measures}))
            .collect();
        let Found { given, found, held_out } = &found;
        json::print(&serde_json::json!({"files": files, "given": given, "found": found, "held_out": held_out}))?;
    } else {
        print_search(sets, &alone, &found, redact);
    }
    let held_out = if found.held_out.is_some() { "; held_out is not" } else { "" };
    eprintln!("warning: the weights are measured on the rows on which they were found, which is optimistic{held_out}");
    Ok(found.found.weights)
}

fn print_search(sets: &[Scores], alone: &[Measures], found: &Found, redact: Option<usize>) {
    let given = &found.given.measures;
    let mut table = vec![("".to_owned(), NAMES.map(str::to_owned), "weights".to_owned())];
    for (set, measures) in sets.iter().zip(alone) {
        table.push((set.path.display().to_string(), figures(measures), String::new()));
    }
    table.push(("given".to_owned(), figures(given), list(&found.given.weights)));
    table.push(("found".to_owned(), figures(&found.found.measures), list(&found.found.weights)));
    table.push(("  to given".to_owned(), gains(&found.found.measures, given), String::new()));
    if let Some(held_out) = &found.held_out {
        table.push(("held_out".to_owned(), figures(&held_out.measures), String::new()));
        table.push(("  to given".to_owned(), gains(&held_out.measures, given), String::new()));
        for fold in &held_out.folds {
            let top1 = std::array::from_fn(|i| if i == 0 { percent(fold.top1) } else { String::new() });
            table.push((format!("  fold {}", fold.fold), top1, list(&fold.weights)));
        }
    }
    let width = table.iter().map(|row| row.0.chars().count()).max().unwrap_or(0);
    println!("rows {}", rows(given, redact));
    for (name, figures, weights) in table {
        let figures: String = figures.iter().map(|figure| format!(" {figure:>8}")).collect();
        println!("{}", format!("{name:<width$}{figures}  {weights}").trim_end());
    }
}

const NAMES: [&str; 5] = ["top-1", "top-5", "mCA", "mAP", "mAUC"];

fn percent(share: f64) -> String {
    format!("{:.2}", 100.0 * share)
}

/// In the units of published tables: per cent, and mAUC from 0 to 1.
fn figures(m: &Measures) -> [String; 5] {
    let auc = m.mauc.map_or("-".to_owned(), |auc| format!("{auc:.4}"));
    [percent(m.top1), percent(m.top5), percent(m.mca), percent(m.map), auc]
}

fn gains(of: &Measures, to: &Measures) -> [String; 5] {
    let points = |a: f64, b: f64| format!("{:+.2}", 100.0 * (a - b));
    let auc = of.mauc.zip(to.mauc).map_or("-".to_owned(), |(a, b)| format!("{:+.4}", a - b));
    [points(of.top1, to.top1), points(of.top5, to.top5), points(of.mca, to.mca), points(of.map, to.map), auc]
}

fn rows(m: &Measures, redact: Option<usize>) -> String {
    let left_out = redact.map_or(String::new(), |class| format!(", {} of class {class} left out", m.n_redacted));
    format!("{} of {} classes, {} present{left_out}", m.n, m.n_classes, m.n_present)
}

fn list(weights: &[f64]) -> String {
    weights.iter().map(|weight| format!("{weight:.4}")).collect::<Vec<_>>().join(" ")
}

/// Weights act on sums: posteriors of five views count five times as much as those of a single one.
fn warn_of_scales(sets: &[Scores]) {
    if sets.iter().any(|set| set.scores.iter().any(|&score| score < 0.0)) {
        return;
    }
    let scale = |set: &Scores| set.scores.iter().map(|&s| f64::from(s)).sum::<f64>() / set.len() as f64;
    let of = &sets[0];
    let differs = |set: &&Scores| !(0.67..1.5).contains(&(scale(set) / scale(of)));
    if let Some(other) = sets[1..].iter().find(differs) {
        let (a, b) = (of.path.display(), other.path.display());
        let (a_sum, b_sum) = (scale(of), scale(other));
        eprintln!(
            "warning: a row of {a} adds up to {a_sum:.3}, of {b} to {b_sum:.3}, on average; the weights do not \
             compensate for this"
        );
    }
}

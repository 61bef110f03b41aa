//! Section: the course of the trainings.
//!
//! Enters: the course of each run. Leaves: its epochs and its evaluations on the held-out fold,
//! drawn as curves.

use super::Section;
use crate::report::chart::{Axis, HEIGHT, Plot, colour, legend};
use crate::report::curves::{Curves, Epoch, Evaluated};
use crate::report::run::Run;
use maud::{Markup, html};
use std::collections::BTreeSet;

/// A training, or a stage of one, with the classes of its line and of its dots.
struct Series<'a> {
    name: String,
    line: String,
    colour: String,
    curves: &'a Curves,
}

type OfEpoch = fn(&Epoch) -> f64;
type OfEvaluation = fn(&Evaluated, &str) -> Option<f64>;

pub fn section(runs: &[Run]) -> Option<Section> {
    let is_one = runs.len() == 1;
    let has_stages = runs.iter().any(|run| run.curves.len() > 1);
    let name = |run: &Run, stage: &str| match (is_one, has_stages) {
        (true, true) => stage.to_owned(),
        (false, true) if !stage.is_empty() => format!("{}, {stage}", run.name),
        _ => run.name.clone(),
    };
    // Colours tell folds apart, and dashes the stages of each; of a single run, colours tell stages
    // apart.
    let mut series: Vec<Series> = Vec::new();
    for (at, run) in runs.iter().enumerate() {
        for (stage, curves) in run.curves.iter().enumerate().filter(|(_, c)| !c.epochs.is_empty()) {
            let colour = colour(if is_one { stage } else { at });
            let line = format!("line thin{} {colour}", if is_one || stage == 0 { "" } else { " dashed" });
            series.push(Series { name: name(run, &curves.stage), line, colour, curves });
        }
    }
    if series.is_empty() {
        return None;
    }
    let values = |of: OfEpoch| series.iter().flat_map(|s| &s.curves.epochs).map(of).collect::<Vec<f64>>();
    let around = |of: OfEpoch, title: &str| Axis::around(values(of), 5, title);
    let training: [(&str, Axis, OfEpoch); 4] = [
        ("Loss with the labels", around(|e| e.loss, "loss"), |e| e.loss),
        ("Accuracy in training", Axis::percent(0.0, 1.0, 5, "right crops of the training, %"), |e| e.accuracy),
        ("Distance to the teacher's embedding", around(|e| e.teacher_loss, "cosine distance"), |e| e.teacher_loss),
        ("Learning rate", Axis::log(values(|e| e.lr), "learning rate"), |e| e.lr),
    ];
    let body = html! {
        @if series.len() > 1 { (legend(series.iter().map(|s| (s.name.as_str(), s.line.as_str())))) }
        div.plots {
            @for (title, y, of) in training.into_iter().filter(|(_, _, of)| values(*of).iter().any(|&value| value > 0.0)) {
                // No line for a training that has nothing of the kind.
                (figure(&series, title, y, false, |curves| {
                    let points = curves.epochs.iter().map(|e| (e.epoch, of(e)));
                    if curves.epochs.iter().any(|e| of(e) > 0.0) { points.collect() } else { Vec::new() }
                }))
            }
            (evaluations(&series))
        }
        p.dim {
            "Means over each epoch's steps; crops are mixed, masked and cut, so accuracy in training says less than that on held-out clips. "
            "Evaluations between epochs are of the averaged weights in single precision; they do not select a checkpoint."
        }
    };
    Some(Section { id: "curves", title: "Training curves", body })
}

/// Top-1 and loss on held-out clips, one plot each per data set.
fn evaluations(series: &[Series]) -> Markup {
    let all = || series.iter().flat_map(|s| &s.curves.evaluations);
    let sets: BTreeSet<&String> = all().flat_map(|e| e.evaluation.sets.keys()).collect();
    let kinds: [(&str, &str, OfEvaluation); 2] = [
        ("top-1", "top-1 among own classes, %", |e, set| Some(e.evaluation.sets.get(set)?.top1_own_labels * 100.0)),
        ("loss", "negative log posterior", |e, set| Some(e.evaluation.sets.get(set)?.nll)),
    ];
    html! {
        @for set in sets { @for (kind, title, of) in kinds {
            @let axis = Axis::around(all().filter_map(|e| of(e, set)), 5, title);
            (figure(series, &format!("{set}: {kind} on held-out clips"), axis, true, |curves| {
                curves.evaluations.iter().filter_map(|e| Some((e.epoch, of(e, set)?))).collect()
            }))
        } }
    }
}

/// One line per training, with or without dots, over its epochs.
fn figure(series: &[Series], title: &str, y: Axis, dots: bool, points: impl Fn(&Curves) -> Vec<(f64, f64)>) -> Markup {
    let last = series.iter().flat_map(|s| &s.curves.epochs).map(|e| e.epoch).fold(1.0, f64::max);
    let plot = Plot::new(Axis::linear(0.0, last, 7, "epoch"), y, HEIGHT);
    let content = html! {
        @for one in series {
            @let points = points(one.curves);
            (plot.line(points.iter().copied(), &one.line))
            @if dots { @for point in points { (plot.dot(point, 2.5, &one.colour, "")) } }
        }
    };
    html! { figure { figcaption { (title) } (plot.draw(title, &content)) } }
}

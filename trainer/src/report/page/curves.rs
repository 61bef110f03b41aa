//! Section: the course of the trainings.

use super::Section;
use crate::report::chart::scale::Axis;
use crate::report::chart::{Plot, colour, legend, px};
use crate::report::curves::{Curves, Epoch, Evaluated};
use crate::report::run::Run;
use crate::report::subject::Subject;
use maud::{Markup, html};
use std::collections::BTreeSet;

/// A training, or a stage of one.
struct Series<'a> {
    name: String,
    /// The class of its colour.
    colour: String,
    /// The classes of its line.
    line: String,
    curves: &'a Curves,
}

pub fn section(subject: &Subject) -> Option<Section> {
    let n_stages = subject.runs.iter().map(|run| run.curves.len()).max().unwrap_or(0);
    let name = |run: &Run, curves: &Curves| match (subject.runs.len() > 1, n_stages > 1) {
        (_, false) => run.name.clone(),
        (false, true) => curves.stage.clone(),
        (true, true) if curves.stage.is_empty() => run.name.clone(),
        (true, true) => format!("{}, {}", run.name, curves.stage),
    };
    // Colours tell folds apart, and dashes the stages of each; of a single run, colours tell stages apart.
    let is_one = subject.runs.len() == 1;
    let mut series: Vec<Series> = Vec::new();
    for (at, run) in subject.runs.iter().enumerate() {
        for (stage, curves) in run.curves.iter().enumerate().filter(|(_, c)| !c.epochs.is_empty()) {
            let colour = colour(if is_one { stage } else { at });
            let dashes = if is_one || stage == 0 { "" } else { " dashed" };
            series.push(Series {
                name: name(run, curves),
                line: format!("line thin{dashes} {colour}"),
                colour,
                curves,
            });
        }
    }
    if series.is_empty() {
        return None;
    }
    let log_rate = series.iter().flat_map(|s| &s.curves.epochs).map(|e| e.lr);
    let learning_rate = Axis::log(log_rate, "learning rate");
    let shares = Axis::percent(0.0, 1.0, 5, "right crops of the training, %");
    let body = html! {
        @if series.len() > 1 { (legend(series.iter().map(|s| (s.name.as_str(), s.line.replace("line ", ""))))) }
        div.plots {
            (training(&series, "Loss with the labels", Axis::around(values(&series, |e| e.loss), 5, "loss"), |e| e.loss))
            (training(&series, "Accuracy in training", shares, |e| e.accuracy))
            @if values(&series, |e| e.teacher_loss).any(|loss| loss > 0.0) {
                (training(&series, "Distance to the teacher's embedding",
                    Axis::around(values(&series, |e| e.teacher_loss), 5, "cosine distance"), |e| e.teacher_loss))
            }
            (training(&series, "Learning rate", learning_rate, |e| e.lr))
            (evaluations(&series))
        }
        p.dim {
            "Means over each epoch's steps; crops are mixed, masked and cut, so accuracy in training says less than that on held-out clips. "
            "Evaluations between epochs are of the averaged weights in single precision, and choose nothing."
        }
    };
    Some(Section { id: "curves", title: "Training curves", body })
}

fn values<'a>(series: &'a [Series], of: fn(&Epoch) -> f64) -> impl Iterator<Item = f64> + 'a {
    series.iter().flat_map(|s| &s.curves.epochs).map(of)
}

/// One line a training; none for those that have nothing of the kind.
fn training(series: &[Series], title: &str, y: Axis, of: fn(&Epoch) -> f64) -> Markup {
    let shown: Vec<&Series> = series.iter().filter(|s| s.curves.epochs.iter().any(|e| of(e) > 0.0)).collect();
    let last = shown.iter().flat_map(|s| &s.curves.epochs).map(|e| e.epoch).fold(1.0, f64::max);
    let plot = Plot::new(Axis::linear(0.0, last, 7, "epoch"), y);
    let lines = html! {
        @for one in shown { (plot.line(one.curves.epochs.iter().map(|e| (e.epoch, of(e))), &one.line)) }
    };
    figure(title, &plot.draw(title, &lines))
}

/// Top-1 and loss on held-out clips, a plot each for every data set.
fn evaluations(series: &[Series]) -> Markup {
    let evaluations = || series.iter().flat_map(|s| &s.curves.evaluations);
    let sets: BTreeSet<&String> = evaluations().flat_map(|e| e.evaluation.sets.keys()).collect();
    html! {
        @for set in sets {
            @let top1 = |e: &Evaluated| Some(e.evaluation.sets.get(set)?.top1_own_labels * 100.0);
            @let axis = Axis::around(evaluations().filter_map(top1), 5, "top-1 among own classes, %");
            (evaluation(series, &format!("{set}: top-1 on held-out clips"), axis, top1))
            @let loss = |e: &Evaluated| Some(e.evaluation.sets.get(set)?.nll);
            @let axis = Axis::around(evaluations().filter_map(loss), 5, "negative log posterior");
            (evaluation(series, &format!("{set}: loss on held-out clips"), axis, loss))
        }
    }
}

/// One line a training, with a point for each evaluation.
fn evaluation(series: &[Series], title: &str, y: Axis, of: impl Fn(&Evaluated) -> Option<f64>) -> Markup {
    let last = values(series, |e| e.epoch).fold(1.0, f64::max);
    let plot = Plot::new(Axis::linear(0.0, last, 7, "epoch"), y);
    let drawn = html! {
        @for one in series {
            @let points = one.curves.evaluations.iter().filter_map(|e| Some((e.epoch, of(e)?))).collect::<Vec<_>>();
            (plot.line(points.iter().copied(), &one.line))
            @for (x, y) in points.iter().map(|&point| plot.at(point)) {
                circle.(one.colour).dot cx=(px(x)) cy=(px(y)) r="2.5" {}
            }
        }
    };
    figure(title, &plot.draw(title, &drawn))
}

fn figure(title: &str, plot: &Markup) -> Markup {
    html! { figure { figcaption { (title) } (plot) } }
}

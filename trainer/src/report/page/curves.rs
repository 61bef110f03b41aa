//! Section: the course of the trainings.

use super::Section;
use crate::report::chart::scale::Axis;
use crate::report::chart::{Plot, colour, legend};
use crate::report::curves::{Curves, Epoch};
use crate::report::run::Run;
use crate::report::subject::Subject;
use maud::{Markup, html};
use std::collections::BTreeSet;

/// A training, or a stage of one, with its name and colour.
type Series<'a> = (String, usize, &'a Curves);

pub fn section(subject: &Subject) -> Option<Section> {
    let n_stages = subject.runs.iter().map(|run| run.curves.len()).max().unwrap_or(0);
    let name = |run: &Run, curves: &Curves| match (subject.runs.len() > 1, n_stages > 1) {
        (_, false) => run.name.clone(),
        (false, true) => curves.stage.clone(),
        (true, true) => format!("{}, {}", run.name, curves.stage),
    };
    // Colours tell folds apart, or, within one run, stages; of both, folds.
    let mut series: Vec<Series> = Vec::new();
    for (at, run) in subject.runs.iter().enumerate() {
        for (stage, curves) in run.curves.iter().enumerate().filter(|(_, c)| !c.epochs.is_empty()) {
            series.push((name(run, curves), if subject.runs.len() > 1 { at } else { stage }, curves));
        }
    }
    if series.is_empty() {
        return None;
    }
    let log_rate = series.iter().flat_map(|s| &s.2.epochs).map(|e| e.lr);
    let learning_rate = Axis::log(log_rate, "learning rate");
    let shares = Axis::percent(0.0, 1.0, 5, "right crops of the training, %");
    let body = html! {
        @if series.len() > 1 { (legend(distinct(&series))) }
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
    series.iter().flat_map(|s| &s.2.epochs).map(of)
}

/// One line a training.
fn training(series: &[Series], title: &str, y: Axis, of: fn(&Epoch) -> f64) -> Markup {
    let plot = Plot::new(epochs(series), y);
    let lines = html! {
        @for (_, at, curves) in series {
            (plot.line(curves.epochs.iter().map(|e| (e.epoch, of(e))), &format!("line thin {}", colour(*at))))
        }
    };
    figure(title, &plot.draw(title, &lines))
}

/// Top-1 and loss on held-out clips, a plot each for every data set.
fn evaluations(series: &[Series]) -> Markup {
    let evaluations = || series.iter().flat_map(|s| &s.2.evaluations);
    let sets: BTreeSet<&String> = evaluations().flat_map(|e| e.evaluation.sets.keys()).collect();
    let plot = |title: &str, y: Axis, of: &dyn Fn(&crate::report::curves::Evaluated) -> Option<f64>| {
        let plot = Plot::new(epochs(series), y);
        let drawn = html! {
            @for (_, at, curves) in series {
                @let points: Vec<(f64, f64)> = curves.evaluations.iter().filter_map(|e| Some((e.epoch, of(e)?))).collect();
                (plot.line(points.iter().copied(), &format!("line thin {}", colour(*at))))
                @for (x, y) in points.iter().map(|&point| plot.at(point)) {
                    circle.(colour(*at)).dot cx=(super::super::chart::px(x)) cy=(super::super::chart::px(y)) r="2.5" {}
                }
            }
        };
        figure(title, &plot.draw(title, &drawn))
    };
    html! {
        @for set in sets {
            @let top1 = |e: &crate::report::curves::Evaluated| Some(e.evaluation.sets.get(set)?.top1_own_labels);
            @let loss = |e: &crate::report::curves::Evaluated| Some(e.evaluation.sets.get(set)?.nll);
            @let axis = Axis::around(evaluations().filter_map(top1).map(|share| share * 100.0), 5, "top-1 among own classes, %");
            (plot(&format!("{set}: top-1 on held-out clips"), axis, &|e| top1(e).map(|share| share * 100.0)))
            @let axis = Axis::around(evaluations().filter_map(loss), 5, "negative log posterior");
            (plot(&format!("{set}: loss on held-out clips"), axis, &loss))
        }
    }
}

fn epochs(series: &[Series]) -> Axis {
    let last = values(series, |e| e.epoch).fold(1.0, f64::max);
    Axis::linear(0.0, last, 7, "epoch")
}

fn figure(title: &str, plot: &Markup) -> Markup {
    html! { figure { figcaption { (title) } (plot) } }
}

/// Each colour once.
fn distinct<'a>(series: &'a [Series]) -> Vec<(&'a str, String)> {
    let mut names: Vec<(&str, String)> = Vec::new();
    for (name, at, _) in series {
        if !names.iter().any(|(known, _)| known == name) {
            names.push((name, colour(*at)));
        }
    }
    names
}

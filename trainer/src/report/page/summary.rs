//! Section: the figures of the whole, and by fold or model.

use super::Section;
use super::numbers::{Cell, Table, duration, number, thousands};
use crate::common::spread::Spread;
use crate::judge::evaluate::SetResult;
use crate::judge::scores::Measures;
use crate::judge::summary::{FitResult, Model};
use crate::report::figures::Unit;
use crate::report::run::Run;
use crate::report::{HeldOut, Report};
use edge::engine::Precision;
use maud::{Markup, Render, html};
use std::collections::BTreeSet;

pub fn section(report: &Report) -> Section {
    let runs = &report.subject.runs;
    let body = html! {
        (facts(runs))
        @if let Some(held_out) = &report.held_out { (overall(held_out)) }
        (by_fold(runs))
        (by_model(runs))
    };
    Section { id: "summary", title: "Summary", body }
}

/// Size, length and state of the training in one line.
fn facts(runs: &[Run]) -> Markup {
    let first = &runs[0];
    let (n_classes, n_epochs) = (first.labels.len(), first.n_epochs());
    let cost = first.student().and_then(|recipe| recipe.student_cost(n_classes).ok());
    let seconds: f64 = runs.iter().map(Run::seconds).sum();
    let mut facts = Vec::new();
    let mut add = |holds: bool, name: &'static str, value: String| facts.extend(holds.then_some((name, value)));
    add(n_classes > 0, "classes", n_classes.to_string());
    if let Some(cost) = cost {
        add(true, "parameters", thousands(cost.n_params));
        add(true, "multiply-adds", format!("{} M/s", number(cost.mmac_per_second, 0, 1)));
        add(true, "receptive field", format!("{} frames", cost.receptive_field));
    }
    add(n_epochs > 0, "epochs", n_epochs.to_string());
    add(seconds > 0.0, "training time", duration(seconds));
    add(true, "trainings", runs.len().to_string());
    html! {
        dl.facts { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } }
        @for (run, step, n_steps) in runs.iter().filter_map(|run| run.steps.map(|(step, n)| (run, step, n))) {
            @if step < n_steps { p.warn { (run.name) " is not finished: step " (step) " of " (n_steps) "." } }
        }
    }
}

/// Every figure in both precisions, with intervals.
fn overall(held_out: &HeldOut) -> Markup {
    let (pool, figures) = (&held_out.pool, &held_out.figures);
    let names = ["single precision", "8 bits"];
    let [own, other] = if pool.precision == Precision::F32 { names } else { [names[1], names[0]] };
    let n_stretches = pool.rows.iter().filter(|row| row.set.is_none()).count();
    let mut heads: Vec<&dyn Render> = vec![&"held-out recordings", &own];
    if figures.overall.iter().any(|figure| figure.other.is_some()) {
        heads.extend([&other as &dyn Render, &"difference"]);
    }
    let rows = figures.overall.iter().map(|figure| {
        let unit = figure.named.unit;
        let name = html! {
            (figure.named.name)
            @if unit == Unit::Percent { span.unit { " %" } }
            @if !figure.named.more_is_better { span.unit { " (less is better)" } }
        };
        let mut cells = vec![Cell::estimate(&figure.own, unit)];
        if let Some((value, difference)) = &figure.other {
            cells.extend([Cell::estimate(value, unit), Cell::difference(difference, unit)]);
        }
        (name, cells)
    });
    let table = Table { heads, rows: rows.collect(), ..Table::default() };
    html! {
        (table.draw())
        p.dim {
            (pool.rows.len() - n_stretches) " labelled clips"
            @if n_stretches > 0 { " and " (n_stretches) " s of background" }
            " of " (pool.n_sources()) " sources, each heard by the network that was not trained on its fold. Small figures: 95 % intervals of "
            (thousands(figures.bootstrap.n_resamples)) " bootstrap resamples of sources (seed " (figures.bootstrap.seed)
            "), so takes of one recording stay together. An interval around a figure without any mistake is too narrow."
        }
    }
}

/// Columns of the table by fold, for each data set.
const OF_SET: [&str; 4] = ["top-1 own", "8 bits", "top-1 all", "n.l.p."];

/// The results that the trainings themselves recorded.
fn by_fold(runs: &[Run]) -> Markup {
    let outcomes: Vec<(&Run, &FitResult)> = runs.iter().filter_map(|run| Some((run, run.outcome.as_ref()?))).collect();
    let evaluations = || outcomes.iter().filter_map(|(_, outcome)| outcome.evaluation.as_ref());
    let sets: BTreeSet<&String> = evaluations().flat_map(|evaluation| evaluation.sets.keys()).collect();
    if sets.is_empty() {
        return html! {};
    }
    let values = |outcome: &FitResult| -> Vec<f64> {
        let [f32, int8] = [&outcome.evaluation, &outcome.int8].map(Option::as_ref);
        let of_set = |set: &String| {
            let [f32, int8] = [f32, int8].map(|e| e.and_then(|e| e.sets.get(set)));
            let own = |r: &SetResult| r.top1_own_labels;
            [f32.map(own), int8.map(own), f32.map(|r| r.top1), f32.map(|r| r.nll)]
        };
        let alarms = f32.and_then(|e| Some(e.background.as_ref()?.false_alarms));
        sets.iter().flat_map(|set| of_set(set)).chain([alarms]).map(|value| value.unwrap_or(f64::NAN)).collect()
    };
    let row = |name: &str, values: Vec<f64>| {
        let cell = |(at, value): (usize, f64)| {
            let is_loss = at % OF_SET.len() == OF_SET.len() - 1;
            let cell = if is_loss { Cell::number(value, 5, 3) } else { Cell::percent(value) };
            cell.first_if(at % OF_SET.len() == 0)
        };
        (html! { (name) }, values.into_iter().enumerate().map(cell).collect())
    };
    let all: Vec<Vec<f64>> = outcomes.iter().map(|(_, outcome)| values(outcome)).collect();
    let spreads: Vec<Spread> = (0..all[0].len()).map(|at| Spread::of(all.iter().map(|values| values[at]))).collect();
    let foot = vec![
        row("mean", spreads.iter().map(|spread| spread.mean).collect()),
        row("standard deviation", spreads.iter().map(|spread| spread.std).collect()),
    ];
    let groups = sets.iter().map(|set| (set.as_str(), OF_SET.len())).chain([("background", 1)]);
    let heads = sets.iter().flat_map(|_| &OF_SET).chain([&"false alarms"]).map(|head| head as &dyn Render);
    let table = Table {
        class: "grouped",
        groups: groups.collect(),
        heads: [&"training" as &dyn Render].into_iter().chain(heads).collect(),
        rows: outcomes.iter().zip(&all).map(|((run, _), values)| row(&run.name, values.clone())).collect(),
        foot: if all.len() > 1 { foot } else { Vec::new() },
    };
    html! {
        h3 { "By fold" }
        (table.draw())
        p.dim {
            "As the trainings recorded it. Top-1 in percent: among the data set's own classes, as published figures are, and among all; "
            "n.l.p.: mean negative log posterior of the right class; false alarms: percent of the seconds of background."
        }
    }
}

/// The measures of the models of SlowFast.
fn by_model(runs: &[Run]) -> Markup {
    let models = || runs.iter().filter_map(|run| run.outcome.as_ref()).map(|outcome| &outcome.models);
    let Some(first) = models().find(|models| !models.is_empty()) else { return html! {} };
    let rows = first.iter().map(|Model { name, .. }| {
        let of: Vec<&Measures> = models().flatten().filter(|m| m.name == *name).map(|m| &m.measures).collect();
        let mean = |get: fn(&Measures) -> f64| Spread::of(of.iter().map(|m| get(m))).mean;
        let percent = |get: fn(&Measures) -> f64| Cell::percent(mean(get));
        let mut cells = vec![Cell::count(of.iter().map(|m| m.n).sum())];
        cells.extend([percent(|m| m.top1), percent(|m| m.top5), percent(|m| m.mca), percent(|m| m.map)]);
        cells.push(Cell::number(mean(|m| m.mauc.unwrap_or(f64::NAN)), 5, 3));
        (html! { (name) }, cells)
    });
    let table = Table {
        class: "sortable",
        heads: vec![&"model", &"segments", &"top-1 %", &"top-5 %", &"mCA %", &"mAP %", &"mAUC"],
        rows: rows.collect(),
        ..Table::default()
    };
    html! {
        h3 { "By model" }
        (table.draw())
        p.dim { "Stages in the order in which they were trained; means over the folds shown." }
    }
}

//! Section: the figures of the whole, and by fold.

use super::Section;
use super::numbers::{NONE, cell, difference_cell, duration, number, percent, percent_cell, sortable, thousands};
use crate::chain::fit::{FitResult, network_cost};
use crate::chain::staged::run::RunResult;
use crate::report::figures::overall::Unit;
use crate::report::run::{AnyResult, Run};
use crate::report::subject::Subject;
use crate::report::{HeldOut, Report};
use edge::engine::Precision;
use maud::{Markup, html};
use std::collections::BTreeSet;

pub fn section(report: &Report) -> Option<Section> {
    let subject = &report.subject;
    let body = html! {
        (facts(subject))
        @if let Some(held_out) = &report.held_out { (overall(held_out)) }
        (by_fold(subject))
        (by_model(subject))
    };
    Some(Section { id: "summary", title: "Summary", body })
}

/// Size, length and state of the training in one line.
fn facts(subject: &Subject) -> Markup {
    let first = &subject.runs[0];
    let cost = first.student().map(|recipe| network_cost(recipe, first.labels.len()));
    let seconds: f64 = subject.runs.iter().map(Run::seconds).sum();
    let n_epochs = first.curves.iter().map(|c| c.epochs.len()).sum::<usize>();
    let unfinished: Vec<&Run> = subject.runs.iter().filter(|r| r.steps.is_some_and(|(step, n)| step < n)).collect();
    html! {
        dl.facts {
            @if !first.labels.is_empty() { div { dt { "classes" } dd { (first.labels.len()) } } }
            @if let Some(cost) = cost {
                div { dt { "parameters" } dd { (thousands(cost.n_params)) } }
                div { dt { "multiply-adds" } dd { (number(cost.mmac_per_second, 0, 1)) " M/s" } }
                div { dt { "receptive field" } dd { (cost.receptive_field) " frames" } }
            }
            @if n_epochs > 0 { div { dt { "epochs" } dd { (n_epochs) } } }
            @if seconds > 0.0 { div { dt { "training time" } dd { (duration(seconds)) } } }
            div { dt { "trainings" } dd { (subject.runs.len()) } }
        }
        @for run in unfinished {
            @if let Some((step, n_steps)) = run.steps {
                p.warn { (run.name) " is not finished: step " (step) " of " (n_steps) "." }
            }
        }
    }
}

/// Every figure in both precisions, with intervals.
fn overall(held_out: &HeldOut) -> Markup {
    let (pool, figures) = (&held_out.pool, &held_out.figures);
    let name = |precision: Precision| if precision == Precision::F32 { "single precision" } else { "8 bits" };
    let other = if pool.precision == Precision::F32 { Precision::Int8 } else { Precision::F32 };
    let both = figures.overall.iter().any(|f| f.other.is_some());
    let (n_clips, n_stretches) = (pool.clips().count(), pool.rows.len() - pool.clips().count());
    html! {
        div.scroll { table {
            thead { tr {
                th { "held-out recordings" }
                th.num { (name(pool.precision)) }
                @if both { th.num { (name(other)) } th.num { "difference" } }
            } }
            tbody { @for figure in &figures.overall {
                @let unit = figure.named.unit;
                tr {
                    th scope="row" {
                        (figure.named.name)
                        @if unit == Unit::Percent { span.unit { " %" } }
                        @if !figure.named.more_is_better { span.unit { " (less is better)" } }
                    }
                    (cell(&figure.own, unit))
                    @if let Some((value, difference)) = &figure.other { (cell(value, unit)) (difference_cell(difference, unit)) }
                }
            } }
        } }
        p.dim {
            (n_clips) " labelled clips"
            @if n_stretches > 0 { " and " (n_stretches) " s of background" }
            " of " (pool.n_sources) " sources, each heard by the network that was not trained on its fold. Small figures: 95 % intervals of "
            (thousands(figures.bootstrap.n_resamples)) " bootstrap resamples of sources (seed " (figures.bootstrap.seed)
            "), so takes of one recording stay together. An interval around a figure without any mistake is too narrow."
        }
    }
}

/// The results that the trainings themselves wrote.
fn by_fold(subject: &Subject) -> Markup {
    let results: Vec<(&Run, &FitResult)> =
        subject.runs.iter().filter_map(|run| Some((run, run.student_result()?))).collect();
    let sets: BTreeSet<&String> =
        results.iter().filter_map(|(_, r)| r.evaluation.as_ref()).flat_map(|e| e.sets.keys()).collect();
    if sets.is_empty() {
        return html! {};
    }
    let columns: Vec<Column> = sets.iter().flat_map(|set| Column::of(set)).chain([Column::background()]).collect();
    html! {
        h3 { "By fold" }
        div.scroll { table.grouped {
            thead {
                tr {
                    th {}
                    @for set in &sets { th.group colspan=(Told::OF_SET.len()) { (set) } }
                    th.group { "background" }
                }
                tr { th { "training" } @for column in &columns { th.num.first[column.is_first()] { (column.told.name()) } } }
            }
            tbody {
                @for (run, result) in &results {
                    tr { th scope="row" { (run.name) } @for column in &columns { (column.cell(column.value(result))) } }
                }
            }
            @if results.len() > 1 {
                tfoot {
                    @for (name, of) in [("mean", mean as fn(&[f64]) -> f64), ("standard deviation", deviation)] {
                        tr { th scope="row" { (name) }
                            @for column in &columns {
                                (column.cell(of(&results.iter().map(|(_, r)| column.value(r)).collect::<Vec<_>>())))
                            }
                        }
                    }
                }
            }
        } }
        p.dim {
            "As the trainings wrote it. Top-1 in percent: among the data set's own classes, which is what published figures are, and among all; "
            "n.l.p.: mean negative log posterior of the right class; false alarms: percent of the seconds of background."
        }
    }
}

/// A column of the table by fold: a data set and what is told of it.
struct Column<'a> {
    set: &'a str,
    told: Told,
}

#[derive(Clone, Copy, PartialEq)]
enum Told {
    Own,
    OwnInt8,
    All,
    Loss,
    FalseAlarms,
}

impl Told {
    /// What is told of a data set.
    const OF_SET: [Self; 4] = [Self::Own, Self::OwnInt8, Self::All, Self::Loss];

    fn name(self) -> &'static str {
        match self {
            Self::Own => "top-1 own",
            Self::OwnInt8 => "8 bits",
            Self::All => "top-1 all",
            Self::Loss => "n.l.p.",
            Self::FalseAlarms => "false alarms",
        }
    }
}

impl<'a> Column<'a> {
    fn of(set: &'a str) -> impl Iterator<Item = Self> {
        Told::OF_SET.into_iter().map(move |told| Self { set, told })
    }

    fn background() -> Self {
        Self { set: "", told: Told::FalseAlarms }
    }

    fn is_first(&self) -> bool {
        matches!(self.told, Told::Own | Told::FalseAlarms)
    }

    fn value(&self, result: &FitResult) -> f64 {
        let side = if self.told == Told::OwnInt8 { &result.int8 } else { &result.evaluation };
        let of_set = side.as_ref().and_then(|e| e.sets.get(self.set));
        let value = match self.told {
            Told::Own | Told::OwnInt8 => of_set.map(|r| r.top1_own_labels),
            Told::All => of_set.map(|r| r.top1),
            Told::Loss => of_set.map(|r| r.nll),
            Told::FalseAlarms => side.as_ref().and_then(|e| Some(e.background.as_ref()?.false_alarms)),
        };
        value.unwrap_or(f64::NAN)
    }

    fn cell(&self, value: f64) -> Markup {
        let text = if self.told == Told::Loss { number(value, 5, 3) } else { percent(value) };
        html! { td.num.first[self.is_first()] { (text) } }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Of a sample.
fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (values.len() as f64 - 1.0)).sqrt()
}

/// The measures of a staged recipe's models.
fn by_model(subject: &Subject) -> Markup {
    let staged = |run: &'_ Run| match &run.result {
        Some(AnyResult::Staged(result)) => Some(result.clone()),
        _ => None,
    };
    let results: Vec<RunResult> = subject.runs.iter().filter_map(staged).collect();
    let Some(first) = results.first().filter(|r| !r.models.is_empty()) else { return html! {} };
    let of_model = |name: &str| results.iter().flat_map(|r| &r.models).filter(|m| m.0 == name).map(|m| &m.1).collect();
    html! {
        h3 { "By model" }
        div.scroll { table.sortable {
            thead { tr {
                th { "model" }
                @for title in ["segments", "top-1 %", "top-5 %", "mCA %", "mAP %", "mAUC"] { th.num { (title) } }
            } }
            tbody { @for (name, _) in &first.models {
                @let of: Vec<&crate::judge::scores::Measures> = of_model(name);
                @let mean_of = |get: fn(&crate::judge::scores::Measures) -> f64| mean(&of.iter().map(|m| get(m)).collect::<Vec<_>>());
                @let auc = mean_of(|m| m.mauc.unwrap_or(f64::NAN));
                tr {
                    th scope="row" { (name) }
                    td.num { (of.iter().map(|m| m.n).sum::<usize>()) }
                    (percent_cell(mean_of(|m| m.top1))) (percent_cell(mean_of(|m| m.top5)))
                    (percent_cell(mean_of(|m| m.mca))) (percent_cell(mean_of(|m| m.map)))
                    td.num data-v=(sortable(auc)) { (if auc.is_finite() { number(auc, 5, 3) } else { NONE.to_owned() }) }
                }
            } }
        } }
        p.dim { "Stages in the order in which they were trained; means over the folds shown." }
    }
}

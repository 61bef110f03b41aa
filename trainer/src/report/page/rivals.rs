//! Section: cost and accuracy beside other networks.
//!
//! Enters: folders of other runs. Leaves: cost and accuracy of each network, with the page's own
//! runs among them, and the Pareto front. Accuracy is the mean over data sets of the share of clips
//! whose most likely class among the set's own is right, itself a mean over trainings.

use super::Section;
use super::numbers::{Cell, Table, number};
use crate::common::spread::Spread;
use crate::error::Result;
use crate::report::ReportOptions;
use crate::report::chart::{Axis, Mark, Plot, place, px};
use crate::report::pareto::front;
use crate::report::run::{Notes, Run};
use crate::report::subject::Subject;
use maud::{Markup, Render, html};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Networks by cost and accuracy: the runs of the page first, then other runs.
#[derive(Debug)]
pub struct Rivals(Vec<Network>);

/// Cost and accuracy of a network.
#[derive(Debug, Clone)]
struct Network {
    /// Recipe and folder.
    name: String,
    /// Whether it is the page's own.
    is_own: bool,
    /// Trained values.
    n_params: usize,
    /// Millions of multiply-accumulates per second of sound.
    mmac_per_second: f64,
    /// By data set: share of clips whose most likely class among the set's own is right.
    top1: BTreeMap<String, f64>,
    /// Mean over the data sets.
    accuracy: f64,
    /// How it was trained.
    training: String,
    /// Whether no other network is at least as accurate for less.
    on_front: bool,
}

impl Rivals {
    /// Reads what the options name; none if they name nothing, an error if a folder that they name
    /// cannot be read.
    pub fn gather(subject: &Subject, options: &ReportOptions, notes: &mut Notes) -> Result<Option<Self>> {
        if options.compare.is_empty() {
            notes.push("No comparison with other networks: --compare RUN_DIR draws one.".to_owned());
            return Ok(None);
        }
        let mut networks = Vec::new();
        let mut add = |subject: &Subject, name: String, is_own: bool| match of_runs(&subject.runs, &name, is_own) {
            Ok(network) => networks.push(network),
            Err(why) => notes.push(format!("{name}: not among the networks compared: {why}.")),
        };
        add(subject, format!("this: {}", subject.name), true);
        for folder in &options.compare {
            let other = Subject::open(folder, options.folds, &mut Notes::new())?;
            add(&other, name_of(folder), false);
        }
        let on_front = front(&networks.iter().map(|n| (n.mmac_per_second, n.accuracy)).collect::<Vec<_>>());
        networks.iter_mut().zip(on_front).for_each(|(network, on)| network.on_front = on);
        Ok(Some(Self(networks)))
    }
}

/// Cost and accuracy of finished runs of one student, or why there is none.
fn of_runs(runs: &[Run], name: &str, is_own: bool) -> std::result::Result<Network, &'static str> {
    let student = runs.iter().find_map(|run| Some((run.student()?, run.labels.len())));
    let (recipe, n_classes) = student.ok_or("it is no student, or its checkpoint is missing")?;
    let mut by_set: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (set, result) in runs.iter().filter_map(|r| r.outcome.as_ref()?.evaluation.as_ref()).flat_map(|e| &e.sets) {
        by_set.entry(set.clone()).or_default().push(result.top1_own_labels);
    }
    if by_set.is_empty() {
        return Err("it has evaluated nothing");
    }
    let top1: BTreeMap<String, f64> = by_set.into_iter().map(|(set, values)| (set, Spread::of(values).mean)).collect();
    let cost = recipe.student_cost(n_classes).map_err(|_| "it is no student")?;
    let epochs: u64 = recipe.stages.iter().map(|stage| stage.epochs).sum();
    let folds: Vec<String> = runs.iter().filter_map(|run| Some(run.fold?.to_string())).collect();
    Ok(Network {
        name: name.to_owned(),
        is_own,
        n_params: cost.n_params,
        mmac_per_second: cost.mmac_per_second,
        accuracy: Spread::of(top1.values().copied()).mean,
        top1,
        training: format!("{epochs} epochs, fold {}", folds.join(", ")),
        on_front: false,
    })
}

/// The last two parts of a path: `home/official-1` says more than one of them.
fn name_of(folder: &Path) -> String {
    let parts: Vec<_> = folder.iter().map(|part| part.to_string_lossy()).collect();
    parts[parts.len().saturating_sub(2)..].join("/")
}

pub fn section(Rivals(networks): &Rivals) -> Section {
    let sets: BTreeSet<&String> = networks.iter().flat_map(|n| n.top1.keys()).collect();
    let sets: Vec<(&String, String)> = sets.into_iter().map(|set| (set, format!("{set} %"))).collect();
    let mut heads: Vec<&dyn Render> = vec![&"network", &"training", &"parameters", &"M multiply-adds/s"];
    heads.extend(sets.iter().map(|(_, head)| head as &dyn Render));
    heads.extend([&"mean %" as &dyn Render, &"front"]);
    let row = |network: &Network| {
        let mut cells = vec![
            Cell::markup(html! { (network.training) }),
            Cell::count(network.n_params),
            Cell::number(network.mmac_per_second, 0, 1),
        ];
        let of_set = |(set, _): &(&String, String)| network.top1.get(*set).copied().unwrap_or(f64::NAN);
        cells.extend(sets.iter().map(|set| Cell::percent(of_set(set))));
        let on_front = if network.on_front { "yes" } else { "" };
        cells.extend([Cell::percent(network.accuracy), Cell::markup(html! { (on_front) })]);
        (html! { (network.name) }, cells)
    };
    let rows = networks.iter().map(row).collect();
    let table = Table { class: "sortable", heads, rows, ..Table::default() };
    let body = html! {
        div.plots { figure { figcaption { "Accuracy against multiplications" } (plot(networks)) } }
        p.dim {
            "Accuracy: mean over data sets of top-1 among a set's own classes, as the training recorded it. Full points are on the front: no other is as good for less."
        }
        details { summary { "As a table" } (table.draw()) }
    };
    Section { id: "pareto", title: "Beside other networks", body }
}

fn plot(networks: &[Network]) -> Markup {
    const TITLE: &str = "multiply-adds, millions per second";
    let plot = Plot::new(
        Axis::around(networks.iter().map(|n| n.mmac_per_second).chain([0.0]), 6, TITLE),
        Axis::around(networks.iter().map(|n| n.accuracy * 100.0), 6, "accuracy, %"),
        400.0,
    );
    let point = |network: &Network| (network.mmac_per_second, network.accuracy * 100.0);
    let [left, right, top, bottom] = plot.area();
    let marks: Vec<Mark> = networks.iter().map(|n| Mark { at: plot.at(point(n)), name: &n.name }).collect();
    let names = place(&marks, [left + 2.0, top + 2.0, right - 2.0, bottom - 2.0]);
    let mut on_front: Vec<(f64, f64)> = networks.iter().filter(|n| n.on_front).map(point).collect();
    on_front.sort_by(|a, b| a.0.total_cmp(&b.0));
    let content = html! {
        (plot.line(on_front, "line front s1"))
        @for (network, place) in networks.iter().zip(names) {
            @let radius = if network.is_own { 6.0 } else { 4.5 };
            @let class = if network.on_front { "s1" } else { "s1 hollow" };
            @let (cost, accuracy) = point(network);
            @let text = format!("{}: {}, {} %", network.name, number(cost, 0, 1), number(accuracy, 0, 1));
            (plot.dot((cost, accuracy), radius, class, &text))
            @if let Some((x, y)) = place { text.name x=(px(x)) y=(px(y)) { (network.name) } }
        }
    };
    plot.draw(TITLE, &content)
}

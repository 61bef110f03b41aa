//! Section: cost and accuracy beside other networks.

use super::Section;
use super::numbers::{number, percent_cell, sortable, thousands};
use crate::report::chart::labels::{Mark, place};
use crate::report::chart::scale::Axis;
use crate::report::chart::{Plot, px};
use crate::report::rivals::{Network, Rivals, Role};
use maud::{Markup, html};

pub fn section(rivals: &Rivals) -> Section {
    let sets = rivals.sets();
    let body = html! {
        div.plots {
            figure {
                figcaption { "Accuracy against multiplications" }
                (plot(&rivals.networks))
            }
        }
        p.dim {
            "Accuracy: mean over data sets of top-1 among a set's own classes, as its trainings wrote it. Full points are on the front: none is as good for less."
        }
        details { summary { "As a table" } div.scroll { table.sortable {
            thead { tr {
                th { "network" } th { "training" } th.num { "parameters" } th.num { "M multiply-adds/s" }
                @for set in &sets { th.num { (set) " %" } } th.num { "mean %" } th { "front" }
            } }
            tbody { @for network in &rivals.networks {
                tr {
                    th scope="row" { (network.name) }
                    td { (network.training) }
                    td.num data-v=(network.n_params) { (thousands(network.n_params)) }
                    td.num data-v=(sortable(network.mmac_per_second)) { (number(network.mmac_per_second, 0, 1)) }
                    @for set in &sets { (percent_cell(network.top1.get(*set).copied().unwrap_or(f64::NAN))) }
                    (percent_cell(network.accuracy))
                    td { (if network.on_front { "yes" } else { "" }) }
                }
            } }
        } } }
    };
    Section { id: "pareto", title: "Beside other networks", body }
}

fn plot(networks: &[Network]) -> Markup {
    const TITLE: &str = "multiply-adds, millions a second";
    let cost = |network: &Network| network.mmac_per_second;
    let mut plot = Plot::new(
        Axis::around(networks.iter().map(cost).chain([0.0]), 6, TITLE),
        Axis::around(networks.iter().map(|n| n.accuracy * 100.0), 6, "accuracy, %"),
    );
    plot.height = 400.0;
    let at = |network: &Network| plot.at((cost(network), network.accuracy * 100.0));
    let [left, right, top, bottom] = plot.area();
    let marks: Vec<Mark> = networks.iter().map(|n| Mark { at: at(n), name: &n.name }).collect();
    let names = place(&marks, [left + 2.0, top + 2.0, right - 2.0, bottom - 2.0]);
    let mut on_front: Vec<(f64, f64)> =
        networks.iter().filter(|n| n.on_front).map(|n| (cost(n), n.accuracy * 100.0)).collect();
    on_front.sort_by(|a, b| a.0.total_cmp(&b.0));
    let content = html! {
        (plot.line(on_front, "line front s1"))
        @for (network, place) in networks.iter().zip(names) {
            @let (x, y) = at(network);
            @let radius = if network.role == Role::Own { "6" } else { "4.5" };
            circle.dot.s1.hollow[!network.on_front] cx=(px(x)) cy=(px(y)) r=(radius) {
                title { (network.name) ": " (number(cost(network), 0, 1)) ", " (number(network.accuracy * 100.0, 0, 1)) " %" }
            }
            @if let Some((x, y)) = place { text.name x=(px(x)) y=(px(y)) { (network.name) } }
        }
    };
    plot.draw(TITLE, &content)
}

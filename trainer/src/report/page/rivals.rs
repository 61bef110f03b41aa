//! Section: cost and accuracy beside other networks.

use super::Section;
use super::numbers::{number, percent_cell, sortable, thousands};
use crate::report::chart::labels::{Mark, place};
use crate::report::chart::scale::Axis;
use crate::report::chart::{Plot, px};
use crate::report::rivals::{Network, Rivals, Role};
use maud::{Markup, html};

pub fn section(rivals: &Rivals) -> Section {
    let by_us: Vec<&Network> = rivals.networks.iter().filter(|n| n.us_per_pulse.is_some()).collect();
    let by_mmac: Vec<&Network> = rivals.networks.iter().collect();
    let sets = rivals.sets();
    let body = html! {
        div.plots {
            figure {
                figcaption { "Accuracy against multiplications" }
                (plot(&by_mmac, "multiply-adds, millions a second", |n| n.mmac_per_second, |n| n.on_front_by_mmac))
            }
            @if !by_us.is_empty() {
                figure {
                    figcaption { "Accuracy against time" }
                    (plot(&by_us, "microseconds a pulse", |n| n.us_per_pulse.unwrap_or(0.0), |n| n.on_front_by_us))
                }
            }
        }
        p.dim {
            "Accuracy: mean over data sets of top-1 among a set's own classes, as its trainings wrote it. Full points are on a front: none of their kind is as good for less. "
            @if let Some(search) = &rivals.search {
                "Small points are " (search) "; large ones were trained as the table says, so only points of one size are to be compared. "
                "Times are those of the search, on its machine."
            }
        }
        details { summary { "As a table" } div.scroll { table.sortable {
            thead { tr {
                th { "network" } th { "training" } th.num { "parameters" } th.num { "M multiply-adds/s" } th.num { "µs a pulse" }
                @for set in &sets { th.num { (set) " %" } } th.num { "mean %" } th { "front" }
            } }
            tbody { @for network in &rivals.networks {
                tr {
                    th scope="row" { (network.name) }
                    td { (network.training) }
                    td.num data-v=(network.n_params) { (thousands(network.n_params)) }
                    td.num data-v=(sortable(network.mmac_per_second)) { (number(network.mmac_per_second, 0, 1)) }
                    td.num data-v=(sortable(network.us_per_pulse.unwrap_or(f64::NAN))) {
                        (number(network.us_per_pulse.unwrap_or(f64::NAN), 0, 1))
                    }
                    @for set in &sets { (percent_cell(network.top1.get(*set).copied().unwrap_or(f64::NAN))) }
                    (percent_cell(network.accuracy))
                    td { (front(network)) }
                }
            } }
        } } }
    };
    Section { id: "pareto", title: "Beside other networks", body }
}

fn front(network: &Network) -> &'static str {
    match (network.on_front_by_mmac, network.on_front_by_us) {
        (true, true) => "both",
        (true, false) => "multiplications",
        (false, true) => "time",
        (false, false) => "",
    }
}

fn plot(networks: &[&Network], title: &str, cost: fn(&Network) -> f64, on_front: fn(&Network) -> bool) -> Markup {
    let mut plot = Plot::new(
        Axis::around(networks.iter().map(|n| cost(n)).chain([0.0]), 6, title),
        Axis::around(networks.iter().map(|n| n.accuracy * 100.0), 6, "accuracy, %"),
    );
    plot.height = 400.0;
    let at = |network: &Network| plot.at((cost(network), network.accuracy * 100.0));
    let [left, right, top, bottom] = plot.area();
    let marks: Vec<Mark> = networks.iter().map(|n| Mark { at: at(n), name: &n.name }).collect();
    let names = place(&marks, [left + 2.0, top + 2.0, right - 2.0, bottom - 2.0]);
    let content = html! {
        @for role in [Role::Run, Role::Variant] {
            @let mut of_kind: Vec<(f64, f64)> = networks.iter().filter(|n| kind(n.role) == role && on_front(n))
                .map(|n| (cost(n), n.accuracy * 100.0)).collect();
            @let () = of_kind.sort_by(|a, b| a.0.total_cmp(&b.0));
            (plot.line(of_kind, if role == Role::Run { "line front s1" } else { "line front s0" }))
        }
        @for (network, place) in networks.iter().zip(names) {
            @let (x, y) = at(network);
            @let (class, radius) = match network.role { Role::Own => ("s1", "6"), Role::Run => ("s1", "4.5"), Role::Variant => ("s0", "3.5") };
            circle.dot.(class).hollow[!on_front(network)] cx=(px(x)) cy=(px(y)) r=(radius) {
                title { (network.name) ": " (number(cost(network), 0, 1)) ", " (number(network.accuracy * 100.0, 0, 1)) " %" }
            }
            @if let Some((x, y)) = place { text.name x=(px(x)) y=(px(y)) { (network.name) } }
        }
    };
    plot.draw(title, &content)
}

/// Runs are compared with runs, variants with variants.
fn kind(role: Role) -> Role {
    if role == Role::Variant { Role::Variant } else { Role::Run }
}

//! Section: the figures of each class.

use super::Section;
use super::numbers::{cell, percent_cell};
use crate::report::HeldOut;
use crate::report::chart::px;
use crate::report::figures::Estimate;
use crate::report::figures::overall::Unit;
use maud::{Markup, html};

/// Size of an interval's drawing.
const WIDTH: f64 = 120.0;
const HEIGHT: f64 = 16.0;

pub fn section(held_out: &HeldOut) -> Section {
    let (pool, figures) = (&held_out.pool, &held_out.figures);
    let sets = |class: usize| -> String {
        let names = pool.sets.iter().filter(|set| set.own.contains(&class)).map(|set| set.name.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    let equal_error = |at: usize| figures.classes[at].det.as_ref().map_or(f64::NAN, |det| det.equal_error);
    let body = html! {
        div.scroll { table.sortable.classes {
            thead { tr {
                th { "class" } th { "data set" } th.num { "n" } th.num { "sources" }
                th.num { "precision %" } th.num { "recall %" } th.num { "F1 %" } th { (axis()) }
                th.num { "average precision %" } th.num { "equal error %" }
            } }
            tbody { @for (at, class) in figures.classes.iter().enumerate() {
                tr {
                    th scope="row" { (pool.labels[at]) }
                    td { (sets(at)) }
                    td.num data-v=(class.n) { (class.n) }
                    td.num data-v=(class.n_sources) { (class.n_sources) }
                    (cell(&class.precision, Unit::Percent)) (cell(&class.recall, Unit::Percent))
                    (cell(&class.f1, Unit::Percent)) td { (interval(&class.f1)) }
                    (cell(&class.average_precision, Unit::Percent)) (percent_cell(equal_error(at)))
                }
            } }
        } }
        p.dim {
            "Precision, recall and F1 are of the most likely of all classes, average precision and equal error rate of the class' posterior as a ranking of all recordings. "
            "Intervals are made as above, of each class' own and other sources. "
            @if let Some(background) = pool.background {
                "Of " (pool.labels[background]) ", n counts stretches of one second. "
            }
            "Click a heading to sort."
        }
    };
    Section { id: "classes", title: "By class", body }
}

/// An interval with its estimate, from 0 to 100 %.
fn interval(estimate: &Estimate) -> Markup {
    let at = |share: f64| px(4.0 + share.clamp(0.0, 1.0) * (WIDTH - 8.0));
    let middle = px(HEIGHT / 2.0);
    html! {
        svg.interval width=(px(WIDTH)) height=(px(HEIGHT)) viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) aria-hidden="true" {
            @for mark in [0.0, 0.25, 0.5, 0.75, 1.0] { line.grid x1=(at(mark)) x2=(at(mark)) y1="0" y2=(px(HEIGHT)) {} }
            @if estimate.low.is_finite() && estimate.value.is_finite() {
                line.line.s0 x1=(at(estimate.low)) x2=(at(estimate.high)) y1=(middle) y2=(middle) {}
                circle.dot.s0 cx=(at(estimate.value)) cy=(middle) r="3.2" {}
            }
        }
    }
}

/// What the drawings' ends are.
fn axis() -> Markup {
    html! { span.ends { span { "0" } span { "50" } span { "100" } } }
}

//! Sections: which class is taken for which, and the figures of each class.

use super::Section;
use super::numbers::{Cell, Table, bare_percent};
use crate::report::HeldOut;
use crate::report::chart::{heat_map, px};
use crate::report::figures::{Estimate, Unit};
use maud::{Markup, Render, html};
use std::cmp::Reverse;

/// Confusions listed.
const N_LISTED: usize = 20;
/// Size of an interval's drawing.
const WIDTH: f64 = 120.0;
const HEIGHT: f64 = 16.0;

pub fn confusion(held_out: &HeldOut) -> Section {
    let (pool, counts) = (&held_out.pool, &held_out.figures.confusion);
    let (labels, n) = (&pool.labels, pool.labels.len());
    let sum = |row: usize| counts[row].iter().sum::<u32>();
    let sets_of = |class: usize| pool.sets.iter().map(|s| s.own.contains(&class)).collect::<Vec<_>>();
    let parts = |class: usize| sets_of(class - 1) != sets_of(class);
    let title = |row: usize, column: usize| {
        let share = bare_percent(f64::from(counts[row][column]) / f64::from(sum(row)));
        format!("{} taken for {}: {} of {}, {share} %", labels[row], labels[column], counts[row][column], sum(row))
    };
    let mut wrong: Vec<(usize, usize)> =
        (0..n * n).map(|i| (i / n, i % n)).filter(|&(a, b)| a != b && counts[a][b] > 0).collect();
    wrong.sort_by_key(|&(a, b)| Reverse(counts[a][b]));
    wrong.truncate(N_LISTED);
    let body = html! {
        p.dim {
            "One row per class, one column per class that its recordings were taken for: the most likely of all classes. "
            "Numbers count recordings, shades show their share of the row. Lines separate the classes of different data sets."
        }
        div.beside {
            div.scroll { (heat_map(labels, counts, ["taken for →", "class (n) ↓"], parts, title)) }
            div {
                h3 { "Most frequent confusions" }
                @if wrong.is_empty() { p { "None." } }
                ol.confusions { @for (a, b) in wrong {
                    li { b { (labels[a]) } " taken for " b { (labels[b]) } ": " (counts[a][b]) " of " (sum(a)) }
                } }
            }
        }
    };
    Section { id: "confusion", title: "Confusion matrix", body }
}

pub fn classes(held_out: &HeldOut) -> Section {
    let (pool, figures) = (&held_out.pool, &held_out.figures);
    let rows = figures.classes.iter().enumerate().map(|(at, class)| {
        let sets = pool.sets.iter().filter(|set| set.own.contains(&at)).map(|set| set.name.as_str());
        let sets = sets.collect::<Vec<_>>().join(", ");
        let equal_error = class.det.as_ref().map_or(f64::NAN, |det| det.equal_error);
        let mut cells = vec![Cell::markup(html! { (sets) }), Cell::count(class.n), Cell::count(class.n_sources)];
        cells.extend(class.estimates.iter().map(|estimate| Cell::estimate(estimate, Unit::Percent)));
        cells.insert(6, Cell::markup(interval(&class.estimates[2])));
        cells.push(Cell::percent(equal_error));
        (html! { (pool.labels[at]) }, cells)
    });
    let ends = html! { span.ends { span { "0" } span { "50" } span { "100" } } };
    let mut heads: Vec<&dyn Render> = vec![&"class", &"data set", &"n", &"sources", &"precision %", &"recall %"];
    heads.extend([&"F1 %" as &dyn Render, &ends, &"average precision %", &"equal error %"]);
    let table = Table { class: "sortable", heads, rows: rows.collect(), ..Table::default() };
    let body = html! {
        (table.draw())
        p.dim {
            "Precision, recall and F1 are of the most likely of all classes, average precision and equal error rate of the class' posterior as a ranking of all recordings. "
            "Intervals are of the same resamples as in the summary. "
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

//! Section: which class is taken for which.

use super::Section;
use super::numbers::percent;
use crate::report::HeldOut;
use crate::report::chart::px;
use maud::{Markup, html};

/// Side of a cell, and width of a letter of the labels, in pixels.
const CELL: f64 = 21.0;
const LETTER: f64 = 6.2;
/// Angle of the column labels.
const TILT: f64 = 55.0;
/// What rows and columns are.
const CORNER: [&str; 2] = ["taken for →", "class (n) ↓"];
/// Confusions listed.
const N_LISTED: usize = 20;
/// Share of a row from which on its cell is so dark that its number is bright.
const DARK: f64 = 0.55;

pub fn section(held_out: &HeldOut) -> Section {
    let body = html! {
        p.dim {
            "A row a class, a column what its recordings were taken for: the most likely of all classes. "
            "Numbers count recordings, shades show their share of the row. Lines part the data sets' classes."
        }
        div.beside {
            div.scroll { (matrix(held_out)) }
            div { h3 { "Most frequent confusions" } (list(held_out)) }
        }
    };
    Section { id: "confusion", title: "Confusion matrix", body }
}

fn matrix(held_out: &HeldOut) -> Markup {
    let (pool, counts) = (&held_out.pool, &held_out.figures.confusion);
    let n = pool.labels.len();
    let sums: Vec<u32> = counts.iter().map(|row| row.iter().sum()).collect();
    let letters = pool.labels.iter().map(|label| label.chars().count()).max().unwrap_or(0) as f64;
    let tilt = TILT.to_radians();
    let (left, top) = ((letters + 5.0).max(11.0) * LETTER + 8.0, letters * LETTER * tilt.sin() + 12.0);
    let side = n as f64 * CELL;
    let overhang = |(at, label): (usize, &String)| {
        (at as f64 + 0.5) * CELL + label.chars().count() as f64 * LETTER * tilt.cos() + 12.0
    };
    let reach = pool.labels.iter().enumerate().map(overhang).fold(side, f64::max);
    let (width, height) = (left + reach, top + side + 6.0);
    let cells = (0..n).flat_map(|row| (0..n).map(move |column| (row, column)));
    html! {
        svg.matrix width=(px(width)) height=(px(height)) viewBox=(format!("0 0 {} {}", px(width), px(height)))
            role="img" aria-label="Confusion matrix" {
            @for (line, text) in CORNER.iter().enumerate() {
                text.axis x=(px(left - 6.0)) y=(px(top - 20.0 + 14.0 * line as f64)) text-anchor="end" { (text) }
            }
            @for (at, label) in pool.labels.iter().enumerate() {
                @let middle = (at as f64 + 0.5) * CELL;
                text.tick x=(px(left - 6.0)) y=(px(top + middle + 3.8)) text-anchor="end" {
                    (label) " (" (sums[at]) ")"
                }
                text.tick transform=(format!("translate({} {}) rotate(-{TILT})", px(left + middle + 3.0), px(top - 6.0))) { (label) }
            }
            @for (row, column) in cells.filter(|&(row, column)| counts[row][column] > 0) {
                @let count = counts[row][column];
                @let share = f64::from(count) / f64::from(sums[row]);
                @let (x, y) = (left + column as f64 * CELL, top + row as f64 * CELL);
                g.dark[share > DARK] {
                    title { (pool.labels[row]) " taken for " (pool.labels[column]) ": " (count) " of " (sums[row]) ", " (percent(share).trim_start()) " %" }
                    rect.cell.wrong[row != column] x=(px(x)) y=(px(y)) width=(px(CELL)) height=(px(CELL))
                        fill-opacity=(format!("{:.3}", shade(share))) {}
                    text.count x=(px(x + CELL / 2.0)) y=(px(y + CELL / 2.0 + 3.6)) text-anchor="middle" { (count) }
                }
            }
            @for edge in 0..=n {
                @let at = edge as f64 * CELL;
                @let class = if edge == 0 || edge == n || parts(held_out, edge) { "edge" } else { "grid" };
                line class=(class) x1=(px(left)) x2=(px(left + side)) y1=(px(top + at)) y2=(px(top + at)) {}
                line class=(class) x1=(px(left + at)) x2=(px(left + at)) y1=(px(top)) y2=(px(top + side)) {}
            }
        }
    }
}

/// Small shares are to be seen, too.
fn shade(share: f64) -> f64 {
    0.08 + 0.92 * share.sqrt()
}

/// Whether the classes on both sides of an edge are not of the same data sets.
fn parts(held_out: &HeldOut, edge: usize) -> bool {
    let of = |class: usize| held_out.pool.sets.iter().map(|s| s.own.contains(&class)).collect::<Vec<_>>();
    of(edge - 1) != of(edge)
}

fn list(held_out: &HeldOut) -> Markup {
    let (labels, counts) = (&held_out.pool.labels, &held_out.figures.confusion);
    let n = labels.len();
    let mut wrong: Vec<(usize, usize)> =
        (0..n * n).map(|i| (i / n, i % n)).filter(|&(a, b)| a != b && counts[a][b] > 0).collect();
    wrong.sort_by_key(|&(a, b)| std::cmp::Reverse(counts[a][b]));
    wrong.truncate(N_LISTED);
    if wrong.is_empty() {
        return html! { p { "None." } };
    }
    html! {
        ol.confusions {
            @for (a, b) in wrong {
                li { b { (labels[a]) } " taken for " b { (labels[b]) } ": " (counts[a][b]) " of " (counts[a].iter().sum::<u32>()) }
            }
        }
    }
}

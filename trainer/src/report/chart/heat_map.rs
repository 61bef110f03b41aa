//! A matrix of counts.
//!
//! Enters: names and counts. Leaves: a drawing with one shaded cell per pair that occurs, and the
//! counts in the cells.

use super::{px, rect};
use maud::{Markup, html};

/// Side of a cell, and width of a letter of the names, in pixels.
const CELL: f64 = 21.0;
const LETTER: f64 = 6.2;
/// Angle of the columns' names.
const TILT: f64 = 55.0;
/// Cells with more than this share of their row are so dark that their number is bright.
const DARK: f64 = 0.55;

/// Draws `counts[row][column]` with the same `names` for both; cells off the diagonal have a colour
/// of their own. `corner` says what columns and rows are, `parts` whether a stronger line lies
/// before a name, and `title` what a cell means.
pub fn heat_map(
    names: &[String],
    counts: &[Vec<u32>],
    corner: [&str; 2],
    parts: impl Fn(usize) -> bool,
    title: impl Fn(usize, usize) -> String,
) -> Markup {
    let n = names.len();
    let sums: Vec<u32> = counts.iter().map(|row| row.iter().sum()).collect();
    let letters = |name: &String| name.chars().count() as f64;
    let longest = names.iter().map(letters).fold(0.0, f64::max);
    let (sin, cos) = TILT.to_radians().sin_cos();
    let (left, top) = ((longest + 5.0).max(11.0) * LETTER + 8.0, longest * LETTER * sin + 12.0);
    let side = n as f64 * CELL;
    let reach = |(at, name): (usize, &String)| (at as f64 + 0.5) * CELL + letters(name) * LETTER * cos + 12.0;
    let width = px(left + names.iter().enumerate().map(reach).fold(side, f64::max));
    let height = px(top + side + 6.0);
    let cells = (0..n * n).map(|i| (i / n, i % n)).filter(|&(row, column)| counts[row][column] > 0);
    html! {
        svg.matrix width=(width) height=(height) viewBox=(format!("0 0 {width} {height}")) role="img" aria-label="Matrix" {
            @for (line, text) in corner.iter().enumerate() {
                text.axis x=(px(left - 6.0)) y=(px(top - 20.0 + 14.0 * line as f64)) text-anchor="end" { (text) }
            }
            @for (at, name) in names.iter().enumerate() {
                @let middle = (at as f64 + 0.5) * CELL;
                text.tick x=(px(left - 6.0)) y=(px(top + middle + 3.8)) text-anchor="end" { (name) " (" (sums[at]) ")" }
                text.tick transform=(format!("translate({} {}) rotate(-{TILT})", px(left + middle + 3.0), px(top - 6.0))) { (name) }
            }
            @for (row, column) in cells {
                @let share = f64::from(counts[row][column]) / f64::from(sums[row]);
                @let (x, y) = (left + column as f64 * CELL, top + row as f64 * CELL);
                // The root makes small shares visible.
                g.dark[share > DARK] style=(format!("--share:{:.3}", 0.08 + 0.92 * share.sqrt())) {
                    (rect(if row == column { "cell" } else { "cell wrong" }, [x, y, CELL, CELL], &title(row, column)))
                    text.count x=(px(x + CELL / 2.0)) y=(px(y + CELL / 2.0 + 3.6)) text-anchor="middle" { (counts[row][column]) }
                }
            }
            @for edge in 0..=n {
                @let at = edge as f64 * CELL;
                @let class = if edge == 0 || edge == n || parts(edge) { "edge" } else { "grid" };
                line class=(class) x1=(px(left)) x2=(px(left + side)) y1=(px(top + at)) y2=(px(top + at)) {}
                line class=(class) x1=(px(left + at)) x2=(px(left + at)) y1=(px(top)) y2=(px(top + side)) {}
            }
        }
    }
}

//! Confusion of classes: counts enter, a matrix of shaded cells leaves.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{INK, SMALL, TEXT, TITLE, failed, fill, outline, style, svg, write_text};
use crate::Result;

const CELL: i32 = 30;
const TOP: i32 = 84;
/// Room for a label, a character.
const CHARACTER: i32 = 8;
const NOTHING: &str = "nothing";

/// A matrix of [`confusion`](crate::confusion), `(n_classes + 1, n_classes + 1)`. Classes that are
/// not there and were not detected are left out. The shade is a cell's share of its row.
///
/// # Errors
///
/// When nothing can be drawn.
///
/// # Panics
///
/// When the matrix is not of that size.
pub fn confusion_matrix(labels: &[String], matrix: &[Vec<usize>]) -> Result<String> {
    let n_classes = labels.len();
    assert!(
        matrix.len() == n_classes + 1 && matrix.iter().all(|row| row.len() == n_classes + 1),
        "a row and column a class"
    );
    let is_there = |at: usize| matrix[at].iter().any(|n| *n > 0) || matrix.iter().any(|row| row[at] > 0);
    let shown: Vec<usize> = (0..n_classes).filter(|&at| is_there(at)).chain([n_classes]).collect();
    let name = |at: usize| labels.get(at).map_or(NOTHING, String::as_str);
    let longest = shown.iter().map(|&at| name(at).chars().count()).max().unwrap_or(0) as i32;
    let margin = 40 + longest * CHARACTER;
    let side = CELL * shown.len() as i32;
    let (width, height) = ((margin + side + 40).max(620), TOP + side + margin);
    svg(width as u32, height as u32, |canvas| {
        canvas.fill(&WHITE).map_err(failed)?;
        write_text(canvas, "Confusion of classes", (16, 14), &style(TITLE, &INK, (HPos::Left, VPos::Top)))?;
        let note = "rows: true class; columns: reported class; shade: share of the row";
        write_text(canvas, note, (16, 44), &style(SMALL, &INK, (HPos::Left, VPos::Top)))?;
        let row_label = style(TEXT, &INK, (HPos::Right, VPos::Center));
        // Turned, so that what is left of the text is below its place.
        let column_label = style(TEXT, &INK, (HPos::Right, VPos::Center)).transform(FontTransform::Rotate270);
        for (row, &truth) in (0..).zip(&shown) {
            let total: usize = matrix[truth].iter().sum();
            let y = TOP + row * CELL;
            write_text(canvas, name(truth), (margin - 8, y + CELL / 2), &row_label)?;
            write_text(canvas, name(truth), (margin + row * CELL + CELL / 2, TOP + side + 8), &column_label)?;
            for (column, &detected) in (0..).zip(&shown) {
                let n = matrix[truth][detected];
                let share = n as f64 / total.max(1) as f64;
                let from = (margin + column * CELL, y);
                let to = (from.0 + CELL, y + CELL);
                let right = truth == detected && truth < n_classes;
                fill(canvas, from, to, shade(share, right))?;
                outline(canvas, from, to, RGBColor(205, 205, 205))?;
                if n > 0 {
                    let colour = if share > 0.55 { WHITE } else { INK };
                    let text = style(SMALL, &colour, (HPos::Center, VPos::Center));
                    write_text(canvas, &n.to_string(), (from.0 + CELL / 2, from.1 + CELL / 2), &text)?;
                }
            }
        }
        Ok(())
    })
}

/// Blue where it is right, red where it is not; white for nothing.
fn shade(share: f64, right: bool) -> RGBColor {
    let full = if right { (0.0, 90.0, 150.0) } else { (190.0, 60.0, 20.0) };
    let mix = |channel: f64| (255.0 + (channel - 255.0) * share).round() as u8;
    RGBColor(mix(full.0), mix(full.1), mix(full.2))
}

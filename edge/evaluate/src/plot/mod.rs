//! Drawings of an evaluation: figures, or a recording with its truth and detections, enter; SVG
//! texts leave. Runs on the caller's thread.
//!
//! Each function returns one SVG document that depends on nothing outside itself and may be put
//! into a page as it is. [`write()`] makes the files of `earwitness evaluate --plot`.

mod confusion;
mod curves;
mod files;
pub mod picture;
mod spectrogram;
mod timeline;

pub use confusion::confusion_matrix;
pub use curves::{Curves, Place, Series, detection_error, precision_recall};
pub use files::{Drawn, write};
pub use spectrogram::Spectrogram;
pub use timeline::{PAGE_S, Timeline};

use plotters::coord::Shift;
use plotters::drawing::DrawingAreaErrorKind;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::{Error, Result};

/// Okabe and Ito's colours, which people with any colour vision tell apart; black first.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 0, 0),
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(140, 110, 60),
];
const INK: RGBColor = RGBColor(40, 40, 40);
const FAINT: RGBColor = RGBColor(222, 222, 222);

/// Sizes of text, in the units of plotters: 1.24 of them are a pixel of the font.
const TITLE: i32 = 20;
const TEXT: i32 = 16;
const SMALL: i32 = 14;

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A drawing of this size in pixels that `draw` makes.
fn svg(width: u32, height: u32, draw: impl FnOnce(&Canvas) -> Result<()>) -> Result<String> {
    let mut text = String::new();
    let canvas = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
    draw(&canvas)?;
    canvas.present().map_err(failed)?;
    drop(canvas);
    Ok(text)
}

fn failed<E: std::error::Error + Send + Sync>(error: DrawingAreaErrorKind<E>) -> Error {
    Error::draw(error)
}

/// How text is written; `at` says which of its points is at the place it is put to.
fn style<'a>(size: i32, colour: &RGBColor, at: (HPos, VPos)) -> TextStyle<'a> {
    ("sans-serif", size).into_font().color(colour).pos(Pos::new(at.0, at.1))
}

fn write_text(canvas: &Canvas, text: &str, place: (i32, i32), style: &TextStyle) -> Result<()> {
    canvas.draw(&Text::new(text, place, style.clone())).map_err(failed)
}

fn fill(canvas: &Canvas, from: (i32, i32), to: (i32, i32), colour: RGBColor) -> Result<()> {
    canvas.draw(&Rectangle::new([from, to], colour.filled())).map_err(failed)
}

fn outline(canvas: &Canvas, from: (i32, i32), to: (i32, i32), colour: RGBColor) -> Result<()> {
    canvas.draw(&Rectangle::new([from, to], colour.stroke_width(1))).map_err(failed)
}

fn line(canvas: &Canvas, from: (i32, i32), to: (i32, i32), style: ShapeStyle) -> Result<()> {
    canvas.draw(&PathElement::new([from, to], style)).map_err(failed)
}

#[cfg(test)]
mod tests;

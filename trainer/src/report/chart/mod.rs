//! Drawings as parts of a page.
//!
//! Enters: axes and values. Leaves: SVG elements whose colours are classes of the page's style
//! sheet, so that they follow the reader's colour scheme; all text in them is escaped. A [`Plot`]
//! has axes, lines, dots and bars; [`heat_map`] draws a matrix; `scale` places values on an axis,
//! `labels` keeps names apart.

mod heat_map;
mod labels;
mod scale;

pub use heat_map::heat_map;
pub use labels::{Mark, place};
pub use scale::Axis;

use maud::{Markup, html};

/// Height of most plots.
pub const HEIGHT: f64 = 310.0;
/// Colours that the style sheet has for series, `s0` to `s7`.
const N_COLOURS: usize = 8;
/// Points nearer than this to the last one are left out of a line.
const RESOLUTION: f64 = 0.4;

type Point = (f64, f64);

/// The area between two axes.
#[derive(Debug, Clone)]
pub struct Plot {
    /// To the right, and upwards.
    pub x: Axis,
    pub y: Axis,
    /// Of the whole drawing.
    pub width: f64,
    pub height: f64,
    /// Room for the axes: left, right, top, bottom.
    pub margins: [f64; 4],
}

impl Plot {
    /// A plot of the usual width.
    pub fn new(x: Axis, y: Axis, height: f64) -> Self {
        Self { x, y, width: 540.0, height, margins: [56.0, 14.0, 10.0, 42.0] }
    }

    /// Left, right, top and bottom of the area.
    pub fn area(&self) -> [f64; 4] {
        let [left, right, top, bottom] = self.margins;
        [left, self.width - right, top, self.height - bottom]
    }

    /// Where a point is drawn. What lies beyond an axis is drawn at its end.
    pub fn at(&self, (x, y): Point) -> Point {
        let [left, right, top, bottom] = self.area();
        (left + self.x.scale.place(x) * (right - left), bottom - self.y.scale.place(y) * (bottom - top))
    }

    /// The drawing: axes and grid below `content`, with `title` for those who do not see it.
    pub fn draw(&self, title: &str, content: &Markup) -> Markup {
        let [left, right, top, bottom] = self.area();
        let middle = |a: f64, b: f64| px((a + b) / 2.0);
        html! {
            svg.plot viewBox=(format!("0 0 {} {}", px(self.width), px(self.height))) role="img" aria-label=(title) {
                @for (value, text) in &self.x.ticks {
                    @let x = px(left + self.x.scale.place(*value) * (right - left));
                    line.grid x1=(x) x2=(x) y1=(px(top)) y2=(px(bottom)) {}
                    text.tick x=(x) y=(px(bottom + 15.0)) text-anchor="middle" { (text) }
                }
                @for (value, text) in &self.y.ticks {
                    @let y = bottom - self.y.scale.place(*value) * (bottom - top);
                    line.grid x1=(px(left)) x2=(px(right)) y1=(px(y)) y2=(px(y)) {}
                    text.tick x=(px(left - 6.0)) y=(px(y + 3.6)) text-anchor="end" { (text) }
                }
                (content)
                (rect("frame", [left, top, right - left, bottom - top], ""))
                text.axis x=(middle(left, right)) y=(px(bottom + 34.0)) text-anchor="middle" { (self.x.title) }
                text.axis transform=(format!("translate(13 {}) rotate(-90)", middle(top, bottom))) text-anchor="middle" {
                    (self.y.title)
                }
            }
        }
    }

    /// A line through `points`, in the style `class`. It is broken where a point is not finite.
    pub fn line(&self, points: impl IntoIterator<Item = Point>, class: &str) -> Markup {
        html! { path class=(class) d=(self.path(points)) {} }
    }

    /// A dot that says `title` to a pointer.
    pub fn dot(&self, point: Point, radius: f64, class: &str, title: &str) -> Markup {
        let (x, y) = self.at(point);
        html! {
            circle.dot.(class) cx=(px(x)) cy=(px(y)) r=(px(radius)) { @if !title.is_empty() { title { (title) } } }
        }
    }

    /// Bars of equal width from the x axis up, with the heights in pixels and a title each.
    pub fn bars(&self, bars: &[(f64, String)]) -> Markup {
        let [left, right, _, bottom] = self.area();
        let width = (right - left) / bars.len() as f64;
        html! {
            @for (at, (height, title)) in bars.iter().enumerate() {
                (rect("bar", [left + at as f64 * width + 1.0, bottom - height, width - 2.0, *height], title))
            }
        }
    }

    fn path(&self, points: impl IntoIterator<Item = Point>) -> String {
        let mut path = String::new();
        let (mut last, mut skipped): (Option<Point>, Option<Point>) = (None, None);
        for point in points {
            if !point.0.is_finite() || !point.1.is_finite() {
                (last, skipped) = (None, None);
                continue;
            }
            let (x, y) = self.at(point);
            if last.is_some_and(|(a, b)| (x - a).hypot(y - b) < RESOLUTION) {
                skipped = Some((x, y));
                continue;
            }
            path += &format!("{}{} {}", if last.is_some() { 'L' } else { 'M' }, px(x), px(y));
            (last, skipped) = (Some((x, y)), None);
        }
        if let Some((x, y)) = skipped {
            path += &format!("L{} {}", px(x), px(y));
        }
        path
    }
}

/// A rectangle `[x, y, width, height]` that says `title` to a pointer.
pub fn rect(class: &str, [x, y, width, height]: [f64; 4], title: &str) -> Markup {
    html! {
        rect.(class) x=(px(x)) y=(px(y)) width=(px(width)) height=(px(height)) {
            @if !title.is_empty() { title { (title) } }
        }
    }
}

/// The colour of series number `at`.
pub fn colour(at: usize) -> String {
    format!("s{}", at % N_COLOURS)
}

/// Names of series with the classes of their lines.
pub fn legend<'a>(series: impl IntoIterator<Item = (&'a str, &'a str)>) -> Markup {
    html! {
        ul.legend {
            @for (name, class) in series {
                li { svg viewBox="0 0 18 10" aria-hidden="true" { line class=(class) x1="1" x2="17" y1="5" y2="5" {} } (name) }
            }
        }
    }
}

/// A coordinate, to a tenth of a pixel.
pub fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot() -> Plot {
        Plot::new(Axis::linear(0.0, 10.0, 5, "a < b"), Axis::linear(0.0, 1.0, 5, "share"), HEIGHT)
    }

    #[test]
    fn lines_break_where_nothing_is_and_end_where_they_end() {
        let plot = plot();
        let [left, right, top, bottom] = plot.area();
        assert_eq!(plot.path([(0.0, 0.0), (10.0, 1.0)]), format!("M{left} {bottom}L{right} {top}"));
        assert_eq!(plot.path([(0.0, 0.0), (5.0, f64::NAN), (10.0, 1.0)]), format!("M{left} {bottom}M{right} {top}"));
        let dense = plot.path((0..=100_000).map(|i| (f64::from(i) / 1e4, 0.0)));
        assert!(dense.matches('L').count() < 1300 && dense.ends_with(&format!("L{right} {bottom}")), "{dense}");
        assert_eq!(plot.at((-5.0, 7.0)), (left, top), "beyond an axis is its end");
    }

    #[test]
    fn titles_are_escaped() {
        let drawn = plot().draw("\"quoted\"", &html! {}).into_string();
        assert!(
            drawn.contains("a &lt; b") && drawn.contains("&quot;quoted&quot;") && !drawn.contains("a < b"),
            "{drawn}"
        );
    }
}

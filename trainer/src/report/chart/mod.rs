//! Drawings as parts of a page.
//!
//! Enters: axes and points. Leaves: SVG elements whose colours are classes of the page's style sheet, so that they follow the
//! reader's colour scheme; all text in them is escaped. [`scale`] places values on an axis, [`labels`] keeps names apart.

pub mod labels;
pub mod scale;

use maud::{Markup, html};
use scale::Axis;

/// Colours that the style sheet has for series, `s0` to `s7`.
pub const N_COLOURS: usize = 8;
/// Points nearer than this to the last one are left out of a line.
const RESOLUTION: f64 = 0.4;

type Point = (f64, f64);

/// The area between two axes.
#[derive(Debug, Clone)]
pub struct Plot {
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// Of the whole drawing.
    pub width: f64,
    /// Of the whole drawing.
    pub height: f64,
}

/// Room for the axes: left, right, top, bottom.
const MARGINS: [f64; 4] = [56.0, 14.0, 10.0, 42.0];

impl Plot {
    /// A plot of the usual size.
    pub fn new(x: Axis, y: Axis) -> Self {
        Self { x, y, width: 540.0, height: 310.0 }
    }

    /// Left, right, top and bottom of the area.
    pub fn area(&self) -> [f64; 4] {
        [MARGINS[0], self.width - MARGINS[1], MARGINS[2], self.height - MARGINS[3]]
    }

    /// Where a point is drawn. What lies beyond an axis is drawn at its end.
    pub fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let [left, right, top, bottom] = self.area();
        (left + self.x.scale.place(x) * (right - left), bottom - self.y.scale.place(y) * (bottom - top))
    }

    /// The drawing: axes and grid below `content`. `title` is for those who do not see it.
    pub fn draw(&self, title: &str, content: &Markup) -> Markup {
        let [left, right, top, bottom] = self.area();
        let middle = |a: f64, b: f64| px((a + b) / 2.0);
        html! {
            svg.plot viewBox=(format!("0 0 {} {}", self.width, self.height)) role="img" aria-label=(title) {
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
                rect.frame x=(px(left)) y=(px(top)) width=(px(right - left)) height=(px(bottom - top)) {}
                text.axis x=(middle(left, right)) y=(px(self.height - 8.0)) text-anchor="middle" { (self.x.title) }
                text.axis transform=(format!("translate(13 {}) rotate(-90)", middle(top, bottom))) text-anchor="middle" {
                    (self.y.title)
                }
                (content)
            }
        }
    }

    /// A line through `points`, in the style `class`. It is broken where a point is not finite.
    pub fn line(&self, points: impl IntoIterator<Item = (f64, f64)>, class: &str) -> Markup {
        html! { path class=(class) d=(self.path(points)) {} }
    }

    fn path(&self, points: impl IntoIterator<Item = (f64, f64)>) -> String {
        let mut path = String::new();
        let (mut last, mut skipped): (Option<Point>, Option<Point>) = (None, None);
        for point in points {
            if !point.0.is_finite() || !point.1.is_finite() {
                (last, skipped) = (None, None);
                continue;
            }
            let (x, y) = self.at(point);
            match last {
                Some((a, b)) if (x - a).hypot(y - b) < RESOLUTION => {
                    skipped = Some((x, y));
                    continue;
                }
                Some(_) => path.push('L'),
                None => path.push('M'),
            }
            path += &format!("{} {}", px(x), px(y));
            (last, skipped) = (Some((x, y)), None);
        }
        if let Some((x, y)) = skipped {
            path += &format!("L{} {}", px(x), px(y));
        }
        path
    }
}

/// The colour of series number `at`.
pub fn colour(at: usize) -> String {
    format!("s{}", at % N_COLOURS)
}

/// Names of series with their colours.
pub fn legend<'a>(names: impl IntoIterator<Item = (&'a str, String)>) -> Markup {
    html! {
        ul.legend {
            @for (name, class) in names {
                li { svg viewBox="0 0 18 10" aria-hidden="true" { line.(class).line x1="1" x2="17" y1="5" y2="5" {} } (name) }
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
        Plot::new(Axis::linear(0.0, 10.0, 5, "a < b"), Axis::linear(0.0, 1.0, 5, "share"))
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

//! Numbers as text of equal width, and tables of them.
//!
//! Enters: figures. Leaves: texts with digits below digits, since figure spaces fill up missing
//! digits in front; and tables.

use crate::report::figures::{Estimate, Unit};
use maud::{Markup, Render, html};

/// As wide as a digit.
const FIGURE_SPACE: &str = "\u{2007}";
/// Stands for what is not defined.
pub const NONE: &str = "–";

/// A table with a heading per column, the first of which is that of the rows' names.
#[derive(Default)]
pub struct Table<'a> {
    pub class: &'a str,
    /// Names above several columns each, after the first column.
    pub groups: Vec<(&'a str, usize)>,
    pub heads: Vec<&'a dyn Render>,
    pub rows: Vec<(Markup, Vec<Cell>)>,
    /// Below a line.
    pub foot: Vec<(Markup, Vec<Cell>)>,
}

/// A cell of a table. A number is sorted by its value.
pub struct Cell {
    body: Markup,
    value: Option<f64>,
    class: &'static str,
}

impl Table<'_> {
    pub fn draw(&self) -> Markup {
        let class = |at: usize| match (at.checked_sub(1), self.rows.first()) {
            (Some(at), Some((_, cells))) => cells[at].class,
            _ => "",
        };
        let rows = |rows: &[(Markup, Vec<Cell>)]| {
            html! { @for (name, cells) in rows { tr { th scope="row" { (name) } @for cell in cells { (cell) } } } }
        };
        html! {
            div.scroll { table.(self.class) {
                thead {
                    @if !self.groups.is_empty() {
                        tr { th {} @for (name, n) in &self.groups { th.group colspan=(n) { (name) } } }
                    }
                    tr { @for (at, head) in self.heads.iter().enumerate() { th.(class(at)) { (head.render()) } } }
                }
                tbody { (rows(&self.rows)) }
                @if !self.foot.is_empty() { tfoot { (rows(&self.foot)) } }
            } }
        }
    }
}

impl Render for Cell {
    fn render(&self) -> Markup {
        // What is not defined comes last.
        let key = |value: f64| if value.is_finite() { format!("{value:.6}") } else { "-1e9".to_owned() };
        html! { td.(self.class) data-v=[self.value.map(key)] { (self.body) } }
    }
}

impl Cell {
    pub fn markup(body: Markup) -> Self {
        Self { body, value: None, class: "" }
    }

    fn value(value: f64, body: Markup) -> Self {
        Self { body, value: Some(value), class: "num" }
    }

    pub fn number(value: f64, width: usize, n_decimals: usize) -> Self {
        Self::value(value, html! { (number(value, width, n_decimals)) })
    }

    pub fn count(n: usize) -> Self {
        Self::value(n as f64, html! { (thousands(n)) })
    }

    pub fn percent(share: f64) -> Self {
        Self::value(share, html! { (percent(share)) })
    }

    /// The same cell as the first of a group.
    pub fn first_if(mut self, is_first: bool) -> Self {
        self.class = if is_first { "num first" } else { self.class };
        self
    }

    /// An estimate with its interval.
    pub fn estimate(estimate: &Estimate, unit: Unit) -> Self {
        Self::interval(estimate, "num", |value| in_unit(value, unit))
    }

    /// The same of a difference, with its sign.
    pub fn difference(estimate: &Estimate, unit: Unit) -> Self {
        Self::interval(estimate, "num difference", |value| signed(&in_unit(value, unit), value))
    }

    fn interval(Estimate { value, low, high }: &Estimate, class: &'static str, text: impl Fn(f64) -> String) -> Self {
        let body = html! {
            b { (text(*value)) }
            span.ci { @if low.is_finite() { (text(*low)) " to " (text(*high)) } @else { (NONE) } }
        };
        Self { class, ..Self::value(*value, body) }
    }
}

/// A share in percent with one decimal, without the sign.
pub fn percent(share: f64) -> String {
    number(share * 100.0, 5, 1)
}

/// The same, not filled up.
pub fn bare_percent(share: f64) -> String {
    percent(share).trim_start_matches(FIGURE_SPACE).to_owned()
}

/// A number with `n_decimals`, at least `width` wide.
pub fn number(value: f64, width: usize, n_decimals: usize) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    // A true minus sign; no minus before what is rounded to zero.
    let text = format!("{value:.n_decimals$}");
    let digits = text.trim_start_matches('-');
    let is_zero = digits.chars().all(|c| c == '0' || c == '.');
    let text = if is_zero { digits.to_owned() } else { text.replace('-', "−") };
    FIGURE_SPACE.repeat(width.saturating_sub(text.chars().count())) + &text
}

/// A number in the figure's unit.
pub fn in_unit(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Percent => percent(value),
        Unit::Number => number(value, 5, 3),
    }
}

/// A plus where more than nothing is left after rounding, in the place of a figure space if there
/// is one.
fn signed(text: &str, value: f64) -> String {
    let digits = text.trim_start_matches(FIGURE_SPACE);
    if value <= 0.0 || !digits.contains(|c: char| c.is_ascii_digit() && c != '0') {
        return text.to_owned();
    }
    let n_spaces = text.chars().count() - digits.chars().count();
    format!("{}+{digits}", FIGURE_SPACE.repeat(n_spaces.saturating_sub(1)))
}

/// A whole number with spaces between thousands.
pub fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|g| std::str::from_utf8(g).ok()).collect();
    groups.join("\u{202f}")
}

/// Seconds as hours and minutes.
pub fn duration(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{} s", seconds.round() as u64),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes:02} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_equally_wide() {
        assert_eq!([1.0, 0.052, 0.0].map(percent), ["100.0", "\u{2007}\u{2007}5.2", "\u{2007}\u{2007}0.0"]);
        assert_eq!(number(-0.0004, 5, 3), "0.000");
        assert_eq!(number(-0.02, 5, 1), "\u{2007}\u{2007}0.0");
        assert_eq!(percent(-0.0123), "\u{2007}−1.2");
        assert_eq!(percent(f64::NAN), NONE);
        assert_eq!(signed(&percent(0.012), 0.012), "\u{2007}+1.2");
        assert_eq!(signed(&number(0.0015, 5, 3), 0.0015), "+0.002");
        assert_eq!([0.0, 0.0001, -0.5].map(|v| signed(&percent(v), v)), [0.0, 0.0, -0.5].map(percent));
        assert_eq!(thousands(1_380_407), "1\u{202f}380\u{202f}407");
        assert_eq!([12.0, 600.0, 7260.0].map(duration), ["12 s", "10 min", "2 h 01 min"]);
    }
}

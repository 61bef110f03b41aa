//! Numbers as text of equal width.
//!
//! Enters: figures. Leaves: cells of a table, digits below digits: figure spaces fill up what is missing in front.

use crate::report::figures::Estimate;
use crate::report::figures::overall::Unit;
use maud::{Markup, html};

/// As wide as a digit.
const FIGURE_SPACE: &str = "\u{2007}";
/// What is not defined.
pub const NONE: &str = "–";

/// A share in percent with one decimal; the sign is shown, not written.
pub fn percent(share: f64) -> String {
    number(share * 100.0, 5, 1)
}

/// A number with `n_decimals`, at least `width` wide.
pub fn number(value: f64, width: usize, n_decimals: usize) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    // A true minus sign; no minus before what is rounded to zero.
    let text = format!("{value:.n_decimals$}");
    let text = if text.trim_start_matches('-').chars().all(|c| c == '0' || c == '.') {
        text.trim_start_matches('-').to_owned()
    } else {
        text.replace('-', "−")
    };
    FIGURE_SPACE.repeat(width.saturating_sub(text.chars().count())) + &text
}

/// The same in the figure's unit.
pub fn in_unit(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Percent => percent(value),
        Unit::Number => number(value, 5, 3),
    }
}

/// A cell with an estimate and its interval; sorted by the estimate.
pub fn cell(estimate: &Estimate, unit: Unit) -> Markup {
    html! {
        td.num data-v=(sortable(estimate.value)) {
            b { (in_unit(estimate.value, unit)) }
            @if estimate.low.is_finite() {
                span.ci { (in_unit(estimate.low, unit)) " to " (in_unit(estimate.high, unit)) }
            } @else { span.ci { (NONE) } }
        }
    }
}

/// The same of a difference, with its sign.
pub fn difference_cell(estimate: &Estimate, unit: Unit) -> Markup {
    let signed = |value: f64| signed(&in_unit(value, unit), value);
    html! {
        td.num.difference data-v=(sortable(estimate.value)) {
            b { (signed(estimate.value)) }
            span.ci { (signed(estimate.low)) " to " (signed(estimate.high)) }
        }
    }
}

/// A plus where more than nothing is left after rounding, in the place of a figure space if there is one.
fn signed(text: &str, value: f64) -> String {
    let digits = text.trim_start_matches(FIGURE_SPACE);
    if value <= 0.0 || !digits.contains(|c: char| c.is_ascii_digit() && c != '0') {
        return text.to_owned();
    }
    let n_spaces = text.chars().count() - digits.chars().count();
    format!("{}+{digits}", FIGURE_SPACE.repeat(n_spaces.saturating_sub(1)))
}

/// A cell with a share in percent.
pub fn percent_cell(share: f64) -> Markup {
    html! { td.num data-v=(sortable(share)) { (percent(share)) } }
}

/// What a cell is sorted by: what is not defined comes last.
pub fn sortable(value: f64) -> String {
    if value.is_finite() { format!("{value:.6}") } else { "-1e9".to_owned() }
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
        (0, 0) => format!("{seconds:.0} s"),
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

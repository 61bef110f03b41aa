//! Where values lie on an axis.
//!
//! Enters: a range. Leaves: a place from 0 to 1 for each value of it, and marks at round values.

/// A range, and how it is spread: evenly, by the logarithm (both ends positive), or by the quantile
/// of the normal distribution, as DET curves are drawn (both ends between 0 and 1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    Linear(f64, f64),
    Log(f64, f64),
    Normal(f64, f64),
}

/// An axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    pub scale: Scale,
    /// Marks: values with their text.
    pub ticks: Vec<(f64, String)>,
    /// With the unit.
    pub title: String,
}

/// Marks of a normal scale.
const NORMAL_TICKS: [f64; 12] = [0.0001, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8];

impl Scale {
    /// The place of `value`, from 0 to 1; of values outside the range, the nearer end.
    pub fn place(self, value: f64) -> f64 {
        let (low, high, value) = match self {
            Scale::Linear(low, high) => (low, high, value),
            Scale::Log(low, high) => (low.ln(), high.ln(), value.max(low).ln()),
            Scale::Normal(low, high) => {
                (normal_quantile(low), normal_quantile(high), normal_quantile(value.clamp(low, high)))
            }
        };
        if high > low { ((value - low) / (high - low)).clamp(0.0, 1.0) } else { 0.5 }
    }
}

impl Axis {
    /// An even axis over `low` to `high` with about `n` marks.
    pub fn linear(low: f64, high: f64, n: usize, title: &str) -> Self {
        Self { scale: Scale::Linear(low, high), ticks: round_values(low, high, n), title: title.to_owned() }
    }

    /// The same, widened to round values and at least to something.
    pub fn around(values: impl IntoIterator<Item = f64>, n: usize, title: &str) -> Self {
        let (low, high) = range(values);
        let (low, high) = if high - low < 1e-9 { (low - 0.5, high + 0.5) } else { (low, high) };
        let step = round_step((high - low) / n as f64);
        Self::linear((low / step).floor() * step, (high / step).ceil() * step, n, title)
    }

    /// An even axis of shares from `low` to `high`, marked in percent.
    pub fn percent(low: f64, high: f64, n: usize, title: &str) -> Self {
        let ticks = round_values(low * 100.0, high * 100.0, n).into_iter().map(|(v, text)| (v / 100.0, text));
        Self { scale: Scale::Linear(low, high), ticks: ticks.collect(), title: title.to_owned() }
    }

    /// A logarithmic axis over positive values, marked at powers of ten.
    pub fn log(values: impl IntoIterator<Item = f64>, title: &str) -> Self {
        let (low, high) = range(values.into_iter().filter(|&v| v > 0.0));
        let (low, high) = (low.max(1e-30), high.max(1e-29));
        let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
        let (low, high) = (10f64.powi(*decades.start()), 10f64.powi(*decades.end()));
        let ticks = decades.map(|e| (10f64.powi(e), power_of_ten(e))).collect();
        Self { scale: Scale::Log(low, high), ticks, title: title.to_owned() }
    }

    /// A normal axis of shares from `low` to `high`, marked in percent.
    pub fn normal(low: f64, high: f64, title: &str) -> Self {
        let within = NORMAL_TICKS.iter().filter(|&&v| v >= low && v <= high);
        let ticks = within.map(|&v| (v, format!("{}", (v * 1e6).round() / 1e4))).collect();
        Self { scale: Scale::Normal(low, high), ticks, title: title.to_owned() }
    }
}

/// Least and greatest of the finite values; 0 and 1 if there are none.
fn range(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let finite = values.into_iter().filter(|v| v.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low > high { (0.0, 1.0) } else { (low, high) }
}

/// 1, 2 or 5 times a power of ten, the next above `least`.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|&s| s >= least * 0.999).unwrap_or(10.0 * power)
}

fn round_values(low: f64, high: f64, n: usize) -> Vec<(f64, String)> {
    let step = round_step((high - low).max(1e-9) / n as f64);
    let n_decimals = (-step.log10().floor()).max(0.0) as usize;
    let (first, last) = ((low / step - 1e-6).ceil() as i64, (high / step + 1e-6).floor() as i64);
    (first..=last).map(|i| (i as f64 * step, format!("{:.n_decimals$}", i as f64 * step))).collect()
}

fn power_of_ten(exponent: i32) -> String {
    match exponent {
        -2..=4 => format!("{}", 10f64.powi(exponent)),
        _ => format!("1e{exponent}"),
    }
}

/// Quantile of the standard normal distribution: Abramowitz and Stegun 1964, 26.2.23, to 4.5e-4.
fn normal_quantile(share: f64) -> f64 {
    if share > 0.5 {
        return -normal_quantile(1.0 - share);
    }
    let t = (-2.0 * share.ln()).sqrt();
    let above = 2.515517 + t * (0.802853 + t * 0.010328);
    let below = 1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308));
    above / below - t
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn marks_are_round_and_within() {
        assert_eq!(texts(&Axis::linear(0.0, 320.0, 7, "")), ["0", "50", "100", "150", "200", "250", "300"]);
        assert_eq!(texts(&Axis::linear(0.13, 0.42, 3, "")), ["0.2", "0.3", "0.4"]);
        assert_eq!(texts(&Axis::percent(0.5, 1.0, 5, "")), ["50", "60", "70", "80", "90", "100"]);
        let around = Axis::around([0.13, 2.71, f64::NAN], 5, "");
        assert_eq!((around.scale, texts(&around).len()), (Scale::Linear(0.0, 3.0), 4));
        assert_eq!(texts(&Axis::log([2e-5, 3e-3], "")), ["1e-5", "1e-4", "1e-3", "0.01"]);
        assert_eq!(texts(&Axis::normal(0.001, 0.5, "")), ["0.1", "0.2", "0.5", "1", "2", "5", "10", "20", "40"]);
    }

    #[test]
    fn nothing_and_a_single_value_have_axes() {
        for values in [vec![], vec![3.0], vec![0.0, 0.0]] {
            for axis in [Axis::around(values.clone(), 5, ""), Axis::log(values.clone(), "")] {
                assert!(axis.scale.place(3.0).is_finite() && axis.ticks.len() < 40, "{axis:?}");
            }
        }
    }

    #[test]
    fn places() {
        assert_eq!(Scale::Linear(2.0, 4.0).place(3.0), 0.5);
        assert!((Scale::Log(1.0, 100.0).place(10.0) - 0.5).abs() < 1e-12);
        assert!((Scale::Normal(0.1, 0.9).place(0.5) - 0.5).abs() < 1e-3);
        assert_eq!((Scale::Log(1.0, 10.0).place(0.0), Scale::Linear(0.0, 1.0).place(9.0)), (0.0, 1.0));
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (share, expected) in [(0.5, 0.0), (0.975, 1.959964), (0.1, -1.281552), (0.001, -3.090232)] {
            assert!((normal_quantile(share) - expected).abs() < 5e-4, "{share}");
        }
    }
}

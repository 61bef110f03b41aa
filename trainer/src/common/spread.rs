//! Mean and deviation of some values: of folds, as they are reported.

use serde::Serialize;

/// Mean and deviation of some values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Sample standard deviation; 0 of a single value.
    pub std: f64,
}

impl Spread {
    /// Of some values; NaN of none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.into_iter().collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        Self { mean, std: (squares / (n - 1.0).max(1.0)).sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_that_of_a_sample() {
        assert_eq!(Spread::of([1.0, 2.0, 3.0]), Spread { mean: 2.0, std: 1.0 });
        assert_eq!(Spread::of([5.0]), Spread { mean: 5.0, std: 0.0 });
        assert!(Spread::of([]).mean.is_nan());
    }
}

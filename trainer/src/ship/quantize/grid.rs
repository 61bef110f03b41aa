//! The grid of 8-bit values that stands for a range of numbers.
//!
//! Enters: values seen, and how to choose a range of them. Leaves: a [`Grid`]:
//! `value = scale * (q - zero_point)`, with `q` between -128 and 127. Every range holds 0, so that
//! padding with zeros stays exact (Jacob et al. 2018, section 2.1).

use crate::error::Result;
use crate::train::recipe::{Calibration, Quantize};
use tch::{Kind, Tensor};

/// Smallest 8-bit value.
pub const Q_MIN: i64 = -128;
/// Largest 8-bit value.
pub const Q_MAX: i64 = 127;

/// Shares of the whole range that the smallest squared error is looked for among.
const N_CANDIDATES: u32 = 90;
const SMALLEST_CANDIDATE: f64 = 0.1;

/// Values between two 8-bit numbers and their distance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    /// Distance of two neighbours.
    pub scale: f32,
    /// The 8-bit value that stands for 0.
    pub zero_point: i8,
}

impl Grid {
    /// The grid from `low` to `high`, widened to hold 0.
    pub fn of_range(low: f64, high: f64) -> Self {
        let (low, high) = (low.min(0.0), high.max(0.0));
        let scale = ((high - low) / (Q_MAX - Q_MIN) as f64).max(1e-9);
        let zero_point = (Q_MIN as f64 - low / scale).round().clamp(Q_MIN as f64, Q_MAX as f64);
        Self { scale: scale as f32, zero_point: zero_point as i8 }
    }

    /// The grid for `values`, one axis.
    ///
    /// # Errors
    ///
    /// If libtorch reports an error, or there are no values.
    pub fn of_values(values: &Tensor, settings: &Quantize) -> Result<Self> {
        let (low, high) = (values.f_min()?.f_double_value(&[])?, values.f_max()?.f_double_value(&[])?);
        match settings.calibration {
            Calibration::Max => Ok(Self::of_range(low, high)),
            Calibration::Percentile => {
                let sorted = values.f_sort(0, false)?.0;
                let last = sorted.size()[0] - 1;
                let cut = ((1.0 - settings.percentile / 100.0) * last as f64).round() as i64;
                // Where zero is the end of the range, as after a ReLU, nothing is cut off there.
                let low = if low >= 0.0 { low } else { sorted.f_double_value(&[cut])? };
                Ok(Self::of_range(low, sorted.f_double_value(&[last - cut])?))
            }
            Calibration::Mse => {
                let mut best = (f64::INFINITY, Self::of_range(low, high));
                for i in 0..=N_CANDIDATES {
                    let share = 1.0 - (1.0 - SMALLEST_CANDIDATE) * f64::from(i) / f64::from(N_CANDIDATES);
                    let grid = Self::of_range(low * share, high * share);
                    let error =
                        grid.round(values)?.f_sub(values)?.f_square()?.f_mean(Kind::Float)?.f_double_value(&[])?;
                    if error < best.0 {
                        best = (error, grid);
                    }
                }
                Ok(best.1)
            }
        }
    }

    /// `values`, each moved to its neighbour on the grid; the gradient passes where the value lies
    /// within the range.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn round(&self, values: &Tensor) -> Result<Tensor> {
        let zero_point = i64::from(self.zero_point);
        Ok(values.f_fake_quantize_per_tensor_affine(f64::from(self.scale), zero_point, Q_MIN, Q_MAX)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(calibration: Calibration) -> Quantize {
        Quantize { calibration, percentile: 90.0, ..Quantize::default() }
    }

    #[test]
    fn the_whole_range_is_held_and_zero_is_exact() {
        let grid = Grid::of_values(&Tensor::from_slice(&[-1.0f32, 0.3, 4.1]), &settings(Calibration::Max)).unwrap();
        assert!((grid.scale - 5.1 / 255.0).abs() < 1e-6);
        let rounded = grid.round(&Tensor::from_slice(&[-1.0f32, 0.0, 4.1, 9.0])).unwrap();
        let rounded = Vec::<f32>::try_from(&rounded).unwrap();
        assert_eq!(rounded[1], 0.0);
        assert!((rounded[0] + 1.0).abs() <= grid.scale && (rounded[2] - 4.1).abs() <= grid.scale, "{rounded:?}");
        assert!((rounded[3] - 4.1).abs() <= grid.scale, "beyond the range is clipped: {rounded:?}");
        assert_eq!(Grid::of_range(0.0, 2.55).zero_point, -128, "nothing is spent on values that a ReLU does not leave");
    }

    #[test]
    fn an_outlier_is_clipped_where_that_costs_less() {
        tch::manual_seed(1);
        let usual = Tensor::rand([100_000], (Kind::Float, tch::Device::Cpu));
        let values = Tensor::cat(&[usual, Tensor::from_slice(&[40.0f32])], 0);
        let step = |calibration| Grid::of_values(&values, &settings(calibration)).unwrap().scale * 255.0;
        assert!((step(Calibration::Max) - 40.0).abs() < 1e-3);
        assert!((step(Calibration::Percentile) - 0.9).abs() < 0.01);
        // Rounding costs n s^2 / 12 with n = 100,000 and s = c / 255, clipping the outlier (40 -
        // c)^2: least where c = 40 / (1 + n / 12 / 255^2) = 35.5.
        assert!((step(Calibration::Mse) - 35.5).abs() < 0.8, "{}", step(Calibration::Mse));
    }
}

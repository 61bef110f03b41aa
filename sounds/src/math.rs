//! Portable elementary functions: `libm`'s give the same bits on every platform, those of `std`
//! need not.

/// One full turn in radians.
pub(crate) const TAU: f32 = core::f32::consts::TAU;

pub(crate) fn sin(x: f32) -> f32 {
    libm::sinf(x)
}

pub(crate) fn cos(x: f32) -> f32 {
    libm::cosf(x)
}

pub(crate) fn exp(x: f32) -> f32 {
    libm::expf(x)
}

pub(crate) fn ln(x: f32) -> f32 {
    libm::logf(x)
}

pub(crate) fn pow(x: f32, y: f32) -> f32 {
    libm::powf(x, y)
}

pub(crate) fn floor(x: f32) -> f32 {
    libm::floorf(x)
}

/// Decibels to an amplitude factor.
pub(crate) fn from_db(db: f32) -> f32 {
    libm::powf(10.0, db / 20.0)
}

/// A half-cosine step from 0 at `x <= 0` to 1 at `x >= 1`.
pub(crate) fn smooth_step(x: f32) -> f32 {
    0.5 - 0.5 * cos(0.5 * TAU * x.clamp(0.0, 1.0))
}

/// Linear interpolation between `points` of ascending abscissa, held constant outside.
pub(crate) fn interpolate(points: &[(f32, f32)], x: f32) -> f32 {
    let Some(&(last_x, last_y)) = points.last() else {
        return 0.0;
    };
    if x >= last_x {
        return last_y;
    }
    let right = points.iter().position(|point| point.0 > x).unwrap_or(0);
    if right == 0 {
        return points[0].1;
    }
    let ((x0, y0), (x1, y1)) = (points[right - 1], points[right]);
    y0 + (y1 - y0) * (x - x0) / (x1 - x0)
}

/// Root mean square; 0 for an empty slice.
pub(crate) fn rms(samples: &[f32]) -> f32 {
    let energy: f64 = samples.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    (energy / samples.len().max(1) as f64).sqrt() as f32
}

/// Largest magnitude; 0 for an empty slice.
pub(crate) fn peak(samples: &[f32]) -> f32 {
    samples.iter().fold(0.0, |peak, x| peak.max(x.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolation_holds_its_ends_and_is_linear_between() {
        let points = [(1.0, 10.0), (3.0, 20.0), (4.0, 0.0)];
        assert_eq!(interpolate(&points, 0.0), 10.0);
        assert_eq!(interpolate(&points, 2.0), 15.0);
        assert_eq!(interpolate(&points, 3.5), 10.0);
        assert_eq!(interpolate(&points, 9.0), 0.0);
    }
}

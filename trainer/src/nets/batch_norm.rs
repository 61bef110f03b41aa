//! Batch norm as a part of the convolution before it.

use crate::error::Result;
use tch::{Kind, Tensor};

/// A batch norm as it is deployed, each part `(out)`.
pub struct Norm<'a> {
    /// Scale.
    pub weight: &'a Tensor,
    /// Offset.
    pub bias: &'a Tensor,
    /// Running mean.
    pub mean: &'a Tensor,
    /// Running variance.
    pub variance: &'a Tensor,
    /// Added to the variance.
    pub epsilon: f64,
}

impl Norm<'_> {
    /// Weight and bias of the convolution with `kernel`, `(out, in, kernel_t, kernel_f)`, and this
    /// norm after it; in double precision.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn fold(&self, kernel: &Tensor) -> Result<(Tensor, Tensor)> {
        let double = |part: &Tensor| part.f_to_kind(Kind::Double);
        let scale = double(self.weight)?.f_div(&double(self.variance)?.f_add_scalar(self.epsilon)?.f_sqrt()?)?;
        let weight = double(kernel)?.f_mul(&scale.f_view([-1, 1, 1, 1])?)?;
        let bias = double(self.bias)?.f_sub(&double(self.mean)?.f_mul(&scale)?)?;
        Ok((weight, bias))
    }
}

//! Formulas over tensors that read like formulas.
//!
//! Enters: tensors. Leaves: a tensor, or the first error on the way to it. Every operation of tch
//! may fail; an [`Expr`] carries the failure along, so that a formula is one line and is checked
//! once, at its end:
//!
//! ```
//! use tch::Tensor;
//! use trainer::common::maths::Expr;
//! # fn main() -> trainer::Result<()> {
//! let p = Expr::of(&Tensor::from_slice(&[0.5f32, 0.5]));
//! let y = Expr::of(&Tensor::from_slice(&[1.0f32, 0.0]));
//! let cross_entropy = -(&y * &p.ln()).sum_all();
//! assert!((f64::try_from(cross_entropy.tensor()?)? - 2f64.ln()).abs() < 1e-6);
//! # Ok(())
//! # }
//! ```

use crate::error::{Error, Result};
use std::ops::{Add, Div, Mul, Neg, Sub};
use tch::{Kind, TchError, Tensor};

/// A tensor in a formula, or the error that prevented it.
#[derive(Debug)]
pub struct Expr(std::result::Result<Tensor, String>);

impl Expr {
    /// The formula that is this tensor.
    pub fn of(tensor: &Tensor) -> Self {
        Self(Ok(tensor.shallow_clone()))
    }

    /// The value of the formula.
    ///
    /// # Errors
    ///
    /// The first that an operation reported.
    pub fn tensor(self) -> Result<Tensor> {
        self.0.map_err(|message| Error::Torch(TchError::Torch(message)))
    }

    /// Any other operation of tch.
    pub fn map(&self, operation: impl FnOnce(&Tensor) -> std::result::Result<Tensor, TchError>) -> Self {
        Self(match &self.0 {
            Ok(x) => operation(x).map_err(|e| e.to_string()),
            Err(message) => Err(message.clone()),
        })
    }

    fn with(
        &self,
        other: &Self,
        operation: impl FnOnce(&Tensor, &Tensor) -> std::result::Result<Tensor, TchError>,
    ) -> Self {
        match &other.0 {
            Ok(y) => self.map(|x| operation(x, y)),
            Err(message) => Self(Err(message.clone())),
        }
    }

    /// Natural logarithm.
    pub fn ln(&self) -> Self {
        self.map(Tensor::f_log)
    }

    /// Exponential.
    pub fn exp(&self) -> Self {
        self.map(Tensor::f_exp)
    }

    /// Square root.
    pub fn sqrt(&self) -> Self {
        self.map(Tensor::f_sqrt)
    }

    /// Square.
    pub fn square(&self) -> Self {
        self.map(Tensor::f_square)
    }

    /// `x^exponent`.
    pub fn pow(&self, exponent: f64) -> Self {
        self.map(|x| x.f_pow_tensor_scalar(exponent))
    }

    /// Within `low` and `high`.
    pub fn clamp(&self, low: f64, high: f64) -> Self {
        self.map(|x| x.f_clamp(low, high))
    }

    /// At least `low`.
    pub fn at_least(&self, low: f64) -> Self {
        self.map(|x| x.f_clamp_min(low))
    }

    /// Softmax over dimension `dim`.
    pub fn softmax(&self, dim: i64) -> Self {
        self.map(|x| x.f_softmax(dim, x.kind()))
    }

    /// Logarithm of the softmax over dimension `dim`.
    pub fn log_softmax(&self, dim: i64) -> Self {
        self.map(|x| x.f_log_softmax(dim, x.kind()))
    }

    /// Sum over dimension `dim`, which is gone then.
    pub fn sum(&self, dim: i64) -> Self {
        self.map(|x| x.f_sum_dim_intlist([dim].as_slice(), false, x.kind()))
    }

    /// Mean over the dimensions `dims`, which are gone then.
    pub fn mean(&self, dims: &[i64]) -> Self {
        self.map(|x| x.f_mean_dim(dims, false, x.kind()))
    }

    /// Sum of all values.
    pub fn sum_all(&self) -> Self {
        self.map(|x| x.f_sum(x.kind()))
    }

    /// Mean of all values.
    pub fn mean_all(&self) -> Self {
        self.map(|x| x.f_mean(x.kind()))
    }

    /// Matrix product.
    pub fn matmul(&self, other: &Self) -> Self {
        self.with(other, Tensor::f_matmul)
    }

    /// Transpose of a matrix.
    pub fn transposed(&self) -> Self {
        self.map(Tensor::f_tr)
    }

    /// With a further dimension of size 1 at `dim`.
    pub fn unsqueeze(&self, dim: i64) -> Self {
        self.map(|x| x.f_unsqueeze(dim))
    }

    /// With this shape; one size may be -1.
    pub fn view(&self, shape: &[i64]) -> Self {
        self.map(|x| x.f_view(shape))
    }

    /// Cosine of the angle between rows, over dimension 1.
    pub fn cosine(&self, other: &Self) -> Self {
        self.with(other, |x, y| Tensor::f_cosine_similarity(x, y, 1, 1e-8))
    }

    /// `self + share * (other - self)`.
    pub fn lerp(&self, other: &Self, share: &Self) -> Self {
        match &share.0 {
            Ok(share) => self.with(other, |x, y| x.f_lerp_tensor(y, share)),
            Err(message) => Self(Err(message.clone())),
        }
    }

    /// 1 where the value is above `low`, else 0.
    pub fn above(&self, low: f64) -> Self {
        self.map(|x| x.f_gt(low)?.f_to_kind(Kind::Float))
    }
}

/// The operators on expressions and numbers, owned or not.
macro_rules! operator {
    ($trait:ident, $method:ident, $of_tensors:ident, $of_scalar:ident) => {
        impl $trait<&Expr> for &Expr {
            type Output = Expr;
            fn $method(self, other: &Expr) -> Expr {
                self.with(other, Tensor::$of_tensors)
            }
        }
        impl $trait<Expr> for Expr {
            type Output = Expr;
            fn $method(self, other: Expr) -> Expr {
                (&self).$method(&other)
            }
        }
        impl $trait<&Expr> for Expr {
            type Output = Expr;
            fn $method(self, other: &Expr) -> Expr {
                (&self).$method(other)
            }
        }
        impl $trait<Expr> for &Expr {
            type Output = Expr;
            fn $method(self, other: Expr) -> Expr {
                self.$method(&other)
            }
        }
        impl $trait<f64> for &Expr {
            type Output = Expr;
            fn $method(self, other: f64) -> Expr {
                self.map(|x| x.$of_scalar(other))
            }
        }
        impl $trait<f64> for Expr {
            type Output = Expr;
            fn $method(self, other: f64) -> Expr {
                (&self).$method(other)
            }
        }
    };
}

operator!(Add, add, f_add, f_add_scalar);
operator!(Sub, sub, f_sub, f_sub_scalar);
operator!(Mul, mul, f_mul, f_mul_scalar);
operator!(Div, div, f_div, f_div_scalar);

impl Neg for Expr {
    type Output = Expr;
    fn neg(self) -> Expr {
        self.map(Tensor::f_neg)
    }
}

impl Neg for &Expr {
    type Output = Expr;
    fn neg(self) -> Expr {
        self.map(Tensor::f_neg)
    }
}

/// `number - expression`.
impl Sub<&Expr> for f64 {
    type Output = Expr;
    fn sub(self, other: &Expr) -> Expr {
        -other + self
    }
}

impl Sub<Expr> for f64 {
    type Output = Expr;
    fn sub(self, other: Expr) -> Expr {
        self - &other
    }
}

/// `number * expression`.
impl Mul<Expr> for f64 {
    type Output = Expr;
    fn mul(self, other: Expr) -> Expr {
        other * self
    }
}

impl Mul<&Expr> for f64 {
    type Output = Expr;
    fn mul(self, other: &Expr) -> Expr {
        other * self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_reaches_the_end() {
        let (a, b) = (Expr::of(&Tensor::from_slice(&[1.0f32, 2.0])), Expr::of(&Tensor::from_slice(&[1.0f32; 3])));
        assert!((&a * 2.0 + 1.0).tensor().is_ok());
        let error = ((&a + &b).ln() * &a).tensor().unwrap_err().to_string();
        assert!(error.contains("size of tensor"), "{error}");
    }
}

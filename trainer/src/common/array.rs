//! Arrays of model files as tensors, and back.

use crate::error::Result;
use assemble::Array;
use tch::{Kind, Tensor};

/// The tensor of `array`, single precision.
///
/// # Errors
///
/// If libtorch reports one.
pub fn to_tensor(array: &Array) -> Result<Tensor> {
    let dims: Vec<i64> = array.dims.iter().map(|&n| n as i64).collect();
    Ok(Tensor::f_from_slice(&array.values)?.f_view(&dims[..])?)
}

/// The array of `tensor`, in single precision.
///
/// # Errors
///
/// If libtorch reports one.
pub fn of_tensor(tensor: &Tensor) -> Result<Array> {
    let dims = tensor.size().iter().map(|&n| n as usize).collect();
    let flat = tensor.f_to_kind(Kind::Float)?.f_contiguous()?.f_view([-1])?;
    Ok(Array { dims, values: Vec::try_from(&flat)? })
}

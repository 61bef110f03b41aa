//! A student with 8-bit convolutions, as a training sees it.
//!
//! Enters: a trained student whose batch norms are folded into its convolutions, log-mel crops `(B,
//! T, n_mels)`. Leaves: frame logits `(B, C, T')` of the network whose weights and activations are
//! rounded to 8 bits ("fake" quantization: the values are those of the integers, the arithmetic is
//! single precision, and the gradient passes through the rounding; Jacob et al. 2018, section 3).
//! Weights have one scale per output channel, activations one per layer; the head stays in single
//! precision. A ReLU needs no operation of its own: its output's grid begins at 0. Runs on the
//! training thread.

use super::grid::{Grid, Q_MAX};
use crate::error::{Error, Result};
use crate::nets::student::ConvLayer;
use crate::nets::student::Student;
use std::collections::HashMap;
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// The 8-bit student.
#[derive(Debug)]
pub struct Quantized {
    layers: Vec<ConvLayer>,
    /// For each layer a weight `(out, kernel_t, kernel_f, in)` and a bias `(out)`, then the head's
    /// weight `(C, in)` and bias `(C)`.
    params: Vec<Tensor>,
    /// Of the input, then of each layer's output.
    grids: Vec<Grid>,
}

/// A layer in integers.
#[derive(Debug)]
pub struct IntegerLayer {
    /// `(out, in, kernel_t, kernel_f)`, from -127 to 127.
    pub weight: Vec<i8>,
    /// Shape of the weight.
    pub shape: [usize; 4],
    /// `(out)`: distance of two weights.
    pub weight_scale: Vec<f32>,
    /// `(out)`: in units of the input's scale times the weight's.
    pub bias: Vec<i32>,
    /// Grid of the input.
    pub input: Grid,
    /// Grid of the output, from 0 on.
    pub output: Grid,
}

impl Quantized {
    /// The student's convolutions and head, without gradients; activations are not rounded before
    /// [`Quantized::set_grids`].
    ///
    /// # Errors
    ///
    /// If libtorch reports an error.
    pub fn of(student: &Student, device: Device) -> Result<Self> {
        let layers = student.network().layers.clone();
        let mut params = Vec::new();
        for i in 0..layers.len() {
            let (weight, bias) = student.folded(i)?;
            params.push(weight.f_permute([0, 2, 3, 1])?);
            params.push(bias);
        }
        for name in ["head.weight", "head.bias"] {
            let value = student.param(name).ok_or_else(|| Error::Usage(format!("the network has no {name}")))?;
            params.push(value.shallow_clone());
        }
        let copy = |p: &Tensor| {
            Ok(p.f_detach()?.f_to_kind(Kind::Float)?.f_to_device(device)?.f_contiguous()?.f_detach_copy()?)
        };
        let params = params.iter().map(copy).collect::<Result<_>>()?;
        Ok(Self { layers, params, grids: Vec::new() })
    }

    /// Sets the grids of the input and of each layer's output.
    pub fn set_grids(&mut self, grids: Vec<Grid>) {
        assert_eq!(grids.len(), self.layers.len() + 1, "one grid for the input and one per layer");
        self.grids = grids;
    }

    /// Frame logits `(B, C, T')`. `see` is shown the input and each layer's output before they are
    /// rounded.
    ///
    /// # Errors
    ///
    /// If `T` is shorter than the receptive field, or libtorch reports an error.
    pub fn frame_logits(&self, x: &Tensor, mut see: impl FnMut(usize, &Tensor) -> Result<()>) -> Result<Tensor> {
        let mut h = x.f_unsqueeze(1)?;
        see(0, &h)?;
        h = self.round(0, &h)?;
        for (i, layer) in self.layers.iter().enumerate() {
            let weight = match self.grids.is_empty() {
                true => self.params[2 * i].shallow_clone(),
                false => rounded_weight(&self.params[2 * i])?,
            };
            let stride = [layer.stride_t as i64, layer.stride_f as i64];
            let (pad, dilation) = ([0, layer.pad_f() as i64], [layer.dilation_t as i64, 1]);
            let weight = weight.f_permute([0, 3, 1, 2])?;
            h = h.f_conv2d(&weight, Some(&self.params[2 * i + 1]), stride, pad, dilation, 1)?.f_relu()?;
            see(i + 1, &h)?;
            h = self.round(i + 1, &h)?;
        }
        let (weight, bias) = self.head();
        let features = h.f_mean_dim([3i64].as_slice(), false, Kind::Float)?.f_permute([0, 2, 1])?;
        Ok(features.f_linear(weight, Some(bias))?.f_permute([0, 2, 1])?)
    }

    fn round(&self, at: usize, h: &Tensor) -> Result<Tensor> {
        match self.grids.get(at) {
            Some(grid) => grid.round(h),
            None => Ok(h.shallow_clone()),
        }
    }

    /// The layers' shapes.
    pub fn layers(&self) -> &[ConvLayer] {
        &self.layers
    }

    /// What is trained: each layer's weight and bias, then the head's.
    pub fn params_mut(&mut self) -> &mut [Tensor] {
        &mut self.params
    }

    /// See [`Quantized::params_mut`].
    pub fn params(&self) -> &[Tensor] {
        &self.params
    }

    /// Weight `(C, in)` and bias `(C)` of the head.
    pub fn head(&self) -> (&Tensor, &Tensor) {
        let [.., weight, bias] = &self.params[..] else { unreachable!("the head is always there") };
        (weight, bias)
    }

    /// The layers in integers.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn integers(&self) -> Result<Vec<IntegerLayer>> {
        let layer = |i: usize| {
            let (weight, bias) = (&self.params[2 * i], &self.params[2 * i + 1]);
            let scale = weight_scale(weight)?;
            let whole = weight.f_div(&scale.f_view([-1, 1, 1, 1])?)?.f_round()?.f_clamp(-Q_MAX, Q_MAX)?;
            let whole = whole.f_permute([0, 3, 1, 2])?.f_contiguous()?;
            let &[n_out, n_in, kernel_t, kernel_f] = &whole.size()[..] else { unreachable!("kernels have four axes") };
            let (input, output) = (self.grids[i], self.grids[i + 1]);
            let bias = bias.f_to_kind(Kind::Double)?.f_div(&scale.f_to_kind(Kind::Double)?)?;
            let bias = bias.f_div_scalar(f64::from(input.scale))?.f_round()?.f_to_kind(Kind::Int)?;
            Ok(IntegerLayer {
                weight: Vec::try_from(&whole.f_view([-1])?.f_to_kind(Kind::Int8)?)?,
                shape: [n_out, n_in, kernel_t, kernel_f].map(|n| n as usize),
                weight_scale: Vec::try_from(&scale)?,
                bias: Vec::try_from(&bias)?,
                input,
                output,
            })
        };
        (0..self.layers.len()).map(layer).collect()
    }

    /// Everything, by name, for a checkpoint.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
        let scales: Vec<f32> = self.grids.iter().map(|g| g.scale).collect();
        let zero_points: Vec<i8> = self.grids.iter().map(|g| g.zero_point).collect();
        let named = |(i, p): (usize, &Tensor)| (format!("param{i}"), p.shallow_clone());
        let mut tensors: Vec<(String, Tensor)> = self.params.iter().enumerate().map(named).collect();
        tensors.push(("scales".to_owned(), Tensor::f_from_slice(&scales)?));
        tensors.push(("zero_points".to_owned(), Tensor::f_from_slice(&zero_points)?));
        Ok(tensors)
    }

    /// The 8-bit form of `student` from what [`Quantized::tensors`] gave, which is in `values` by
    /// name after `prefix`.
    ///
    /// # Errors
    ///
    /// If a tensor is missing or has another shape; `path` is named.
    pub fn from_tensors(
        student: &Student,
        values: &HashMap<String, Tensor>,
        prefix: &str,
        path: &Path,
    ) -> Result<Self> {
        let mut network = Self::of(student, Device::Cpu)?;
        let get = |name: &str| {
            values
                .get(&format!("{prefix}{name}"))
                .ok_or_else(|| Error::content(path, format!("{prefix}{name} is missing")))
        };
        for (i, param) in network.params.iter_mut().enumerate() {
            let value = get(&format!("param{i}"))?;
            if value.size() != param.size() {
                let message = format!("{prefix}param{i}: expected shape {:?}, actual {:?}", param.size(), value.size());
                return Err(Error::content(path, message));
            }
            *param = value.shallow_clone();
        }
        let (scales, zero_points) = (Vec::<f32>::try_from(get("scales")?)?, Vec::<i8>::try_from(get("zero_points")?)?);
        if scales.len() != network.layers.len() + 1 || zero_points.len() != scales.len() {
            let message = format!("{prefix}scales: expected {}, actual {}", network.layers.len() + 1, scales.len());
            return Err(Error::content(path, message));
        }
        let grid = |(scale, zero_point)| Grid { scale, zero_point };
        network.set_grids(scales.into_iter().zip(zero_points).map(grid).collect());
        Ok(network)
    }
}

/// `(out)`: the largest weight of each output channel is 127.
fn weight_scale(weight: &Tensor) -> Result<Tensor> {
    let largest = weight.f_detach()?.f_abs()?.f_amax([1i64, 2, 3], false)?;
    Ok(largest.f_div_scalar(Q_MAX as f64)?.f_clamp_min(1e-9)?)
}

fn rounded_weight(weight: &Tensor) -> Result<Tensor> {
    let scale = weight_scale(weight)?;
    let zeros = scale.f_zeros_like()?;
    Ok(weight.f_fake_quantize_per_channel_affine(&scale, &zeros, 0, -Q_MAX, Q_MAX)?)
}

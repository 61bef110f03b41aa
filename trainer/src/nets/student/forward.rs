//! The student's forward pass.
//!
//! Enters: normalised log-mel crops `(B, T, n_mels)`. Leaves: features `(B, channels, T')`, logits, and the prediction of the
//! teacher's embedding. Runs on the training thread.

use super::{BN_EPSILON, Param, Student};
use crate::error::Result;
use crate::train::recipe::{ConvLayer, Pool, Precision};
use tch::{Kind, Tensor};

/// Share of a batch's statistics in the running ones.
const BN_MOMENTUM: f64 = 0.1;
/// Tensors of a convolution layer: weight, batch-norm weight, bias, running mean and running variance.
pub(super) const TENSORS_A_LAYER: usize = 5;
/// Further ones with squeeze-and-excitation: weight and bias of both convolutions.
pub(super) const TENSORS_A_SQUEEZE: usize = 4;

impl Student {
    /// Features before the head, pooled over frequency: `(B, T, n_mels)` to `(B, channels, T')`, single precision.
    ///
    /// # Errors
    ///
    /// If `T` is shorter than the receptive field, or libtorch reports an error.
    pub fn embed(&self, x: &Tensor, precision: Precision, training: bool) -> Result<Tensor> {
        let kind = if precision == Precision::Bf16 { Kind::BFloat16 } else { Kind::Float };
        let mut h = x.f_unsqueeze(1)?.f_to_kind(kind)?;
        let mut params = &self.params[..];
        for layer in &self.network.layers {
            let n_tensors = TENSORS_A_LAYER + if layer.squeeze > 0 { TENSORS_A_SQUEEZE } else { 0 };
            let (own, rest) = params.split_at(n_tensors);
            h = convolve(layer, own, &h, kind, training)?;
            params = rest;
        }
        let h = h.f_to_kind(Kind::Float)?;
        Ok(match self.network.pool {
            Pool::Mean => h.f_mean_dim([3i64].as_slice(), false, Kind::Float)?,
            Pool::Max => h.f_amax([3i64].as_slice(), false)?,
        })
    }

    /// The head, on features `(..., channels)`: logits `(..., C)`.
    ///
    /// # Errors
    ///
    /// If the shape does not fit.
    pub fn classify(&self, features: &Tensor) -> Result<Tensor> {
        let [.., weight, bias] = &self.params[..] else { unreachable!("the head is always there") };
        Ok(features.f_linear(&weight.value, Some(&bias.value))?)
    }

    /// The prediction of the teacher's embedding, from features `(B, channels)`: `(B, n_teacher)`; none without a teacher.
    ///
    /// # Errors
    ///
    /// If the shape does not fit.
    pub fn imitate(&self, features: &Tensor) -> Result<Option<Tensor>> {
        match (self.param("teacher.weight"), self.param("teacher.bias")) {
            (Some(weight), bias @ Some(_)) => Ok(Some(features.f_linear(weight, bias)?)),
            _ => Ok(None),
        }
    }

    /// Frame logits `(B, C, T')` of `(B, T, n_mels)`, as deployed: running statistics, single precision, no gradients.
    ///
    /// # Errors
    ///
    /// As [`Student::embed`].
    pub fn frame_logits(&self, x: &Tensor) -> Result<Tensor> {
        tch::no_grad(|| {
            let features = self.embed(x, Precision::F32, false)?.f_permute([0, 2, 1])?;
            Ok(self.classify(&features)?.f_permute([0, 2, 1])?)
        })
    }
}

/// One layer with its tensors in `params`: `(B, C, T, F)` to `(B, C', T', F')`, both of `kind`.
pub(super) fn convolve(layer: &ConvLayer, params: &[Param], x: &Tensor, kind: Kind, training: bool) -> Result<Tensor> {
    let [weight, bn_weight, bn_bias, bn_mean, bn_variance, squeeze @ ..] = params else {
        unreachable!("five tensors a layer")
    };
    let weight = weight.value.f_permute([0, 3, 1, 2])?.f_to_kind(kind)?;
    let stride = [layer.stride_t as i64, layer.stride_f as i64];
    let mut h = x.f_conv2d(&weight, None::<&Tensor>, stride, [0, layer.pad_f() as i64], [1, 1], 1)?;
    h = h.f_batch_norm(
        Some(&bn_weight.value),
        Some(&bn_bias.value),
        Some(&bn_mean.value),
        Some(&bn_variance.value),
        training,
        BN_MOMENTUM,
        BN_EPSILON,
        true,
    )?;
    if let [squeeze, squeeze_bias, excite, excite_bias] = squeeze {
        let mean = h.f_mean_dim([3i64].as_slice(), true, Kind::Float)?;
        let reduced = pointwise(&mean, squeeze, squeeze_bias)?.f_relu_()?;
        let gate = pointwise(&reduced, excite, excite_bias)?.f_sigmoid()?;
        h = h.f_mul(&gate.f_to_kind(kind)?)?;
    }
    if layer.residual {
        h = h.f_add(&x.f_narrow(2, layer.skip_start() as i64, h.size()[2])?)?;
    }
    Ok(h.f_relu_()?)
}

/// A 1x1 convolution with weight `(out, in)`, in single precision.
fn pointwise(x: &Tensor, weight: &Param, bias: &Param) -> Result<Tensor> {
    let weight = weight.value.f_unsqueeze(-1)?.f_unsqueeze(-1)?;
    Ok(x.f_conv2d(&weight, Some(&bias.value), [1, 1], [0, 0], [1, 1], 1)?)
}

#[cfg(test)]
mod tests {
    use super::super::{n_output_frames, receptive_field};
    use super::*;
    use crate::train::recipe::Network;
    use tch::Device;

    const PLAIN: ConvLayer = ConvLayer {
        channels: 4,
        kernel_t: 4,
        kernel_f: 5,
        stride_t: 2,
        stride_f: 2,
        pad_f: None,
        residual: false,
        squeeze: 0,
    };

    /// 16 bands, a pulse of 8 frames.
    fn networks() -> [Network; 3] {
        let small = |channels, stride_t, stride_f| ConvLayer {
            channels,
            kernel_t: 3,
            kernel_f: 3,
            stride_t,
            stride_f,
            ..PLAIN
        };
        let plain = vec![PLAIN, small(6, 2, 2), small(8, 2, 1)];
        let mut squeezed = plain.clone();
        squeezed[1].squeeze = 2;
        squeezed[2].squeeze = 8;
        let mut residual = plain.clone();
        residual.insert(1, ConvLayer { residual: true, ..small(4, 1, 1) });
        residual.push(ConvLayer { residual: true, kernel_t: 2, squeeze: 3, ..small(8, 1, 1) });
        let network = |layers, pool| Network { layers, dropout: 0.0, pool };
        [network(plain, Pool::Mean), network(squeezed, Pool::Max), network(residual, Pool::Mean)]
    }

    #[test]
    fn frame_logits_depend_on_their_receptive_field_alone() {
        for network in networks() {
            let field = receptive_field(&network.layers);
            let student = Student::new(&network, 16, 3, 0, 7, Device::Cpu).unwrap();
            let n_frames = field + 5 * 8 + 3;
            let x = Tensor::randn([1, n_frames as i64, 16], (Kind::Float, Device::Cpu));
            let whole = student.frame_logits(&x).unwrap();
            assert_eq!(whole.size(), [1, 3, 6]);
            assert_eq!(n_output_frames(&network.layers, n_frames), 6);
            for j in 0..6 {
                let alone = student.frame_logits(&x.narrow(1, 8 * j, field as i64)).unwrap();
                assert_eq!(alone.size(), [1, 3, 1]);
                let difference = (alone.squeeze_dim(2) - whole.select(2, j)).abs().max().double_value(&[]);
                assert!(difference < 1e-5, "frame {j} differs by {difference} in {network:?}");
            }
        }
    }

    /// One layer, worked out value by value: a kernel that copies its middle frame, batch norm without effect.
    #[test]
    fn skip_and_gate_are_what_they_are_called() {
        let layer = ConvLayer { channels: 1, kernel_t: 3, kernel_f: 1, stride_t: 1, stride_f: 1, ..PLAIN };
        let layer = ConvLayer { residual: true, squeeze: 1, ..layer };
        let network = Network { layers: vec![layer], dropout: 0.0, pool: Pool::Mean };
        let mut student = Student::new(&network, 2, 2, 0, 1, Device::Cpu).unwrap();
        for param in student.params_mut() {
            let value: &[f32] = match param.name.as_str() {
                "conv0.weight" => &[0.0, 1.0, 0.0],
                "conv0.squeeze.weight" => &[2.0],
                "conv0.squeeze.bias" => &[1.0],
                "conv0.excite.weight" => &[-1.0],
                "conv0.excite.bias" => &[3.0],
                _ => continue,
            };
            tch::no_grad(|| param.value.copy_(&Tensor::from_slice(value).view_as(&param.value)));
        }
        let x = Tensor::from_slice(&[9.0f32, 9.0, 1.0, 3.0, -4.0, 2.0, 9.0, 9.0]).view([1, 4, 2]);
        let features: Vec<f32> = student.embed(&x, Precision::F32, false).unwrap().view([-1]).try_into().unwrap();
        let sigmoid = |z: f32| 1.0 / (1.0 + (-z).exp());
        let scale = 1.0 / (1.0 + BN_EPSILON as f32).sqrt();
        let expected = [[1.0f32, 3.0], [-4.0, 2.0]].map(|[a, b]| {
            let squeezed = (2.0 * scale * (a + b) / 2.0 + 1.0).max(0.0);
            let gate = sigmoid(3.0 - squeezed);
            ((a + a * scale * gate).max(0.0) + (b + b * scale * gate).max(0.0)) / 2.0
        });
        assert_eq!(features.len(), 2);
        for (actual, expected) in features.iter().zip(expected) {
            assert!((actual - expected).abs() < 1e-6, "{actual} {expected}");
        }
    }

    #[test]
    fn every_trained_tensor_gets_a_gradient_in_both_precisions() {
        for network in networks() {
            for precision in [Precision::F32, Precision::Bf16] {
                let student = Student::new(&network, 16, 3, 0, 7, Device::Cpu).unwrap();
                let x = Tensor::randn([4, 80, 16], (Kind::Float, Device::Cpu));
                let features =
                    student.embed(&x, precision, true).unwrap().mean_dim([2i64].as_slice(), false, Kind::Float);
                student.classify(&features).unwrap().square().sum(Kind::Float).backward();
                for param in student.params().iter().filter(|p| p.trained) {
                    let size = param.value.grad().abs().max().double_value(&[]);
                    assert!(size > 0.0 && size.is_finite(), "{}: {size} in {network:?}", param.name);
                }
            }
        }
    }
}

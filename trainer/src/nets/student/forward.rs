//! The student's forward pass.
//!
//! Enters: normalised log-mel crops `(B, T, n_mels)`. Leaves: features `(B, channels, T')`, logits,
//! and the prediction of the teacher's embedding. Runs on the training thread.

use super::{BN_EPSILON, ConvLayer, Param, Student};
use crate::error::Result;
use crate::nets::Precision;
use tch::{Kind, Tensor};

/// Share of a batch's statistics in the running ones.
const BN_MOMENTUM: f64 = 0.1;
/// Tensors of a convolution layer: weight, batch-norm weight, bias, running mean and running
/// variance.
const TENSORS_PER_LAYER: usize = 5;

impl Student {
    /// Features before the head, pooled over frequency: `(B, T, n_mels)` to `(B, channels, T')`,
    /// single precision.
    ///
    /// # Errors
    ///
    /// If `T` is shorter than the receptive field, or libtorch reports an error.
    pub fn embed(&self, x: &Tensor, precision: Precision, training: bool) -> Result<Tensor> {
        let kind = if precision == Precision::Bf16 { Kind::BFloat16 } else { Kind::Float };
        let mut h = x.f_unsqueeze(1)?.f_to_kind(kind)?;
        for (layer, params) in self.network.layers.iter().zip(self.params.chunks(TENSORS_PER_LAYER)) {
            h = convolve(layer, params, &h, kind, training)?;
        }
        Ok(h.f_to_kind(Kind::Float)?.f_mean_dim([3i64].as_slice(), false, Kind::Float)?)
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

    /// The prediction of the teacher's embedding, from features `(B, channels)`: `(B, n_teacher)`;
    /// none without a teacher.
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

    /// Frame logits `(B, C, T')` of `(B, T, n_mels)`, as deployed: running statistics, single
    /// precision, no gradients.
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
fn convolve(layer: &ConvLayer, params: &[Param], x: &Tensor, kind: Kind, training: bool) -> Result<Tensor> {
    let [weight, bn_weight, bn_bias, bn_mean, bn_variance] = params else { unreachable!("five tensors a layer") };
    let weight = weight.value.f_permute([0, 3, 1, 2])?.f_to_kind(kind)?;
    let stride = [layer.stride_t as i64, layer.stride_f as i64];
    let (pad, dilation) = ([0, layer.pad_f() as i64], [layer.dilation_t as i64, 1]);
    let h = x.f_conv2d(&weight, None::<&Tensor>, stride, pad, dilation, 1)?;
    let mut h = h.f_batch_norm(
        Some(&bn_weight.value),
        Some(&bn_bias.value),
        Some(&bn_mean.value),
        Some(&bn_variance.value),
        training,
        BN_MOMENTUM,
        BN_EPSILON,
        true,
    )?;
    Ok(h.f_relu_()?)
}

#[cfg(test)]
mod tests {
    use super::super::{StudentConfig, n_output_frames, receptive_field};
    use super::*;
    use tch::Device;

    /// 16 bands, a pulse of 8 frames.
    fn networks() -> [StudentConfig; 3] {
        let layer = |channels, kernel_t, kernel_f, stride_t, stride_f| ConvLayer {
            channels,
            kernel_t,
            kernel_f,
            dilation_t: 1,
            stride_t,
            stride_f,
            pad_f: None,
        };
        let plain = vec![layer(4, 4, 5, 2, 2), layer(6, 3, 3, 2, 2), layer(8, 3, 3, 2, 1)];
        let mut deep = plain.clone();
        deep.insert(1, layer(5, 3, 3, 1, 1));
        deep.push(layer(7, 2, 3, 1, 1));
        let mut dilated = deep.clone();
        dilated[1].dilation_t = 2;
        dilated[4].dilation_t = 3;
        [plain, deep, dilated].map(StudentConfig::new)
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

//! Batch norms of a network whose own were folded away.
//!
//! Enters: a student that computes the right thing with batch norms that do nothing, and typical input. Leaves: the same function, with
//! batch norms whose running statistics are those of the layers' values: a training, which normalises by the batch, then begins
//! where the network stands. Runs on the training thread.

use super::forward::{TENSORS_A_LAYER, convolve};
use super::{BN_EPSILON, Student};
use crate::error::Result;
use tch::Kind;

impl Student {
    /// Settles the batch norms on `x`, `(B, T, n_mels)`.
    ///
    /// # Errors
    ///
    /// If `T` is shorter than the receptive field, or libtorch reports an error.
    pub fn settle(&mut self, x: &tch::Tensor) -> Result<()> {
        tch::no_grad(|| {
            let (mut h, mut first) = (x.f_unsqueeze(1)?, 0);
            for layer in self.network.layers.clone() {
                let n_tensors = TENSORS_A_LAYER;
                let params = &mut self.params[first..first + n_tensors];
                let kernel = params[0].value.f_permute([0, 3, 1, 2])?;
                let stride = [layer.stride_t as i64, layer.stride_f as i64];
                let y = h.f_conv2d(&kernel, None::<&tch::Tensor>, stride, [0, layer.pad_f() as i64], [1, 1], 1)?;
                let over = [0i64, 2, 3].as_slice();
                let (mean, variance) = (y.f_mean_dim(over, false, Kind::Float)?, y.f_var_dim(over, false, false)?);
                let [_, weight, bias, old_mean, old_variance, ..] = params else {
                    unreachable!("five tensors a layer")
                };
                let deviation = |v: &tch::Tensor| v.f_add_scalar(BN_EPSILON)?.f_sqrt();
                let scale = weight.value.f_div(&deviation(&old_variance.value)?)?;
                let shift = mean.f_sub(&old_mean.value)?.f_mul(&scale)?.f_add(&bias.value)?;
                weight.value.f_copy_(&scale.f_mul(&deviation(&variance)?)?)?;
                bias.value.f_copy_(&shift)?;
                old_mean.value.f_copy_(&mean)?;
                old_variance.value.f_copy_(&variance)?;
                h = convolve(&layer, &self.params[first..first + n_tensors], &h, Kind::Float, false)?;
                first += n_tensors;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::nets::student::Student;
    use crate::train::recipe::{ConvLayer, Network, Precision};
    use tch::{Device, Kind, Tensor};

    #[test]
    fn the_function_stays_and_training_begins_near_it() {
        let layer = |channels, stride_t| ConvLayer {
            channels,
            kernel_t: 3,
            kernel_f: 3,
            stride_t,
            stride_f: 2,
            pad_f: None,
        };
        let network = Network { layers: vec![layer(6, 2), layer(8, 4)], dropout: 0.0 };
        let mut student = Student::new(&network, 16, 3, 0, 7, Device::Cpu).unwrap();
        let x = Tensor::randn([16, 40, 16], (Kind::Float, Device::Cpu)) * 3.0 + 1.0;
        let embed = |student: &Student, training| student.embed(&x, Precision::F32, training).unwrap();
        let before = embed(&student, false);
        let difference = |student: &Student, training| {
            let difference = (embed(student, training) - &before).abs().max();
            difference.double_value(&[]) / before.abs().max().double_value(&[])
        };
        // A pass of a training moves the running statistics.
        let unsettled = student.frozen_copy().unwrap();
        assert!(difference(&unsettled, true) > 0.1, "training normalises it away");
        student.settle(&x).unwrap();
        assert!(difference(&student, false) < 1e-5);
        assert!(difference(&student, true) < 1e-3, "{}", difference(&student, true));
    }
}

//! A convolution with its weights: activations of one layer enter, those of the next leave.

use crate::error::{Result, check};
use crate::geometry::Geometry;
use crate::kernel::{Kernel, Sums};
use crate::layout::{BLOCK, Layout};

/// The numbers of a layer. An output is `round(multiplier * (bias + sum)) + output_zero`, limited
/// to what an `i8` holds, where the sum is of `weight * (input - input_zero)` and halves are rounded
/// to the even number: ONNX's definition of `QLinearConv`, whose scales are
/// `multiplier = scale_of_input * scale_of_weights / scale_of_output`.
#[derive(Debug, Clone, Copy)]
pub struct Parameters<'a> {
    /// `(out, in, rows, columns)`, row-major.
    pub weight: &'a [i8],
    /// One per output channel, in steps of the sum.
    pub bias: &'a [i32],
    /// One per output channel.
    pub multiplier: &'a [f32],
    /// The input that stands for 0.
    pub input_zero: i8,
    /// The output that stands for 0.
    pub output_zero: i8,
}

/// A convolution of 8-bit activations, ready to run on one kernel.
#[derive(Debug, Clone)]
pub struct Conv {
    geometry: Geometry,
    kernel: Kernel,
    layout: Layout,
    /// Blocks of [`BLOCK`] output channels; see [`Layout::pack`].
    weight: Vec<i8>,
    /// With the part of the sum that does not depend on the input.
    bias: Vec<i32>,
    multiplier: Vec<f32>,
    input_zero: i8,
    output_zero: i8,
}

impl Conv {
    /// Arranges the weights for `kernel`.
    ///
    /// # Errors
    ///
    /// When a size of the geometry is 0, or there are not as many weights, biases or multipliers as
    /// it asks for.
    pub fn new(geometry: Geometry, parameters: &Parameters<'_>, kernel: Kernel) -> Result<Self> {
        let &Parameters { weight, bias, multiplier, input_zero, output_zero } = parameters;
        check("sizes of at least 1", 1, usize::from(geometry.is_valid()))?;
        let channels = geometry.channels[1];
        check("weights", channels * geometry.n_weights(), weight.len())?;
        check("biases", channels, bias.len())?;
        check("multipliers", channels, multiplier.len())?;
        let order = kernel.order();
        let layout = Layout::new(geometry, order.group);
        let n_padded = channels.next_multiple_of(BLOCK);
        let biases = bias.iter().zip(weight.chunks_exact(geometry.n_weights())).map(|(bias, weights)| {
            let sum: i32 = weights.iter().map(|&weight| i32::from(weight)).sum();
            bias.wrapping_sub(sum.wrapping_mul(i32::from(input_zero) - order.shift))
        });
        Ok(Conv {
            weight: layout.pack(weight, order.interleaved),
            bias: biases.chain(std::iter::repeat(0)).take(n_padded).collect(),
            multiplier: multiplier.iter().copied().chain(std::iter::repeat(0.0)).take(n_padded).collect(),
            layout,
            geometry,
            kernel,
            input_zero,
            output_zero,
        })
    }

    /// The geometry that the convolution was made with.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Convolves `input`, `(channels, rows, columns)` row-major with the rows and columns of
    /// `shape`, into `output` of the same order, whose rows and columns [`Geometry::output`] gives.
    ///
    /// # Errors
    ///
    /// When a slice has the wrong length; `output` is unchanged then.
    pub fn run(&self, input: &[i8], shape: [usize; 2], output: &mut [i8]) -> Result<()> {
        let [channels_in, channels_out] = self.geometry.channels;
        let n_places: usize = self.geometry.output(shape).iter().product();
        check("values of the input", channels_in * shape[0] * shape[1], input.len())?;
        check("values of the output", channels_out * n_places, output.len())?;
        if output.is_empty() {
            return Ok(());
        }
        let sums = Sums {
            weight: &self.weight,
            runs: &self.layout.runs(shape[1]),
            run_len: self.layout.run_len,
            places: &self.layout.outputs(shape),
        };
        let finish = Finish {
            bias: &self.bias,
            multiplier: &self.multiplier,
            zero: self.output_zero,
            channels: channels_out,
            n_places,
            output,
        };
        self.kernel.run(&sums, &self.layout, input, shape, self.input_zero, finish);
        Ok(())
    }
}

/// From sums to the next layer's activations.
pub(crate) struct Finish<'a> {
    bias: &'a [i32],
    multiplier: &'a [f32],
    zero: i8,
    channels: usize,
    n_places: usize,
    output: &'a mut [i8],
}

impl Finish<'_> {
    /// Takes the sums of one block of channels at one place.
    #[inline(always)]
    pub(crate) fn put(&mut self, block: usize, place: usize, sums: &[i32; BLOCK]) {
        let begin = block * BLOCK;
        let (bias, multiplier) = (&self.bias[begin..begin + BLOCK], &self.multiplier[begin..begin + BLOCK]);
        let zero = f32::from(self.zero);
        let mut values = [0i8; BLOCK];
        for at in 0..BLOCK {
            let sum = sums[at].wrapping_add(bias[at]) as f32;
            // Limited first, so that the rounding is exact.
            let limited = (sum * multiplier[at]).clamp(-128.0 - zero, 127.0 - zero);
            let rounded = (limited + ROUND) - ROUND;
            values[at] = (rounded + zero) as i32 as i8;
        }
        let n = BLOCK.min(self.channels - begin);
        let planes = self.output[begin * self.n_places..].iter_mut().skip(place).step_by(self.n_places);
        planes.zip(&values[..n]).for_each(|(to, &value)| *to = value);
    }
}

/// Single precision has no places after the point from here on, so adding and subtracting this
/// rounds, halves to the even number. `f32::round_ties_even` is a call where the compiler may not
/// assume SSE 4.1.
const ROUND: f32 = 12_582_912.0;

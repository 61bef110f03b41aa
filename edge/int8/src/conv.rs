//! A convolution with its weights: activations of one layer enter, those of the next leave.

use crate::error::{Result, check};
use crate::finish::Finish;
use crate::geometry::Geometry;
use crate::kernel::{Kernel, Source, Sums};
use crate::layout::{BLOCK, Layout};
use crate::scratch::Scratch;

/// The numbers of a layer. An output is `round(multiplier * (bias + sum)) + output_zero`, limited
/// to what an `i8` holds, where the sum is of `weight * (input - input_zero)` and halves are
/// rounded to the even number: ONNX's definition of `QLinearConv`, whose scales are
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
        check("smallest size", 1, geometry.smallest_size().min(1))?;
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
        self.run_with_scratch(input, shape, output, &mut Scratch::default())
    }

    /// As [`run`](Self::run), with `scratch` as its working memory.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    ///
    /// # Real-time
    ///
    /// Does not allocate where `scratch` has served an input of this shape before.
    pub fn run_with_scratch(
        &self,
        input: &[i8],
        shape: [usize; 2],
        output: &mut [i8],
        scratch: &mut Scratch,
    ) -> Result<()> {
        let [channels_in, channels_out] = self.geometry.channels;
        let n_places: usize = self.geometry.output(shape).iter().product();
        check("values of the input", channels_in * shape[0] * shape[1], input.len())?;
        check("values of the output", channels_out * n_places, output.len())?;
        if output.is_empty() {
            return Ok(());
        }
        let Scratch { runs, places, input: arranged } = scratch;
        self.layout.runs(shape[1], runs);
        self.layout.outputs(shape, places);
        let sums = Sums { weight: &self.weight, runs, run_len: self.layout.run_len, places };
        let finish = Finish {
            bias: &self.bias,
            multiplier: &self.multiplier,
            zero: self.output_zero,
            channels: channels_out,
            n_places,
            output,
        };
        let source = Source { layout: &self.layout, input, shape, zero: self.input_zero };
        self.kernel.run(&sums, source, arranged, finish);
        Ok(())
    }
}

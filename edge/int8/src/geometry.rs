//! Kernel, stride, dilation and padding of a convolution, and the shape of its output.

/// A two-dimensional convolution without groups. Pairs are of the rows (the time axis of the
/// daemon's networks) and the columns (frequency).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Geometry {
    /// Of the input and of the output.
    pub channels: [usize; 2],
    /// Size of the kernel.
    pub kernel: [usize; 2],
    /// From one output to the next, in places of the input.
    pub stride: [usize; 2],
    /// From one weight to the next, in places of the input.
    pub dilation: [usize; 2],
    /// Places added before and after each axis. They hold the input's zero point.
    pub padding: [(usize, usize); 2],
}

impl Default for Geometry {
    fn default() -> Self {
        Geometry { channels: [1, 1], kernel: [1, 1], stride: [1, 1], dilation: [1, 1], padding: [(0, 0), (0, 0)] }
    }
}

impl Geometry {
    /// Rows and columns of the output for those of an `input`; 0 where the kernel does not fit.
    pub fn output(&self, input: [usize; 2]) -> [usize; 2] {
        let padded = self.padded(input);
        std::array::from_fn(|axis| {
            let field = (self.kernel[axis] - 1) * self.dilation[axis] + 1;
            padded[axis].checked_sub(field).map_or(0, |rest| rest / self.stride[axis] + 1)
        })
    }

    /// Rows and columns of the padded input.
    pub(crate) fn padded(&self, input: [usize; 2]) -> [usize; 2] {
        std::array::from_fn(|axis| self.padding[axis].0 + input[axis] + self.padding[axis].1)
    }

    /// Weights of one output channel.
    pub(crate) fn n_weights(&self) -> usize {
        self.channels[0] * self.kernel[0] * self.kernel[1]
    }

    /// The smallest of all sizes that have to be 1 at least.
    pub(crate) fn smallest_size(&self) -> usize {
        let sizes = [self.channels, self.kernel, self.stride, self.dilation];
        sizes.as_flattened().iter().copied().min().unwrap_or(0)
    }
}

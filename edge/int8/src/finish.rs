//! From sums to the next layer's activations.

use crate::layout::BLOCK;

/// Single precision has no places after the point from here on, so adding and subtracting this
/// rounds, halves to the even number. `f32::round_ties_even` is a call where the compiler may not
/// assume SSE 4.1.
const ROUND: f32 = 12_582_912.0;

/// What makes activations of sums, and where they go.
pub(crate) struct Finish<'a> {
    pub(crate) bias: &'a [i32],
    pub(crate) multiplier: &'a [f32],
    /// The output that stands for 0.
    pub(crate) zero: i8,
    /// Output channels, without those that fill the last block.
    pub(crate) channels: usize,
    /// Places of an output channel.
    pub(crate) n_places: usize,
    /// `(channels, n_places)`.
    pub(crate) output: &'a mut [i8],
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

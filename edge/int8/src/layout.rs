//! The order of values in memory that the kernels read without jumps: activations with the channels
//! of one place together, and weights in blocks of output channels.

use crate::geometry::Geometry;

/// Output channels of a block of weights.
pub(crate) const BLOCK: usize = 16;

/// Where the values of a convolution lie. Of each place, `cell` values follow one another: its
/// channels and, up to a multiple of the kernel's group, values that meet weights of 0.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    geometry: Geometry,
    /// Values of a place.
    cell: usize,
    /// Input values that a kernel reads at a stretch. A row of the kernel is one run unless it is
    /// dilated.
    pub(crate) run_len: usize,
    runs_per_row: usize,
}

impl Layout {
    /// For a kernel that takes `group` values of the input at once.
    pub(crate) fn new(geometry: Geometry, group: usize) -> Self {
        let cell = geometry.channels[0].next_multiple_of(group);
        let kernel_columns = geometry.kernel[1];
        let (run_len, runs_per_row) =
            if geometry.dilation[1] == 1 { (cell * kernel_columns, 1) } else { (cell, kernel_columns) };
        Layout { geometry, cell, run_len, runs_per_row }
    }

    /// Fills `runs` with where the runs of an output begin, counted from its first value, for an
    /// input of `columns` columns.
    pub(crate) fn runs(&self, columns: usize, runs: &mut Vec<usize>) {
        let row_len = self.row_len(columns);
        let [dilation, dilation_columns] = self.geometry.dilation;
        runs.clear();
        runs.extend((0..self.geometry.kernel[0]).flat_map(|row| {
            (0..self.runs_per_row).map(move |column| row * dilation * row_len + column * dilation_columns * self.cell)
        }));
    }

    /// Fills `places` with where the first value of each output lies.
    pub(crate) fn outputs(&self, input: [usize; 2], places: &mut Vec<usize>) {
        let [rows, columns] = self.geometry.output(input);
        let row_len = self.row_len(input[1]);
        let [stride, stride_columns] = self.geometry.stride;
        places.clear();
        places.extend((0..rows).flat_map(|row| {
            (0..columns).map(move |column| row * stride * row_len + column * stride_columns * self.cell)
        }));
    }

    /// Fills `places` with the padded input, the channels of a place together, and returns it. Rows
    /// that no output needs, and values that meet weights of 0, are left as they were.
    pub(crate) fn arrange<'p, T: Copy + Default>(
        &self,
        input: &[i8],
        shape: [usize; 2],
        zero: i8,
        convert: impl Fn(i8) -> T,
        places: &'p mut Vec<T>,
    ) -> &'p [T] {
        let zero = convert(zero);
        let [rows, columns] = shape;
        let [(before, _), (left, right)] = self.geometry.padding;
        let (padded_rows, row_len, cell) = (self.geometry.padded(shape)[0], self.row_len(columns), self.cell);
        let output_rows = self.geometry.output(shape)[0];
        places.resize(padded_rows * row_len, T::default());
        for (at, row) in places.chunks_exact_mut(row_len).enumerate() {
            if !self.needs(at, output_rows) {
                continue;
            }
            let Some(source) = at.checked_sub(before).filter(|&source| source < rows) else {
                row.fill(zero);
                continue;
            };
            row[..left * cell].fill(zero);
            row[(left + columns) * cell..(left + columns + right) * cell].fill(zero);
            let cells = row[left * cell..(left + columns) * cell].chunks_exact_mut(cell);
            for (column, place) in cells.enumerate() {
                let values = input[source * columns + column..].iter().step_by(rows * columns);
                place.iter_mut().zip(values).for_each(|(to, &value)| *to = convert(value));
            }
        }
        places
    }

    /// Weights of one block after another, and within a block run after run: `interleaved` weights
    /// of each output channel of the block for as many values of the input. Enter: weights of shape
    /// `(out, in, rows, columns)`.
    pub(crate) fn pack(&self, weight: &[i8], interleaved: usize) -> Vec<i8> {
        let channels_out = self.geometry.channels[1];
        let [kernel_rows, kernel_columns] = self.geometry.kernel;
        let per_output = kernel_rows * kernel_columns * self.cell;
        let mut packed = vec![0; channels_out.div_ceil(BLOCK) * BLOCK * per_output];
        for (out, weights) in weight.chunks_exact(self.geometry.n_weights()).enumerate() {
            let block = &mut packed[out / BLOCK * BLOCK * per_output..];
            for (channel, weights) in weights.chunks_exact(kernel_rows * kernel_columns).enumerate() {
                for (place, &weight) in weights.iter().enumerate() {
                    let at = place * self.cell + channel;
                    block[at / interleaved * interleaved * BLOCK + out % BLOCK * interleaved + at % interleaved] =
                        weight;
                }
            }
        }
        packed
    }

    /// Whether an output needs this row of the padded input.
    fn needs(&self, row: usize, output_rows: usize) -> bool {
        let (stride, dilation) = (self.geometry.stride[0], self.geometry.dilation[0]);
        (0..self.geometry.kernel[0]).any(|at| {
            row.checked_sub(at * dilation).is_some_and(|begin| begin % stride == 0 && begin / stride < output_rows)
        })
    }

    fn row_len(&self, columns: usize) -> usize {
        self.geometry.padded([0, columns])[1] * self.cell
    }
}

use std::cell::RefCell;

use proptest::prelude::*;

use super::*;

/// The definition, term by term.
fn reference(geometry: &Geometry, parameters: &Parameters, input: &[i8], [rows, columns]: [usize; 2]) -> Vec<i8> {
    let [channels_in, channels_out] = geometry.channels;
    let [kernel_rows, kernel_columns] = geometry.kernel;
    let [n_rows, n_columns] = geometry.output([rows, columns]);
    let place = |axis: usize, out: usize, at: usize, len: usize| {
        let place = out * geometry.stride[axis] + at * geometry.dilation[axis];
        place.checked_sub(geometry.padding[axis].0).filter(|&place| place < len)
    };
    let mut output = Vec::new();
    for out in 0..channels_out {
        for (row, column) in (0..n_rows).flat_map(|row| (0..n_columns).map(move |column| (row, column))) {
            let mut sum = parameters.bias[out];
            for channel in 0..channels_in {
                for (r, c) in (0..kernel_rows).flat_map(|r| (0..kernel_columns).map(move |c| (r, c))) {
                    let (Some(y), Some(x)) = (place(0, row, r, rows), place(1, column, c, columns)) else { continue };
                    let weight = ((out * channels_in + channel) * kernel_rows + r) * kernel_columns + c;
                    let value = i32::from(input[(channel * rows + y) * columns + x]) - i32::from(parameters.input_zero);
                    sum += i32::from(parameters.weight[weight]) * value;
                }
            }
            let zero = f32::from(parameters.output_zero);
            output
                .push(((sum as f32 * parameters.multiplier[out]).round_ties_even() + zero).clamp(-128.0, 127.0) as i8);
        }
    }
    output
}

fn geometries() -> impl Strategy<Value = (Geometry, [usize; 2])> {
    let channels = [1usize..40, 1usize..40];
    let pairs = ([1usize..5, 1usize..6], [1usize..4, 1usize..4], [1usize..4, 1usize..3]);
    let padding = [(0usize..3, 0usize..3), (0usize..3, 0usize..3)];
    (channels, pairs, padding, [1usize..14, 1usize..14]).prop_map(
        |(channels, (kernel, stride, dilation), padding, shape)| {
            (Geometry { channels, kernel, stride, dilation, padding }, shape)
        },
    )
}

thread_local! {
    /// Full of what the cases before have left.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

proptest! {
    /// All kernels of this processor compute the definition byte for byte, with the extremes of
    /// weights and inputs among them.
    #[test]
    fn kernels_compute_the_definition((geometry, shape) in geometries(), seed in any::<u32>()) {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as u8
        };
        let mut extreme = || match next() { value @ 0..64 => if value % 2 == 0 { -128 } else { 127 }, value => value.cast_signed() };
        let [channels_in, channels_out] = geometry.channels;
        let n_weights = geometry.n_weights();
        let weight: Vec<i8> = (0..channels_out * n_weights)
            .map(|_| extreme())
            .collect();
        let bias: Vec<i32> = (0..channels_out).map(|_| i32::from(extreme()) * 100).collect();
        let scale = 1.0 / (n_weights as f32).sqrt() / 100.0;
        let multiplier: Vec<f32> = (0..channels_out).map(|_| scale * (3.0 + f32::from(extreme()) / 64.0)).collect();
        let parameters = Parameters {
            weight: &weight,
            bias: &bias,
            multiplier: &multiplier,
            input_zero: extreme(),
            output_zero: extreme(),
        };
        let input: Vec<i8> = (0..channels_in * shape[0] * shape[1]).map(|_| extreme()).collect();
        let expected = reference(&geometry, &parameters, &input, shape);
        for kernel in Kernel::available() {
            let conv = Conv::new(geometry, &parameters, kernel).unwrap();
            let mut output = vec![77; expected.len()];
            conv.run(&input, shape, &mut output).unwrap();
            prop_assert_eq!(&output, &expected, "{}", kernel.as_str());
            output.fill(77);
            SCRATCH.with_borrow_mut(|scratch| conv.run_with_scratch(&input, shape, &mut output, scratch)).unwrap();
            prop_assert_eq!(&output, &expected, "{}, in used memory", kernel.as_str());
        }
    }
}

#[test]
fn halves_are_rounded_to_the_even_number() {
    let parameters = Parameters { weight: &[1], bias: &[0], multiplier: &[0.5], input_zero: 10, output_zero: 20 };
    let input = [3, 5, 7, 9, 10, 11, 13, 15, 17];
    for kernel in Kernel::available() {
        let conv = Conv::new(Geometry::default(), &parameters, kernel).unwrap();
        let mut output = [0; 9];
        conv.run(&input, [9, 1], &mut output).unwrap();
        assert_eq!(output, [16, 18, 18, 20, 20, 20, 22, 22, 24], "{}", kernel.as_str());
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let parameters =
        Parameters { weight: &[1; 6], bias: &[0; 2], multiplier: &[1.0; 2], input_zero: 0, output_zero: 0 };
    let geometry = Geometry { channels: [3, 2], ..Geometry::default() };
    let conv = Conv::new(geometry, &parameters, Kernel::best()).unwrap();
    let refused = |input: usize, output: usize| {
        let mut values = vec![5; output];
        let error = conv.run(&vec![1; input], [2, 2], &mut values).unwrap_err();
        assert_eq!(values, vec![5; output]);
        error.to_string()
    };
    assert_eq!(refused(11, 8), "values of the input: expected 12, actual 11");
    assert_eq!(refused(12, 9), "values of the output: expected 8, actual 9");
    let other = |geometry, parameters: &Parameters| Conv::new(geometry, parameters, Kernel::best()).unwrap_err().what;
    assert_eq!(other(Geometry { stride: [0, 1], ..geometry }, &parameters), "smallest size");
    assert_eq!(other(geometry, &Parameters { weight: &[1; 5], ..parameters }), "weights");
    assert_eq!(other(geometry, &Parameters { bias: &[1], ..parameters }), "biases");
    assert_eq!(other(geometry, &Parameters { multiplier: &[1.0], ..parameters }), "multipliers");
    // A kernel that does not fit has no output.
    let geometry = Geometry { channels: [3, 2], kernel: [1, 1], dilation: [1, 1], ..geometry };
    let conv = Conv::new(geometry, &parameters, Kernel::best()).unwrap();
    conv.run(&[], [0, 5], &mut []).unwrap();
}

//! Sums in plain Rust, for every processor.

use super::Sums;
use crate::finish::Finish;
use crate::layout::BLOCK;

pub(super) fn run(sums: &Sums, input: &[i16], mut finish: Finish) {
    for block in 0..sums.n_blocks() {
        tiles!(
            sums.places.len(), place,
            2 => tile::<2>(sums, input, block, place, &mut finish),
            1 => tile::<1>(sums, input, block, place, &mut finish)
        );
    }
}

/// `N` places of a block: each weight is read once for all of them.
#[inline(always)]
fn tile<const N: usize>(sums: &Sums, input: &[i16], block: usize, place: usize, finish: &mut Finish) {
    let mut acc = [[0i32; BLOCK]; N];
    for run in 0..sums.runs.len() {
        let inputs: [&[i16]; N] = std::array::from_fn(|n| sums.input(input, place + n, run));
        for (at, weights) in sums.weights(block, run).as_chunks::<BLOCK>().0.iter().enumerate() {
            for n in 0..N {
                let value = i32::from(inputs[n][at]);
                for (acc, &weight) in acc[n].iter_mut().zip(weights) {
                    *acc += i32::from(i16::from(weight)) * value;
                }
            }
        }
    }
    for (n, acc) in acc.iter().enumerate() {
        finish.put(block, place + n, acc);
    }
}

//! Kernels with the vector instructions of aarch64. Every such processor has those of
//! [`multiply_add`], most since 2017 also those of [`dot_product`].

#![allow(unsafe_code)]
// Registers are indexed like the rows and columns of the tile that they are.
#![allow(clippy::needless_range_loop)]

use std::arch::aarch64::*;

use super::Sums;
use crate::finish::Finish;
use crate::layout::BLOCK;

/// Values in a group.
const GROUP: usize = 4;

/// Registers of four sums in a block.
const QUARTERS: usize = 4;

/// `smlal`: four products and additions, of 16 bits into 32.
pub(super) mod multiply_add {
    use super::*;

    pub(in super::super) fn run(sums: &Sums, input: &[i16], mut finish: Finish) {
        for block in 0..sums.n_blocks() {
            tiles!(
                sums.places.len(), place,
                4 => tile::<4>(sums, input, block, place, &mut finish),
                2 => tile::<2>(sums, input, block, place, &mut finish),
                1 => tile::<1>(sums, input, block, place, &mut finish)
            );
        }
    }

    #[inline(always)]
    fn tile<const N: usize>(sums: &Sums, input: &[i16], block: usize, place: usize, finish: &mut Finish) {
        // SAFETY: aarch64 has NEON; the loads are within the run's weights, `run_len * BLOCK`, and
        // its input, `run_len`.
        unsafe {
            let mut acc = [[vdupq_n_s32(0); QUARTERS]; N];
            for run in 0..sums.runs.len() {
                let weights = sums.weights(block, run).as_ptr();
                let inputs: [*const i16; N] = std::array::from_fn(|n| sums.input(input, place + n, run).as_ptr());
                for at in (0..sums.run_len).step_by(GROUP) {
                    let mut groups = [vdup_n_s16(0); N];
                    for n in 0..N {
                        groups[n] = vld1_s16(inputs[n].add(at));
                    }
                    macro_rules! lane {
                        ($lane:literal) => {
                            let weight = vld1q_s8(weights.add((at + $lane) * BLOCK));
                            let (low, high) = (vmovl_s8(vget_low_s8(weight)), vmovl_high_s8(weight));
                            for n in 0..N {
                                acc[n][0] = vmlal_lane_s16::<$lane>(acc[n][0], vget_low_s16(low), groups[n]);
                                acc[n][1] = vmlal_high_lane_s16::<$lane>(acc[n][1], low, groups[n]);
                                acc[n][2] = vmlal_lane_s16::<$lane>(acc[n][2], vget_low_s16(high), groups[n]);
                                acc[n][3] = vmlal_high_lane_s16::<$lane>(acc[n][3], high, groups[n]);
                            }
                        };
                    }
                    lane!(0);
                    lane!(1);
                    lane!(2);
                    lane!(3);
                }
            }
            put(block, place, &acc, finish);
        }
    }
}

/// `sdot`: sixteen products and additions, of 8 bits into 32.
pub(super) mod dot_product {
    use std::arch::asm;

    use super::*;

    /// # Safety
    ///
    /// The processor must have the extension `dotprod`.
    pub(in super::super) unsafe fn run(sums: &Sums, input: &[i8], mut finish: Finish) {
        for block in 0..sums.n_blocks() {
            tiles!(
                sums.places.len(), place,
                4 => tile::<4>(sums, input, block, place, &mut finish),
                2 => tile::<2>(sums, input, block, place, &mut finish),
                1 => tile::<1>(sums, input, block, place, &mut finish)
            );
        }
    }

    #[inline(always)]
    fn tile<const N: usize>(sums: &Sums, input: &[i8], block: usize, place: usize, finish: &mut Finish) {
        // SAFETY: as the caller of `run` promises; the loads are within the run's weights,
        // `run_len * BLOCK`, and its input, `run_len`.
        unsafe {
            let mut acc = [[vdupq_n_s32(0); QUARTERS]; N];
            for run in 0..sums.runs.len() {
                let weights = sums.weights(block, run).as_ptr();
                let inputs: [*const i8; N] = std::array::from_fn(|n| sums.input(input, place + n, run).as_ptr());
                for at in (0..sums.run_len).step_by(GROUP) {
                    let mut groups = [vdupq_n_s8(0); N];
                    for n in 0..N {
                        let group = inputs[n].add(at).cast::<i32>().read_unaligned();
                        groups[n] = vreinterpretq_s8_s32(vdupq_n_s32(group));
                    }
                    for quarter in 0..QUARTERS {
                        let weight = vld1q_s8(weights.add(at * BLOCK + quarter * BLOCK));
                        for n in 0..N {
                            // The intrinsic is not stable yet.
                            asm!(
                                ".arch_extension dotprod",
                                "sdot {sums:v}.4s, {weight:v}.16b, {group:v}.16b",
                                sums = inout(vreg) acc[n][quarter],
                                weight = in(vreg) weight,
                                group = in(vreg) groups[n],
                                options(pure, nomem, nostack, preserves_flags),
                            );
                        }
                    }
                }
            }
            put(block, place, &acc, finish);
        }
    }
}

/// Hands on the sums of a tile.
#[inline(always)]
fn put<const N: usize>(block: usize, place: usize, acc: &[[int32x4_t; QUARTERS]; N], finish: &mut Finish) {
    for (n, acc) in acc.iter().enumerate() {
        let mut block_sums = [0i32; BLOCK];
        for (to, &sums) in block_sums.as_chunks_mut::<4>().0.iter_mut().zip(acc) {
            // SAFETY: four sums of 32 bits are 128 bits.
            unsafe { vst1q_s32(to.as_mut_ptr(), sums) };
        }
        finish.put(block, place + n, &block_sums);
    }
}

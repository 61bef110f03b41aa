//! Kernels with the vector instructions of x86-64. Their inputs and weights come in groups of four.
//!
//! Each kernel keeps the sums of some blocks of output channels at some places in registers, and
//! reads each weight once for all of these places. Closures are not used in them, because what is
//! not inlined into a function with a target feature does not have the feature.

#![allow(unsafe_code)]
// Registers are indexed like the rows and columns of the tile that they are.
#![allow(clippy::needless_range_loop)]

use super::Sums;
use crate::finish::Finish;
use crate::layout::BLOCK;

/// Values in a group.
const GROUP: usize = 4;

/// Bytes of the weights that a block has for a group.
const STEP: usize = BLOCK * GROUP;

/// `vpdpbusd` on registers of 512 bits: a register holds the sums of a block.
pub(super) mod avx512_vnni {
    use std::arch::x86_64::*;

    use super::*;

    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(in super::super) fn run(sums: &Sums, input: &[u8], mut finish: Finish) {
        tiles!(
            sums.n_blocks(), block,
            4 => blocks::<4>(sums, input, block, &mut finish),
            1 => blocks::<1>(sums, input, block, &mut finish)
        );
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512vnni")]
    fn blocks<const M: usize>(sums: &Sums, input: &[u8], block: usize, finish: &mut Finish) {
        tiles!(
            sums.places.len(), place,
            4 => tile::<M, 4>(sums, input, block, place, finish),
            2 => tile::<M, 2>(sums, input, block, place, finish),
            1 => tile::<M, 1>(sums, input, block, place, finish)
        );
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512vnni")]
    fn tile<const M: usize, const N: usize>(
        sums: &Sums,
        input: &[u8],
        block: usize,
        place: usize,
        finish: &mut Finish,
    ) {
        let mut acc = [[_mm512_setzero_si512(); N]; M];
        for run in 0..sums.runs.len() {
            let mut weights = [std::ptr::null::<i8>(); M];
            let mut inputs = [std::ptr::null::<u8>(); N];
            for m in 0..M {
                weights[m] = sums.weights(block + m, run).as_ptr();
            }
            for n in 0..N {
                inputs[n] = sums.input(input, place + n, run).as_ptr();
            }
            for at in 0..sums.run_len / GROUP {
                let mut weight = [_mm512_setzero_si512(); M];
                for m in 0..M {
                    // SAFETY: the run's weights are `run_len * BLOCK` long.
                    weight[m] = unsafe { _mm512_loadu_si512(weights[m].add(at * STEP).cast()) };
                }
                for n in 0..N {
                    // SAFETY: the run's input is `run_len` long.
                    let group = unsafe { inputs[n].add(at * GROUP).cast::<i32>().read_unaligned() };
                    let group = _mm512_set1_epi32(group);
                    for m in 0..M {
                        acc[m][n] = _mm512_dpbusd_epi32(acc[m][n], group, weight[m]);
                    }
                }
            }
        }
        for m in 0..M {
            for n in 0..N {
                let mut block_sums = [0i32; BLOCK];
                // SAFETY: 16 sums of 32 bits are 512 bits.
                unsafe { _mm512_storeu_si512(block_sums.as_mut_ptr().cast(), acc[m][n]) };
                finish.put(block + m, place + n, &block_sums);
            }
        }
    }
}

/// `vpdpbusd` on registers of 256 bits: two hold the sums of a block.
pub(super) mod avx_vnni {
    use std::arch::x86_64::*;

    use super::*;

    #[target_feature(enable = "avx2,avxvnni")]
    pub(in super::super) fn run(sums: &Sums, input: &[u8], mut finish: Finish) {
        for block in 0..sums.n_blocks() {
            tiles!(
                sums.places.len(), place,
                4 => tile::<4>(sums, input, block, place, &mut finish),
                2 => tile::<2>(sums, input, block, place, &mut finish),
                1 => tile::<1>(sums, input, block, place, &mut finish)
            );
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,avxvnni")]
    fn tile<const N: usize>(sums: &Sums, input: &[u8], block: usize, place: usize, finish: &mut Finish) {
        let mut acc = [[_mm256_setzero_si256(); 2]; N];
        for run in 0..sums.runs.len() {
            let weights = sums.weights(block, run).as_ptr();
            let mut inputs = [std::ptr::null::<u8>(); N];
            for n in 0..N {
                inputs[n] = sums.input(input, place + n, run).as_ptr();
            }
            for at in 0..sums.run_len / GROUP {
                let mut weight = [_mm256_setzero_si256(); 2];
                for half in 0..2 {
                    // SAFETY: the run's weights are `run_len * BLOCK` long.
                    weight[half] = unsafe { _mm256_loadu_si256(weights.add(at * STEP + half * STEP / 2).cast()) };
                }
                for n in 0..N {
                    // SAFETY: the run's input is `run_len` long.
                    let group = unsafe { inputs[n].add(at * GROUP).cast::<i32>().read_unaligned() };
                    let group = _mm256_set1_epi32(group);
                    for half in 0..2 {
                        acc[n][half] = _mm256_dpbusd_avx_epi32(acc[n][half], group, weight[half]);
                    }
                }
            }
        }
        for n in 0..N {
            let mut block_sums = [0i32; BLOCK];
            for half in 0..2 {
                // SAFETY: 8 sums of 32 bits are 256 bits.
                unsafe { _mm256_storeu_si256(block_sums[half * 8..].as_mut_ptr().cast(), acc[n][half]) };
            }
            finish.put(block, place + n, &block_sums);
        }
    }
}

/// `vpmaddwd`: inputs and weights as 16 bits. `vpmaddubsw` would be twice as fast but saturates.
pub(super) mod avx2 {
    use std::arch::x86_64::*;

    use super::*;

    #[target_feature(enable = "avx2")]
    pub(in super::super) fn run(sums: &Sums, input: &[i16], mut finish: Finish) {
        for block in 0..sums.n_blocks() {
            tiles!(
                sums.places.len(), place,
                2 => tile::<2>(sums, input, block, place, &mut finish),
                1 => tile::<1>(sums, input, block, place, &mut finish)
            );
        }
    }

    /// A register holds two sums of each of four output channels, which are added at the end.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn tile<const N: usize>(sums: &Sums, input: &[i16], block: usize, place: usize, finish: &mut Finish) {
        let mut acc = [[_mm256_setzero_si256(); 4]; N];
        for run in 0..sums.runs.len() {
            let weights = sums.weights(block, run).as_ptr();
            let mut inputs = [std::ptr::null::<i16>(); N];
            for n in 0..N {
                inputs[n] = sums.input(input, place + n, run).as_ptr();
            }
            for at in 0..sums.run_len / GROUP {
                let mut groups = [_mm256_setzero_si256(); N];
                for n in 0..N {
                    // SAFETY: the run's input is `run_len` long.
                    let group = unsafe { inputs[n].add(at * GROUP).cast::<i64>().read_unaligned() };
                    groups[n] = _mm256_set1_epi64x(group);
                }
                for quarter in 0..4 {
                    // SAFETY: the run's weights are `run_len * BLOCK` long.
                    let weight = unsafe { _mm_loadu_si128(weights.add(at * STEP + quarter * STEP / 4).cast()) };
                    let weight = _mm256_cvtepi8_epi16(weight);
                    for n in 0..N {
                        let products = _mm256_madd_epi16(groups[n], weight);
                        acc[n][quarter] = _mm256_add_epi32(acc[n][quarter], products);
                    }
                }
            }
        }
        for n in 0..N {
            let mut block_sums = [0i32; BLOCK];
            for half in 0..2 {
                let sums = _mm256_hadd_epi32(acc[n][half * 2], acc[n][half * 2 + 1]);
                // From channels 0, 1, 4, 5, 2, 3, 6, 7.
                let sums = _mm256_permute4x64_epi64::<0b11_01_10_00>(sums);
                // SAFETY: 8 sums of 32 bits are 256 bits.
                unsafe { _mm256_storeu_si256(block_sums[half * 8..].as_mut_ptr().cast(), sums) };
            }
            finish.put(block, place + n, &block_sums);
        }
    }
}

//! The processor's arithmetic alone: multiplications with additions on registers, as many as it can
//! do, with nothing loaded or stored. A network with this many of them cannot take less time.
//!
//! Each loop is the innermost instruction of the kernels that the daemon runs: those of the
//! inference library in single precision, those of `edge-int8` in 8 bits.

#![allow(unsafe_code)]

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use std::hint::black_box;

use edge_int8::Kernel;

/// Repetitions of a loop: some 30 us of work.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const N: u64 = 10_000;

/// A loop that computes.
pub struct Arithmetic {
    /// The vector unit.
    pub name: &'static str,
    /// Multiplications with additions of one call of `run`.
    pub multiply_adds: u64,
    /// Does them.
    pub run: fn(),
}

/// A loop for one kind of register: `$n_acc` sums, none of which waits for another, so that the
/// latency of an instruction does not count. The empty piece of assembly makes an operand new for
/// the compiler in each turn, so that it cannot take work out of the loop.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! arithmetic_loop {
    (
        $run:ident, $body:ident, $feature:literal, $class:ident, $n_acc:literal, $zero:expr, $operand:expr,
        |$acc:ident, $x:ident, $y:ident| $step:expr
    ) => {
        fn $run() {
            // SAFETY: `f32` and `int8` choose only what the processor has.
            unsafe { $body() }
        }

        #[target_feature(enable = $feature)]
        fn $body() {
            let (mut $x, $y) = ($operand, $operand);
            let mut sums = [$zero; $n_acc];
            for _ in 0..N {
                // SAFETY: there is no instruction in it.
                #[allow(asm_sub_register)]
                unsafe {
                    std::arch::asm!("/* {0} */", inout($class) $x, options(nomem, nostack, preserves_flags));
                }
                for $acc in &mut sums {
                    *$acc = $step;
                }
            }
            black_box(sums);
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod loops {
    use std::arch::x86_64::*;

    use super::*;

    arithmetic_loop!(
        avx512,
        avx512_body,
        "avx512f",
        zmm_reg,
        24,
        _mm512_setzero_ps(),
        _mm512_set1_ps(0.5),
        |acc, x, y| _mm512_fmadd_ps(x, y, *acc)
    );
    arithmetic_loop!(fma, fma_body, "avx2,fma", ymm_reg, 12, _mm256_setzero_ps(), _mm256_set1_ps(0.5), |acc, x, y| {
        _mm256_fmadd_ps(x, y, *acc)
    });
    arithmetic_loop!(
        avx512_vnni,
        avx512_vnni_body,
        "avx512f,avx512vnni",
        zmm_reg,
        24,
        _mm512_setzero_si512(),
        _mm512_set1_epi8(1),
        |acc, x, y| _mm512_dpbusd_epi32(*acc, x, y)
    );
    arithmetic_loop!(
        avx_vnni,
        avx_vnni_body,
        "avx2,avxvnni",
        ymm_reg,
        12,
        _mm256_setzero_si256(),
        _mm256_set1_epi8(1),
        |acc, x, y| _mm256_dpbusd_avx_epi32(*acc, x, y)
    );
    // The product is new for each sum, as it is in the kernel.
    arithmetic_loop!(avx2, avx2_body, "avx2", ymm_reg, 8, _mm256_setzero_si256(), _mm256_set1_epi16(1), |acc, x, y| {
        let mut weight = x;
        // SAFETY: there is no instruction in it.
        unsafe { std::arch::asm!("/* {0} */", inout(ymm_reg) weight, options(nomem, nostack, preserves_flags)) };
        _mm256_add_epi32(*acc, _mm256_madd_epi16(weight, y))
    });

    #[target_feature(enable = "avx512f")]
    pub(super) fn read(values: &[u64]) {
        let mut all = [_mm512_setzero_si512(); 4];
        for piece in values.as_chunks::<32>().0 {
            for (all, values) in all.iter_mut().zip(piece.as_chunks::<8>().0) {
                // SAFETY: eight values of 64 bits are 512 bits.
                *all = _mm512_xor_si512(*all, unsafe { _mm512_loadu_si512(values.as_ptr().cast()) });
            }
        }
        black_box(all);
    }

    pub(super) fn f32() -> Option<Arithmetic> {
        if is_x86_feature_detected!("avx512f") {
            return Some(Arithmetic { name: "avx512f", multiply_adds: N * 24 * 16, run: avx512 });
        }
        let has_fma = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        has_fma.then_some(Arithmetic { name: "fma", multiply_adds: N * 12 * 8, run: fma })
    }

    pub(super) fn int8(kernel: Kernel) -> Option<Arithmetic> {
        Some(match kernel.as_str() {
            name @ "avx512-vnni" => Arithmetic { name, multiply_adds: N * 24 * 64, run: avx512_vnni },
            name @ "avx-vnni" => Arithmetic { name, multiply_adds: N * 12 * 32, run: avx_vnni },
            name @ "avx2" => Arithmetic { name, multiply_adds: N * 8 * 16, run: avx2 },
            _ => return None,
        })
    }
}

#[cfg(target_arch = "aarch64")]
mod loops {
    use std::arch::aarch64::*;
    use std::arch::asm;

    use super::*;

    arithmetic_loop!(neon, neon_body, "neon", vreg, 24, vdupq_n_f32(0.0), vdupq_n_f32(0.5), |acc, x, y| vfmaq_f32(
        *acc, x, y
    ));
    arithmetic_loop!(multiply_add, multiply_add_body, "neon", vreg, 24, vdupq_n_s32(0), vdupq_n_s16(1), |acc, x, y| {
        vmlal_s16(*acc, vget_low_s16(x), vget_low_s16(y))
    });
    arithmetic_loop!(dot_product, dot_product_body, "neon", vreg, 24, vdupq_n_s32(0), vdupq_n_s8(1), |acc, x, y| {
        let mut sums = *acc;
        // SAFETY: `int8` has found the extension. The intrinsic is not stable yet.
        unsafe {
            asm!(
                ".arch_extension dotprod",
                "sdot {sums:v}.4s, {x:v}.16b, {y:v}.16b",
                sums = inout(vreg) sums,
                x = in(vreg) x,
                y = in(vreg) y,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        sums
    });

    pub(super) fn f32() -> Option<Arithmetic> {
        Some(Arithmetic { name: "neon", multiply_adds: N * 24 * 4, run: neon })
    }

    pub(super) fn int8(kernel: Kernel) -> Option<Arithmetic> {
        Some(match kernel.as_str() {
            name @ "dot-product" => Arithmetic { name, multiply_adds: N * 24 * 16, run: dot_product },
            name @ "neon" => Arithmetic { name, multiply_adds: N * 24 * 4, run: multiply_add },
            _ => return None,
        })
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod loops {
    use super::*;

    pub(super) fn f32() -> Option<Arithmetic> {
        None
    }

    pub(super) fn int8(_: Kernel) -> Option<Arithmetic> {
        None
    }
}

/// Reads `values` once. What a network reads once a pulse, its weights, cannot come faster.
pub fn read(values: &[u64]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has it.
        return unsafe { loops::read(values) };
    }
    std::hint::black_box(values.iter().fold(0, |all, value| all ^ value));
}

/// Single precision with the widest vectors of this processor, if it has vectors that multiply and
/// add in one instruction.
pub fn f32() -> Option<Arithmetic> {
    loops::f32()
}

/// 8 bits with the instruction of the daemon's kernel for this processor, if it is one for vectors.
pub fn int8() -> Option<Arithmetic> {
    loops::int8(Kernel::best())
}

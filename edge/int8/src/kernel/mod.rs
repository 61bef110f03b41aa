//! Sums of products: inputs and weights in the order of [`Layout`] enter, sums of 32 bits leave.

/// Covers `$n` places, or blocks, with tiles of the given sizes, largest first. `$at` is where a
/// tile begins; the last size has to be 1.
macro_rules! tiles {
    ($n:expr, $at:ident, $($size:literal => $tile:expr),+) => {{
        let n = $n;
        let mut $at = 0;
        $(while n - $at >= $size {
            $tile;
            $at += $size;
        })+
    }};
}

#[cfg(target_arch = "aarch64")]
mod neon;
mod plain;
#[cfg(target_arch = "x86_64")]
mod x86;

use crate::finish::Finish;
use crate::layout::{BLOCK, Layout};
use crate::scratch::Arranged;

/// How sums are computed. All kernels give the same sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel(Isa);

/// Only [`Kernel::available`] makes these, so a kernel's processor has its instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Isa {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(target_arch = "aarch64")]
    DotProduct,
}

impl Kernel {
    /// The kernels that this processor can run, slowest first.
    pub fn available() -> Vec<Kernel> {
        #[allow(unused_mut)]
        let mut kernels = vec![Kernel(Isa::Plain)];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            kernels.push(Kernel(Isa::Avx2));
            if is_x86_feature_detected!("avxvnni") {
                kernels.push(Kernel(Isa::AvxVnni));
            }
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni") {
                kernels.push(Kernel(Isa::Avx512Vnni));
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            kernels.push(Kernel(Isa::Neon));
            if std::arch::is_aarch64_feature_detected!("dotprod") {
                kernels.push(Kernel(Isa::DotProduct));
            }
        }
        kernels
    }

    /// The fastest kernel that this processor can run.
    pub fn best() -> Kernel {
        Kernel::available().last().copied().unwrap_or(Kernel(Isa::Plain))
    }

    /// The name in the table of the crate's documentation.
    pub fn as_str(self) -> &'static str {
        match self.0 {
            Isa::Plain => "plain",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Isa::AvxVnni => "avx-vnni",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => "avx512-vnni",
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => "neon",
            #[cfg(target_arch = "aarch64")]
            Isa::DotProduct => "dot-product",
        }
    }

    /// Whether 8 bits are known to take less time than single precision on the processors that have
    /// this kernel. With `neon` both execute about as many instructions, so it depends on the
    /// processor.
    pub fn beats_single_precision(self) -> bool {
        match self.0 {
            Isa::Plain => false,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::AvxVnni | Isa::Avx512Vnni => true,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => false,
            #[cfg(target_arch = "aarch64")]
            Isa::DotProduct => true,
        }
    }

    /// How activations and weights lie for this kernel.
    pub(crate) fn order(self) -> Order {
        match self.0 {
            Isa::Plain => Order { group: 1, interleaved: 1, shift: 0 },
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Order { group: 4, interleaved: 4, shift: 0 },
            #[cfg(target_arch = "x86_64")]
            Isa::AvxVnni | Isa::Avx512Vnni => Order { group: 4, interleaved: 4, shift: -128 },
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => Order { group: 4, interleaved: 1, shift: 0 },
            #[cfg(target_arch = "aarch64")]
            Isa::DotProduct => Order { group: 4, interleaved: 4, shift: 0 },
        }
    }

    /// Computes all sums of `source` and hands them to `finish`.
    #[cfg_attr(any(target_arch = "x86_64", target_arch = "aarch64"), allow(unsafe_code))]
    pub(crate) fn run(self, sums: &Sums, source: Source, arranged: &mut Arranged, finish: Finish) {
        match self.0 {
            Isa::Plain => plain::run(sums, source.arrange(i16::from, &mut arranged.wide), finish),
            // SAFETY: `available` has found the instructions of this kernel and of those below.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { x86::avx2::run(sums, source.arrange(i16::from, &mut arranged.wide), finish) },
            #[cfg(target_arch = "x86_64")]
            Isa::AvxVnni => unsafe {
                x86::avx_vnni::run(sums, source.arrange(unsigned, &mut arranged.unsigned), finish)
            },
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => unsafe {
                x86::avx512_vnni::run(sums, source.arrange(unsigned, &mut arranged.unsigned), finish)
            },
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => neon::multiply_add::run(sums, source.arrange(i16::from, &mut arranged.wide), finish),
            #[cfg(target_arch = "aarch64")]
            Isa::DotProduct => unsafe {
                neon::dot_product::run(sums, source.arrange(|value| value, &mut arranged.signed), finish);
            },
        }
    }
}

/// The input of a convolution, as its layer before has left it.
pub(crate) struct Source<'a> {
    pub(crate) layout: &'a Layout,
    /// `(channels, rows, columns)`.
    pub(crate) input: &'a [i8],
    /// Rows and columns.
    pub(crate) shape: [usize; 2],
    /// The input that stands for 0.
    pub(crate) zero: i8,
}

impl Source<'_> {
    /// The input in the order that kernels read, in `places`.
    fn arrange<'p, T: Copy + Default>(&self, convert: impl Fn(i8) -> T, places: &'p mut Vec<T>) -> &'p [T] {
        self.layout.arrange(self.input, self.shape, self.zero, convert, places)
    }
}

/// For kernels whose instructions multiply unsigned values by signed ones; see [`Order::shift`].
#[cfg(target_arch = "x86_64")]
fn unsigned(value: i8) -> u8 {
    value.cast_unsigned() ^ 128
}

/// How activations and weights lie for a kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    /// Values of the input that are taken at once: the channels of a place are filled up to a
    /// multiple of it.
    pub(crate) group: usize,
    /// Weights of one output channel that lie side by side.
    pub(crate) interleaved: usize,
    /// What is subtracted from the input, whose values fit into other types then.
    pub(crate) shift: i32,
}

/// Which products are added. The sum of an output channel at a place is that of the products of the
/// channel's weights and of the input at `place + run .. place + run + run_len` for each run.
pub(crate) struct Sums<'a> {
    /// Packed by [`Layout::pack`].
    pub(crate) weight: &'a [i8],
    pub(crate) runs: &'a [usize],
    pub(crate) run_len: usize,
    pub(crate) places: &'a [usize],
}

impl Sums<'_> {
    /// Blocks of [`BLOCK`] output channels.
    fn n_blocks(&self) -> usize {
        self.weight.len() / (self.runs.len() * self.run_len * BLOCK)
    }

    /// The weights of a block for a run.
    #[inline(always)]
    fn weights(&self, block: usize, run: usize) -> &[i8] {
        let len = self.run_len * BLOCK;
        &self.weight[(block * self.runs.len() + run) * len..][..len]
    }

    /// The input of a place for a run.
    #[inline(always)]
    fn input<'i, T>(&self, input: &'i [T], place: usize, run: usize) -> &'i [T] {
        &input[self.places[place] + self.runs[run]..][..self.run_len]
    }
}

//! Convolutions of 8-bit networks: activations of one layer in, those of the next out.
//!
//! A [`Conv`] is what ONNX calls `QLinearConv`, for activations and weights of type `i8`, where the
//! weights' zero point is 0. It pads, convolves and rounds in one pass, where a general inference
//! library passes over the activations once for each of these steps. Sums are integers, so they do
//! not depend on the order of the additions: every kernel gives the same bytes.
//!
//! | module | enters | leaves |
//! |---|---|---|
//! | [`geometry`] | kernel, stride, dilation, padding | the shape of the output |
//! | `layout` | activations, channel after channel | the same, padded, place after place |
//! | `scratch` | | the memory that this takes |
//! | `kernel` | those and the packed weights | sums of 32 bits |
//! | `finish` | sums | the next layer's activations |
//! | `conv` | the numbers of a layer, activations | the next layer's activations |
//!
//! | kernel | processors | multiply-adds per instruction |
//! |---|---|---|
//! | `avx512-vnni` | x86-64 servers and desktops since 2019 | 64 |
//! | `avx-vnni` | x86-64 mini PCs and laptops since 2021 | 32 |
//! | `avx2` | x86-64 since 2013 | 16 |
//! | `dot-product` | aarch64 since 2017: Raspberry Pi 5, Jetson Xavier and Orin | 16 |
//! | `neon` | all aarch64 | 4 |
//! | `plain` | all | |
//!
//! This crate has unsafe code, for the loads of vector kernels; the other crates of the daemon
//! forbid it. It does no I/O and starts no threads. [`Conv::run`] allocates its working
//! memory, [`Conv::run_with_scratch`] is given it.
//!
//! # Example
//!
//! One channel and a kernel of one weight, 2, with output steps that are twice as large as the
//! products:
//!
//! ```
//! use edge_int8::{Conv, Geometry, Kernel, Parameters};
//!
//! let geometry = Geometry { channels: [1, 1], kernel: [1, 1], ..Geometry::default() };
//! let parameters = Parameters {
//!     weight: &[2],
//!     bias: &[0],
//!     multiplier: &[0.5],
//!     input_zero: 10,
//!     output_zero: -5,
//! };
//! let conv = Conv::new(geometry, &parameters, Kernel::best())?;
//!
//! let mut output = vec![0; 3];
//! conv.run(&[10, 11, 30], [1, 3], &mut output)?;
//! assert_eq!(output, [-5, -4, 15]);
//! # Ok::<(), edge_int8::Error>(())
//! ```

#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod conv;
mod error;
mod finish;
pub mod geometry;
mod kernel;
mod layout;
mod scratch;

pub use conv::{Conv, Parameters};
pub use error::{Error, Result};
pub use geometry::Geometry;
pub use kernel::Kernel;
pub use scratch::Scratch;

#[cfg(test)]
mod tests;

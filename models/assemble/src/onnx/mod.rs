//! ONNX files: constants out of one, and a new one in the making.

mod constants;
mod graph;

pub use constants::Constants;
pub use graph::{Graph, fixed, float, int, ints, sliding, symbolic};

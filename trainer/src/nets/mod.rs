//! The networks: the streaming student, Auditory SlowFast, the head on CED-tiny, and the pretrained
//! teachers. A network
//! knows its sizes, its weights and its forward pass; how it is trained stands in [`crate::train`].

pub mod batch_norm;
pub mod head;
pub mod pickle;
pub mod slowfast;
pub mod student;
pub mod teacher;

use serde::{Deserialize, Serialize};

/// Arithmetic of the convolutions in training; evaluation is always in single precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision.
    F32,
    /// bfloat16 with single-precision accumulation.
    Bf16,
}

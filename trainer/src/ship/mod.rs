//! What the daemon runs: the 8-bit network, ONNX files, the manifest, and proof that they compute
//! what was trained.

pub mod export;
pub mod quantize;

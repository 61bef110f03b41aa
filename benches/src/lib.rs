//! Shared parts of the benches: the real model and real-sounding input.

use std::path::PathBuf;

use edge::model::Model;

/// The model that ships as the default.
///
/// # Panics
///
/// If it cannot be loaded: a bench of something else would be misleading.
pub fn home() -> Model {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../models/home");
    Model::load(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
}

/// The demo scene at `sample_rate`, mono.
///
/// # Panics
///
/// If its own rate cannot be converted, which the front end's tests exclude.
pub fn scene(sample_rate: u32) -> Vec<f32> {
    let scene = sounds::demo_scene(1);
    edge_frontend::resample(scene.sample_rate, sample_rate, &scene.samples).expect("a usual rate")
}

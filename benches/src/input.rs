//! What the stages work on: the model that ships, and the demo scene in pieces.

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

/// The pieces of a recording, one after the other and then again from its start.
pub(crate) struct Pieces<T> {
    values: Vec<T>,
    n: usize,
    at: usize,
}

impl<T> Pieces<T> {
    /// Of `n` values each; an incomplete one at the end of `values` is left out.
    pub(crate) fn of(values: Vec<T>, n: usize) -> Self {
        assert!(n > 0 && values.len() >= n, "the scene is longer than a piece of it");
        Pieces { values, n, at: 0 }
    }

    /// The next piece.
    pub(crate) fn next(&mut self) -> &[T] {
        if self.at + self.n > self.values.len() {
            self.at = 0;
        }
        self.at += self.n;
        &self.values[self.at - self.n..self.at]
    }
}

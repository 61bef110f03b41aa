//! A procedural generator of household sounds: a [`Sound`], a length and a seed enter, mono samples
//! leave.
//!
//! No recording is involved: impacts are modal synthesis, liquids are bubbles, voices are pulses
//! through formants, motors are harmonics and noise, and each source stands in a small room. Pitch,
//! material, rhythm, level, distance and room vary widely by seed, so that the sounds serve as a
//! demonstration, as unlimited labelled test audio and as augmentation in training. A seed names
//! the same bits on every platform: random draws are ChaCha8's and elementary functions `libm`'s.
//! One core renders a hundred seconds of most sounds in a second.
//!
//! ```
//! let five_seconds = sounds::render(sounds::Sound::Rain, 24_000, 5.0, 7);
//! assert_eq!(five_seconds.len(), 120_000);
//! ```
//!
//! Layout: [`Sound`] names the generators; `render` runs one and finishes it; `scene` strings
//! renders together and knows the truth. Below them are the families (`knock`, `tableware`,
//! `furniture`, `door`, `scrape`, `liquid`, `rainfall`, `heat`, `wind`, `machine`, `engine`,
//! `voice`, `animal`, `signal`, `alert`, `music`, `fault`) and the tools (`modal`, `noise`,
//! `filter`, `room`, `formant`).
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod alert;
mod animal;
mod door;
mod engine;
mod fault;
mod filter;
mod formant;
mod furniture;
mod heat;
mod knock;
mod liquid;
mod machine;
mod math;
mod modal;
mod music;
mod noise;
mod rainfall;
mod render;
mod rng;
mod room;
mod scene;
mod scrape;
mod signal;
mod sound;
mod tableware;
mod take;
#[cfg(test)]
mod testing;
mod voice;
mod wind;

pub use render::render;
pub use scene::{Scene, TruthEvent, WriteError, demo_scene, demo_scene_at};
pub use sound::{Sound, UnknownSound};

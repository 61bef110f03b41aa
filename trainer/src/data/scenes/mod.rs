//! Scenes: long recordings composed of clips, with the exact truth of what sounds when.
//!
//! Enters: a [`Pool`] of clips and backgrounds, and [`SceneSettings`]. Leaves: a [`Scene`], and of
//! it a FLAC file, a CSV file of the truth and a JSON file that says how it was made. A scene is
//! composed on the calling thread and depends on its seed alone; the files of scenes that were
//! composed side by side are the same.
//!
//! A clip's active part is found by level (`active`), so that the truth is the sound and not its
//! padding. It is heard in a room (`room`, image sources and decaying noise) through a microphone
//! (`microphone`), which says how long it really sounds (`studio`); `cast` chooses what sounds,
//! `plan` when, `background` what lies under it, and `compose` brings all together.
//!
//! The signal-to-noise ratio of a sound is the RMS of it alone over its active part against that of
//! the background alone (recordings, room noise, the microphone's noise) from its onset to its
//! offset: broadband, unweighted, after the microphone's filter.

mod active;
mod background;
mod cast;
mod compose;
mod deck;
mod fft;
mod flac;
mod microphone;
mod plan;
mod pool;
mod room;
mod settings;
mod span;
mod studio;
mod write;

pub(crate) use active::active;
pub use compose::{Made, Scene, compose};
pub(crate) use pool::cut_low;
pub use pool::{Listing, Pool, PoolSettings, Share};
pub use settings::{MicrophoneSettings, SceneSettings, Unknown};
pub use sounds::TruthEvent;
pub use span::Span;

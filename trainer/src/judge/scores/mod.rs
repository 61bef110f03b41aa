//! Scores: what models put out for segments, and what is made of it.
//!
//! Enters: scores files ([`Scores`]) and the classes that annotations give their rows ([`truth`]).
//! Leaves: their weighted sum ([`fuse`](mod@fuse)), measures ([`measures`]), weights that suit
//! validation rows ([`search`](mod@search)) and what the challenge takes ([`submit`]). What a
//! student outputs for its held-out fold is a scores file that holds its own truth
//! ([`predictions`]).
//!
//! Rows are known by their annotation_id everywhere, never by their position. In messages they
//! count from 0, as numpy does.

pub mod fuse;
pub mod measures;
pub mod search;
pub mod submit;
pub mod truth;

pub use crate::data::scores::{Predictions, Scores, predictions};
pub use fuse::fuse;
pub use measures::{Measures, measure};
pub use search::{Ensemble, Found, HeldOut, search, search_on};
pub use truth::Truth;

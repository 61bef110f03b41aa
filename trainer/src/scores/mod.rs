//! Scores: what models say of segments, and what is made of it.

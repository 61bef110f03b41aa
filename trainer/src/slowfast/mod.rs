//! Auditory SlowFast in libtorch.

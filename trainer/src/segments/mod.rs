//! Annotated stretches of recordings, and views of them as features.

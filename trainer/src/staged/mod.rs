//! Staged recipes: several models of one network, one after another, and their fusion.

//! Shared parts of the end-to-end tests. The tests themselves are one target per claim, beside this
//! folder.

pub mod binary;
pub mod board;
pub mod broker;
pub mod browser;
pub mod commands;
pub mod daemon;
pub mod heard;
pub mod http;
pub mod markdown;
pub mod modules;
pub mod node;
pub mod pipewire;
pub mod proxy;
pub mod soak;
pub mod source;
pub mod terminal;
pub mod tiny;
pub mod virtual_mic;

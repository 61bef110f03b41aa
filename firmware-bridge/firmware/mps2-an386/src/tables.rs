//! The front end of the shipped model, in flash: what turns samples into its features. Made by the
//! build script.

use firmware_bridge::log_mel::{Band, Tables};

include!(concat!(env!("OUT_DIR"), "/tables.rs"));

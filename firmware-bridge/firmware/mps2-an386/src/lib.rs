//! Board crate for Arm's MPS2 board with the FPGA image AN386, a Cortex-M4F at 25 MHz: what its
//! manual (Application Note 386) and QEMU's `mps2-an386` have in common.
//!
//! | module | enters | leaves |
//! |---|---|---|
//! | [`uart`] | bytes, by interrupt | bytes, as the transmitter takes them |
//! | [`fpgaio`] | the state of an LED | the time in milliseconds |
//! | [`clip`] | the time | blocks of a recording in flash, in place of a microphone |
//! | [`tables`] | | the front end of a model, for features |
//! | [`report`] | what went wrong | an exit code, by semihosting |
#![no_std]
#![deny(missing_docs)]

pub mod clip;
pub mod fpgaio;
pub mod report;
pub mod tables;
pub mod uart;

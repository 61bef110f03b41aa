//! The link between a microcontroller's microphone and the daemon: frames over any byte pipe,
//! usually a UART.
//!
//! Neither side does input or output here: bytes enter and frames leave, or the other way round, in
//! buffers of the caller. Nothing allocates, blocks or panics on what comes over the line, so the
//! same code runs in an interrupt handler and in the daemon.
//!
//! | module | enters | leaves |
//! |---|---|---|
//! | [`frame`] | header and payload, or one frame's bytes | one frame's bytes, or header and payload |
//! | [`reader`] | bytes as they come, cut anywhere, damaged anywhere | whole frames, and counts of what was wrong |
//! | [`sequence`] | the sequence number of each frame | how many frames are missing before it |
//! | [`msg`] | a message of one program to the other | its bytes, and back |
//! | [`sender`], [`pace`] | payloads | numbered frames, as fast as the port takes them or slower |
//! | [`microphone`] | blocks of samples | what the daemon has asked for, by [`gate`], [`mu_law`], [`adpcm`] and [`log_mel`] |
//! | [`node`] | samples or their encodings, the port | the stream, and notices for the firmware |
//! | [`indicator`], [`lamp`] | events | the state of a pin |
//! | [`host`] | the port | the daemon's side of it: samples or features, what is missing, what the node says |
//!
//! ```
//! use firmware_bridge::frame::{self, Header, Kind};
//! use firmware_bridge::reader::FrameReader;
//!
//! const N_SAMPLES: usize = 160;
//! let header = Header { kind: Kind::Audio, flags: 0, seq: 7, stamp: 1120 };
//! let mut wire = [0; frame::max_encoded_len(2 * N_SAMPLES)];
//! let n = frame::encode_audio(&header, &[-3; N_SAMPLES], &mut wire)?;
//!
//! let mut reader = FrameReader::<{ frame::decoded_len(2 * N_SAMPLES) }>::new();
//! let mut n_samples = 0;
//! reader.push(&[frame::DELIMITER], |_| ());
//! reader.push(&wire[..n], |frame| n_samples += frame.samples().count());
//! assert_eq!(n_samples, N_SAMPLES);
//! # Ok::<(), frame::EncodeError>(())
//! ```
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod adpcm;
mod fmt;
pub mod frame;
pub mod gate;
pub mod host;
pub mod indicator;
pub mod lamp;
pub mod log_mel;
pub mod microphone;
pub mod msg;
pub mod mu_law;
pub mod node;
pub mod pace;
mod queue;
pub mod reader;
pub mod sender;
pub mod sequence;
#[cfg(test)]
mod testing;

//! The messages of the two programs to each other: the payload of a
//! [`Kind::Control`](crate::frame::Kind::Control) frame.
//!
//! A message enters and its bytes leave, or the other way round, on whichever thread or interrupt
//! level calls. The bytes are those of [postcard](https://postcard.jamesmunns.com/wire-format.html)
//! 1: first the number of the message, then its fields in order. A *varint* has seven bits per
//! byte, least significant first, and a set upper bit where another byte follows; a *text* is its
//! length in bytes, a varint, and then UTF-8.
//!
//! | first byte | message | from | fields |
//! |---|---|---|---|
//! | 0 | [`Hello`] | node | session varint; name text; four rates in Hz, varints, 0 where there is none; channels u8; encodings u8; greatest number of samples in a frame, varint; lamps u8; features: 0, or 1 and the fields of [`Features`], varints, but bands u8 |
//! | 1 | [`Start`] | daemon | session varint; rate in Hz, varint; channel u8; encoding: number of the bit in the hello, u8; seq of the hello, varint; gate u8 |
//! | 2 | stop | daemon | |
//! | 3 | [`Event`] | daemon | phase: 0 onset, 1 offset; score in percent, u8; label text |
//! | 4 | [`Stats`] | node | the eight counts of the struct in order, varints |
//! | 5 | alive | daemon | session varint |
//!
//! Bytes after the last known field are ignored, so that a later version may add fields at the end.

use core::fmt;

use serde::{Deserialize, Serialize};

/// Rates that a [`Hello`] has room for.
pub const MAX_RATES: usize = 4;

/// Longest name of a node and longest label of an event, bytes. What is longer is not sent.
pub const MAX_TEXT_LEN: usize = 48;

/// Greatest length of a message, bytes: that of a [`Hello`] whose every number is as long as it
/// gets.
pub const MAX_LEN: usize = 1 + 5 + (1 + MAX_TEXT_LEN) + 5 * MAX_RATES + 1 + 1 + 3 + 1 + (1 + 10 + 3 * 3 + 1);

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Message<'a> {
    /// Node to daemon: here I am, not streaming, and this is what I can do. Repeated until a start
    /// comes.
    #[serde(borrow)]
    Hello(Hello<'a>),
    /// Daemon to node: stream from now on.
    Start(Start),
    /// Daemon to node: stream no more.
    Stop,
    /// Daemon to node: a sound has begun or ended.
    #[serde(borrow)]
    Event(Event<'a>),
    /// Node to daemon, about once a second while streaming: how it goes.
    Stats(Stats),
    /// Daemon to node, about once a second: I am here, and this is the session that I listen to. A
    /// node in another session answers with a hello.
    Alive {
        /// Of the last start; 0 before there was one.
        session: u32,
    },
}

/// What a node is and can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Hello<'a> {
    /// Of the last start that this run of the node took; 0 if there was none, so that 0 means a
    /// node that has just started.
    pub session: u32,
    /// For people: which node this is.
    pub name: &'a str,
    /// Rates that it can stream, Hz, the preferred one first; 0 where there are fewer.
    pub rates_hz: [u32; MAX_RATES],
    /// Channels that its microphones have.
    pub n_channels: u8,
    /// Encodings that it can send.
    pub encodings: Encodings,
    /// Samples in its longest frame.
    pub max_frame_samples: u16,
    /// Lamps that it has; 0 for a node that has no use for events.
    pub n_lamps: u8,
    /// What its log-mel frames are; `None` for a node that computes none.
    pub features: Option<Features>,
}

/// What the log-mel frames of a node are. With equal hashes they mean the same; the lengths say
/// what differs where the hashes do, and tell the time of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Features {
    /// Of all parameters but the normalisation, which is the daemon's: `FrontendConfig::raw_hash`
    /// of the crate edge-frontend.
    pub hash: u64,
    /// Points of the transform.
    pub n_fft: u16,
    /// Samples under the window.
    pub win_length: u16,
    /// Samples from one frame to the next.
    pub hop_length: u16,
    /// Bands of a frame.
    pub n_mels: u8,
}

/// What a node shall stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Start {
    /// Number that the daemon gives to this stream, not 0.
    pub session: u32,
    /// One of the rates in the hello, Hz.
    pub rate_hz: u32,
    /// Which channel, from 0.
    pub channel: u8,
    /// One of the encodings in the hello.
    pub encoding: Encoding,
    /// Number of the frame with the hello that this answers. A node takes an answer to its last
    /// hello only, so that one that was meant for the run before a restart starts nothing.
    pub hello_seq: u16,
    /// Sound fainter than this many decibels below full scale need not be sent; 0: all is wanted. A
    /// node without a gate sends all.
    pub gate_db: u8,
}

/// How sound travels; each has a frame kind of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Encoding {
    /// 16-bit samples, 2 bytes each.
    Pcm16 = 0,
    /// 8-bit mu-law, 1 byte per sample.
    MuLaw = 1,
    /// IMA ADPCM, half a byte per sample.
    Adpcm = 2,
    /// Log-mel frames, 1 byte per band: no sound leaves the node.
    LogMel = 3,
}

/// A set of encodings: bit n stands for the encoding with the number n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Encodings(pub u8);

impl Encodings {
    /// The set of these.
    pub const fn of(encodings: &[Encoding]) -> Self {
        let (mut bits, mut i) = (0, 0);
        while i < encodings.len() {
            bits |= 1 << encodings[i] as u8;
            i += 1;
        }
        Self(bits)
    }

    /// The set with one more.
    #[must_use]
    pub const fn with(self, encoding: Encoding) -> Self {
        Self(self.0 | 1 << encoding as u8)
    }

    /// Whether the set has `encoding`.
    pub const fn has(self, encoding: Encoding) -> bool {
        self.0 & 1 << encoding as u8 != 0
    }
}

/// A sound has begun or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Event<'a> {
    /// Which of the two.
    pub phase: Phase,
    /// How sure the daemon is, percent.
    pub score_percent: u8,
    /// The model's label of the sound, at most [`MAX_TEXT_LEN`] bytes.
    pub label: &'a str,
}

/// Beginning or end of a sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Phase {
    /// It has begun or, in a repetition, still lasts.
    Onset,
    /// It has ended.
    Offset,
}

/// Counts of a node. They run from its start and stop at their maximum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stats {
    /// Seconds since its start.
    pub uptime_s: u32,
    /// Frames sent whole.
    pub frames_sent: u32,
    /// Frames dropped because the line was slower than the microphone.
    pub frames_dropped: u32,
    /// Times that the microphone's samples were not taken in time.
    pub overruns: u32,
    /// Messages received.
    pub messages: u32,
    /// Frames received damaged.
    pub damaged: u32,
    /// Frames received of a version or kind, or with a message, that it does not know.
    pub unknown: u32,
    /// Starts that it could not follow.
    pub refused: u32,
}

/// Bytes are not a message, or a message is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MessageError {
    /// A text is longer than [`MAX_TEXT_LEN`].
    TextTooLong {
        /// Its bytes.
        actual: usize,
    },
    /// Bytes that no message of this version begins with, or that end too early.
    Malformed,
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TextTooLong { actual } => write!(f, "text of {actual} bytes, expected at most {MAX_TEXT_LEN}"),
            Self::Malformed => write!(f, "not a message"),
        }
    }
}

impl core::error::Error for MessageError {}

impl<'a> Message<'a> {
    /// Writes the message to the front of `out` and returns its bytes.
    ///
    /// # Errors
    ///
    /// If a text is longer than [`MAX_TEXT_LEN`].
    pub fn encode<'b>(&self, out: &'b mut [u8; MAX_LEN]) -> Result<&'b [u8], MessageError> {
        let text = match self {
            Self::Hello(hello) => hello.name,
            Self::Event(event) => event.label,
            _ => "",
        };
        if text.len() > MAX_TEXT_LEN {
            return Err(MessageError::TextTooLong { actual: text.len() });
        }
        // Cannot fail: `MAX_LEN` is the longest message with such texts.
        postcard::to_slice(self, out).map(|bytes| &*bytes).map_err(|_| MessageError::Malformed)
    }

    /// Reads a payload; texts are borrowed from it.
    ///
    /// # Errors
    ///
    /// If it is not a message of this version.
    pub fn decode(payload: &'a [u8]) -> Result<Self, MessageError> {
        postcard::from_bytes(payload).map_err(|_| MessageError::Malformed)
    }
}

#[cfg(test)]
mod tests;

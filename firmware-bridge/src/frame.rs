//! One frame: header and payload to bytes and back.
//!
//! A frame on the line is `COBS(body) 0x00`. Consistent overhead byte stuffing (S. Cheshire and M.
//! Baker, IEEE/ACM Transactions on Networking 7(2), 1999) removes every zero from the body, so that
//! 0x00 is found at the end of a frame and nowhere else. The body, integers little endian:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version in the upper four bits ([`VERSION`]), kind in the lower four ([`Kind`]) |
//! | 1 | 1 | flags; senders write 0 in bits that they do not know, receivers ignore them |
//! | 2 | 2 | seq: counts the sender's frames from capture on, modulo 65536 |
//! | 4 | 4 | stamp: index of the frame's first sample since the sender's start, modulo 2^32 |
//! | 8 | n | payload, by kind |
//! | 8 + n | 4 | CRC-32/ISO-HDLC of the bytes 0 to 8 + n |
//!
//! The CRC stands in the last four bytes in every version, and is checked before anything else is
//! read.
//!
//! A sender transmits one [`DELIMITER`] more before its first frame and before each message, so
//! that everything that the line carried before is cut off.

use core::fmt;

use cobs::CobsEncoder;
use crc::{CRC_32_ISO_HDLC, Crc, Digest};

/// Version of the format that this crate writes and reads. Version 1 had neither the features in a
/// hello nor the gate in a start.
pub const VERSION: u8 = 2;

/// Ends a frame, and occurs nowhere inside one.
pub const DELIMITER: u8 = 0x00;

/// Bytes of the body before the payload.
pub const HEADER_LEN: usize = 8;

/// Bytes of the body after the payload.
pub const CRC_LEN: usize = 4;

static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Kind {
    /// Samples: signed 16-bit little endian, mono.
    Audio = 1,
    /// A message between the two programs, see [`msg`](crate::msg).
    Control = 2,
    /// Samples: 8-bit mu-law, mono, see [`mu_law`](crate::mu_law).
    MuLaw = 3,
    /// Samples: IMA ADPCM, mono, see [`adpcm`](crate::adpcm).
    Adpcm = 4,
    /// Log-mel frames, see [`log_mel`](crate::log_mel).
    LogMel = 5,
}

impl Kind {
    fn from_bits(bits: u8) -> Option<Self> {
        [Self::Audio, Self::Control, Self::MuLaw, Self::Adpcm, Self::LogMel]
            .into_iter()
            .find(|kind| *kind as u8 == bits)
    }
}

/// What stands before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Header {
    /// What the payload is.
    pub kind: Kind,
    /// Bits whose meaning depends on the kind; none is assigned yet.
    pub flags: u8,
    /// Number of the frame, modulo 65536.
    pub seq: u16,
    /// Index of the first sample, modulo 2^32.
    pub stamp: u32,
}

/// A frame that was received whole and intact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Frame<'a> {
    /// What stands before the payload.
    pub header: Header,
    /// The payload.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The payload read as samples, in order. An odd last byte, which no sender writes, is left
    /// out.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = i16> + 'a {
        self.payload.chunks_exact(2).map(|bytes| i16::from_le_bytes([bytes[0], bytes[1]]))
    }
}

/// Length of a body with `payload_len` bytes of payload: what a receiver must hold.
pub const fn decoded_len(payload_len: usize) -> usize {
    HEADER_LEN + payload_len + CRC_LEN
}

/// Greatest length on the line, delimiter included, of a frame with `payload_len` bytes of payload.
/// COBS adds one byte, and one more for each 254 bytes of body.
pub const fn max_encoded_len(payload_len: usize) -> usize {
    let body = decoded_len(payload_len);
    body + body.div_ceil(254) + 1
}

/// Longest payload whose frame, however stuffed, fits `wire_len` bytes on the line; 0 if not even
/// an empty one does.
pub const fn max_payload_len(wire_len: usize) -> usize {
    let mut payload_len = wire_len.saturating_sub(max_encoded_len(0));
    while payload_len > 0 && max_encoded_len(payload_len) > wire_len {
        payload_len -= 1;
    }
    payload_len
}

/// A frame was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum EncodeError {
    /// The buffer is shorter than [`max_encoded_len`]; asked for whatever the payload, so that no
    /// payload is a surprise.
    BufferTooSmall {
        /// Bytes that the buffer must have.
        expected: usize,
        /// Bytes that it has.
        actual: usize,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::BufferTooSmall { expected, actual } = self;
        write!(f, "buffer of {actual} bytes is too small for a frame of up to {expected}")
    }
}

impl core::error::Error for EncodeError {}

/// Bytes are not a frame that this crate knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DecodeError {
    /// The byte stuffing is broken: a byte was lost, added or damaged.
    Stuffing,
    /// The body is shorter than header and CRC.
    TooShort {
        /// Bytes of the body.
        actual: usize,
    },
    /// The body does not fit the buffer.
    TooLong {
        /// Bytes that the buffer holds.
        capacity: usize,
    },
    /// The body was damaged.
    Crc {
        /// The CRC that the frame carries.
        expected: u32,
        /// The CRC of its bytes.
        actual: u32,
    },
    /// An intact frame of another version of the format.
    Version {
        /// The version.
        actual: u8,
    },
    /// An intact frame of a kind that this version does not know.
    Kind {
        /// The kind's number.
        actual: u8,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stuffing => write!(f, "broken byte stuffing"),
            Self::TooShort { actual } => write!(f, "body of {actual} bytes, expected at least {}", decoded_len(0)),
            Self::TooLong { capacity } => write!(f, "body longer than the buffer of {capacity} bytes"),
            Self::Crc { expected, actual } => write!(f, "crc is {actual:#010x}, expected {expected:#010x}"),
            Self::Version { actual } => write!(f, "version {actual}, expected {VERSION}"),
            Self::Kind { actual } => write!(f, "unknown kind {actual}"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// Writes a frame with its delimiter to the front of `out`; returns its length.
///
/// # Errors
///
/// If `out` is shorter than [`max_encoded_len`] of the payload's length.
///
/// # Real-time
///
/// No allocation; one pass over the payload.
pub fn encode(header: &Header, payload: &[u8], out: &mut [u8]) -> Result<usize, EncodeError> {
    write(header, payload.len(), out, |body| body.put(payload))
}

/// Like [`encode`], from samples.
///
/// # Errors
///
/// If `out` is shorter than [`max_encoded_len`] of twice the number of samples.
pub fn encode_audio(header: &Header, samples: &[i16], out: &mut [u8]) -> Result<usize, EncodeError> {
    write(header, 2 * samples.len(), out, |body| samples.iter().try_for_each(|sample| body.put(&sample.to_le_bytes())))
}

/// Reads one frame from `wire`, which is what lay between two delimiters, with or without the
/// closing one. `buffer` receives the body; the frame borrows its payload from there.
///
/// # Errors
///
/// A [`DecodeError`] that says what is wrong with the bytes.
pub fn decode<'a>(wire: &[u8], buffer: &'a mut [u8]) -> Result<Frame<'a>, DecodeError> {
    let wire = wire.strip_suffix(&[DELIMITER]).unwrap_or(wire);
    let capacity = buffer.len();
    let report = cobs::decode(wire, buffer).map_err(|error| match error {
        cobs::DecodeError::EmptyFrame => DecodeError::TooShort { actual: 0 },
        cobs::DecodeError::InvalidFrame { .. } => DecodeError::Stuffing,
        cobs::DecodeError::TargetBufTooSmall => DecodeError::TooLong { capacity },
    })?;
    if report.parsed_size() < wire.len() {
        // A delimiter in the middle: these are two frames.
        return Err(DecodeError::Stuffing);
    }
    parse(&buffer[..report.frame_size()])
}

/// Reads a body.
pub(crate) fn parse(body: &[u8]) -> Result<Frame<'_>, DecodeError> {
    let too_short = DecodeError::TooShort { actual: body.len() };
    let (content, crc) = body.split_last_chunk::<CRC_LEN>().ok_or(too_short)?;
    let (header, payload) = content.split_first_chunk::<HEADER_LEN>().ok_or(too_short)?;
    let (expected, actual) = (u32::from_le_bytes(*crc), CRC.checksum(content));
    if expected != actual {
        return Err(DecodeError::Crc { expected, actual });
    }
    let [first, flags, s0, s1, t0, t1, t2, t3] = *header;
    let (version, kind) = (first >> 4, first & 0x0f);
    if version != VERSION {
        return Err(DecodeError::Version { actual: version });
    }
    let kind = Kind::from_bits(kind).ok_or(DecodeError::Kind { actual: kind })?;
    let header = Header { kind, flags, seq: u16::from_le_bytes([s0, s1]), stamp: u32::from_le_bytes([t0, t1, t2, t3]) };
    Ok(Frame { header, payload })
}

/// A body being stuffed and summed.
struct Body<'a> {
    cobs: CobsEncoder<'a>,
    crc: Digest<'static, u32>,
}

impl Body<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), cobs::DestBufTooSmallError> {
        self.crc.update(bytes);
        self.cobs.push(bytes)
    }
}

/// Writes the frame whose payload `put_payload` puts.
fn write(
    header: &Header,
    payload_len: usize,
    out: &mut [u8],
    put_payload: impl FnOnce(&mut Body<'_>) -> Result<(), cobs::DestBufTooSmallError>,
) -> Result<usize, EncodeError> {
    let too_small = EncodeError::BufferTooSmall { expected: max_encoded_len(payload_len), actual: out.len() };
    if out.len() < max_encoded_len(payload_len) {
        return Err(too_small);
    }
    let mut body = Body { cobs: CobsEncoder::new(out), crc: CRC.digest() };
    let [s0, s1] = header.seq.to_le_bytes();
    let [t0, t1, t2, t3] = header.stamp.to_le_bytes();
    let put_all = |body: &mut Body<'_>| {
        body.put(&[VERSION << 4 | header.kind as u8, header.flags, s0, s1, t0, t1, t2, t3])?;
        put_payload(body)?;
        let crc = body.crc.clone().finalize();
        body.cobs.push(&crc.to_le_bytes())
    };
    put_all(&mut body).map_err(|_| too_small)?;
    let n = body.cobs.finalize();
    out[n] = DELIMITER;
    Ok(n + 1)
}

#[cfg(test)]
mod tests;

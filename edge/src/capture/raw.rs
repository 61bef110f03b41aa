//! Raw samples: bytes of one of the usual formats enter, floats in [-1, 1] leave. Runs wherever
//! bytes are read.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::rate;

/// No sound interface has more; the bound keeps a typing error from asking for absurd buffers.
pub(crate) const MAX_CHANNELS: u16 = 64;

/// What is in a raw stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Samples per second.
    pub rate: u32,
    /// Sample type.
    pub format: RawFormat,
    /// Interleaved channels.
    pub n_channels: u16,
}

impl Default for Layout {
    /// 48 kHz, 16 bits, mono.
    fn default() -> Self {
        Layout { rate: 48_000, format: RawFormat::S16Le, n_channels: 1 }
    }
}

impl Layout {
    /// Refuses what cannot be processed.
    ///
    /// # Errors
    ///
    /// The key that is wrong, and why.
    pub fn check(self) -> Result<Self, (&'static str, String)> {
        rate::check(self.rate).map_err(|reason| ("rate", reason))?;
        if !(1..=MAX_CHANNELS).contains(&self.n_channels) {
            return Err(("raw_channels", format!("expected 1 to {MAX_CHANNELS}, actual {}", self.n_channels)));
        }
        Ok(self)
    }

    /// Bytes of one sample of every channel.
    pub(super) fn frame_len(self) -> usize {
        self.format.n_bytes() * usize::from(self.n_channels)
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.n_channels == 1 { "" } else { "s" };
        write!(f, "{} Hz, {}, {} channel{plural}", self.rate, self.format, self.n_channels)
    }
}

/// Sample types of raw streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawFormat {
    /// Unsigned 8-bit integers.
    U8,
    /// Signed 8-bit integers.
    S8,
    /// Signed 16-bit integers, little endian.
    S16Le,
    /// Signed 16-bit integers, big endian.
    S16Be,
    /// Signed 24-bit integers in 3 bytes, little endian.
    S24In3Le,
    /// Signed 24-bit integers in the lower 3 of 4 bytes, little endian; the upper one does not
    /// count.
    S24In4Le,
    /// Signed 32-bit integers, little endian.
    S32Le,
    /// 32-bit floats, little endian, full scale is [-1, 1].
    F32Le,
    /// 64-bit floats, little endian, full scale is [-1, 1].
    F64Le,
}

/// How each format is written, and how else; the first spelling is shown. Those without an
/// underscore are ffmpeg's and sox's, those with one are ALSA's, and the two differ in what 24 bits
/// are.
const SPELLINGS: [(RawFormat, &[&str]); 9] = [
    (RawFormat::U8, &["u8"]),
    (RawFormat::S8, &["s8", "i8"]),
    (RawFormat::S16Le, &["s16le", "s16", "i16", "s16_le"]),
    (RawFormat::S16Be, &["s16be", "s16_be"]),
    (RawFormat::S24In3Le, &["s24_3le", "s24le", "s24"]),
    (RawFormat::S24In4Le, &["s24_le"]),
    (RawFormat::S32Le, &["s32le", "s32", "i32", "s32_le"]),
    (RawFormat::F32Le, &["f32le", "f32", "float_le", "float32"]),
    (RawFormat::F64Le, &["f64le", "f64", "float64_le"]),
];

impl RawFormat {
    /// Bytes of one sample.
    pub fn n_bytes(self) -> usize {
        match self {
            RawFormat::U8 | RawFormat::S8 => 1,
            RawFormat::S16Le | RawFormat::S16Be => 2,
            RawFormat::S24In3Le => 3,
            RawFormat::S24In4Le | RawFormat::S32Le | RawFormat::F32Le => 4,
            RawFormat::F64Le => 8,
        }
    }

    /// Appends the samples of `bytes`; an incomplete last one is left out.
    pub(super) fn decode(self, bytes: &[u8], samples: &mut Vec<f32>) {
        let whole = bytes.chunks_exact(self.n_bytes());
        let of_32_bits = |b: [u8; 4]| i32::from_le_bytes(b) as f32 / 2_147_483_648.0;
        match self {
            RawFormat::U8 => samples.extend(whole.map(|b| (f32::from(b[0]) - 128.0) / 128.0)),
            RawFormat::S8 => samples.extend(whole.map(|b| f32::from(b[0].cast_signed()) / 128.0)),
            RawFormat::S16Le => {
                samples.extend(whole.map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0));
            }
            RawFormat::S16Be => {
                samples.extend(whole.map(|b| f32::from(i16::from_be_bytes([b[0], b[1]])) / 32_768.0));
            }
            RawFormat::S24In3Le | RawFormat::S24In4Le => {
                samples.extend(whole.map(|b| of_32_bits([0, b[0], b[1], b[2]])));
            }
            RawFormat::S32Le => samples.extend(whole.map(|b| of_32_bits([b[0], b[1], b[2], b[3]]))),
            RawFormat::F32Le => samples.extend(whole.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
            RawFormat::F64Le => samples
                .extend(whole.map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32)),
        }
    }
}

impl FromStr for RawFormat {
    type Err = Error;

    /// `s16le`, `f32le` and so on, as ffmpeg and sox write them, or `S16_LE`, `S24_3LE` and so on,
    /// as arecord does.
    fn from_str(text: &str) -> Result<Self> {
        let lower = text.to_lowercase();
        let found = SPELLINGS.iter().find(|(_, spellings)| spellings.contains(&lower.as_str()));
        found.map(|(format, _)| *format).ok_or_else(|| {
            let names: Vec<&str> = SPELLINGS.iter().map(|(_, spellings)| spellings[0]).collect();
            Error::usage("raw format", format!("{text:?} is not one of {}", names.join(", ")))
        })
    }
}

impl fmt::Display for RawFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spelling = SPELLINGS.iter().find(|(format, _)| format == self).map_or("", |(_, all)| all[0]);
        f.write_str(spelling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(format: &str, bytes: &[u8]) -> Vec<f32> {
        let mut samples = Vec::new();
        format.parse::<RawFormat>().unwrap().decode(bytes, &mut samples);
        samples
    }

    #[test]
    fn every_format_is_centred_and_scaled() {
        assert_eq!(decoded("u8", &[128, 0, 192]), [0.0, -1.0, 0.5]);
        assert_eq!(decoded("s8", &[0, 0x80, 0x40]), [0.0, -1.0, 0.5]);
        assert_eq!(decoded("S16_LE", &[0, 0x40, 0, 0x80, 9]), [0.5, -1.0]);
        assert_eq!(decoded("s16be", &[0x40, 0, 0x80, 0]), [0.5, -1.0]);
        for packed in ["s24le", "S24_3LE"] {
            assert_eq!(decoded(packed, &[0, 0, 0x40, 0, 0, 0x80]), [0.5, -1.0], "{packed}");
        }
        // The upper byte may hold the sign, zero or anything.
        assert_eq!(decoded("S24_LE", &[0, 0, 0x80, 0, 0, 0, 0x80, 0xff, 0, 0, 0x40, 7]), [-1.0, -1.0, 0.5]);
        assert_eq!(decoded("s32le", &[0, 0, 0, 0x40, 0, 0, 0, 0x80]), [0.5, -1.0]);
        assert_eq!(decoded("FLOAT_LE", &0.25_f32.to_le_bytes()), [0.25]);
        assert_eq!(decoded("f64le", &0.25_f64.to_le_bytes()), [0.25]);
    }

    #[test]
    fn formats_are_written_as_they_are_read() {
        for (format, _) in SPELLINGS {
            assert_eq!(format.to_string().parse::<RawFormat>().unwrap(), format);
        }
        let error = "s20".parse::<RawFormat>().unwrap_err().to_string();
        assert!(error.contains("\"s20\" is not one of u8, s8, s16le"), "{error}");
    }

    #[test]
    fn a_layout_out_of_range_names_its_key() {
        let layout = |rate, n_channels| Layout { rate, n_channels, ..Layout::default() }.check();
        assert!(layout(48_000, 64).is_ok());
        assert_eq!(layout(5, 1).unwrap_err().0, "rate");
        assert_eq!(layout(u32::MAX, 1).unwrap_err().0, "rate");
        assert_eq!(layout(8_000, 0).unwrap_err().0, "raw_channels");
        assert_eq!(layout(8_000, 65).unwrap_err().0, "raw_channels");
    }
}

//! What to listen to, as written on the command line or in the configuration.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::NodeSpec;
use crate::audio::AudioReader;
use crate::error::{Error, Result};

/// A source of samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceSpec {
    /// A capture device of this machine.
    Mic {
        /// Its id, its name, or a part of its name; `None` for the default device.
        device: Option<String>,
    },
    /// A microcontroller on a serial port.
    Serial(NodeSpec),
    /// A recording: WAV, FLAC, Ogg Vorbis or MP3.
    File(PathBuf),
    /// Raw samples on standard input.
    Stdin {
        /// Samples a second.
        rate: u32,
        /// Sample type.
        format: RawFormat,
        /// Interleaved channels.
        channels: u16,
    },
}

/// Sample types of raw streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawFormat {
    /// Signed 16-bit integers, little endian.
    S16Le,
    /// 32-bit floats, little endian, full scale is [-1, 1].
    F32Le,
}

/// Rates a raw stream may claim: those the front end's resampler is made for.
pub const RATES_HZ: std::ops::RangeInclusive<u32> = 8_000..=192_000;

/// No sound interface has more; the bound keeps a typing error from asking for absurd buffers.
pub const MAX_CHANNELS: u16 = 64;

impl SourceSpec {
    /// Whether this machine has what the source needs, as far as that can be told without opening it
    /// for good.
    ///
    /// # Errors
    ///
    /// What is missing.
    pub fn check(&self) -> Result<()> {
        match self {
            // A FIFO waits for its writer.
            SourceSpec::File(path) if !is_fifo(path) => AudioReader::open(path).map(drop),
            _ => Ok(()),
        }
    }

    /// With `device` for a microphone; other sources stay as they are.
    #[must_use]
    pub fn with_device(self, device: Option<String>) -> Self {
        match self {
            SourceSpec::Mic { .. } => SourceSpec::Mic { device },
            other => other,
        }
    }

    /// With the layout of a raw stream for standard input; other sources stay as they are.
    ///
    /// # Errors
    ///
    /// When the rate or the number of channels is out of range.
    pub fn with_raw(self, rate: u32, format: RawFormat, channels: u16) -> Result<Self> {
        if !matches!(self, SourceSpec::Stdin { .. }) {
            return Ok(self);
        }
        if !RATES_HZ.contains(&rate) {
            let reason = format!("expected {} to {} Hz, actual {rate} Hz", RATES_HZ.start(), RATES_HZ.end());
            return Err(Error::usage("--rate", reason));
        }
        if !(1..=MAX_CHANNELS).contains(&channels) {
            return Err(Error::usage("--channels", format!("expected 1 to {MAX_CHANNELS}, actual {channels}")));
        }
        Ok(SourceSpec::Stdin { rate, format, channels })
    }
}

fn is_fifo(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

impl FromStr for SourceSpec {
    type Err = Error;

    /// `mic`, `file:PATH`, `stdin`, `serial:PATH`, `serial:PATH@BAUD` or `serial:tcp://HOST:PORT`, the last three with a [`NodeSpec`]'s
    /// options. The default device, and 48 kHz, 16 bits, mono, are assumed until
    /// [`with_device`](SourceSpec::with_device) or [`with_raw`](SourceSpec::with_raw) says otherwise.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |reason: String| Err(Error::usage("source", reason));
        match text.split_once(':') {
            None if text == "mic" => Ok(SourceSpec::Mic { device: None }),
            None if text == "stdin" => Ok(SourceSpec::Stdin { rate: 48_000, format: RawFormat::S16Le, channels: 1 }),
            Some(("file", "")) => wrong("file: needs a path behind the colon".to_string()),
            Some(("file", path)) => Ok(SourceSpec::File(PathBuf::from(path))),
            Some(("serial", node)) => match node.parse() {
                Ok(node) => Ok(SourceSpec::Serial(node)),
                Err(reason) => wrong(format!("serial: {reason}")),
            },
            _ => wrong(format!("{text:?} is none of mic, file:PATH, stdin, serial:PATH@BAUD, serial:tcp://HOST:PORT")),
        }
    }
}

impl fmt::Display for SourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceSpec::Mic { .. } => f.write_str("mic"),
            SourceSpec::Serial(node) => write!(f, "serial:{node}"),
            SourceSpec::File(path) => write!(f, "file:{}", path.display()),
            SourceSpec::Stdin { .. } => f.write_str("stdin"),
        }
    }
}

impl RawFormat {
    /// Bytes of one sample.
    pub fn n_bytes(self) -> usize {
        match self {
            RawFormat::S16Le => 2,
            RawFormat::F32Le => 4,
        }
    }
}

impl FromStr for RawFormat {
    type Err = Error;

    /// `s16le` (also `s16`, `i16`) or `f32le` (also `f32`).
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "s16le" | "s16" | "i16" => Ok(RawFormat::S16Le),
            "f32le" | "f32" => Ok(RawFormat::F32Le),
            _ => Err(Error::usage("raw format", format!("{text:?} is none of s16le, f32le"))),
        }
    }
}

impl fmt::Display for RawFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RawFormat::S16Le => "s16le",
            RawFormat::F32Le => "f32le",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_and_written_alike() {
        for text in
            ["mic", "file:/a b/c:d.wav", "stdin", "serial:/dev/ttyACM0@115200", "serial:tcp://nook:4000?gate=40"]
        {
            let spec: SourceSpec = text.parse().unwrap();
            assert_eq!(spec.to_string(), text);
        }
        assert_eq!("file:a:b.wav".parse::<SourceSpec>().unwrap(), SourceSpec::File("a:b.wav".into()));
    }

    #[test]
    fn options_reach_the_source_they_belong_to() {
        let mic: SourceSpec = "mic".parse().unwrap();
        assert_eq!(mic.with_device(Some("usb".into())), SourceSpec::Mic { device: Some("usb".into()) });
        let stdin: SourceSpec = "stdin".parse().unwrap();
        let raw = stdin.clone().with_raw(16_000, RawFormat::F32Le, 2).unwrap();
        assert_eq!(raw, SourceSpec::Stdin { rate: 16_000, format: RawFormat::F32Le, channels: 2 });
        assert!(stdin.clone().with_raw(0, RawFormat::F32Le, 2).unwrap_err().to_string().contains("0 Hz"));
        assert!(stdin.with_raw(16_000, RawFormat::F32Le, 0).is_err());
    }

    #[test]
    fn what_cannot_be_heard_is_refused_with_a_reason() {
        let error = |text: &str| text.parse::<SourceSpec>().unwrap_err().to_string();
        assert!(error("serial:/dev/ttyUSB0@fast").contains("\"fast\" is no rate"));
        assert!(error("file:").contains("path"));
        assert!(error("mick").contains("\"mick\" is none of"));
        assert!("u8".parse::<RawFormat>().is_err());
        assert_eq!("i16".parse::<RawFormat>().unwrap().to_string(), "s16le");
    }
}

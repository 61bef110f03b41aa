//! Audio files: WAV and its kin, FLAC, Ogg Vorbis, MP3, AAC or ALAC in MP4 (m4a), or AIFF enter,
//! mono samples leave. Runs on the caller's thread.
//!
//! Channels are mixed to their mean, unless others are chosen. Packets that cannot be decoded or
//! found become silence of their length, so that what follows keeps its time; a file that ends too
//! early yields what is intact. Both are reported by [`AudioReader::damage`]. A file from which
//! nothing can be decoded is an error. [`write_flac`] is the way back.

mod container;
mod flac;
mod packets;
mod reader;
pub(crate) mod signature;
mod wav;

pub use flac::{MAX_FLAC_RATE_HZ, to_16_bits, write_flac};

use std::path::Path;

use crate::error::Result;

pub use reader::AudioReader;

/// Endings of the names of files that are looked for in folders, the preferred one first.
pub const EXTENSIONS: [&str; 12] =
    ["wav", "wave", "w64", "flac", "aif", "aiff", "aifc", "ogg", "oga", "m4a", "aac", "mp3"];

/// Endings of the names of recordings that cannot be decoded.
const FOREIGN: [&str; 14] =
    ["opus", "wma", "amr", "3gp", "caf", "ape", "wv", "au", "mp2", "ac3", "m4b", "mka", "webm", "ra"];

/// Whether `path` looks like a recording, by the ending of its name in upper or lower case. What is
/// hidden is none: beside `a.wav` macOS puts a file `._a.wav` on foreign disks, which holds no
/// sound.
pub fn is_recording(path: &Path) -> bool {
    !is_hidden(path) && ends_in(path, &EXTENSIONS)
}

/// Whether `path` looks like a recording in a format that is not decoded.
pub fn is_foreign_recording(path: &Path) -> bool {
    !is_hidden(path) && ends_in(path, &FOREIGN)
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn ends_in(path: &Path, endings: &[&str]) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| endings.iter().any(|known| known.eq_ignore_ascii_case(extension)))
}

/// A decoded file.
#[derive(Debug, Clone, PartialEq)]
pub struct Audio {
    /// Samples a second.
    pub sample_rate: u32,
    /// The mean of all channels, full scale is [-1, 1].
    pub samples: Vec<f32>,
    /// Channels in the file.
    pub n_channels: usize,
}

/// Decodes the whole file at `path`.
///
/// # Errors
///
/// As [`AudioReader::open`] and [`AudioReader::next_block`].
pub fn decode_file(path: &Path) -> Result<Audio> {
    decode(AudioReader::open(path)?)
}

/// Decodes the channel `channel`, counted from 0, of the file at `path`.
///
/// # Errors
///
/// As [`decode_file`]; a channel that the file does not have is one without samples.
pub fn decode_channel(path: &Path, channel: usize) -> Result<Audio> {
    decode(AudioReader::open(path)?.of_channel(channel))
}

fn decode(mut reader: AudioReader) -> Result<Audio> {
    let mut samples = Vec::new();
    let mut block = Vec::new();
    while reader.next_block(&mut block)? {
        samples.extend_from_slice(&block);
    }
    reader.log_damage();
    Ok(Audio { sample_rate: reader.sample_rate(), samples, n_channels: reader.n_channels() })
}

#[cfg(test)]
mod tests;

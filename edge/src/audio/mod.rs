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
pub(crate) mod signature;
mod wav;

pub use flac::{MAX_FLAC_RATE_HZ, to_16_bits, write_flac};

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use edge_frontend::Resampler;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::formats::Track;
use symphonia::core::packet::Packet;

use crate::error::{Error, Result};
use crate::mono::{Balance, Channels, Mono};
use packets::{Next, Packets};

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

/// A file may be shorter by so much than its header promises, seconds: encoders count their padding
/// in different ways.
const TOLERANCE_S: f64 = 0.25;

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
    decode(AudioReader { channel: Some(channel), ..AudioReader::open(path)? })
}

fn decode(mut reader: AudioReader) -> Result<Audio> {
    let mut samples = Vec::new();
    let mut block = Vec::new();
    while reader.next_block(&mut block)? {
        samples.extend_from_slice(&block);
    }
    reader.log_damage();
    Ok(Audio { sample_rate: reader.sample_rate, samples, n_channels: reader.n_channels })
}

/// Decodes a file block by block, in memory that does not grow with the file.
pub struct AudioReader {
    path: PathBuf,
    packets: Packets,
    decoder: Box<dyn AudioDecoder>,
    sample_rate: u32,
    n_channels: usize,
    /// The one that is taken, whatever `channels` says.
    channel: Option<usize>,
    /// Which of several are heard, and how all of them compare.
    channels: Channels,
    balance: Arc<Balance>,
    /// What mixes frames of this many channels.
    mixer: Option<(usize, Mono)>,
    interleaved: Vec<f32>,
    mono: Vec<f32>,
    is_through: bool,
    n_decoded: u64,
    n_lost: u64,
    first_error: Option<String>,
    /// For a part of the file at another rate: that rate, and what converts it.
    converter: Option<(u32, Resampler)>,
}

impl AudioReader {
    /// Opens the file at `path` and reads its header. The format is recognised by content, helped
    /// by the file name's extension.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is in no known format, or holds no audio track.
    pub fn open(path: &Path) -> Result<Self> {
        AudioReader::of(path, Packets::open(path)?)
    }

    /// Reads the header of a stream, in which one cannot go back; in messages it is called `name`.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is in no known format, or holds no audio track.
    pub(crate) fn of_stream(name: &str, source: impl Read + Send + Sync + 'static) -> Result<Self> {
        let path = Path::new(name);
        AudioReader::of(path, Packets::of_stream(path, source)?)
    }

    fn of(path: &Path, packets: Packets) -> Result<Self> {
        let track = packets.track()?;
        let params = track.codec_params.as_ref().and_then(|params| params.audio());
        let channels = params.and_then(|params| params.channels.as_ref());
        Ok(AudioReader {
            path: path.to_path_buf(),
            decoder: make_decoder(&packets, track)?,
            sample_rate: packets.sample_rate(),
            n_channels: channels.map_or(0, |channels| channels.count()),
            packets,
            channel: None,
            channels: Channels::Mean,
            balance: Arc::default(),
            mixer: None,
            interleaved: Vec::new(),
            mono: Vec::new(),
            is_through: false,
            n_decoded: 0,
            n_lost: 0,
            first_error: None,
            converter: None,
        })
    }

    /// From now on these `channels` are heard. Returns where it will say how all of them compare.
    ///
    /// # Errors
    ///
    /// When the file does not have them.
    pub(crate) fn choose(&mut self, channels: &Channels) -> Result<Arc<Balance>> {
        if self.n_channels > 0 {
            channels.check(self.n_channels).map_err(|reason| Error::audio_file(&self.path, reason))?;
        }
        self.channels = channels.clone();
        Ok(self.balance.clone())
    }

    /// Samples a second.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Channels in the file; known for certain once the first block was decoded.
    pub fn n_channels(&self) -> usize {
        self.n_channels
    }

    /// Replaces `block` by the next mono samples, some thousands unless many were lost. `false`,
    /// with an empty block, at the end of the file.
    ///
    /// # Errors
    ///
    /// At the end of a file from which nothing could be decoded, and where the sample rate changes
    /// to one that cannot be converted.
    pub fn next_block(&mut self, block: &mut Vec<f32>) -> Result<bool> {
        block.clear();
        while block.is_empty() {
            match self.packets.next()? {
                Next::Packet(packet, n_lost) => {
                    block.resize(n_lost, 0.0);
                    self.n_lost += n_lost as u64;
                    self.decode(&packet, block)?;
                }
                Next::Stream => self.decoder = make_decoder(&self.packets, self.packets.track()?)?,
                Next::End => {
                    self.convert_rest(block);
                    if block.is_empty() {
                        return self.end();
                    }
                }
            }
        }
        Ok(true)
    }

    /// Decodes `packet` into `block`. One of another number of channels or another rate, as where
    /// recordings were appended to each other, wants a decoder of its own.
    fn decode(&mut self, packet: &Packet, block: &mut Vec<f32>) -> Result<()> {
        for is_last in [false, true] {
            match self.decoder.decode(packet) {
                Ok(decoded) => {
                    let (rate, n_channels) = (decoded.spec().rate(), decoded.spec().channels().count());
                    let n_frames = decoded.frames();
                    decoded.copy_to_vec_interleaved(&mut self.interleaved);
                    return self.take_decoded(rate, n_channels, n_frames, block);
                }
                Err(_) if !is_last && self.n_decoded > 0 => {
                    self.decoder = make_decoder(&self.packets, self.packets.track()?)?;
                }
                Err(error) => {
                    self.first_error.get_or_insert_with(|| error.to_string());
                    self.packets.reject(packet);
                    // Codecs that look back need a clean start behind the damage.
                    self.decoder.reset();
                    break;
                }
            }
        }
        Ok(())
    }

    /// What is wrong with the part read so far, if anything.
    pub fn damage(&self) -> Option<String> {
        let cause = self.cause();
        if self.n_lost == 0 && cause.is_none() {
            return self.shorter();
        }
        let lost_s = self.n_lost as f64 / f64::from(self.sample_rate);
        let end = if self.packets.cut_short().is_some() { ", ends before its time" } else { "" };
        Some(format!("damaged ({}): {lost_s:.3} s replaced by silence{end}", cause.unwrap_or("packets are missing")))
    }

    /// Logs what is wrong with the part read so far, if anything.
    pub(crate) fn log_damage(&self) {
        if let Some(damage) = self.damage() {
            tracing::warn!("{}: {damage}", self.path.display());
        }
    }

    /// What is to be said of a file that has been read to its end and is shorter than its header
    /// promises.
    fn shorter(&self) -> Option<String> {
        if let Some(note) = self.packets.note() {
            return Some(note.to_string());
        }
        let n_promised = self.packets.n_promised().filter(|_| self.is_through)?;
        let seconds = |n: u64| n as f64 / f64::from(self.sample_rate);
        let (promised_s, there_s) = (seconds(n_promised), seconds(self.n_decoded));
        (promised_s > there_s + TOLERANCE_S).then(|| shortfall(promised_s, there_s))
    }

    fn cause(&self) -> Option<&str> {
        self.first_error.as_deref().or_else(|| self.packets.cut_short())
    }

    /// Mixes what the decoder left in `interleaved` into `block`.
    fn take_decoded(&mut self, rate: u32, n_channels: usize, n_frames: usize, block: &mut Vec<f32>) -> Result<()> {
        if n_frames == 0 || n_channels == 0 {
            return Ok(());
        }
        self.n_channels = n_channels;
        self.n_decoded += n_frames as u64;
        let mut mono = std::mem::take(&mut self.mono);
        mono.clear();
        match self.channel {
            Some(channel) => mono.extend(self.interleaved.iter().skip(channel).step_by(n_channels)),
            None if n_channels == 1 => mono.extend_from_slice(&self.interleaved),
            None => {
                let known = self.mixer.take().filter(|(n, _)| *n == n_channels);
                let (_, mixer) = self.mixer.insert(known.unwrap_or_else(|| {
                    let mixer = Mono::of(n_channels, &self.channels, rate);
                    (n_channels, mixer.reporting_to(self.balance.clone()))
                }));
                mixer.mix(&self.interleaved, |block| mono.extend_from_slice(block));
            }
        }
        if self.converter.as_ref().map_or(self.sample_rate, |(rate, _)| *rate) != rate {
            self.convert_rest(block);
            if rate != self.sample_rate {
                let converter = Resampler::new(rate, self.sample_rate).map_err(|error| {
                    let reason = format!("sample rate changes from {} to {rate} Hz on the way", self.sample_rate);
                    Error::audio_file(&self.path, format!("{reason}: {error}"))
                })?;
                self.converter = Some((rate, converter));
            }
        }
        match &mut self.converter {
            Some((_, converter)) => converter.process(&mono, |samples| block.extend_from_slice(samples)),
            None => block.extend_from_slice(&mono),
        }
        self.mono = mono;
        Ok(())
    }

    /// Appends what is still in the converter, and goes on at the file's own rate.
    fn convert_rest(&mut self, block: &mut Vec<f32>) {
        if let Some((_, mut converter)) = self.converter.take() {
            converter.finish(|samples| block.extend_from_slice(samples));
        }
    }

    fn end(&mut self) -> Result<bool> {
        self.is_through = true;
        match (self.n_decoded, self.cause()) {
            (0, Some(cause)) => Err(Error::audio_file(&self.path, format!("nothing could be decoded: {cause}"))),
            (0, None) => Err(Error::audio_file(&self.path, "contains no audio")),
            _ => Ok(false),
        }
    }
}

/// What is said of a file with less sound than its header promises.
fn shortfall(promised_s: f64, there_s: f64) -> String {
    format!("the header promises {promised_s:.3} s of sound, {there_s:.3} s are there")
}

fn make_decoder(packets: &Packets, track: &Track) -> Result<Box<dyn AudioDecoder>> {
    let params = track.codec_params.as_ref().and_then(|params| params.audio());
    let params = params.ok_or_else(|| packets.refusal("it does not say how it is encoded"))?;
    symphonia::default::get_codecs()
        .make_audio_decoder(params, &AudioDecoderOptions::default())
        .map_err(|error| packets.refusal(error))
}

#[cfg(test)]
mod tests;

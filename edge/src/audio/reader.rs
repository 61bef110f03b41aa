//! A recording block by block: a file or a stream enters, mono samples leave. Runs on the caller's
//! thread, in memory that does not grow with the recording.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use edge_frontend::Resampler;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::formats::Track;
use symphonia::core::packet::Packet;

use super::container::shortfall;
use super::packets::{Next, Packets, spoken};
use crate::error::{Error, Result};
use crate::mono::{Balance, Channels, Mono};

/// How much shorter a file may be than its header promises, in seconds: encoders count their
/// padding in different ways.
const TOLERANCE_S: f64 = 0.25;

/// Decodes a file block by block, in memory that does not grow with the file.
pub struct AudioReader {
    path: PathBuf,
    packets: Packets,
    decoder: Box<dyn AudioDecoder>,
    sample_rate: u32,
    n_channels: usize,
    /// The channel that is taken regardless of `channels`.
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

    /// The same for a single channel, counted from 0.
    pub(super) fn of_channel(self, channel: usize) -> Self {
        AudioReader { channel: Some(channel), ..self }
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

    /// Decodes `packet` into `block`. A track with another number of channels or another rate, as
    /// after recordings were appended to each other, needs a decoder of its own.
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
                    // Codecs that look back need a clean start after the damage.
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
        let end = if self.packets.cut_short().is_some() { ", and the file ends early" } else { "" };
        Some(format!("damaged ({}): {lost_s:.3} s replaced by silence{end}", cause.unwrap_or("packets are missing")))
    }

    /// Logs what is wrong with the part read so far, if anything.
    pub(crate) fn log_damage(&self) {
        if let Some(damage) = self.damage() {
            tracing::warn!("{}: {damage}", self.path.display());
        }
    }

    /// The message for a file that has been read to its end and is shorter than its header
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
                    let reason = format!("sample rate changes from {} to {rate} Hz within the file", self.sample_rate);
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

    /// Appends what is still in the converter, and continues at the file's own rate.
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

fn make_decoder(packets: &Packets, track: &Track) -> Result<Box<dyn AudioDecoder>> {
    let params = track.codec_params.as_ref().and_then(|params| params.audio());
    let params = params.ok_or_else(|| packets.refusal("its header does not name the encoding"))?;
    symphonia::default::get_codecs()
        .make_audio_decoder(params, &AudioDecoderOptions::default())
        .map_err(|error| packets.refusal(&spoken(&error)))
}

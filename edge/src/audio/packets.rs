//! A file's packets in order: bytes enter, the packets of one audio track leave, each with the
//! number of samples missing before it.
//!
//! Runs on the caller's thread, like all of this module.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known::{FORMAT_ID_FLAC, FORMAT_ID_MP3, FORMAT_ID_OGG};
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, TimeBase};

use super::container::Container;
use super::signature::Signature;
use crate::error::{Error, Result};
use crate::rate;

/// Longest silence that stands for packets lost in a row, seconds: a damaged header may claim that
/// hours are missing.
const MAX_LOST_S: f64 = 10.0;

/// Time stamps that jump by less are taken as inexact, seconds. The pages of intact Ogg files, of
/// which some encoders write the positions 10 to 20 ms too late, must not be torn apart. A lost
/// page is some hundred milliseconds long, a lost frame of FLAC 85 ms at 48 kHz.
const TIME_STAMP_TOLERANCE_S: f64 = 0.04;

/// Packets that an encoder of MP3 may put after the end to fill its last block.
const MAX_PADDING: usize = 3;

/// The packets of a file's audio track.
pub(super) struct Packets {
    path: PathBuf,
    format: Box<dyn FormatReader>,
    /// What the file is, where it may be something that cannot be decoded.
    foreign: Option<Signature>,
    /// The message for a file that is shorter than its header promises.
    note: Option<String>,
    track_id: u32,
    time_base: Option<TimeBase>,
    sample_rate: u32,
    /// The packet after the current one, where it had to be looked at.
    ahead: Option<Packet>,
    /// Whether another stream follows the packets so far (chained Ogg).
    chained: bool,
    /// Where the next packet should begin, in units of `time_base`.
    next_ts: Option<i64>,
    /// Whether the last packet could not be decoded, so that a jump of any size is a loss.
    failed: bool,
    /// Why the file ends before its end.
    cut_short: Option<String>,
    /// Packets of MP3 after the end that the header gives: padding, or another recording.
    beyond: VecDeque<Packet>,
    /// Whether there is another recording after the end.
    joined: bool,
}

/// Why the decoder refuses a file, in words.
pub(super) fn spoken(error: &SymphoniaError) -> String {
    match error {
        SymphoniaError::Unsupported(what) if what.contains("probe") => "it begins like none of them".into(),
        SymphoniaError::Unsupported(_) => "its encoding is not supported".into(),
        other => other.to_string(),
    }
}

/// What comes next in a file.
pub(super) enum Next {
    /// A packet, and the number of samples that are missing before it.
    Packet(Packet, usize),
    /// Another stream: the decoder has to be made again from [`Packets::track`].
    Stream,
    /// The end: the intended one, or where the damage begins.
    End,
}

impl Packets {
    /// Opens the file at `path` and reads its header.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::audio_file(path, error))?;
        let metadata = file.metadata().map_err(|error| Error::audio_file(path, error))?;
        if metadata.is_dir() {
            return Err(Error::audio_file(path, "is a folder"));
        }
        if metadata.is_file() && metadata.len() == 0 {
            return Err(Error::audio_file(path, "contains no audio: the file is empty"));
        }
        let container = if metadata.is_file() {
            Container::open(file, metadata.len()).map_err(|error| Error::audio_file(path, error))?
        } else {
            Container::of_stream(file).map_err(|error| Error::audio_file(path, error))?
        };
        let ending = container.ending.or_else(|| path.extension().and_then(|extension| extension.to_str()));
        let ending = ending.map(str::to_string);
        Packets::begin(path, container, ending.as_deref())
    }

    /// Reads the header of a stream that is called `path`.
    pub(super) fn of_stream(path: &Path, source: impl Read + Send + Sync + 'static) -> Result<Self> {
        Packets::begin(path, Container::of_stream(source).map_err(|error| Error::audio_file(path, error))?, None)
    }

    fn begin(path: &Path, container: Container, ending: Option<&str>) -> Result<Self> {
        let mut hint = Hint::new();
        if let Some(ending) = ending {
            hint.with_extension(ending);
        }
        let (foreign, note) = (container.foreign, container.note);
        let stream = MediaSourceStream::new(container.source, Default::default());
        let format = symphonia::default::get_probe()
            .probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
            .map_err(|error| Error::audio_file(path, Container::refusal(foreign, path, &spoken(&error))))?;
        let mut packets = Packets {
            path: path.to_path_buf(),
            format,
            foreign,
            note,
            track_id: 0,
            time_base: None,
            sample_rate: 0,
            ahead: None,
            chained: false,
            next_ts: None,
            failed: false,
            cut_short: None,
            beyond: VecDeque::new(),
            joined: false,
        };
        packets.begin_track()?;
        Ok(packets)
    }

    /// The track that the packets belong to.
    pub(super) fn track(&self) -> Result<&Track> {
        let track = self.format.default_track(TrackType::Audio);
        track.ok_or_else(|| Error::audio_file(&self.path, "contains no audio track"))
    }

    /// Samples a second; one of the rates that can be processed.
    pub(super) fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Samples that the header promises, where it counts them.
    pub(super) fn n_promised(&self) -> Option<u64> {
        let counts = matches!(self.format.format_info().format, FORMAT_ID_FLAC | FORMAT_ID_MP3);
        self.track().ok().filter(|_| counts && !self.joined)?.num_frames.filter(|n| *n > 0)
    }

    /// The message for a file that is shorter than its header promises.
    pub(super) fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// The error for a track that cannot be decoded.
    pub(super) fn refusal(&self, reason: &str) -> Error {
        match self.foreign {
            Some(_) => Error::audio_file(&self.path, Container::refusal(self.foreign, &self.path, reason)),
            None => Error::audio_file(&self.path, format_args!("audio track cannot be decoded: {reason}")),
        }
    }

    /// Why the file ends before its end, once it has.
    pub(super) fn cut_short(&self) -> Option<&str> {
        self.cut_short.as_deref()
    }

    /// The next packet of the track.
    pub(super) fn next(&mut self) -> Result<Next> {
        let Some(mut packet) = self.ahead.take().or_else(|| self.read()) else {
            if std::mem::take(&mut self.chained) {
                self.begin_track()?;
                return Ok(Next::Stream);
            }
            return Ok(Next::End);
        };
        let n_lost = self.n_lost_before(&packet);
        if self.format.format_info().format == FORMAT_ID_OGG {
            // Symphonia cuts a packet where its page should end, but only the last page of a stream
            // is there to be cut.
            self.ahead = self.read();
            if self.ahead.is_some() {
                packet.trim_end = Duration::ZERO;
            }
        }
        Ok(Next::Packet(packet, n_lost))
    }

    /// Says that `packet` could not be decoded: it counts as lost.
    pub(super) fn reject(&mut self, packet: &Packet) {
        self.next_ts = Some(packet.pts.get());
        self.failed = true;
    }

    fn begin_track(&mut self) -> Result<()> {
        let track = self.track()?;
        let params = track.codec_params.as_ref().and_then(|params| params.audio());
        let sample_rate = params.and_then(|params| params.sample_rate).filter(|&rate| rate > 0);
        let (track_id, time_base) = (track.id, track.time_base);
        let sample_rate = sample_rate.ok_or_else(|| Error::audio_file(&self.path, "header gives no sample rate"))?;
        self.sample_rate = rate::check(sample_rate).map_err(|reason| Error::audio_file(&self.path, reason))?;
        self.track_id = track_id;
        self.time_base = time_base;
        self.next_ts = None;
        self.failed = false;
        Ok(())
    }

    fn read(&mut self) -> Option<Packet> {
        while !self.chained && self.cut_short.is_none() {
            if self.joined
                && let Some(packet) = self.beyond.pop_front()
            {
                return Some(packet);
            }
            match self.format.next_packet() {
                Ok(Some(packet)) if packet.track_id == self.track_id => {
                    if let Some(packet) = self.within(packet) {
                        return Some(packet);
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(SymphoniaError::ResetRequired) => self.chained = true,
                Err(error) => self.cut_short = Some(error.to_string()),
            }
        }
        None
    }

    /// The packet, unless it is wholly after the end that the header of an MP3 file gives. A few
    /// of those are padding; more are another recording that was appended to the file, and are
    /// taken.
    fn within(&mut self, mut packet: Packet) -> Option<Packet> {
        if self.format.format_info().format != FORMAT_ID_MP3 {
            return Some(packet);
        }
        let end = self.track().ok().and_then(|track| track.num_frames).and_then(|n| i64::try_from(n).ok());
        let is_beyond = end.is_some_and(|end| packet.pts.get() >= end);
        if !self.joined && !is_beyond {
            return Some(packet);
        }
        packet.trim_end = Duration::ZERO;
        self.beyond.push_back(packet);
        self.joined |= self.beyond.len() > MAX_PADDING;
        if self.joined { self.beyond.pop_front() } else { None }
    }

    /// Samples that are missing between the last decoded packet and this one, by the container's
    /// time stamps.
    fn n_lost_before(&mut self, packet: &Packet) -> usize {
        let begin = packet.pts.get();
        let due = self.next_ts.replace(begin.saturating_add_unsigned(packet.block_dur().get())).unwrap_or(begin);
        let tolerance_s = if std::mem::take(&mut self.failed) { 0.0 } else { TIME_STAMP_TOLERANCE_S };
        let ticks = begin.saturating_sub(due) as f64;
        let lost_s = match self.time_base {
            Some(base) => ticks * f64::from(base.numer.get()) / f64::from(base.denom.get()),
            None => ticks / f64::from(self.sample_rate),
        };
        if lost_s <= tolerance_s {
            return 0;
        }
        (lost_s.min(MAX_LOST_S) * f64::from(self.sample_rate)).round() as usize
    }
}

//! What a file is, by its first bytes: a file enters, what the decoder is to read of it leaves.
//!
//! Headers of WAV files are put right, tags before the sound are left out, and what cannot be
//! decoded is named with a remedy.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use symphonia::core::io::MediaSource;

use super::shortfall;
use super::wav::Samples;

/// First bytes that tell what a file is.
const N_FIRST: usize = 64;

/// MPEG layer 3 within a WAV file.
const WAV_MP3: u16 = 0x55;

/// What is named where it cannot be decoded: where its mark is, the mark, and what it is called.
const FOREIGN: [(usize, &[u8], &str); 22] = [
    (28, b"OpusHead", "an Opus recording"),
    (28, b"Speex   ", "a Speex recording"),
    (0, b"#!AMR", "an AMR recording"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media recording"),
    (0, b"caff", "a CAF recording"),
    (0, b"\x1a\x45\xdf\xa3", "a Matroska or WebM recording"),
    (0, b"wvpk", "a WavPack recording"),
    (0, b"MAC ", "a Monkey's Audio recording"),
    (0, b"TTA1", "a TTA recording"),
    (0, b"MPCK", "a Musepack recording"),
    (0, b"DSD ", "a DSD recording"),
    (0, b"FRM8", "a DSD recording"),
    (0, b".snd", "an AU recording"),
    (0, b".RMF", "a RealMedia recording"),
    (0, b"RIFX", "a WAV file for big-endian machines"),
    (8, b"AVI ", "a film"),
    (0, b"FLV\x01", "a film"),
    (4, b"ftyp", "an MP4 file whose sound cannot be decoded here"),
    (0, b"MThd", "a MIDI file"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"%PDF", "a document"),
];

/// What the decoder reads.
pub(super) struct Container {
    pub(super) source: Box<dyn MediaSource>,
    /// The ending of the name that it should have, where it is known better.
    pub(super) ending: Option<&'static str>,
    /// What is to be said of a file that is shorter than its header promises.
    pub(super) note: Option<String>,
    /// What it is, where it may be something that cannot be decoded.
    pub(super) foreign: Option<&'static str>,
}

impl Container {
    /// Looks at `file`, which is `len` bytes long.
    pub(super) fn open(mut file: File, len: u64) -> io::Result<Self> {
        let mut first = [0; N_FIRST];
        let n_first = read_up_to(&mut file, &mut first)?;
        let first = &first[..n_first];
        let foreign = FOREIGN.iter().find(|(at, mark, _)| first.get(*at..).is_some_and(|rest| rest.starts_with(mark)));
        let foreign = foreign.map(|(_, _, name)| *name);
        if let Some(samples) = Samples::find(&mut file, len)? {
            let seconds = |n_bytes: u64| n_bytes as f64 / f64::from(samples.byte_rate().max(1));
            let note = samples.promised.map(|promised| shortfall(seconds(promised), seconds(samples.len)));
            // A header of its own would be in the way of what is a whole file of another format.
            let is_mp3 = samples.encoding() == WAV_MP3;
            let header = if is_mp3 { Vec::new() } else { samples.header() };
            let spliced = Spliced::new(header, file, samples.start, samples.len);
            let ending = if is_mp3 { "mp3" } else { "wav" };
            return Ok(Container { source: Box::new(spliced), ending: Some(ending), note, foreign: samples.foreign() });
        }
        let start = behind_tags(&mut file, len)?;
        let spliced = Spliced::new(Vec::new(), file, start, len - start);
        Ok(Container { source: Box::new(spliced), ending: None, note: None, foreign })
    }

    /// The sentence for a file that the decoder refuses with `reason`.
    pub(super) fn refusal(foreign: Option<&str>, path: &Path, reason: impl std::fmt::Display) -> String {
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy();
        let convert =
            |path: &Path| format!("convert it, for example with: ffmpeg -i \"{}\" \"{name}.flac\"", path.display());
        match foreign {
            Some("a zip archive" | "a gzip archive") => {
                format!("this is {}: unpack it first", foreign.unwrap_or_default())
            }
            Some(what @ ("a document" | "a MIDI file")) => format!("this is {what} and holds no recorded sound"),
            Some(what) => format!("this is {what}, which is not decoded here: {}", convert(path)),
            None => format!("not a wav, flac, ogg, mp3, m4a or aiff file: {reason}"),
        }
    }
}

impl Samples {
    /// What the samples are, where the decoder does not know their encoding.
    fn foreign(&self) -> Option<&'static str> {
        match self.encoding() {
            0x31 => Some("a WAV file in GSM 6.10"),
            0x50 => Some("a WAV file in MPEG layer 2"),
            0xff | 0x1600..=0x1610 => Some("a WAV file in AAC"),
            0x160..=0x163 => Some("a WAV file in Windows Media audio"),
            0x14 | 0x40 | 0x45 | 0x64 | 0x65 => Some("a WAV file in G.72x"),
            0x11 | 0x2 | 0x1 | 0x3 | 0x6 | 0x7 | WAV_MP3 => None,
            _ => Some("a WAV file in an uncommon encoding"),
        }
    }
}

/// Where the sound begins: after all tags of ID3 version 2 (id3.org), however large a picture they
/// hold. The decoder looks no further than 1 MiB.
fn behind_tags(file: &mut File, len: u64) -> io::Result<u64> {
    let mut start = 0;
    loop {
        file.seek(SeekFrom::Start(start))?;
        let mut head = [0; 10];
        let n = read_up_to(file, &mut head)?;
        if n < 10 || &head[..3] != b"ID3" || head[6..].iter().any(|byte| byte & 0x80 != 0) {
            return Ok(start);
        }
        let size = head[6..].iter().fold(0_u64, |size, byte| size << 7 | u64::from(*byte));
        let footer = if head[5] & 0x10 != 0 { 10 } else { 0 };
        let behind = start + 10 + size + footer;
        if behind >= len {
            // It is cut off, or no tag.
            return Ok(start);
        }
        start = behind;
    }
}

fn read_up_to(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while n < buffer.len() {
        match file.read(&mut buffer[n..])? {
            0 => break,
            more => n += more,
        }
    }
    Ok(n)
}

/// A part of a file after a header of its own.
struct Spliced {
    header: Vec<u8>,
    file: File,
    start: u64,
    /// Of header and part together.
    len: u64,
    position: u64,
}

impl Spliced {
    fn new(header: Vec<u8>, file: File, start: u64, len: u64) -> Self {
        Spliced { len: header.len() as u64 + len, header, file, start, position: 0 }
    }
}

impl Read for Spliced {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_header = self.header.len() as u64;
        if let Some(rest) = self.header.get(self.position as usize..).filter(|rest| !rest.is_empty()) {
            let n = rest.len().min(buffer.len());
            buffer[..n].copy_from_slice(&rest[..n]);
            self.position += n as u64;
            return Ok(n);
        }
        let n = usize::try_from(self.len.saturating_sub(self.position)).unwrap_or(usize::MAX).min(buffer.len());
        self.file.seek(SeekFrom::Start(self.start + self.position - n_header))?;
        let n = self.file.read(&mut buffer[..n])?;
        self.position += n as u64;
        Ok(n)
    }
}

impl Seek for Spliced {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
        };
        self.position = position.ok_or_else(|| io::Error::other("a place before the beginning"))?;
        Ok(self.position)
    }
}

impl MediaSource for Spliced {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.len)
    }
}

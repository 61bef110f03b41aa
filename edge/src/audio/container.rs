//! What a file is, by its first bytes: a file enters, what the decoder is to read of it leaves.
//!
//! Headers of WAV files are corrected, tags before the sound are left out, and what cannot be
//! decoded is named with a remedy.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use symphonia::core::io::{MediaSource, ReadOnlySource};

use super::signature::{self, Handling, Signature, signature};
use super::wav::Samples;

/// First bytes that tell what a file is.
const N_FIRST: usize = 4 * signature::ENOUGH;

/// Bytes before the content of a tag.
const TAG_HEAD: usize = 10;

/// MPEG layer 3 within a WAV file.
const WAV_MP3: u16 = 0x55;

/// What the decoder reads.
pub(super) struct Container {
    pub(super) source: Box<dyn MediaSource>,
    /// The ending of the name that it should have, where it is known better.
    pub(super) ending: Option<&'static str>,
    /// The message for a file that is shorter than its header promises.
    pub(super) note: Option<String>,
    /// What it is, where it may be something that cannot be decoded.
    pub(super) foreign: Option<Signature>,
}

impl Container {
    /// Looks at `file`, which is `len` bytes long.
    pub(super) fn open(mut file: File, len: u64) -> io::Result<Self> {
        let mut first = [0; N_FIRST];
        let n_first = read_up_to(&mut file, &mut first)?;
        let first = &first[..n_first];
        let foreign = signature(first).filter(|found| found.handling != Handling::Decoded);
        if let Some(samples) = Samples::find(&mut file, len)? {
            let seconds = |n_bytes: u64| n_bytes as f64 / f64::from(samples.byte_rate().max(1));
            let note = samples.promised.map(|promised| shortfall(seconds(promised), seconds(samples.len)));
            // A WAV header before it would hide a complete file of another format.
            let is_mp3 = samples.encoding() == WAV_MP3;
            let header = if is_mp3 { Vec::new() } else { samples.header() };
            let spliced = Spliced::new(header, file, samples.start, samples.len);
            let ending = if is_mp3 { "mp3" } else { "wav" };
            return Ok(Container {
                source: Box::new(spliced),
                ending: Some(ending),
                note,
                foreign: Some(samples.signature()),
            });
        }
        let start = behind_tags(&mut file, len)?;
        let spliced = Spliced::new(Vec::new(), file, start, len - start);
        Ok(Container { source: Box::new(spliced), ending: None, note: None, foreign })
    }

    /// Looks at a stream, in which one cannot go back.
    pub(super) fn of_stream(mut source: impl Read + Send + Sync + 'static) -> io::Result<Self> {
        let first = after_tags_of_stream(&mut source)?;
        let source = Box::new(ReadOnlySource::new(io::Cursor::new(first).chain(source)));
        Ok(Container { source, ending: None, note: None, foreign: None })
    }

    /// The sentence for a file that the decoder refuses with `reason`.
    pub(super) fn refusal(foreign: Option<Signature>, path: &Path, reason: &str) -> String {
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy();
        let convert =
            format!("convert it, for example with: ffmpeg -i \"{}\" -c:a flac \"{name}.flac\"", path.display());
        let Some(Signature { name: what, handling }) = foreign else {
            return format!("not a sound file that is known here (wav, flac, ogg, mp3, m4a, aiff): {reason}");
        };
        match handling {
            Handling::Unpacked => format!("this is {what}: unpack it first"),
            Handling::NoSound => format!("this is {what} and holds no recorded sound"),
            Handling::Converted => format!("this is {what}, which earwitness cannot decode: {convert}"),
            Handling::Decoded | Handling::DecodedFromFiles => {
                format!("this is {what} that cannot be decoded ({reason}): {convert}")
            }
        }
    }
}

impl Samples {
    /// What the file is, by the encoding of its samples.
    fn signature(&self) -> Signature {
        let name = match self.encoding() {
            0x31 => "a WAV file in GSM 6.10",
            0x50 => "a WAV file in MPEG layer 2",
            0xff | 0x1600..=0x1610 => "a WAV file in AAC",
            0x160..=0x163 => "a WAV file in Windows Media audio",
            0x14 | 0x40 | 0x45 | 0x64 | 0x65 => "a WAV file in G.72x",
            0x11 | 0x2 | 0x1 | 0x3 | 0x6 | 0x7 | WAV_MP3 => {
                return Signature { name: "a WAV file", handling: Handling::Decoded };
            }
            _ => "a WAV file in an uncommon encoding",
        };
        Signature { name, handling: Handling::Converted }
    }
}

/// The message for a file with less sound than its header promises.
pub(super) fn shortfall(promised_s: f64, there_s: f64) -> String {
    format!("the header promises {promised_s:.3} s of sound, but the file holds {there_s:.3} s")
}

/// Length of a tag of ID3 version 2 (id3.org) that begins so.
fn tag_len(head: &[u8]) -> Option<u64> {
    if head.len() < TAG_HEAD || !head.starts_with(b"ID3") || head[6..].iter().any(|byte| byte & 0x80 != 0) {
        return None;
    }
    let size = head[6..].iter().fold(0_u64, |size, byte| size << 7 | u64::from(*byte));
    let footer = if head[5] & 0x10 != 0 { 10 } else { 0 };
    Some(TAG_HEAD as u64 + size + footer)
}

/// Where the sound begins: after all tags, however large a picture they hold. The decoder looks no
/// further than 1 MiB.
fn behind_tags(file: &mut File, len: u64) -> io::Result<u64> {
    let mut start = 0;
    loop {
        file.seek(SeekFrom::Start(start))?;
        let mut head = [0; TAG_HEAD];
        let n = read_up_to(file, &mut head)?;
        match tag_len(&head[..n]) {
            Some(tag_len) if start + tag_len < len => start += tag_len,
            // There is none, or it is cut off.
            _ => return Ok(start),
        }
    }
}

/// Reads all tags at the beginning of a stream. What was read of the sound after them is returned.
fn after_tags_of_stream(source: &mut impl Read) -> io::Result<Vec<u8>> {
    loop {
        let mut head = [0; TAG_HEAD];
        let n = read_up_to(source, &mut head)?;
        let Some(tag_len) = tag_len(&head[..n]) else { return Ok(head[..n].to_vec()) };
        io::copy(&mut source.take(tag_len - TAG_HEAD as u64), &mut io::sink())?;
    }
}

fn read_up_to(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
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
        self.position = position.ok_or_else(|| io::Error::other("cannot seek to a place before the beginning"))?;
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

//! What the first bytes of a stream are: a WAV header, whose layout is then known; encoded sound;
//! raw samples; or something that must not be taken for samples. Runs on the thread that opens the
//! stream.

use std::borrow::Cow;

use super::raw::{Layout, RawFormat};
use super::secret::redact;
use crate::audio::signature::{ENOUGH, Handling, Signature, signature, wants_more};

/// The longest header that is read: some programs put whole texts before the samples.
pub(super) const LONGEST: usize = 65_536;

/// The shortest text before a mark of four letters that cannot be chance.
const LEAST_TEXT: usize = 4;

/// Encodings of WAV that are decoded: ADPCM of Microsoft and IMA, A-law and mu-law.
const ENCODED: [u16; 4] = [0x2, 0x11, 0x6, 0x7];

/// What a stream begins with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// A WAV header.
    Wav {
        /// What follows it.
        layout: Layout,
        /// Its length.
        n_bytes: usize,
    },
    /// Sound that is to be decoded.
    Encoded,
    /// More bytes are wanted.
    Unfinished,
    /// Sound that is not decoded here.
    Foreign(String),
    /// Something else.
    NoSound(String),
    /// Most likely samples.
    Raw,
}

/// What `bytes`, the first of a stream, are. `is_all` says that no others will come.
pub(super) fn head(bytes: &[u8], is_all: bool) -> Head {
    if bytes.starts_with(b"RIFF") || bytes.starts_with(b"RF64") || bytes.starts_with(b"BW64") {
        return match wav(bytes) {
            Ok(Some(Wav::Samples(layout, n_bytes))) => Head::Wav { layout, n_bytes },
            Ok(Some(Wav::Encoded)) => Head::Encoded,
            Ok(None) if is_all => Head::NoSound("a WAV file without samples".into()),
            // Whole texts or pictures before the samples are for the decoder to pass over.
            Ok(None) if bytes.len() >= LONGEST => Head::Encoded,
            Ok(None) => Head::Unfinished,
            Err(reason) => Head::Foreign(format!("a WAV file {reason}")),
        };
    }
    if !is_all && bytes.len() < LONGEST && wants_more(bytes) {
        return Head::Unfinished;
    }
    if let Some(Signature { name, handling }) = signature(bytes) {
        return match handling {
            Handling::Decoded => Head::Encoded,
            Handling::DecodedFromFiles => Head::Foreign(format!("{name}, which can only be decoded from a file")),
            Handling::Converted => Head::Foreign(format!("{name}, which earwitness cannot decode")),
            Handling::Unpacked => Head::NoSound(format!("{name}: unpack it first")),
            Handling::NoSound => Head::NoSound(format!("{name}, which holds no recorded sound")),
        };
    }
    if let Some(text) = before_sound(bytes) {
        let remedy = "have the program print it to standard error";
        return Head::NoSound(format!("text before the sound, {}: {remedy}", first_line(text)));
    }
    match text(&bytes[..bytes.len().min(ENOUGH)]).or_else(|| utf16(bytes)) {
        Some(text) => Head::NoSound(format!("text instead of sound: {}", first_line(&text))),
        None => Head::Raw,
    }
}

/// The beginning of the first line of `text`, without secrets.
fn first_line(text: &str) -> String {
    let line: String = redact(text.lines().next().unwrap_or_default()).chars().take(40).collect();
    format!("{line:?}")
}

/// `bytes` if they are text. Samples that are letters, digits and spaces alone do not occur.
fn text(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // The last letter may go on after these bytes.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    (text.len() >= 16 && text.chars().all(is_of_text)).then_some(text.into())
}

/// The beginning of text in UTF-16, by its byte order mark and by letters most of which are ASCII.
fn utf16(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let unit: fn([u8; 2]) -> u16 = match bytes.get(..2)? {
        [0xff, 0xfe] => u16::from_le_bytes,
        [0xfe, 0xff] => u16::from_be_bytes,
        _ => return None,
    };
    let units = bytes[2..].chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let text: String = char::decode_utf16(units).take(32).collect::<Result<_, _>>().ok()?;
    let (n, n_ascii) = (text.chars().count(), text.chars().filter(char::is_ascii).count());
    (n >= 16 && 4 * n_ascii >= 3 * n && text.chars().all(is_of_text)).then_some(text.into())
}

/// The text before the mark of a recording, where `bytes` begin with one: what a command prints, or
/// the head of a reply over HTTP. Samples do not hold such a mark after letters alone.
fn before_sound(bytes: &[u8]) -> Option<&str> {
    let is_mark = |at: &usize| {
        let rest = &bytes[*at..];
        let is_wav = rest.starts_with(b"RIFF") || rest.starts_with(b"RF64");
        is_wav && rest.get(8..12) == Some(b"WAVE") || rest.starts_with(b"fLaC") || rest.starts_with(b"OggS")
    };
    let n_valid = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
    let text = std::str::from_utf8(&bytes[..n_valid]).ok()?;
    let text = &text[..text.find(|c| !is_of_text(c)).unwrap_or(text.len())];
    (LEAST_TEXT..text.len()).find(is_mark).map(|at| &text[..at])
}

fn is_of_text(c: char) -> bool {
    !c.is_control() || matches!(c, '\t' | '\n' | '\r')
}

/// What is after a WAV header.
enum Wav {
    /// Samples, and the header's length.
    Samples(Layout, usize),
    /// Something that the decoder knows.
    Encoded,
}

/// Layout of the samples after a WAV header and the header's length; `None` while it is
/// unfinished. The sizes that it claims for the samples do not matter: a stream ends where it ends.
fn wav(bytes: &[u8]) -> Result<Option<Wav>, String> {
    let u16_at = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let u32_at = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    if bytes.len() >= 12 && &bytes[8..12] != b"WAVE" {
        return Err("that is in fact of another type, such as AVI".into());
    }
    let mut at = 12;
    let mut layout = None;
    while let (Some(id), Some(n_bytes)) = (bytes.get(at..at + 4), u32_at(at + 4)) {
        let body = at + 8;
        match (id, layout) {
            (b"data", Some(layout)) => return Ok(Some(Wav::Samples(layout, body))),
            (b"data", None) => return Err("whose header has no format".into()),
            (b"fmt ", _) => {
                let fields = (u16_at(body), u16_at(body + 2), u32_at(body + 4), u16_at(body + 14));
                let (Some(code), Some(n_channels), Some(rate), Some(bits)) = fields else { return Ok(None) };
                // An extensible format names the real one in the first bytes of an identifier.
                let code = match code {
                    0xfffe => match u16_at(body + 24) {
                        Some(code) => code,
                        None => return Ok(None),
                    },
                    code => code,
                };
                let block = u16_at(body + 12).unwrap_or_default();
                if ENCODED.contains(&code) {
                    return Ok(Some(Wav::Encoded));
                }
                let format = format(code, bits, block, n_channels)
                    .ok_or_else(|| format!("in an unknown encoding: format {code:#06x}, {bits} bits"))?;
                let checked = Layout { rate, format, n_channels }.check();
                layout = Some(checked.map_err(|(_, reason)| format!("with an unusable header: {reason}"))?);
            }
            _ => {}
        }
        // In 64 bits: on 32-bit processors the sum could begin from zero again.
        let next = body as u64 + u64::from(n_bytes).next_multiple_of(2);
        if next > LONGEST as u64 {
            return Ok(None);
        }
        at = next as usize;
    }
    Ok(None)
}

fn format(code: u16, bits: u16, block: u16, n_channels: u16) -> Option<RawFormat> {
    // 24 bits may lie in 3 bytes or in 4.
    let n_bytes = block.checked_div(n_channels)?;
    match (code, bits, n_bytes) {
        (1, 8, _) => Some(RawFormat::U8),
        (1, 16, _) => Some(RawFormat::S16Le),
        (1, 24, 4) => Some(RawFormat::S24In4Le),
        (1, 24, _) => Some(RawFormat::S24In3Le),
        (1, 32, _) => Some(RawFormat::S32Le),
        // 12 or 20 bits fill their bytes from above, as whole ones do.
        (1, _, 2) => Some(RawFormat::S16Le),
        (1, _, 3) => Some(RawFormat::S24In3Le),
        (1, _, 4) => Some(RawFormat::S32Le),
        (3, 32, _) => Some(RawFormat::F32Le),
        (3, 64, _) => Some(RawFormat::F64Le),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(id: &[u8], body: &[u8]) -> Vec<u8> {
        [id, &(body.len() as u32).to_le_bytes(), body, if body.len() % 2 == 1 { &[0] } else { &[] }].concat()
    }

    fn wav_of(code: u16, n_channels: u16, rate: u32, bits: u16, before: &[u8]) -> Vec<u8> {
        let block = n_channels * bits.div_ceil(8);
        let fields = [code.to_le_bytes(), n_channels.to_le_bytes()].concat();
        let rates = [rate.to_le_bytes(), (rate * u32::from(block)).to_le_bytes()].concat();
        let widths = [block.to_le_bytes(), bits.to_le_bytes()].concat();
        let fmt = chunk(b"fmt ", &[fields, rates, widths].concat());
        // As a program writes it that cannot go back: the sizes are lies.
        [b"RIFF\xff\xff\xff\xffWAVE", before, &fmt, b"data\xff\xff\xff\xff", &[0; 600]].concat()
    }

    #[test]
    fn a_wav_header_says_what_follows() {
        let cases = [
            (1, 1, 44_100, 16, RawFormat::S16Le),
            (1, 2, 8_000, 8, RawFormat::U8),
            (1, 4, 48_000, 24, RawFormat::S24In3Le),
            (1, 1, 48_000, 32, RawFormat::S32Le),
            (1, 2, 48_000, 12, RawFormat::S16Le),
            (1, 2, 48_000, 20, RawFormat::S24In3Le),
            (3, 2, 96_000, 32, RawFormat::F32Le),
            (3, 1, 16_000, 64, RawFormat::F64Le),
        ];
        for (code, n_channels, rate, bits, format) in cases {
            let bytes = wav_of(code, n_channels, rate, bits, &chunk(b"LIST", b"texts"));
            let n_bytes = bytes.len() - 600;
            let layout = Layout { rate, format, n_channels };
            assert_eq!(head(&bytes, false), Head::Wav { layout, n_bytes });
            for cut in [4, 11, 20, n_bytes - 1] {
                assert_eq!(head(&bytes[..cut], false), Head::Unfinished, "{cut}");
                assert!(matches!(head(&bytes[..cut], true), Head::NoSound(_)));
            }
        }
    }

    #[test]
    fn a_wav_file_that_cannot_be_read_says_why() {
        let reason = |bytes: &[u8]| match head(bytes, true) {
            Head::Foreign(reason) => reason,
            other => panic!("{other:?}"),
        };
        assert!(reason(&wav_of(0x31, 1, 48_000, 4, b"")).contains("format 0x0031, 4 bits"));
        assert!(reason(&wav_of(1, 1, 3_999, 16, b"")).contains("a sample rate of 3999 Hz cannot be processed"));
        assert!(reason(b"RIFF\0\0\0\0AVI LIST").contains("such as AVI"));
        assert!(reason(&[b"RIFF\0\0\0\0WAVE", chunk(b"data", b"ab").as_slice()].concat()).contains("no format"));
    }

    #[test]
    fn what_is_no_sound_is_named() {
        let foreign = |start: &[u8]| {
            let bytes = [start, &[7; ENOUGH]].concat();
            assert!(matches!(head(&bytes[..bytes.len().min(100)], false), Head::Unfinished));
            match head(&bytes, false) {
                Head::Foreign(reason) | Head::NoSound(reason) => reason,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(foreign(b"\0\0\0\x20ftypM4A "), "an MP4 file, which can only be decoded from a file");
        let opus = [&b"OggS"[..], &[0; 24], b"OpusHead"].concat();
        assert_eq!(foreign(&opus), "an Opus recording, which earwitness cannot decode");
        assert_eq!(foreign(b"PK\x03\x04"), "a zip archive: unpack it first");
        assert_eq!(foreign(b"BZh91AY&SY"), "a bzip2 archive: unpack it first");
        assert_eq!(foreign(b"\x28\xb5\x2f\xfd"), "a Zstandard archive: unpack it first");
        assert_eq!(foreign(b"7z\xbc\xaf\x27\x1c"), "a 7z archive: unpack it first");
        assert_eq!(foreign(&[&b"a.wav"[..], &[0; 252], b"ustar"].concat()), "a tar archive: unpack it first");
        for picture in [&b"\x89PNG\r\n\x1a\n"[..], b"\xff\xd8\xff\xe0\0\x10JFIF\0", b"\xff\xd8\xff\xe1\0\x10Exif\0"] {
            assert_eq!(foreign(picture), "a picture, which holds no recorded sound");
        }
        assert_eq!(foreign(b"SQLite format 3\0"), "a database, which holds no recorded sound");
        let utf16 =
            |text: &str, to_bytes: fn(u16) -> [u8; 2]| -> Vec<u8> { text.encode_utf16().flat_map(to_bytes).collect() };
        for to_bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            let bytes = utf16("\u{feff}onset_s,offset_s,label\r\n", to_bytes);
            assert_eq!(head(&bytes, true), Head::NoSound("text instead of sound: \"onset_s,offset_s,label\"".into()));
        }
        let text = "# Earwitness\n\nAn always-on ear for a room. ".repeat(20);
        assert_eq!(head(text.as_bytes(), false), Head::NoSound("text instead of sound: \"# Earwitness\"".into()));
        // A letter of two bytes on the border.
        let text = "\u{e4}".repeat(300);
        assert!(matches!(head(&text.as_bytes()[..ENOUGH + 1], false), Head::NoSound(_)));
    }

    #[test]
    fn text_before_the_sound_is_refused() {
        let wav = wav_of(1, 1, 44_100, 16, b"");
        let flac = [&b"fLaC\0\0\0\x22"[..], &[7; ENOUGH]].concat();
        let ogg = [&b"OggS\0\x02"[..], &[7; ENOUGH]].concat();
        for text in ["starting camera 1\n", "HTTP/1.0 200 OK\r\nServer: x\r\n\r\n", "l\u{e4}uft\n", "1 2 "] {
            for sound in [&wav, &flac, &ogg] {
                let Head::NoSound(reason) = head(&[text.as_bytes(), sound].concat(), false) else { panic!("{text}") };
                let line = text.lines().next().unwrap();
                let remedy = "have the program print it to standard error";
                assert_eq!(reason, format!("text before the sound, {line:?}: {remedy}"));
            }
        }
        let secret = head(&[&b"from http://u:secret@cam/live\n"[..], &wav].concat(), false);
        assert!(!format!("{secret:?}").contains("secret"), "{secret:?}");
        // Long before the sound.
        let long = [&b"line of text\n".repeat(100)[..], &wav].concat();
        assert!(matches!(head(&long, false), Head::NoSound(reason) if reason.starts_with("text before the sound")));
    }

    #[test]
    fn encoded_sound_is_decoded() {
        for start in [&b"fLaC\0\0\0\x22"[..], b"OggS\0\x02", b"ID3\x04\0\0", &wav_of(0x11, 1, 48_000, 4, b"")] {
            assert_eq!(head(&[start, &[7; ENOUGH]].concat(), false), Head::Encoded);
        }
        // A picture of 100 kB before the samples.
        let long = wav_of(1, 1, 48_000, 16, &chunk(b"LIST", &[7; 100_000]));
        assert_eq!(head(&long[..2_000], false), Head::Unfinished);
        assert_eq!(head(&long[..LONGEST], false), Head::Encoded);
        // The second frame tells, wherever it is.
        let mut mp3 = vec![0xff, 0xfb, 0xe2, 0x64, 0, 0];
        mp3.resize(1045, 0);
        assert_eq!(head(&mp3, false), Head::Unfinished);
        mp3.extend([0xff, 0xfb, 0xe2, 0x64, 0, 0]);
        assert_eq!(head(&mp3, false), Head::Encoded);
    }

    #[test]
    fn samples_are_taken_for_samples() {
        let tone: Vec<u8> = (0..600).flat_map(|n| ((9e3 * (n as f32 * 0.3).sin()) as i16).to_le_bytes()).collect();
        assert_eq!(head(&tone, false), Head::Raw);
        assert_eq!(head(&[0; 1000], false), Head::Raw);
        assert_eq!(head(&[0xff; 1000], false), Head::Raw);
        // Marks are none where there are samples before them, and a byte order mark may be one.
        let wav = wav_of(1, 1, 44_100, 16, b"");
        assert_eq!(head(&[&tone[..99], &wav].concat(), false), Head::Raw);
        assert_eq!(head(&[&b"\xff\xfe"[..], &tone].concat(), false), Head::Raw);
        assert_eq!(head(&[&b"\xff\xfe"[..], &b"\x20\xff".repeat(500)].concat(), false), Head::Raw);
        assert_eq!(head(&tone[..6], true), Head::Raw, "a few samples are all that there is");
        assert_eq!(head(&tone[..6], false), Head::Unfinished);
    }
}

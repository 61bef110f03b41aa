//! What a file or a stream is, by its first bytes.

/// Bytes that tell what something is in most cases; MPEG audio has frames of up to 8 kB.
pub(crate) const ENOUGH: usize = 512;

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signature {
    /// What it is called, with its article.
    pub(crate) name: &'static str,
    /// What can be done with it.
    pub(crate) handling: Handling,
}

/// What can be done with something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handling {
    /// It is decoded as it comes.
    Decoded,
    /// It is decoded where one can go back in it: from a file.
    DecodedFromFiles,
    /// Other programs can decode it.
    Converted,
    /// There may be sound in it, once it is unpacked.
    Unpacked,
    /// There is no sound in it.
    NoSound,
}

use Handling::{Converted, Decoded, DecodedFromFiles, NoSound, Unpacked};

/// Where a mark is, the mark, and what has it. The more special come first.
const SIGNATURES: [(usize, &[u8], &str, Handling); 37] = [
    (28, b"OpusHead", "an Opus recording", Converted),
    (28, b"Speex   ", "a Speex recording", Converted),
    (0, b"OggS", "an Ogg recording", Decoded),
    (0, b"fLaC", "a FLAC recording", Decoded),
    (0, b"ID3", "an MP3 recording", Decoded),
    (0, b"FORM", "an AIFF recording", DecodedFromFiles),
    (0, b"riff\x2e\x91\xcf\x11", "a Wave64 recording", DecodedFromFiles),
    (4, b"ftyp", "an MP4 file", DecodedFromFiles),
    (0, b"#!AMR", "an AMR recording", Converted),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media recording", Converted),
    (0, b"caff", "a CAF recording", Converted),
    (0, b"\x1a\x45\xdf\xa3", "a Matroska or WebM recording", Converted),
    (0, b"wvpk", "a WavPack recording", Converted),
    (0, b"MAC ", "a Monkey's Audio recording", Converted),
    (0, b"TTA1", "a TTA recording", Converted),
    (0, b"MPCK", "a Musepack recording", Converted),
    (0, b"DSD ", "a DSD recording", Converted),
    (0, b"FRM8", "a DSD recording", Converted),
    (0, b".snd", "an AU recording", Converted),
    (0, b".RMF", "a RealMedia recording", Converted),
    (0, b"RIFX", "a WAV file for big-endian machines", Converted),
    (8, b"AVI ", "a film", Converted),
    (0, b"FLV\x01", "a film", Converted),
    (0, b"MThd", "a MIDI file", NoSound),
    (0, b"%PDF", "a document", NoSound),
    (0, b"\x7fELF", "a program", NoSound),
    (0, b"PK\x03\x04", "a zip archive", Unpacked),
    (0, b"\x1f\x8b\x08", "a gzip archive", Unpacked),
    (0, b"\xfd7zXZ", "an xz archive", Unpacked),
    (4, b"1AY&SY", "a bzip2 archive", Unpacked),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive", Unpacked),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", Unpacked),
    (257, b"ustar", "a tar archive", Unpacked),
    (0, b"\x89PNG\r\n", "a picture", NoSound),
    (6, b"JFIF\0", "a picture", NoSound),
    (6, b"Exif\0", "a picture", NoSound),
    (0, b"SQLite format 3", "a database", NoSound),
];

/// Bytes of a frame of MPEG audio that tell its length.
const HEADER_LEN: usize = 6;

/// What has `first` as its first bytes, if they tell.
pub(crate) fn signature(first: &[u8]) -> Option<Signature> {
    let marked =
        |(at, mark, ..): &&(usize, &[u8], &str, Handling)| first.get(*at..).is_some_and(|b| b.starts_with(mark));
    match SIGNATURES.iter().find(marked) {
        Some((_, _, name, handling)) => Some(Signature { name, handling: *handling }),
        None if is_ac3(first) => Some(Signature { name: "an AC-3 recording", handling: Converted }),
        None if is_onnx(first) => Some(Signature { name: "a neural network", handling: NoSound }),
        None if is_transport_stream(first) => Some(Signature { name: "an MPEG transport stream", handling: Converted }),
        None => match mpeg(first) {
            Mpeg::Is(name, handling) => Some(Signature { name, handling }),
            Mpeg::IsNot | Mpeg::MayBe => None,
        },
    }
}

/// Whether more than these bytes are needed to tell.
pub(crate) fn wants_more(first: &[u8]) -> bool {
    first.len() < ENOUGH || matches!(mpeg(first), Mpeg::MayBe)
}

/// A frame of AC-3, old or enhanced (ETSI TS 102 366, sections 4.4 and E.1.3).
fn is_ac3(first: &[u8]) -> bool {
    first.starts_with(&[0x0b, 0x77]) && first.get(5).is_some_and(|byte| matches!(byte >> 3, 8 | 16))
}

/// The fields that begin a network in ONNX: its version, and the name of the program that made it
/// (onnx.proto, `ModelProto`).
fn is_onnx(first: &[u8]) -> bool {
    let [0x08, 1..=0x1f, 0x12, len @ 4..=255, rest @ ..] = first else { return false };
    let (name, next) = (rest.get(..usize::from(*len)), rest.get(usize::from(*len)));
    // The version of that program follows, or its domain, or the network.
    name.is_some_and(|name| name.iter().all(u8::is_ascii_graphic)) && matches!(next, Some(0x1a | 0x22 | 0x3a))
}

/// Three packets of 188 bytes in a row (ISO 13818-1, section 2.4.3.2).
fn is_transport_stream(first: &[u8]) -> bool {
    [0, 188, 376].iter().all(|at| first.get(*at) == Some(&0x47))
}

/// Whether something is MPEG audio.
enum Mpeg {
    Is(&'static str, Handling),
    IsNot,
    /// It begins like a frame, and where the next one should be there are no bytes yet.
    MayBe,
}

/// Two frames in a row: one alone may be chance.
fn mpeg(bytes: &[u8]) -> Mpeg {
    let Some((len, what)) = frame(bytes) else { return Mpeg::IsNot };
    match bytes.get(len..len + HEADER_LEN) {
        None => Mpeg::MayBe,
        Some(next) => match frame(next) {
            Some((_, other)) if other == what => Mpeg::Is(what.0, what.1),
            _ => Mpeg::IsNot,
        },
    }
}

/// Length of the frame of MPEG audio that begins here, and what it is: ISO 11172-3, section
/// 2.4.1.3, ISO 13818-3, section 2.4.1, and for AAC ISO 13818-7, section 6.2.
fn frame(bytes: &[u8]) -> Option<(usize, (&'static str, Handling))> {
    /// Kilobits per second of layers II and III, and of layer III at lower rates.
    const KBPS: [[usize; 15]; 3] = [
        [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
        [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
        [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    ];
    const HZ: [usize; 3] = [44_100, 48_000, 32_000];
    let [sync, kind, sizes, ..] = *bytes.get(..HEADER_LEN)? else { return None };
    if sync != 0xff || kind & 0xe0 != 0xe0 {
        return None;
    }
    if kind & 0xf6 == 0xf0 {
        let len = usize::from(bytes[3] & 3) << 11 | usize::from(bytes[4]) << 3 | usize::from(bytes[5] >> 5);
        let has_rate = sizes >> 2 & 15 < 13;
        return (len > 7 && has_rate).then_some((len, ("an AAC recording", Decoded)));
    }
    let (version, layer) = (kind >> 3 & 3, kind >> 1 & 3);
    let is_full_rate = version == 3;
    let (rates, samples_per_8, what) = match (layer, is_full_rate) {
        (1, true) => (1, 144, ("an MP3 recording", Decoded)),
        (1, false) => (2, 72, ("an MP3 recording", Decoded)),
        (2, true) => (0, 144, ("an MP2 recording", Converted)),
        (2, false) => (2, 144, ("an MP2 recording", Converted)),
        _ => return None,
    };
    let divisor = match version {
        3 => 1,
        2 => 2,
        0 => 4,
        _ => return None,
    };
    let kbps = *KBPS[rates].get(usize::from(sizes >> 4)).filter(|kbps| **kbps > 0)?;
    let hz = HZ.get(usize::from(sizes >> 2 & 3))? / divisor;
    Some((samples_per_8 * 1000 * kbps / hz + usize::from(sizes >> 1 & 1), what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn testdata(name: &str) -> Vec<u8> {
        std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)).unwrap()
    }

    #[test]
    fn files_are_known_by_their_first_bytes() {
        for (name, what) in [
            ("tone.opus", "an Opus recording"),
            ("tone.ogg", "an Ogg recording"),
            ("tone.flac", "a FLAC recording"),
            ("tone.m4a", "an MP4 file"),
            ("tone.aiff", "an AIFF recording"),
            ("tone.w64", "a Wave64 recording"),
        ] {
            assert_eq!(signature(&testdata(name)[..ENOUGH]).unwrap().name, what, "{name}");
        }
        assert_eq!(signature(&[0; ENOUGH]), None);
        assert_eq!(signature(&[0x0b, 0x77, 0x5d, 0x7a, 0x14, 0x40]).unwrap().name, "an AC-3 recording");
        let onnx = b"\x08\x08\x12\x07pytorch\x1a\x05";
        assert_eq!(signature(onnx).unwrap().name, "a neural network");
        assert_eq!(signature(b"\x08\x08\x12\x07pyto\x00ch\x1a\x05"), None);
        let packet = |_| [&[0x47_u8][..], &[0; 187]].concat();
        let stream: Vec<u8> = (0..3).flat_map(packet).collect();
        assert_eq!(signature(&stream).unwrap().name, "an MPEG transport stream");
    }

    #[test]
    fn mpeg_audio_is_known_by_two_frames() {
        // Header and length: MPEG 1 layer III at 128 and 320 kbit/s, MPEG 2 layer III, MPEG 1 and 2
        // layer II, and ADTS.
        for (header, len, what) in [
            ([0xff, 0xfb, 0x90, 0x64, 0, 0], 417, "an MP3 recording"),
            ([0xff, 0xfb, 0xe2, 0x64, 0, 0], 1045, "an MP3 recording"),
            ([0xff, 0xf3, 0x84, 0xc4, 0, 0], 192, "an MP3 recording"),
            ([0xff, 0xfd, 0xa4, 0x04, 0, 0], 576, "an MP2 recording"),
            ([0xff, 0xf5, 0xc4, 0x04, 0, 0], 768, "an MP2 recording"),
            ([0xff, 0xf1, 0x50, 0x80, 0x2e, 0x7f], 371, "an AAC recording"),
        ] {
            let mut bytes = header.to_vec();
            bytes.resize(len, 0);
            assert!(matches!(mpeg(&bytes), Mpeg::MayBe) && wants_more(&bytes), "{header:x?}");
            bytes.extend(header);
            assert_eq!(signature(&bytes).map(|it| it.name), Some(what), "{header:x?}");
            bytes[len] = 0;
            assert_eq!(signature(&bytes), None, "{header:x?}: one frame is chance");
        }
        // Samples of -1, and of no bit rate that exists.
        assert!(!wants_more(&[0xff; ENOUGH]) && signature(&[0xff; ENOUGH]).is_none());
    }
}

//! Every format, every kind of damage.

use std::f32::consts::TAU;
use std::fs;
use std::path::PathBuf;

use super::*;

fn write_wav(path: &Path, sample_rate: u32, channels: &[Vec<f32>]) {
    let spec = hound::WavSpec {
        channels: channels.len() as u16,
        sample_rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for n in 0..channels[0].len() {
        for channel in channels {
            writer.write_sample((channel[n] * 32_767.0).round() as i16).unwrap();
        }
    }
    writer.finalize().unwrap();
}

fn tone(sample_rate: u32, hz: f32, n: usize) -> Vec<f32> {
    (0..n).map(|n| 0.5 * (TAU * hz * n as f32 / sample_rate as f32).sin()).collect()
}

fn error_of(path: &Path) -> String {
    let error = decode_file(path).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Audio);
    let text = error.to_string();
    assert!(text.contains(&path.display().to_string()), "{text}");
    assert!(!text.contains('\n'), "{text}");
    text
}

#[test]
fn eight_channels_at_192_khz_are_mixed_to_their_mean() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.wav");
    let wanted = tone(192_000, 440.0, 19_200);
    // Channel c holds the tone times c, so the mean is 3.5 times the tone over 8.
    let channels: Vec<_> = (0..8).map(|c| wanted.iter().map(|x| x * c as f32 / 8.0).collect()).collect();
    write_wav(&path, 192_000, &channels);
    let audio = decode_file(&path).unwrap();
    assert_eq!((audio.sample_rate, audio.n_channels, audio.samples.len()), (192_000, 8, 19_200));
    for (actual, wanted) in audio.samples.iter().zip(&wanted) {
        assert!((actual - wanted * 3.5 / 8.0).abs() < 1e-4);
    }
}

#[test]
fn blocks_of_a_reader_add_up_to_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.wav");
    write_wav(&path, 24_000, &[tone(24_000, 100.0, 100_001)]);
    let mut reader = AudioReader::open(&path).unwrap();
    let (mut all, mut block) = (Vec::new(), Vec::new());
    while reader.next_block(&mut block).unwrap() {
        assert!(!block.is_empty() && block.len() <= 65_536);
        all.extend_from_slice(&block);
    }
    assert!(block.is_empty());
    assert_eq!(all, decode_file(&path).unwrap().samples);
    assert_eq!(all.len(), 100_001);
    assert_eq!(reader.damage(), None);
}

#[test]
fn missing_empty_and_foreign_files_are_named_with_their_cause() {
    let dir = tempfile::tempdir().unwrap();
    assert!(error_of(&dir.path().join("missing.wav")).contains("No such file"));
    assert!(error_of(dir.path()).contains("is a folder"));

    let path = dir.path().join("empty.wav");
    fs::write(&path, b"").unwrap();
    assert!(error_of(&path).contains("contains no audio"));

    let path = dir.path().join("header_only.wav");
    write_wav(&path, 16_000, &[vec![]]);
    assert!(error_of(&path).contains("contains no audio"));

    let path = dir.path().join("fast.wav");
    write_wav(&path, 384_001, &[vec![0.5; 1000]]);
    assert!(error_of(&path).contains("a sample rate of 384001 Hz cannot be processed: 4000 to 384000 Hz can"));

    let path = dir.path().join("text.mp3");
    fs::write(&path, "not audio, but a long enough text to look at. ".repeat(500)).unwrap();
    assert!(error_of(&path).contains("not a sound file that is known here (wav, flac, ogg, mp3, m4a, aiff)"));
    fs::write(&path, "four").unwrap();
    let message = error_of(&path);
    assert!(message.ends_with(": it begins like none of them"), "{message}");
    assert_eq!(error_of(Path::new("/dev/null")).rsplit(": ").next(), Some("it begins like none of them"));
}

#[test]
fn an_encoding_that_is_not_supported_is_named_with_a_remedy() {
    let codec = symphonia::core::errors::Error::Unsupported("core (codec): unsupported audio codec");
    let mp4 = super::signature::signature(b"\0\0\0\x1cftypM4A ");
    let message = super::container::Container::refusal(mp4, Path::new("a b.m4a"), &super::packets::spoken(&codec));
    let remedy = "convert it, for example with: ffmpeg -i \"a b.m4a\" -c:a flac \"a b.flac\"";
    let expected = "this is an MP4 file that cannot be decoded (its encoding is not supported): ";
    assert_eq!(message, format!("{expected}{remedy}"));
}

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}

#[test]
fn compressed_formats_decode_to_the_tone_they_hold() {
    for (name, tolerance) in [("tone.flac", 2e-4), ("tone.ogg", 0.02), ("tone.mp3", 0.02)] {
        let audio = decode_file(&testdata(name)).unwrap();
        // Encoders' delay and padding are cut off.
        assert_eq!((audio.sample_rate, audio.n_channels, audio.samples.len()), (16_000, 2, 20_000), "{name}");
        let wanted = tone(16_000, 440.0, 20_000);
        // Lossy codecs smear the edges.
        for (n, (actual, wanted)) in audio.samples.iter().zip(&wanted).enumerate().take(19_000).skip(1_000) {
            // The channels have amplitudes 0.5 and 0.25.
            let error = (actual - 0.75 * wanted).abs();
            assert!(error <= tolerance, "{name}, sample {n}: {error}");
        }
        let mut reader = AudioReader::open(&testdata(name)).unwrap();
        while reader.next_block(&mut Vec::new()).unwrap() {}
        assert_eq!(reader.damage(), None, "{name}");
    }
}

/// The checksum of an Ogg page whose own checksum is zero: CRC-32 with polynomial 0x04c11db7, not
/// reflected (RFC 3533).
fn ogg_checksum(page: &[u8]) -> u32 {
    page.iter().fold(0, |crc, &byte| {
        (0..8)
            .fold(crc ^ u32::from(byte) << 24, |crc, _| if crc >> 31 == 1 { crc << 1 ^ 0x04c1_1db7 } else { crc << 1 })
    })
}

#[test]
fn an_inexact_page_position_does_not_tear_an_ogg_file_apart() {
    let intact = fs::read(testdata("pages.ogg")).unwrap();
    let starts: Vec<usize> = (0..intact.len()).filter(|&at| intact[at..].starts_with(b"OggS")).collect();
    // Two pages of headers, then audio: the page after the first, whose beginning is known by the
    // end of that.
    let (from, to) = (starts[3], starts[4]);
    let wanted = decode_file(&testdata("pages.ogg")).unwrap().samples;
    assert_eq!(wanted.len(), 48_000);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ogg");
    for shift in [-240_i64, 240] {
        let mut bytes = intact.clone();
        let page = &mut bytes[from..to];
        let position = i64::from_le_bytes(page[6..14].try_into().unwrap());
        page[6..14].copy_from_slice(&(position + shift).to_le_bytes());
        page[22..26].fill(0);
        let checksum = ogg_checksum(page);
        page[22..26].copy_from_slice(&checksum.to_le_bytes());
        fs::write(&path, &bytes).unwrap();
        let samples = decode_file(&path).unwrap().samples;
        // Where the file ends is read off the same positions, so a part of the last packet may come
        // or go.
        let n = samples.len().min(wanted.len());
        assert!(n >= 48_000 - 240, "{n}");
        assert!(samples[..n] == wanted[..n], "page position shifted by {shift}");
    }
}

#[test]
fn damage_in_the_middle_becomes_silence_and_the_rest_keeps_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.flac");
    let mut bytes = fs::read(testdata("tone.flac")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 40].fill(0x55);
    fs::write(&path, bytes).unwrap();
    let mut reader = AudioReader::open(&path).unwrap();
    let (mut all, mut block) = (Vec::new(), Vec::new());
    while reader.next_block(&mut block).unwrap() {
        all.extend_from_slice(&block);
    }
    assert!(reader.damage().unwrap().contains("replaced by silence"), "{:?}", reader.damage());
    let intact = decode_file(&testdata("tone.flac")).unwrap().samples;
    assert_eq!(all.len(), intact.len());
    let n_differing = all.iter().zip(&intact).filter(|(a, b)| a != b).count();
    assert!(n_differing > 0 && n_differing <= 4_608, "{n_differing}");
    assert!(all.iter().zip(&intact).all(|(a, b)| a == b || *a == 0.0));
}

#[test]
fn a_truncated_file_yields_what_is_intact() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.wav");
    write_wav(&path, 16_000, &[tone(16_000, 300.0, 50_000)]);
    let whole = decode_file(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 40_001]).unwrap();
    let cut = decode_file(&path).unwrap();
    assert!(cut.samples.len() >= 29_000 && cut.samples.len() < 30_001, "{}", cut.samples.len());
    assert_eq!(cut.samples, whole.samples[..cut.samples.len()]);
}

#[test]
fn garbage_behind_a_valid_header_is_an_error_or_audio_but_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.flac");
    let mut bytes = b"fLaC\x00\x00\x00\x22".to_vec();
    let mut state = 1_u32;
    bytes.extend((0..20_000).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    }));
    fs::write(&path, bytes).unwrap();
    let _ = error_of(&path);
}

/// How many samples a file has, and how far they are from a tone of the test data's frequency and
/// amplitude, whatever its phase: encoders delay it by different times.
fn distance_from_the_tone(path: &Path) -> (usize, f32) {
    let audio = decode_file(path).unwrap();
    assert_eq!((audio.sample_rate, audio.n_channels), (16_000, 2), "{}", path.display());
    // 400 samples are 11 periods.
    let middle = &audio.samples[4_000..16_000];
    let phase = |n: usize| TAU * 440.0 * (n % 400) as f32 / 16_000.0;
    let part = |of: fn(f32) -> f32| {
        middle.iter().enumerate().map(|(n, x)| x * of(phase(n))).sum::<f32>() * 2.0 / middle.len() as f32
    };
    let (sine, cosine) = (part(f32::sin), part(f32::cos));
    // The channels have amplitudes 0.5 and 0.25.
    assert!((sine.hypot(cosine) - 0.375).abs() < 0.01, "{}", path.display());
    let fitted = |n: usize| sine * phase(n).sin() + cosine * phase(n).cos();
    let distance = middle.iter().enumerate().map(|(n, x)| (x - fitted(n)).abs()).fold(0.0, f32::max);
    (audio.samples.len(), distance)
}

#[test]
fn what_phones_and_recorders_write_is_read() {
    let cases = [
        ("tone.m4a", 0.03),
        ("tone-alac.m4a", 1e-3),
        ("tone.aiff", 1e-3),
        ("tone.w64", 1e-3),
        ("tone-ms.wav", 0.03),
        ("tone-ima.wav", 0.03),
    ];
    for (name, tolerance) in cases {
        let (n, distance) = distance_from_the_tone(&testdata(name));
        assert!((20_000..23_000).contains(&n), "{name}: {n} samples");
        assert!(distance <= tolerance, "{name}: {distance}");
        let mut reader = AudioReader::open(&testdata(name)).unwrap();
        while reader.next_block(&mut Vec::new()).unwrap() {}
        assert_eq!(reader.damage(), None, "{name}");
    }
}

#[test]
fn what_cannot_be_decoded_is_named_with_a_remedy() {
    let opus = error_of(&testdata("tone.opus"));
    assert!(opus.contains("this is an Opus recording, which earwitness cannot decode: convert it"), "{opus}");
    assert!(opus.contains("ffmpeg -i ") && opus.contains("\"tone.flac\""), "{opus}");
    let dir = tempfile::tempdir().unwrap();
    for (name, head, what) in [
        ("a.amr", &b"#!AMR\n"[..], "an AMR recording"),
        ("a.caf", b"caff\0\x01\0\0", "a CAF recording"),
        ("a.wma", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media recording"),
        ("a.webm", b"\x1a\x45\xdf\xa3", "a Matroska or WebM recording"),
        // Whatever its name says.
        ("a.wav", b"#!AMR\n", "an AMR recording"),
        ("a.mp3", b"%PDF-1.4", "a document"),
        ("a.flac", b"PK\x03\x04", "a zip archive"),
    ] {
        let path = dir.path().join(name);
        fs::write(&path, [head, &[0; 2000]].concat()).unwrap();
        let error = error_of(&path);
        assert!(error.contains(what), "{name}: {error}");
    }
}

/// `tone-ms.wav` and so on have headers that are right; here they are not.
#[test]
fn wav_files_whose_headers_lie_are_read_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.wav");
    write_wav(&path, 16_000, &[tone(16_000, 300.0, 50_000)]);
    let wanted = decode_file(&path).unwrap().samples;
    let intact = fs::read(&path).unwrap();
    let at = intact.windows(4).position(|id| id == b"data").unwrap() + 4;
    let n_bytes = 100_000_u32;
    for riff_len in [n_bytes + 36, 0, 8, n_bytes, u32::MAX] {
        for data_len in [0, n_bytes + 44, n_bytes * 2, 30_000, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
            let mut bytes = intact.clone();
            bytes[4..8].copy_from_slice(&riff_len.to_le_bytes());
            bytes[at..at + 4].copy_from_slice(&data_len.to_le_bytes());
            fs::write(&path, &bytes).unwrap();
            let mut reader = AudioReader::open(&path).unwrap();
            let (mut all, mut block) = (Vec::new(), Vec::new());
            while reader.next_block(&mut block).unwrap() {
                all.extend_from_slice(&block);
            }
            assert!(all == wanted, "{riff_len} {data_len}: {} samples", all.len());
            // Only a file that may have been cut is worth a word.
            let note = reader.damage();
            let expected = (data_len == n_bytes * 2)
                .then(|| "the header promises 6.250 s of sound, but the file holds 3.125 s".to_string());
            assert_eq!(note, expected, "{riff_len} {data_len}");
        }
    }
}

#[test]
fn an_mp3_behind_a_large_picture_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mp3");
    let wanted = decode_file(&testdata("tone.mp3")).unwrap().samples;
    let size = 3_000_000_u32;
    let syncsafe = [21, 14, 7, 0].map(|shift| (size >> shift & 0x7f) as u8);
    let mut bytes = b"ID3\x03\0\0".to_vec();
    bytes.extend(syncsafe);
    bytes.resize(10 + size as usize, 0);
    bytes.extend(fs::read(testdata("tone.mp3")).unwrap());
    fs::write(&path, bytes).unwrap();
    assert_eq!(decode_file(&path).unwrap().samples, wanted);
}

#[test]
fn an_mp3_that_was_cut_is_told_and_two_in_one_file_are_both_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mp3");
    let one = fs::read(testdata("tone.mp3")).unwrap();
    let read = || {
        let mut reader = AudioReader::open(&path).unwrap();
        let (mut all, mut block) = (Vec::new(), Vec::new());
        while reader.next_block(&mut block).unwrap() {
            all.extend_from_slice(&block);
        }
        (all, reader.damage())
    };
    fs::write(&path, &one[..one.len() / 2]).unwrap();
    let (half, note) = read();
    assert!((5_000..12_000).contains(&half.len()), "{}", half.len());
    let note = note.unwrap();
    assert!(note.starts_with("the header promises 1.250 s of sound, but the file holds 0."), "{note}");

    fs::write(&path, [&one[..], &one].concat()).unwrap();
    let (both, note) = read();
    assert_eq!(note, None);
    // The second one keeps its encoder's delay and padding.
    assert!((40_000..44_000).contains(&both.len()), "{}", both.len());
    let loud = |samples: &[f32]| samples.iter().map(|x| x * x).sum::<f32>() / samples.len() as f32;
    assert!((loud(&both[25_000..38_000]) / loud(&both[2_000..15_000]) - 1.0).abs() < 0.05);
}

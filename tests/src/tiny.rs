//! The models in `fixtures/tiny` and `fixtures/tiny_window`, whose weights are set by hand, and
//! sounds that they are certain to recognise.

use std::f64::consts::TAU;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Samples a second of the sounds.
pub const SAMPLE_RATE: u32 = 24_000;

/// What the model knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sound {
    /// Digital silence: `background`.
    Silence,
    /// A tone of 1 kHz: `tone`.
    Tone,
    /// White noise: `noise`.
    Noise,
}

/// A tone and a noise, a second each: four events.
pub const TONE_AND_NOISE: &[(Sound, f64)] =
    &[(Sound::Silence, 1.0), (Sound::Tone, 1.0), (Sound::Silence, 1.0), (Sound::Noise, 1.0), (Sound::Silence, 1.0)];

/// Short tones, one after another.
pub fn tones(n: usize) -> Vec<(Sound, f64)> {
    (0..n).flat_map(|_| [(Sound::Tone, 0.6), (Sound::Silence, 0.6)]).collect()
}

/// The model's folder.
pub fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tiny")
}

/// The folder of the model of whole patches, in `fixtures/tiny_window`: the same network in a fixed
/// shape.
pub fn window_model() -> PathBuf {
    model().with_file_name("tiny_window")
}

/// Sounds one after the other, each with its length in seconds; 16-bit values.
pub fn samples(parts: &[(Sound, f64)]) -> Vec<i16> {
    let mut samples = Vec::new();
    let mut state = 1_u32;
    for (sound, seconds) in parts {
        for at in 0..(seconds * f64::from(SAMPLE_RATE)) as u32 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = match sound {
                Sound::Silence => 0.0,
                Sound::Tone => 0.3 * (f64::from(at) * 1000.0 * TAU / f64::from(SAMPLE_RATE)).sin(),
                Sound::Noise => 0.6 * (f64::from(state >> 8) / f64::from(1 << 24) - 0.5),
            };
            samples.push((value * 32_767.0) as i16);
        }
    }
    samples
}

/// Writes sounds to a WAV file.
///
/// # Panics
///
/// When the file cannot be written.
pub fn write_wav(path: &Path, parts: &[(Sound, f64)]) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: SAMPLE_RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).expect("the file can be created");
    for sample in samples(parts) {
        writer.write_sample(sample).expect("the file can be written");
    }
    writer.finalize().expect("the file can be written");
}

/// Writes a second of 32-bit floats at `sample_rate`, mono.
///
/// # Panics
///
/// When it cannot be written.
pub fn write_float_wav(path: &Path, sample_rate: u32, sample: impl Fn(u32) -> f32) {
    let spec =
        hound::WavSpec { channels: 1, sample_rate, bits_per_sample: 32, sample_format: hound::SampleFormat::Float };
    let mut writer = hound::WavWriter::create(path, spec).expect("the file can be created");
    (0..sample_rate).for_each(|at| writer.write_sample(sample(at)).expect("the file can be written"));
    writer.finalize().expect("the file can be written");
}

/// The events on the lines of a program's standard output.
///
/// # Panics
///
/// When a line is not a JSON object.
pub fn events(lines: &[String]) -> Vec<Value> {
    let parse =
        |line: &String| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line:?} is no event: {error}"));
    let events: Vec<Value> = lines.iter().map(parse).collect();
    assert!(events.iter().all(Value::is_object), "{lines:?}");
    events
}

/// Label and phase of each event: `tone onset`.
pub fn names(events: &[Value]) -> Vec<String> {
    let text = |event: &Value, field: &str| event[field].as_str().unwrap_or("?").to_string();
    events.iter().map(|event| format!("{} {}", text(event, "label"), text(event, "phase"))).collect()
}

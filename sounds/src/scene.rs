//! Scenes: renders strung together over one room's noise, with the truth of what sounds when.

use std::fs;
use std::path::{Path, PathBuf};

use crate::math;
use crate::render::{Recording, record};
use crate::rng::Rng;
use crate::sound::Sound;

/// A labelled sound's place in a scene.
#[derive(Clone, Debug, PartialEq)]
pub struct TruthEvent {
    /// Seconds from the scene's start.
    pub onset_s: f64,
    /// Seconds from the scene's start.
    pub offset_s: f64,
    /// A label of the training sets.
    pub label: String,
}

/// Mono audio and what is to be heard in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// Hz.
    pub sample_rate: u32,
    /// Mono, magnitude at most 1.
    pub samples: Vec<f32>,
    /// In order of onset, without overlap. Negatives are not in it: they are sounds that no class
    /// should claim.
    pub truth: Vec<TruthEvent>,
}

/// A scene file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The audio.
    #[error("cannot write {}: {source}", path.display())]
    Wav {
        /// The file.
        path: PathBuf,
        /// What hound met.
        source: hound::Error,
    },
    /// The truth.
    #[error("cannot write {}: {source}", path.display())]
    Truth {
        /// The file.
        path: PathBuf,
        /// What the file system met.
        source: std::io::Error,
    },
}

/// The labelled sounds of the demonstration and their lengths in seconds; the seed shuffles them.
const EVENTS: [(Sound, f32); 8] = [
    (Sound::WaterFlowing, 4.5),
    (Sound::Chopping, 4.0),
    (Sound::Blender, 4.0),
    (Sound::ClockTick, 4.5),
    (Sound::Dog, 3.5),
    (Sound::CryingBaby, 4.5),
    (Sound::Cutlery, 3.5),
    (Sound::Rain, 4.5),
];

/// Sounds between them that are none of the classes.
const NEGATIVES: [(Sound, f32); 2] = [(Sound::Footsteps, 3.0), (Sound::Typing, 3.0)];

/// The demonstration at 24 kHz: eight clearly different labelled events and two negatives in about
/// a minute, with pauses, over quiet room noise.
pub fn demo_scene(seed: u64) -> Scene {
    demo_scene_at(seed, 24_000)
}

/// [`demo_scene`] at another sample rate; the same plan, other samples.
///
/// # Panics
///
/// If `sample_rate` is below 8000 Hz.
pub fn demo_scene_at(seed: u64, sample_rate: u32) -> Scene {
    let mut rng = Rng::new(seed);
    let mut plan: Vec<(Sound, f32)> = EVENTS.iter().chain(&NEGATIVES).copied().collect();
    for i in (1..plan.len()).rev() {
        plan.swap(i, rng.whole(0, i));
    }
    let mut scene = Scene { sample_rate, samples: Vec::new(), truth: Vec::new() };
    scene.pause(rng.uniform(1.0, 1.6));
    for (sound, seconds) in plan {
        let samples = record(sound, sample_rate, seconds, rng.seed(), Recording::Clean);
        scene.append(sound, samples);
        scene.pause(rng.uniform(1.2, 2.0));
    }
    let seconds = scene.samples.len() as f32 / sample_rate as f32 + 1.0;
    let room = record(Sound::RoomNoise, sample_rate, seconds, rng.seed(), Recording::Clean);
    for (x, room) in scene.samples.iter_mut().zip(&room) {
        *x = (*x + math::from_db(-8.0) * room).clamp(-1.0, 1.0);
    }
    scene
}

impl Scene {
    /// One sound alone, as [`crate::render`] makes it, with its extent as truth if it has a label.
    pub fn single(sound: Sound, sample_rate: u32, seconds: f32, seed: u64) -> Self {
        let mut scene = Self { sample_rate, samples: Vec::new(), truth: Vec::new() };
        scene.append(sound, record(sound, sample_rate, seconds, seed, Recording::Varied));
        scene
    }

    /// Writes the audio as 16-bit wav and the truth as CSV with the columns
    /// `onset_s,offset_s,label`.
    ///
    /// # Errors
    ///
    /// If a file cannot be written; the message names it.
    pub fn write(&self, wav: &Path, csv: &Path) -> Result<(), WriteError> {
        self.write_wav(wav)?;
        self.write_truth(csv)
    }

    /// Writes the audio as 16-bit wav.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write_wav(&self, path: &Path) -> Result<(), WriteError> {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: self.sample_rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let write = || {
            let mut writer = hound::WavWriter::create(path, spec)?;
            for x in &self.samples {
                writer.write_sample(libm::roundf(x * 32_767.0) as i16)?;
            }
            writer.finalize()
        };
        write().map_err(|source| WriteError::Wav { path: path.to_owned(), source })
    }

    /// Writes the truth as CSV with the columns `onset_s,offset_s,label`.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write_truth(&self, path: &Path) -> Result<(), WriteError> {
        let mut text = String::from("onset_s,offset_s,label\n");
        for event in &self.truth {
            text += &format!("{:.3},{:.3},{}\n", event.onset_s, event.offset_s, event.label);
        }
        fs::write(path, text).map_err(|source| WriteError::Truth { path: path.to_owned(), source })
    }

    fn pause(&mut self, seconds: f32) {
        let n = (seconds * self.sample_rate as f32) as usize;
        self.samples.resize(self.samples.len() + n, 0.0);
    }

    /// Appends a render with softened ends; its truth is where it really sounds.
    fn append(&mut self, sound: Sound, mut samples: Vec<f32>) {
        let rate = self.sample_rate as f32;
        let n = samples.len();
        for (i, x) in samples.iter_mut().enumerate() {
            *x *= (i as f32 / (0.005 * rate)).min(1.0) * ((n - i) as f32 / (0.05 * rate)).min(1.0);
        }
        if let (Some(label), Some((first, end))) = (sound.label(), extent(&samples, self.sample_rate)) {
            let start = self.samples.len();
            self.truth.push(TruthEvent {
                onset_s: (start + first) as f64 / f64::from(self.sample_rate),
                offset_s: (start + end) as f64 / f64::from(self.sample_rate),
                label: label.to_owned(),
            });
        }
        self.samples.append(&mut samples);
    }
}

/// First sample and end of what lies within 35 dB of the loudest 10 ms; `None` for digital silence.
fn extent(samples: &[f32], sample_rate: u32) -> Option<(usize, usize)> {
    let step = (sample_rate / 100) as usize;
    let levels: Vec<f32> = samples.chunks(step).map(math::rms).collect();
    let floor = math::peak(&levels) * math::from_db(-35.0);
    let first = levels.iter().position(|&level| level > floor)?;
    let last = levels.iter().rposition(|&level| level > floor)?;
    Some((first * step, ((last + 1) * step).min(samples.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extent_finds_the_sounding_part() {
        let mut samples = vec![0.0; 24_000];
        samples[6000..12_000].fill(0.5);
        assert_eq!(extent(&samples, 24_000), Some((6000, 12_000)));
        assert_eq!(extent(&[0.0; 4800], 24_000), None);
    }
}

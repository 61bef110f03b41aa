//! A small data set of generated sounds, written as a user would have it: a folder of recordings
//! and a table.

#![allow(dead_code)] // each test target uses a part

pub mod python;

use sounds::Sound;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use trainer::chain::FitOptions;
use trainer::data::Places;
use trainer::data::folds::FoldMode;
use trainer::train::recipe::Recipe;

/// Classes of the data set.
pub const SOUNDS: [Sound; 4] = [Sound::Blender, Sound::Chopping, Sound::Dog, Sound::WaterFlowing];
/// Clips per class: two of each source, two sources per fold.
pub const CLIPS_A_CLASS: u64 = 10;

/// A data set in a temporary folder, with a recipe for it.
pub struct Fixture {
    pub folder: TempDir,
    pub recipe_path: PathBuf,
}

impl Fixture {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut table = "file,label,fold,source_id\n".to_owned();
        for sound in SOUNDS {
            for i in 0..CLIPS_A_CLASS {
                let file = format!("{sound}-{i}.wav");
                write_wav(&folder.path().join(&file), 24_000, &sounds::render(sound, 24_000, 1.2, i));
                writeln!(table, "{file},{sound},{},{}", i % 5 + 1, i / 2).unwrap();
            }
        }
        std::fs::write(folder.path().join("clips.csv"), table).unwrap();
        write_wav(&folder.path().join("hum.wav"), 48_000, &sounds::render(Sound::RoomNoise, 48_000, 8.0, 1));
        std::fs::write(folder.path().join("negatives.csv"), "file\nhum.wav\n").unwrap();
        let recipe_path = folder.path().join("tiny.toml");
        std::fs::write(&recipe_path, RECIPE).unwrap();
        Self { folder, recipe_path }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn recipe(&self) -> Recipe {
        Recipe::load(&self.recipe_path).unwrap().0
    }
}

/// Data, recipe and cache in `folder`.
pub fn places(folder: &Path) -> Places {
    Places { data_root: folder.to_owned(), cache: folder.join("cache"), recipe_folder: folder.to_owned() }
}

/// The stage of [`RECIPE`].
pub const STAGE: &str = "student";

/// Options of a training that holds out fold 1, in the folder `out` of the fixture.
pub fn options(folder: &Path, recipe: Recipe, out: &str) -> FitOptions {
    // One thread: the order of sums, and with it the last bit, may depend on the number.
    tch::set_num_threads(1);
    FitOptions {
        recipe,
        fold: Some(1),
        folds: FoldMode::Official,
        places: places(folder),
        out: folder.join(out),
        runs: folder.join("runs"),
        resume: false,
        device: tch::Device::Cpu,
        stop: Arc::default(),
        stop_after: None,
    }
}

pub fn write_wav(path: &Path, sample_rate: u32, samples: &[f32]) {
    let spec =
        hound::WavSpec { channels: 1, sample_rate, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for sample in samples {
        writer.write_sample((sample.clamp(-1.0, 1.0) * 32767.0) as i16).unwrap();
    }
    writer.finalize().unwrap();
}

/// Class folders with three clips of noise each: 0.4 s of near silence, 0.3 to 0.9 s of sound, 1.2
/// s of near silence.
pub fn bursts(folder: &Path, labels: &[&str]) {
    for (class, label) in labels.iter().enumerate() {
        std::fs::create_dir(folder.join(label)).unwrap();
        for clip in 0..3u32 {
            let n_sounding = (0.3 + 0.3 * f64::from(clip)) * 24_000.0;
            let (start, end) = (9600, 9600 + n_sounding as usize);
            let mut state = 1 + clip + 10 * class as u32;
            let samples: Vec<f32> = (0..end + 28_800)
                .map(|i| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let noise = (state >> 8) as f32 / 8_388_608.0 - 1.0;
                    if (start..end).contains(&i) { 0.2 * noise } else { 1e-4 * noise }
                })
                .collect();
            write_wav(&folder.join(label).join(format!("{clip}.wav")), 24_000, &samples);
        }
    }
}

/// Narrow layers and short crops: a step takes a few milliseconds.
pub const RECIPE: &str = r#"
name = "tiny"
seed = 5
data_root = "."
background = "background"

[[data]]
name = "clips"
csv = "clips.csv"
audio = "."

[[data]]
name = "negatives"
csv = "negatives.csv"
audio = "."
kind = "background"

[frontend]
sample_rate = 24000
n_fft = 1024
win_length = 600
hop_length = 240
n_mels = 64
f_min_hz = 50.0
f_max_hz = 12000.0
mel_scale = "htk"
mel_norm = "none"
power = 2
log_offset = 1e-6
centre_padding = false
mean = -4.0
std = 4.8

[network]
kind = "student"
layers = [
    { channels = 8, kernel_t = 4, kernel_f = 5, stride_t = 2, stride_f = 2 },
    { channels = 12, kernel_t = 3, kernel_f = 3, stride_t = 2, stride_f = 2 },
    { channels = 16, kernel_t = 3, kernel_f = 3, stride_t = 2, stride_f = 4 },
]

[augment]
gain_db = 10.0
stretch = 0.12
mel_shift = 2.0
eq_db = 4.0
surround = 0.1
mixup = 0.7
noise = 0.5
negatives = 0.06
n_time_masks = 1
time_mask = 8
n_freq_masks = 2
freq_mask = 10

[train]
crop_frames = 80
evaluate_every = 6
save_every = 3

[[stage]]
name = "student"
epochs = 12
batch = 8
method = "adamw"
lr = 5e-3
weight_decay = 0.02
schedule = "cosine"
warmup_steps = 4
ema = 0.9
loss = { kind = "smoothed", smoothing = 0.1 }
dropout = 0.1
"#;

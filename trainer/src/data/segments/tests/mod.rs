//! Sets of segments on files as users have them, good and bad.

mod bad_input;
mod caches;
mod loading;
mod views;

use super::*;
use hdf5_metno::File;
use std::fmt::Write as _;
use tempfile::TempDir;

/// A front end of few operations a view: 21 frames of 8 bands in 0.0205 s.
fn small_frontend() -> FrontendConfig {
    FrontendConfig { n_fft: 64, win_length: 48, hop_length: 24, n_mels: 8, ..FrontendConfig::epic_sounds() }
}

fn small_options() -> Options {
    Options { view_seconds: 0.0205, ..Options::default() }
}

/// Noise in [-1, 1), other for each seed.
fn noise(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// A folder for a test's files.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// Annotations of segments `(video_id, start in ms, stop in ms)`, named a0, a1, ..., all of
    /// class 0.
    fn annotations(&self, rows: &[(&str, u64, u64)]) -> PathBuf {
        let time =
            |ms: u64| format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
        let mut text = "annotation_id,video_id,start_timestamp,stop_timestamp,class,class_id\n".to_owned();
        for (i, (video, start, stop)) in rows.iter().enumerate() {
            writeln!(text, "a{i},{video},{},{},water,0", time(*start), time(*stop)).unwrap();
        }
        self.write("annotations.csv", &text)
    }

    /// An HDF5 file of contiguous data sets.
    fn hdf5(&self, recordings: &[(&str, &[f32])]) -> PathBuf {
        let path = self.path("audio.hdf5");
        let file = File::create(&path).unwrap();
        for (name, samples) in recordings {
            file.new_dataset_builder().with_data(*samples).create(*name).unwrap();
        }
        path
    }

    fn wav(&self, name: &str, sample_rate: u32, samples: &[f32]) -> PathBuf {
        let sample_format = hound::SampleFormat::Float;
        let spec = hound::WavSpec { channels: 1, sample_rate, bits_per_sample: 32, sample_format };
        let mut writer = hound::WavWriter::create(self.path(name), spec).unwrap();
        for sample in samples {
            writer.write_sample(*sample).unwrap();
        }
        writer.finalize().unwrap();
        self.path(name)
    }
}

/// Features of samples, the last frame repeated.
fn reference(frontend: &FrontendConfig, samples: &[f32], n_frames: usize) -> Vec<f32> {
    let values = edge_frontend::log_mel(frontend, samples).unwrap();
    let last = values.len() / frontend.n_mels - 1;
    let rows = (0..n_frames).flat_map(|t| &values[t.min(last) * frontend.n_mels..(t.min(last) + 1) * frontend.n_mels]);
    rows.copied().collect()
}

//! Pictures of log-mel features.
//!
//! Enters: a clip's features. Leaves: a PNG as a data URI, a pixel a frame and band, in a perceptually uniform colour map, with
//! what its axes need.

use crate::error::{Error, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use edge_frontend::{FrontendConfig, Power, mel};
use std::path::Path;

/// Levels shown below the loudest, in dB.
pub const RANGE_DB: f64 = 70.0;
/// Frames of a longer clip share columns, the loudest of them being shown.
const MAX_COLUMNS: usize = 800;
/// Marks of the frequency axis.
const TICKS_HZ: [f64; 7] = [100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0];

/// A picture with its axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrogram {
    /// The image, time to the right and frequency upwards.
    pub data_uri: String,
    /// Time that it covers.
    pub seconds: f64,
    /// Marks of the frequency axis: height from 0 to 1, and the frequency in Hz.
    pub ticks: Vec<(f64, f64)>,
}

impl Spectrogram {
    /// Draws `frames` `(n_frames, n_mels)` of `frontend`.
    ///
    /// # Errors
    ///
    /// If there is no frame; `recording` is named.
    pub fn of(frontend: &FrontendConfig, frames: &[f32], recording: &Path) -> Result<Self> {
        let n_mels = frontend.n_mels;
        let n_frames = frames.len() / n_mels;
        if n_frames == 0 {
            return Err(Error::content(recording, "recording is shorter than one frame"));
        }
        let per_column = n_frames.div_ceil(MAX_COLUMNS);
        let columns: Vec<Vec<f32>> = frames.chunks(per_column * n_mels).map(|chunk| loudest(chunk, n_mels)).collect();
        // A frame's value is a natural logarithm, shifted and scaled.
        let decibels =
            frontend.std * if frontend.power == Power::Power { 10.0 } else { 20.0 } / std::f32::consts::LN_10;
        let top = columns.iter().flatten().copied().fold(f32::NEG_INFINITY, f32::max);
        let shade = |value: f32| {
            let level = f64::from((value - top) * decibels) / RANGE_DB + 1.0;
            (level.clamp(0.0, 1.0) * 255.0).round() as u8
        };
        let bands = (0..n_mels).rev();
        let pixels: Vec<u8> = bands.flat_map(|band| columns.iter().map(move |c| shade(c[band]))).collect();
        let png = indexed_png(columns.len(), n_mels, &pixels).map_err(|e| Error::content(recording, e.to_string()))?;
        Ok(Self {
            data_uri: format!("data:image/png;base64,{}", BASE64_STANDARD.encode(png)),
            seconds: n_frames as f64 * frontend.hop_seconds(),
            ticks: ticks(&mel::centres_hz(frontend)),
        })
    }
}

/// The colour of a level from 0 to 1.
pub fn colour(level: f64) -> [u8; 3] {
    let colorous::Color { r, g, b } = colorous::INFERNO.eval_continuous(level.clamp(0.0, 1.0));
    [r, g, b]
}

fn loudest(frames: &[f32], n_mels: usize) -> Vec<f32> {
    (0..n_mels)
        .map(|band| frames.iter().skip(band).step_by(n_mels).copied().fold(f32::NEG_INFINITY, f32::max))
        .collect()
}

fn indexed_png(width: usize, height: usize, pixels: &[u8]) -> std::result::Result<Vec<u8>, png::EncodingError> {
    let palette: Vec<u8> = (0..=255u8).flat_map(|shade| colour(f64::from(shade) / 255.0)).collect();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette);
    encoder.set_compression(png::Compression::High);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

/// Height of the marks that lie between the lowest band's centre and the highest's.
fn ticks(centres_hz: &[f64]) -> Vec<(f64, f64)> {
    let height = |hz: f64| {
        let above = centres_hz.partition_point(|&c| c < hz);
        let (low, high) = (*centres_hz.get(above.checked_sub(1)?)?, *centres_hz.get(above)?);
        let band = above as f64 - 1.0 + (hz - low) / (high - low);
        Some(((band + 0.5) / centres_hz.len() as f64, hz))
    };
    TICKS_HZ.iter().filter_map(|&hz| height(hz)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shades of the image, `(height, width)` from the top.
    fn shades(spectrogram: &Spectrogram) -> (u32, u32, Vec<u8>) {
        let text = spectrogram.data_uri.strip_prefix("data:image/png;base64,").unwrap();
        let bytes = BASE64_STANDARD.decode(text).unwrap();
        let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
        decoder.set_transformations(png::Transformations::IDENTITY);
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (info.width, info.height, pixels)
    }

    #[test]
    fn a_tone_is_a_bright_line_at_its_frequency() {
        let frontend = FrontendConfig::student();
        let tone: Vec<f32> =
            (0..24_000).map(|i| (f64::from(i) * 2000.0 * std::f64::consts::TAU / 24e3).sin() as f32).collect();
        let frames = edge_frontend::log_mel(&frontend, &tone).unwrap();
        let spectrogram = Spectrogram::of(&frontend, &frames, Path::new("tone.wav")).unwrap();
        let (width, height, pixels) = shades(&spectrogram);
        assert_eq!((width as usize, height), (frames.len() / 64, 64));
        let column: Vec<u8> = pixels.iter().skip(30).step_by(width as usize).copied().collect();
        let brightest = (0..64).max_by_key(|&y| column[y]).unwrap();
        let mark = spectrogram.ticks.iter().find(|t| t.1 == 2000.0).unwrap().0;
        assert!(((64.0 - brightest as f64 - 0.5) / 64.0 - mark).abs() < 1.0 / 64.0, "{brightest} {mark}");
        assert!(column[brightest] > 240 && column[2] < 60, "{column:?}");
        assert!((spectrogram.seconds - 0.98).abs() < 0.02);
    }

    #[test]
    fn a_long_clip_keeps_its_loudest_moments() {
        let frontend = FrontendConfig { n_mels: 2, ..FrontendConfig::student() };
        let mut frames = vec![-2.0; 2 * 5000];
        frames[2 * 3001 + 1] = 2.0;
        let (width, height, pixels) = shades(&Spectrogram::of(&frontend, &frames, Path::new("long.wav")).unwrap());
        assert_eq!((width, height), (5000u32.div_ceil(7), 2));
        assert_eq!(pixels.iter().filter(|&&p| p == 255).count(), 1);
        assert_eq!(pixels[3001 / 7], 255, "the upper band is the upper row");
        assert!(Spectrogram::of(&frontend, &[], Path::new("none.wav")).is_err());
    }
}

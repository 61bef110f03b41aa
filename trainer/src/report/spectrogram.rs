//! Pictures of log-mel features.
//!
//! Enters: a clip's features. Leaves: the picture that `earwitness evaluate --plot` makes of such
//! frames, one pixel per frame and band, with the marks of its axes.

use crate::error::{Error, Result};
use edge_evaluate::plot::picture;
use edge_frontend::FrontendConfig;
use std::path::Path;

/// Frames of a longer clip share columns, which show the loudest of them.
const MAX_COLUMNS: usize = 800;

/// A picture with its axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrogram {
    /// The image, time to the right and frequency upwards.
    pub data_uri: String,
    pub seconds: f64,
    /// Marks of the frequency axis: height from 0 to 1, and the frequency in Hz.
    pub ticks: Vec<(f64, f64)>,
}

impl Spectrogram {
    /// Draws `frames` `(n_frames, n_mels)` of `frontend`. An error, which names `recording`, if
    /// there is no frame.
    pub fn of(frontend: &FrontendConfig, frames: &[f32], recording: &Path) -> Result<Self> {
        let n_mels = frontend.n_mels;
        let n_frames = frames.len() / n_mels;
        if n_frames == 0 {
            return Err(Error::content(recording, "recording is shorter than one frame"));
        }
        let per_column = n_frames.div_ceil(MAX_COLUMNS);
        let mut columns = Vec::with_capacity(n_frames.div_ceil(per_column) * n_mels);
        for frames in frames.chunks(per_column * n_mels) {
            let from = columns.len();
            columns.extend_from_slice(&frames[..n_mels]);
            frames.chunks(n_mels).for_each(|frame| picture::raise(&mut columns[from..], frame));
        }
        let data_uri = picture::data_uri(frontend, &columns, picture::loudest(&columns))
            .map_err(|error| Error::content(recording, error.to_string()))?;
        Ok(Self { data_uri, seconds: n_frames as f64 * frontend.hop_seconds(), ticks: picture::ticks(frontend) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

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

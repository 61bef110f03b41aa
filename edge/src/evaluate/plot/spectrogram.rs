//! The log-mel spectrogram of a recording, as the network hears it: a file enters, columns of band levels and pictures of them
//! leave.

use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use edge_frontend::{FrontendConfig, LogMel, Power, Resampler, mel};

use crate::audio::AudioReader;
use crate::error::{Error, Result};

/// Time of a column: of the frames in it, the loudest are shown.
const COLUMN_S: f64 = 0.08;

/// Levels shown below the loudest of the recording.
const RANGE_DB: f64 = 70.0;

/// Marks of the frequency axis.
const TICKS_HZ: [f64; 7] = [100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0];

/// A recording's bands over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrogram {
    /// `(n_columns, n_mels)`, row-major, as the front end puts them out.
    columns: Vec<f32>,
    n_mels: usize,
    column_s: f64,
    /// Decibels of a value's unit.
    decibels: f64,
    loudest: f32,
    ticks: Vec<(f64, f64)>,
}

impl Spectrogram {
    /// That of the recording at `path`, by the front end of a model.
    ///
    /// # Errors
    ///
    /// When the file cannot be decoded or its rate not be converted.
    pub fn of(frontend: &FrontendConfig, path: &Path) -> Result<Self> {
        let mut reader = AudioReader::open(path)?;
        let mut resampler = Resampler::new(reader.sample_rate(), frontend.sample_rate)
            .map_err(Error::sample_rate(frontend.sample_rate))?;
        let mut log_mel = LogMel::new(frontend).map_err(|error| Error::Engine(error.to_string()))?;
        let n_mels = frontend.n_mels;
        let per_column = ((COLUMN_S / frontend.hop_seconds()).round() as usize).max(1);
        let (mut columns, mut n_frames) = (Vec::new(), 0);
        let mut take = |frame: &[f32]| {
            if n_frames % per_column == 0 {
                columns.extend_from_slice(frame);
            } else {
                let from = columns.len() - n_mels;
                columns[from..]
                    .iter_mut()
                    .zip(frame)
                    .for_each(|(loudest, value)| *loudest = f32::max(*loudest, *value));
            }
            n_frames += 1;
        };
        let mut block = Vec::new();
        while reader.next_block(&mut block)? {
            resampler.process(&block, |samples| log_mel.process(samples, &mut take));
        }
        resampler.finish(|samples| log_mel.process(samples, &mut take));
        log_mel.finish(&mut take);
        let decibels_a_neper = match frontend.power {
            Power::Power => 10.0 / std::f64::consts::LN_10,
            Power::Magnitude => 20.0 / std::f64::consts::LN_10,
        };
        Ok(Spectrogram {
            loudest: columns.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            columns,
            n_mels,
            column_s: per_column as f64 * frontend.hop_seconds(),
            decibels: f64::from(frontend.std) * decibels_a_neper,
            ticks: ticks(&mel::centres_hz(frontend)),
        })
    }

    /// Marks of the frequency axis: height in [0, 1], and the frequency in Hz.
    pub fn ticks(&self) -> &[(f64, f64)] {
        &self.ticks
    }

    /// A picture of the time from `from_s` to `to_s`, frequency upwards, as the data URI of a PNG, and where it ends: there may
    /// be less. `None` where there is nothing.
    ///
    /// # Errors
    ///
    /// When the picture cannot be encoded.
    pub fn picture(&self, from_s: f64, to_s: f64) -> Result<Option<(String, f64)>> {
        let n_columns = self.columns.len() / self.n_mels;
        let at = |t_s: f64| ((t_s / self.column_s).round() as usize).min(n_columns);
        let (from, to) = (at(from_s), at(to_s));
        if from == to {
            return Ok(None);
        }
        let shade = |value: f32| {
            let level = f64::from(value - self.loudest) * self.decibels / RANGE_DB + 1.0;
            (level.clamp(0.0, 1.0) * 255.0).round() as u8
        };
        let columns = &self.columns[from * self.n_mels..to * self.n_mels];
        let band = |band: usize| columns.iter().skip(band).step_by(self.n_mels).map(|value| shade(*value));
        let pixels: Vec<u8> = (0..self.n_mels).rev().flat_map(band).collect();
        let png = encode(to - from, self.n_mels, &pixels)
            .map_err(|error| Error::io("draw a spectrogram")(io::Error::other(error.to_string())))?;
        Ok(Some((format!("data:image/png;base64,{}", BASE64_STANDARD.encode(png)), to as f64 * self.column_s)))
    }
}

fn encode(width: usize, height: usize, pixels: &[u8]) -> std::result::Result<Vec<u8>, png::EncodingError> {
    let colour = |shade: u8| {
        let colorous::Color { r, g, b } = colorous::INFERNO.eval_continuous(f64::from(shade) / 255.0);
        [r, g, b]
    };
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette((0..=255).flat_map(colour).collect::<Vec<u8>>());
    encoder.set_compression(png::Compression::High);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

/// Heights of the marks that lie between the lowest band's centre and the highest's.
fn ticks(centres_hz: &[f64]) -> Vec<(f64, f64)> {
    let height = |hz: f64| {
        let above = centres_hz.partition_point(|&centre| centre < hz);
        let (low, high) = (*centres_hz.get(above.checked_sub(1)?)?, *centres_hz.get(above)?);
        let band = above as f64 - 1.0 + (hz - low) / (high - low);
        Some(((band + 0.5) / centres_hz.len() as f64, hz))
    };
    TICKS_HZ.iter().filter_map(|&hz| height(hz)).collect()
}

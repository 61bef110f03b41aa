//! Pictures of log-mel frames: columns of band levels enter, a PNG as a data URI and the marks of
//! its frequency axis leave.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use edge_frontend::{FrontendConfig, Power, mel};

use crate::{Error, Result};

/// Levels shown below the loudest, dB.
pub const RANGE_DB: f64 = 70.0;

/// Marks of the frequency axis.
const TICKS_HZ: [f64; 7] = [100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0];

/// The colour of a level in [0, 1], in a perceptually uniform map.
pub fn colour(level: f64) -> [u8; 3] {
    let colorous::Color { r, g, b } = colorous::INFERNO.eval_continuous(level.clamp(0.0, 1.0));
    [r, g, b]
}

/// The highest value of columns or frames.
pub fn loudest(values: &[f32]) -> f32 {
    values.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

/// Raises each band of `column` to what it is in `frame`.
pub fn raise(column: &mut [f32], frame: &[f32]) {
    column.iter_mut().zip(frame).for_each(|(loudest, value)| *loudest = loudest.max(*value));
}

/// The PNG of `columns`, `(n_columns, n_mels)`, row-major, as `frontend` puts its frames out: a
/// pixel a column and band, time to the right, frequency upwards. `loudest` has the brightest
/// colour.
///
/// # Errors
///
/// When it cannot be encoded: there is no column.
pub fn data_uri(frontend: &FrontendConfig, columns: &[f32], loudest: f32) -> Result<String> {
    let n_mels = frontend.n_mels;
    // A frame's value is a natural logarithm, shifted and scaled.
    let decibels =
        f64::from(frontend.std) * if frontend.power == Power::Power { 10.0 } else { 20.0 } / std::f64::consts::LN_10;
    let shade = |value: &f32| {
        let level = f64::from(value - loudest) * decibels / RANGE_DB + 1.0;
        (level.clamp(0.0, 1.0) * 255.0).round() as u8
    };
    let band = |band: usize| columns.iter().skip(band).step_by(n_mels).map(shade);
    let pixels: Vec<u8> = (0..n_mels).rev().flat_map(band).collect();
    let png = indexed_png(columns.len() / n_mels, n_mels, &pixels).map_err(Error::draw)?;
    Ok(format!("data:image/png;base64,{}", BASE64_STANDARD.encode(png)))
}

fn indexed_png(width: usize, height: usize, pixels: &[u8]) -> std::result::Result<Vec<u8>, png::EncodingError> {
    let palette: Vec<u8> = (0..=255).flat_map(|shade: u8| colour(f64::from(shade) / 255.0)).collect();
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

/// Marks of the frequency axis between the lowest band's centre and the highest's: height in [0,
/// 1], and the frequency in Hz.
pub fn ticks(frontend: &FrontendConfig) -> Vec<(f64, f64)> {
    let centres_hz = mel::centres_hz(frontend);
    let height = |hz: f64| {
        let above = centres_hz.partition_point(|&centre| centre < hz);
        let (low, high) = (*centres_hz.get(above.checked_sub(1)?)?, *centres_hz.get(above)?);
        let band = above as f64 - 1.0 + (hz - low) / (high - low);
        Some(((band + 0.5) / centres_hz.len() as f64, hz))
    };
    TICKS_HZ.iter().filter_map(|&hz| height(hz)).collect()
}

//! The log-mel spectrogram of a recording, as the network hears it: its samples enter, columns of
//! band levels and pictures of them leave.

use edge_frontend::{FrontendConfig, LogMel, Resampler};

use super::picture;
use crate::Error;

/// Time of a column: of the frames in it, the loudest are shown.
const COLUMN_S: f64 = 0.08;

/// A recording's bands over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrogram {
    frontend: FrontendConfig,
    /// `(n_columns, n_mels)`, row-major, as the front end puts them out.
    columns: Vec<f32>,
    column_s: f64,
    loudest: f32,
    ticks: Vec<(f64, f64)>,
}

impl Spectrogram {
    /// That of a recording at `sample_rate`, by the front end of a model. `next_block` hands out
    /// the samples until it returns `false`.
    ///
    /// # Errors
    ///
    /// Those of `next_block`, and when the rate cannot be converted.
    pub fn of<E: From<Error>>(
        frontend: &FrontendConfig,
        sample_rate: u32,
        mut next_block: impl FnMut(&mut Vec<f32>) -> Result<bool, E>,
    ) -> Result<Self, E> {
        let mut resampler = Resampler::new(sample_rate, frontend.sample_rate).map_err(Error::from)?;
        let mut log_mel = LogMel::new(frontend).map_err(Error::from)?;
        let per_column = ((COLUMN_S / frontend.hop_seconds()).round() as usize).max(1);
        let (mut columns, mut n_frames) = (Vec::new(), 0);
        let mut take = |frame: &[f32]| {
            if n_frames % per_column == 0 {
                columns.extend_from_slice(frame);
            } else {
                let from = columns.len() - frame.len();
                picture::raise(&mut columns[from..], frame);
            }
            n_frames += 1;
        };
        let mut block = Vec::new();
        while next_block(&mut block)? {
            resampler.process(&block, |samples| log_mel.process(samples, &mut take));
        }
        resampler.finish(|samples| log_mel.process(samples, &mut take));
        log_mel.finish(&mut take);
        Ok(Spectrogram {
            loudest: picture::loudest(&columns),
            columns,
            column_s: per_column as f64 * frontend.hop_seconds(),
            ticks: picture::ticks(frontend),
            frontend: frontend.clone(),
        })
    }

    /// Marks of the frequency axis: height in [0, 1], and the frequency in Hz.
    pub fn ticks(&self) -> &[(f64, f64)] {
        &self.ticks
    }

    /// A picture of the time from `from_s` to `to_s`, frequency upwards, as the data URI of a PNG,
    /// and where it ends: there may be less. `None` where there is nothing.
    ///
    /// # Errors
    ///
    /// When the picture cannot be encoded.
    pub fn picture(&self, from_s: f64, to_s: f64) -> Result<Option<(String, f64)>, Error> {
        let n_mels = self.frontend.n_mels;
        let n_columns = self.columns.len() / n_mels;
        let at = |t_s: f64| ((t_s / self.column_s).round() as usize).min(n_columns);
        let (from, to) = (at(from_s), at(to_s));
        if from == to {
            return Ok(None);
        }
        let columns = &self.columns[from * n_mels..to * n_mels];
        let uri = picture::data_uri(&self.frontend, columns, self.loudest)?;
        Ok(Some((uri, to as f64 * self.column_s)))
    }
}

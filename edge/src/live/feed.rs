//! The worker's end of a tap: samples, pulses and outputs of the network enter.

use std::sync::Arc;

use edge_frontend::Manifest;

use super::{Level, Pulse, RecentOutputs, Scale, Tap, TapShared};
use crate::decide::Output;
use crate::status::{CLIPPED, LEVEL_FLOOR_DBFS};

/// Writes to a [`Tap`].
#[derive(Debug)]
pub struct Feed {
    shared: Arc<TapShared>,
    scale: Scale,
    seq: u64,
    sum: Sum,
    /// Of the pulse before.
    level: Level,
}

/// What came since the last pulse.
#[derive(Debug, Default)]
struct Sum {
    n_samples: u64,
    energy: f64,
    peak: Option<f32>,
    n_clipped: u32,
}

impl Feed {
    /// For a source that is recognised by the model of `manifest`.
    pub fn new(tap: &Tap, manifest: &Manifest) -> Self {
        let scale = Scale::new(&manifest.frontend, &manifest.network);
        let shared = Arc::clone(&tap.shared);
        // The same if it was set before: a source has one model.
        let _ = shared.scale.set(scale.clone());
        if shared.wants_outputs.get().is_some() {
            let _ = shared.recent_outputs.set(RecentOutputs::new(manifest.labels.len(), scale.pulse_s));
        }
        let silence = Level { rms_dbfs: LEVEL_FLOOR_DBFS, peak_dbfs: None, n_clipped: 0 };
        Feed { shared, scale, seq: 0, sum: Sum::default(), level: silence }
    }

    /// Takes samples before the pulses that they complete.
    pub fn samples(&mut self, samples: &[f32]) {
        if !self.shared.is_watched() {
            return;
        }
        let sum = &mut self.sum;
        let (mut energy, mut peak) = (0.0_f32, sum.peak.unwrap_or(0.0));
        for sample in samples {
            energy += sample * sample;
            peak = peak.max(sample.abs());
            sum.n_clipped += u32::from(sample.abs() >= CLIPPED);
        }
        sum.energy += f64::from(energy);
        sum.peak = Some(peak);
        sum.n_samples += samples.len() as u64;
    }

    /// Takes the mean square of a log-mel frame that came without its samples.
    pub fn frame(&mut self, mean_square: f64) {
        self.sum.energy += mean_square;
        self.sum.n_samples += 1;
    }

    /// Takes a pulse of normalised log-mel frames, `(pulse_frames, n_mels)`, that begins at `t_s`
    /// of the stream, and the scores that follow from it.
    pub fn pulse(&mut self, t_s: f64, frames: &[f32], scores: &[f32]) {
        self.seq += 1;
        if !self.shared.is_watched() {
            // What was summed up for a viewer that has left is old by the time of the next.
            self.sum = Sum::default();
            return;
        }
        self.level = self.sum.take().unwrap_or(self.level);
        self.shared.publish(Pulse {
            seq: self.seq,
            t_s,
            columns: frames.iter().map(|value| self.scale.byte(*value)).collect(),
            level: self.level,
            scores: scores.into(),
        });
    }

    /// Takes what the network put out, if that is kept.
    pub fn output(&mut self, output: &Output) {
        if let Some(outputs) = self.shared.recent_outputs.get() {
            outputs.push(output);
        }
    }
}

impl Sum {
    /// The level of what came since the last time; `None` if nothing did: a block of samples may
    /// complete several pulses.
    fn take(&mut self) -> Option<Level> {
        let Sum { n_samples, energy, peak, n_clipped } = std::mem::take(self);
        let dbfs = |magnitude: f64| ((20.0 * magnitude.log10()) as f32).max(LEVEL_FLOOR_DBFS);
        (n_samples > 0).then(|| Level {
            rms_dbfs: dbfs((energy / n_samples as f64).sqrt()),
            peak_dbfs: peak.map(|peak| dbfs(peak.into())),
            n_clipped,
        })
    }
}

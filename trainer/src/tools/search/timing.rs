//! How long a pulse takes.
//!
//! Enters: model folders. Leaves: microseconds a pulse of each, by the daemon's own engine and front end, on this thread. All models
//! take turns in every round, each round beginning with another, so that what else the machine does hits all alike.

use crate::error::{Error, Result};
use edge::engine::{Engine, Precision, StreamEngine};
use edge::model::Model;
use edge_frontend::LogMel;
use serde::{Deserialize, Serialize};
use sounds::Sound;
use std::path::Path;
use std::time::Instant;

/// Pulses before the measurement, for caches and clock rates to settle.
const N_WARM_UP: usize = 100;
/// The sound that is heard meanwhile, again and again.
const SOUND: (Sound, f32, u64) = (Sound::WaterFlowing, 4.0, 1);

/// Times of one model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// The network, single precision, a pulse of 80 ms: median over the rounds of each round's median.
    pub us_per_pulse: f64,
    /// First and third quartile over the rounds.
    pub us_per_pulse_quartiles: [f64; 2],
    /// The log-mel front end, for the frames of a pulse.
    pub log_mel_us_per_pulse: f64,
}

/// Times the models in `folders`, `rounds` times `pulses` pulses each.
///
/// # Errors
///
/// If a model does not load or run.
pub fn measure(folders: &[&Path], rounds: usize, pulses: usize) -> Result<Vec<Speed>> {
    let mut chains = folders.iter().map(|folder| Chain::load(folder)).collect::<Result<Vec<_>>>()?;
    for chain in &mut chains {
        chain.round(N_WARM_UP)?;
    }
    let mut times = vec![(Vec::new(), Vec::new()); chains.len()];
    for round in 0..rounds {
        for turn in 0..chains.len() {
            let at = (round + turn) % chains.len();
            let (network, log_mel) = chains[at].round(pulses)?;
            times[at].0.push(network);
            times[at].1.push(log_mel);
        }
    }
    let speed = |(network, log_mel): (Vec<f64>, Vec<f64>)| {
        let [first, median, third] = quartiles(network);
        Speed {
            us_per_pulse: median,
            us_per_pulse_quartiles: [first, third],
            log_mel_us_per_pulse: quartiles(log_mel)[1],
        }
    };
    Ok(times.into_iter().map(speed).collect())
}

/// A model as the daemon's worker runs it.
struct Chain {
    engine: StreamEngine,
    log_mel: LogMel,
    samples: Vec<f32>,
    n_samples: usize,
    pulse: Vec<f32>,
    logits: Vec<f32>,
    n_done: usize,
}

impl Chain {
    fn load(folder: &Path) -> Result<Self> {
        let model = Model::load(folder)?;
        let frontend = &model.manifest.frontend;
        let engine = StreamEngine::load(&model, Precision::F32)?;
        let n_samples = engine.pulse_frames() * frontend.hop_length;
        let samples = sounds::render(SOUND.0, frontend.sample_rate, SOUND.1, SOUND.2);
        if samples.len() < n_samples {
            return Err(Error::content(folder, format!("a pulse of {n_samples} samples is too long to be timed")));
        }
        let mut log_mel = LogMel::new(frontend)?;
        // The first frame needs a whole window, so that from then on every pulse of samples gives a pulse of frames.
        log_mel.process(&vec![0.0; frontend.win_length.saturating_sub(frontend.hop_length)], |_| {});
        Ok(Self {
            pulse: vec![0.0; engine.pulse_frames() * engine.n_mels()],
            logits: vec![0.0; engine.n_classes()],
            engine,
            log_mel,
            samples,
            n_samples,
            n_done: 0,
        })
    }

    /// Medians over `pulses` pulses: microseconds of the network and of the front end.
    fn round(&mut self, pulses: usize) -> Result<(f64, f64)> {
        let (mut network, mut log_mel) = (Vec::with_capacity(pulses), Vec::with_capacity(pulses));
        for _ in 0..pulses {
            let n_pulses = self.samples.len() / self.n_samples;
            let samples = &self.samples[self.n_done % n_pulses * self.n_samples..][..self.n_samples];
            self.n_done += 1;
            let start = Instant::now();
            let mut rooms = self.pulse.chunks_exact_mut(self.engine.n_mels());
            self.log_mel.process(samples, |frame| {
                if let Some(room) = rooms.next() {
                    room.copy_from_slice(frame);
                }
            });
            let between = Instant::now();
            self.engine.push(&self.pulse, &mut self.logits)?;
            network.push(between.elapsed().as_secs_f64() * 1e6);
            log_mel.push((between - start).as_secs_f64() * 1e6);
        }
        Ok((quartiles(network)[1], quartiles(log_mel)[1]))
    }
}

/// First quartile, median and third quartile of at least one value: the nearest ones, not interpolated.
fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[(values.len() - 1) * quarter / 4])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_values_in_order() {
        assert_eq!(quartiles(vec![5.0, 1.0, 4.0, 2.0, 3.0]), [2.0, 3.0, 4.0]);
        assert_eq!(quartiles(vec![7.0]), [7.0; 3]);
        assert_eq!(quartiles(vec![2.0, 1.0]), [1.0, 1.0, 1.0]);
    }

    #[test]
    fn the_shipped_model_takes_its_turns() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/home");
        let speeds = measure(&[&folder, &folder], 4, 10).unwrap();
        assert_eq!(speeds.len(), 2);
        for speed in speeds {
            let [first, third] = speed.us_per_pulse_quartiles;
            assert!(0.0 < first && first <= speed.us_per_pulse && speed.us_per_pulse <= third, "{speed:?}");
            assert!(speed.log_mel_us_per_pulse > 0.0, "{speed:?}");
        }
    }
}

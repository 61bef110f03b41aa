//! A recording as a whole: its samples enter, one posterior a class leaves. Runs on the caller's thread.

use edge_frontend::{LogMel, resample};

use crate::audio::Audio;
use crate::decide::clip_posteriors;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::model::Model;

/// A network that names recordings.
pub struct ClipClassifier {
    model: Model,
    engine: Box<dyn Engine>,
    log_mel: LogMel,
}

impl ClipClassifier {
    /// A classifier that runs `engine`, which was loaded from `model`.
    ///
    /// # Errors
    ///
    /// When the front end cannot be set up.
    pub fn new(model: Model, engine: Box<dyn Engine>) -> Result<Self> {
        let log_mel = LogMel::new(&model.manifest.frontend).map_err(|error| Error::model_file(&model.dir, error))?;
        Ok(ClipClassifier { model, engine, log_mel })
    }

    /// The labels in the order of the posteriors.
    pub fn labels(&self) -> &[String] {
        &self.model.manifest.labels
    }

    /// The posterior of each class: softmax or sigmoid, as the manifest says, of the mean of the clip's frame logits. A clip shorter
    /// than the receptive field is filled up with silence.
    ///
    /// # Errors
    ///
    /// For a sample rate that cannot be converted to the model's, and when the network fails.
    pub fn classify(&mut self, audio: &Audio) -> Result<Vec<f32>> {
        let frontend = &self.model.manifest.frontend;
        let mut samples = resample(audio.sample_rate, frontend.sample_rate, &audio.samples)
            .map_err(Error::sample_rate(frontend.sample_rate))?;
        let n_field = (self.engine.receptive_field_frames() - 1) * frontend.hop_length + frontend.win_length;
        samples.resize(samples.len().max(n_field), 0.0);
        let logits = self.logits(&samples)?;
        Ok(clip_posteriors(self.model.manifest.network.activation, self.engine.n_classes(), &logits))
    }

    /// The frame logits of `samples` at the model's rate, `(n_out, n_classes)`: those whose receptive field lies inside.
    fn logits(&mut self, samples: &[f32]) -> Result<Vec<f32>> {
        let ClipClassifier { engine, log_mel, .. } = self;
        let (pulse_frames, field) = (engine.pulse_frames(), engine.receptive_field_frames());
        let pulse_len = pulse_frames * engine.n_mels();
        let mut frames = Vec::new();
        log_mel.process(samples, |frame| frames.extend_from_slice(frame));
        log_mel.finish(|frame| frames.extend_from_slice(frame));
        let n_frames = frames.len() / engine.n_mels();
        let n_out = if n_frames < field { 0 } else { (n_frames - field) / pulse_frames + 1 };
        // The last outputs may need a pulse that the clip does not fill; what it is filled with lies behind their field.
        frames.resize(frames.len().next_multiple_of(pulse_len), 0.0);
        let mut outputs = Vec::with_capacity(n_out * engine.n_classes());
        let mut logits = vec![0.0; engine.n_classes()];
        engine.reset()?;
        for pulse in frames.chunks_exact(pulse_len) {
            if engine.push(pulse, &mut logits)? {
                outputs.extend_from_slice(&logits);
            }
        }
        outputs.truncate(n_out * engine.n_classes());
        Ok(outputs)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use edge_frontend::log_mel;

    use super::*;
    use crate::engine::{BatchEngine, Precision, PrecisionChoice, load_engine};

    fn tiny() -> Model {
        Model::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/tiny")).unwrap()
    }

    fn classifier() -> ClipClassifier {
        let model = tiny();
        let engine = load_engine(&model, PrecisionChoice::F32).unwrap();
        ClipClassifier::new(model, engine).unwrap()
    }

    fn tone(sample_rate: u32, n_samples: usize) -> Vec<f32> {
        let step = 1000.0 * std::f64::consts::TAU / f64::from(sample_rate);
        (0..n_samples).map(|at| (0.3 * (at as f64 * step).sin()) as f32).collect()
    }

    fn audio(sample_rate: u32, samples: Vec<f32>) -> Audio {
        Audio { sample_rate, samples, n_channels: 1 }
    }

    #[test]
    fn tones_and_silence_are_told_apart_at_any_rate() {
        let mut classifier = classifier();
        for sample_rate in [8_000, 24_000, 44_100, 48_000] {
            let posteriors = classifier.classify(&audio(sample_rate, tone(sample_rate, sample_rate as usize))).unwrap();
            assert!(posteriors[2] > 0.9, "{sample_rate} Hz: {posteriors:?}");
        }
        assert!(classifier.classify(&audio(24_000, vec![0.0; 24_000])).unwrap()[0] > 0.9);
    }

    #[test]
    fn short_clips_are_filled_up() {
        let mut classifier = classifier();
        for n_samples in [0, 1, 100, 3_000] {
            let posteriors = classifier.classify(&audio(24_000, tone(24_000, n_samples))).unwrap();
            assert!((posteriors.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{posteriors:?}");
        }
    }

    #[test]
    fn a_clip_is_what_the_whole_network_makes_of_it() {
        let model = tiny();
        let samples = tone(24_000, 30_011);
        let frames = log_mel(&model.manifest.frontend, &samples).unwrap();
        let logits = BatchEngine::load(&model, Precision::F32).unwrap().run(&frames).unwrap();
        let mut classifier = classifier();
        // Twice: nothing of a clip may reach the next.
        for _ in 0..2 {
            assert_eq!(classifier.logits(&samples).unwrap(), logits);
        }
    }
}

//! A recording as a whole: its samples enter, one posterior a class leaves. Runs on the caller's
//! thread.

use std::borrow::Cow;
use std::ops::Range;

use edge_frontend::{FrontendConfig, LogMel, Manifest, Network, NetworkKind, Power, resample};

use crate::audio::Audio;
use crate::decide::{Average, clip_posteriors};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::model::Model;

/// Outputs of a streaming network that hear nothing within this of the loudest of the clip do not
/// count for what the clip is: they are the silence around a short sound. On ESC-10, whose clips
/// are padded with silence, this gained 10 points among all classes.
const QUIET_DB: f64 = 30.0;

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

    /// The posterior of each class in the clip as a whole.
    ///
    /// A streaming network's are softmax or sigmoid, as the manifest says, of the mean of the
    /// clip's frame logits, without those that hear only silence ([`loud_outputs`]); a clip shorter
    /// than the receptive field is filled up with silence, and around any clip of a network with a
    /// look-ahead there is as much of it as its field needs ([`surrounded`]). A windowed network's
    /// are the mean of the posteriors of all its patches, evenly spaced and one at the end; a clip
    /// shorter than a patch is filled up with its last log-mel frame. A clip of one patch at most
    /// is exactly a view of the EPIC-SOUNDS recipe.
    ///
    /// # Errors
    ///
    /// For a sample rate that cannot be converted to the model's, and when the network fails.
    pub fn classify(&mut self, audio: &Audio) -> Result<Vec<f32>> {
        let Manifest { frontend, network, .. } = &self.model.manifest;
        let mut samples = resample(audio.sample_rate, frontend.sample_rate, &audio.samples)
            .map_err(Error::sample_rate(frontend.sample_rate))?;
        let n_least = match network.kind {
            NetworkKind::Stream if network.lookahead_ms.is_none() => {
                (self.engine.receptive_field_frames() - 1) * frontend.hop_length + frontend.win_length
            }
            // One frame, which a centred front end has of nothing at all.
            _ if frontend.centre_padding => 0,
            _ => frontend.win_length,
        };
        samples.resize(samples.len().max(n_least), 0.0);
        let mut frames = Vec::new();
        self.log_mel.process(&samples, |frame| frames.extend_from_slice(frame));
        self.log_mel.finish(|frame| frames.extend_from_slice(frame));
        let frames = surrounded(frontend, network, &frames);
        let mut logits = self.engine.clip_logits(&frames)?;
        let n_classes = self.engine.n_classes();
        // Outputs of whole patches, each of the whole sound, are averaged as posteriors; outputs that
        // stand for a slot of time are averaged as a stream's are.
        let of_slots = network.kind == NetworkKind::Stream || network.lookahead_ms.is_some();
        let average = if of_slots { Average::Logits } else { Average::of(network.kind) };
        if of_slots {
            let loud = loud_outputs(frontend, network, &frames);
            logits = loud.iter().flat_map(|&at| &logits[at * n_classes..(at + 1) * n_classes]).copied().collect();
        }
        let temperature = self.model.manifest.decision.temperature;
        Ok(clip_posteriors(network.activation, average, temperature, n_classes, &logits))
    }
}

/// The frames that a network's first output stands for, in frames of its input; each
/// further output's are a pulse later. Without a look-ahead an output stands for its whole
/// receptive field; with one, for the pulse of frames around the middle of its slot
/// ([`Network::slot_frames`]), to the nearest whole frame and as far as they lie in its field.
pub fn frames_of_output(frontend: &FrontendConfig, network: &Network) -> Range<usize> {
    if network.lookahead_ms.is_none() {
        return 0..network.receptive_field_frames;
    }
    // A pulse of p frames from frame k on has its middle at k + (p - 1) / 2, counted as slot_frames
    // counts.
    let start = network.slot_frames(frontend) - (network.pulse_frames as f64 - 1.0) / 2.0;
    let field = network.receptive_field_frames;
    let start = (start.round().max(0.0) as usize).min(field - 1);
    start..(start + network.pulse_frames).min(field)
}

/// A clip's log-mel `frames`, `(n_frames, n_mels)` row-major, with the silence around them that a
/// network with a look-ahead needs: its first output stands for the first pulse of frames
/// of the clip, and its last for the last one, of which at least half must be there; a clip of less
/// has one output. All other networks get the clip as it is.
pub fn surrounded<'a>(frontend: &FrontendConfig, network: &Network, frames: &'a [f32]) -> Cow<'a, [f32]> {
    if network.lookahead_ms.is_none() {
        return Cow::Borrowed(frames);
    }
    let (n_mels, pulse) = (frontend.n_mels, network.pulse_frames);
    let n_before = frames_of_output(frontend, network).start;
    let n_outputs = ((frames.len() / n_mels + pulse / 2) / pulse).max(1);
    let n_frames = network.receptive_field_frames + (n_outputs - 1) * pulse;
    let mut around = vec![frontend.silence(); n_before * n_mels];
    around.extend_from_slice(frames);
    around.resize(n_frames * n_mels, frontend.silence());
    Cow::Owned(around)
}

/// The outputs of a network over its input `frames`, `(n_frames, n_mels)` row-major, in
/// order, that stand for a sound: what they stand for ([`frames_of_output`]) is at most 30 dB
/// quieter than the loudest of them. At least one where the input is as long as the receptive
/// field.
pub fn loud_outputs(frontend: &FrontendConfig, network: &Network, frames: &[f32]) -> Vec<usize> {
    // The offset of the logarithm stays in: of digital silence alone, all is equally loud.
    let level = |frame: &[f32]| frame.iter().map(|&v| f64::from(v * frontend.std + frontend.mean).exp()).sum::<f64>();
    let levels: Vec<f64> = frames.chunks_exact(frontend.n_mels).map(level).collect();
    let heard = frames_of_output(frontend, network);
    let fields = levels.windows(network.receptive_field_frames).step_by(network.pulse_frames);
    let fields: Vec<f64> = fields.map(|field| field[heard.clone()].iter().sum()).collect();
    let decibels_a_power = match frontend.power {
        Power::Power => 10.0,
        Power::Magnitude => 20.0,
    };
    let loudest = fields.iter().copied().fold(0.0, f64::max);
    let quiet = loudest * 10f64.powf(-QUIET_DB / decibels_a_power);
    (0..fields.len()).filter(|&at| fields[at] >= quiet).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use edge_frontend::{Activation, log_mel};

    use super::*;
    use crate::engine::{BatchEngine, Precision, PrecisionChoice, load_engine};

    fn fixture(name: &str) -> Model {
        Model::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name)).unwrap()
    }

    fn tiny() -> Model {
        fixture("tiny")
    }

    fn tiny_window() -> Model {
        fixture("tiny_window")
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
        let posteriors = clip_posteriors(Activation::Softmax, Average::Logits, 1.0, 3, &logits);
        let mut classifier = classifier();
        // Twice: nothing of a clip may reach the next.
        for _ in 0..2 {
            assert_eq!(classifier.engine.clip_logits(&frames).unwrap(), logits);
            assert_eq!(classifier.classify(&audio(24_000, samples.clone())).unwrap(), posteriors);
        }
    }

    #[test]
    fn silence_around_a_sound_does_not_count() {
        let mut classifier = classifier();
        let mut samples = vec![0.0; 24_000];
        samples.extend(tone(24_000, 24_000));
        samples.extend(vec![0.0; 4 * 24_000]);
        let padded = classifier.classify(&audio(24_000, samples.clone())).unwrap();
        assert!(padded[2] > 0.8, "a tone, whatever silence is around it: {padded:?}");
        // A tone 60 dB below another is silence beside it, and a sound where there is nothing else.
        let quiet: Vec<f32> = tone(24_000, 48_000).iter().map(|x| x * 1e-3).collect();
        let Manifest { frontend, network, .. } = &tiny().manifest;
        let outputs = |samples: &[f32]| loud_outputs(frontend, network, &log_mel(frontend, samples).unwrap());
        let (alone, beside) = (outputs(&quiet), outputs(&[quiet.clone(), tone(24_000, 24_000)].concat()));
        assert_eq!(alone, (0..alone.len()).collect::<Vec<_>>());
        assert!(beside.iter().all(|&at| at >= alone.len() - 1), "{beside:?} of {}", alone.len());
        assert!(outputs(&[]).is_empty());
    }

    #[test]
    fn around_a_clip_of_a_network_with_look_ahead_is_silence_and_each_pulse_of_it_has_an_output() {
        let Manifest { frontend, network, .. } = tiny().manifest;
        assert_eq!(surrounded(&frontend, &network, &[1.0; 64]), vec![1.0; 64]);
        assert_eq!(frames_of_output(&frontend, &network), 0..network.receptive_field_frames);
        let network = Network { receptive_field_frames: 224, lookahead_ms: Some(320.0), ..network };
        // The middle of the slot is frame 192.25, see the manifest's test; that of frames 189 to
        // 196 is 192.5.
        assert_eq!(frames_of_output(&frontend, &network), 189..197);
        for (n_frames, n_outputs) in
            [(0, 1), (3, 1), (8, 1), (11, 1), (12, 2), (16, 2), (100, 13), (163, 20), (164, 21)]
        {
            let frames = vec![2.0; n_frames * 64];
            let input = surrounded(&frontend, &network, &frames);
            assert_eq!((input.len() / 64 - 224) / 8 + 1, n_outputs, "{n_frames} frames");
            let sounds = |frame: usize| input.get(frame * 64).is_some_and(|&v| v == 2.0);
            let n_sounding = (0..input.len() / 64).filter(|&frame| sounds(frame)).count();
            assert_eq!((n_sounding, sounds(188), sounds(189)), (n_frames, false, n_frames > 0));
            // All of a clip that sounds throughout counts, whatever silence is around it.
            assert_eq!(loud_outputs(&frontend, &network, &input).len(), n_outputs);
        }
        // Output j stands for the clip's frames 8 j to 8 j + 7.
        let mut frames = vec![frontend.silence(); 80 * 64];
        frames[24 * 64..40 * 64].fill(2.0);
        assert_eq!(loud_outputs(&frontend, &network, &surrounded(&frontend, &network, &frames)), [3, 4]);
        // What an output at the end of its field cannot hear is left out.
        let network = Network { lookahead_ms: Some(0.0), ..network };
        assert_eq!(frames_of_output(&frontend, &network), 221..224);
        let input = surrounded(&frontend, &network, &[2.0; 16 * 64]);
        assert_eq!(input.len(), 232 * 64);
        assert_eq!(loud_outputs(&frontend, &network, &input), [0, 1]);
    }

    #[test]
    fn a_clip_of_a_network_with_look_ahead_is_the_mean_of_its_pulses() {
        let mut model = tiny();
        model.manifest.network.lookahead_ms = Some(40.0);
        let samples = tone(24_000, 30_011);
        let frames = log_mel(&model.manifest.frontend, &samples).unwrap();
        let input = surrounded(&model.manifest.frontend, &model.manifest.network, &frames);
        let logits = BatchEngine::load(&model, Precision::F32).unwrap().run(&input).unwrap();
        assert_eq!(logits.len() / 3, (frames.len() / 64 + 4) / 8);
        let posteriors = clip_posteriors(Activation::Softmax, Average::Logits, 1.0, 3, &logits);
        let engine = load_engine(&model, PrecisionChoice::F32).unwrap();
        let mut classifier = ClipClassifier::new(model, engine).unwrap();
        assert_eq!(classifier.classify(&audio(24_000, samples)).unwrap(), posteriors);
        assert!(posteriors[2] > 0.9, "{posteriors:?}");
        // Nothing at all is silence.
        assert!(classifier.classify(&audio(24_000, Vec::new())).unwrap()[0] > 0.9);
    }

    #[test]
    fn patches_of_a_short_clip_end_in_its_last_frame_and_the_last_patch_of_a_long_one_ends_with_it() {
        let model = tiny_window();
        let (frontend, network) = (model.manifest.frontend.clone(), model.manifest.network.clone());
        let (n_mels, field, hop) = (frontend.n_mels, network.receptive_field_frames, network.pulse_frames);
        let batch = BatchEngine::load(&model, Precision::F32).unwrap();
        let engine = load_engine(&model, PrecisionChoice::F32).unwrap();
        let mut classifier = ClipClassifier::new(model, engine).unwrap();
        let frames_of = |n_frames: usize| {
            let samples = tone(24_000, frontend.win_length + (n_frames - 1) * frontend.hop_length + 7);
            let frames = log_mel(&frontend, &samples).unwrap();
            assert_eq!(frames.len(), n_frames * n_mels);
            (samples, frames)
        };
        let mean = |logits: &[f32]| clip_posteriors(Activation::Posterior, Average::Posteriors, 1.0, 3, logits);

        for n_frames in [1, field - 1] {
            let (samples, mut frames) = frames_of(n_frames);
            let last = frames[frames.len() - n_mels..].to_vec();
            (n_frames..field).for_each(|_| frames.extend_from_slice(&last));
            let expected = mean(&batch.run(&frames).unwrap());
            assert_eq!(classifier.classify(&audio(24_000, samples)).unwrap(), expected, "{n_frames} frames");
        }
        for n_more in [0, hop - 1, 3 * hop, 3 * hop + 1] {
            let (samples, frames) = frames_of(field + n_more);
            let mut logits = batch.run(&frames).unwrap();
            assert_eq!(logits.len() / 3, n_more / hop + 1);
            if n_more % hop != 0 {
                logits.extend(batch.run(&frames[n_more * n_mels..]).unwrap());
            }
            assert_eq!(classifier.classify(&audio(24_000, samples)).unwrap(), mean(&logits), "{n_more} frames more");
        }
        // Less than a frame is one.
        let posteriors = classifier.classify(&audio(24_000, vec![0.0; 10])).unwrap();
        assert!((posteriors.iter().sum::<f32>() - 1.0).abs() < 1e-5 && posteriors[0] > 0.9, "{posteriors:?}");
    }
}

//! A recording as a whole: its samples enter, one posterior per class leaves. Runs on the caller's
//! thread.

mod outputs;
mod passage;

pub use outputs::{frames_of_output, loud_outputs, surrounded};

use std::path::Path;

use edge_frontend::{LogMel, Manifest, Resampler};

use self::outputs::is_of_slots;
use self::passage::Passage;
use crate::audio::{Audio, AudioReader};
use crate::decide::{Average, clip_posteriors};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::pipeline::repair;

/// Samples that go through at once.
const BLOCK: usize = 65_536;

/// A network that names recordings.
pub struct RecordingClassifier {
    model: Model,
    engine: Box<dyn Engine>,
    log_mel: LogMel,
}

impl RecordingClassifier {
    /// A classifier that runs `engine`, which was loaded from `model`.
    ///
    /// # Errors
    ///
    /// When the front end cannot be set up.
    pub fn new(model: Model, engine: Box<dyn Engine>) -> Result<Self> {
        let log_mel = LogMel::new(&model.manifest.frontend).map_err(|error| Error::model_file(&model.dir, error))?;
        Ok(RecordingClassifier { model, engine, log_mel })
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
        let mut rest = audio.samples.chunks(BLOCK);
        self.classify_blocks(audio.sample_rate, |block| {
            block.clear();
            let next = rest.next();
            block.extend_from_slice(next.unwrap_or_default());
            Ok(next.is_some())
        })
        .map(|(posteriors, _)| posteriors)
    }

    /// The same of the recording at `path`, in memory that does not grow with its length but by its
    /// logits.
    ///
    /// # Errors
    ///
    /// Also when the file cannot be decoded.
    pub fn classify_file(&mut self, path: &Path) -> Result<Vec<f32>> {
        let mut reader = AudioReader::open(path)?;
        let classified = self.classify_blocks(reader.sample_rate(), |block| reader.next_block(block));
        let (posteriors, n_non_finite) = classified?;
        reader.log_damage();
        if n_non_finite > 0 {
            let path = path.display();
            tracing::warn!("{path}: {n_non_finite} samples are not finite numbers and were taken as 0");
        }
        Ok(posteriors)
    }

    /// The same of samples at `sample_rate` that `next_block` hands out until it returns `false`.
    /// Samples that are not finite numbers are taken as 0; how many there were is returned as well.
    fn classify_blocks(
        &mut self,
        sample_rate: u32,
        mut next_block: impl FnMut(&mut Vec<f32>) -> Result<bool>,
    ) -> Result<(Vec<f32>, u64)> {
        let Manifest { frontend, network, decision, .. } = &self.model.manifest;
        let mut resampler =
            Resampler::new(sample_rate, frontend.sample_rate).map_err(Error::sample_rate(frontend.sample_rate))?;
        let mut passage = Passage::new(frontend, network, &mut self.log_mel, &mut *self.engine);
        let mut block = Vec::new();
        let mut n_non_finite = 0;
        while next_block(&mut block)? {
            n_non_finite += repair(&mut block);
            resampler.process(&block, |samples| passage.push(samples));
            passage.run()?;
        }
        resampler.finish(|samples| passage.push(samples));
        let logits = passage.finish()?;
        let n_classes = self.engine.n_classes();
        // Outputs of whole patches, each of the whole sound, are averaged as posteriors; outputs
        // that stand for a slot of time are averaged as a stream's are.
        let average = if is_of_slots(network) { Average::Logits } else { Average::of(network.kind) };
        let posteriors = clip_posteriors(network.activation, average, decision.temperature, n_classes, &logits);
        Ok((posteriors, n_non_finite))
    }
}

#[cfg(test)]
mod tests;

//! The clips that a network fails worst at.
//!
//! Enters: the pool, and the recordings. Leaves: the clips whose right class has the lowest posterior, with a spectrogram and what
//! the network says along the clip. A clip that is mislabelled, silent or ambiguous is found here first.

use super::heard::DataSets;
use super::pool::{Pool, Row, log_posteriors, posteriors};
use super::run::{AnyRecipe, Notes};
use super::spectrogram::Spectrogram;
use super::subject::Subject;
use crate::chain::fit::MODEL;
use crate::data::features::features;
use crate::error::{Error, Result};
use edge::engine::{BatchEngine, Precision};
use edge::model::Model;
use std::collections::HashMap;

/// A clip with what can be shown of it.
pub struct HardClip {
    /// Its row in the pool.
    pub row: usize,
    /// Natural logarithm of the right class' posterior.
    pub log_posterior: f64,
    /// How it sounds, if the recording is there.
    pub spectrogram: Option<Spectrogram>,
    /// What the network says along the clip, if it is there.
    pub course: Vec<Moment>,
}

/// One output of a streaming network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// Middle of what it hears.
    pub seconds: f64,
    /// Posterior of the clip's class.
    pub right: f64,
    /// Posterior of the class that the clip was taken for.
    pub said: f64,
}

/// The `n` labelled clips whose right class has the lowest posterior, hardest first.
pub fn choose(pool: &Pool, n: usize) -> Vec<HardClip> {
    let clip = |(row, clip): (usize, &Row)| HardClip {
        row,
        log_posterior: log_posteriors(pool.activation, &clip.logits, 1.0)[clip.label],
        spectrogram: None,
        course: Vec::new(),
    };
    let mut clips: Vec<HardClip> =
        pool.rows.iter().enumerate().filter(|(_, row)| row.set.is_some()).map(clip).collect();
    clips.sort_by(|a, b| a.log_posterior.total_cmp(&b.log_posterior));
    clips.truncate(n);
    clips
}

/// Adds spectrograms and courses as far as recordings and models are there.
pub fn look_at(
    mut clips: Vec<HardClip>,
    pool: &Pool,
    subject: &Subject,
    data: &DataSets,
    precision: Precision,
    notes: &mut Notes,
) -> Vec<HardClip> {
    if let Err(e) = data.root() {
        notes.push(format!("No spectrograms: {e}."));
        return clips;
    }
    let mut models: HashMap<usize, Option<(Model, BatchEngine)>> = HashMap::new();
    for clip in &mut clips {
        let row = &pool.rows[clip.row];
        let folder = subject.runs[row.run].folder.join(MODEL);
        let model = models.entry(row.run).or_insert_with(|| {
            let model = Model::load(&folder).ok()?;
            let engine = BatchEngine::load(&model, precision).ok()?;
            Some((model, engine))
        });
        if let Err(e) = picture(clip, row, pool, subject, data, model.as_ref()) {
            notes.push(format!("{}: no spectrogram: {e}.", row.id));
        }
    }
    clips
}

fn picture(
    clip: &mut HardClip,
    row: &Row,
    pool: &Pool,
    subject: &Subject,
    data: &DataSets,
    model: Option<&(Model, BatchEngine)>,
) -> Result<()> {
    let run = &subject.runs[row.run];
    let path = data.recording(run, &row.id)?;
    let frontend = match &run.recipe {
        Some(AnyRecipe::Student(recipe)) => &recipe.frontend,
        Some(AnyRecipe::Staged(recipe)) => &recipe.frontend,
        None => return Err(Error::content(&run.folder, "the recipe is not known")),
    };
    let audio = edge::audio::decode_file(&path)?;
    let frames = features(frontend, audio.sample_rate, &audio.samples)?;
    clip.spectrogram = Some(Spectrogram::of(frontend, &frames, &path)?);
    let Some((model, engine)) = model else { return Ok(()) };
    let (network, hop_s) = (&model.manifest.network, frontend.hop_seconds());
    let (n_classes, said) = (pool.labels.len(), row.said());
    let logits = engine.run(&frames)?;
    let moment = |(at, logits): (usize, &[f32])| {
        let logits: Vec<f64> = logits.iter().map(|&l| f64::from(l)).collect();
        let posteriors = posteriors(pool.activation, &logits, 1.0);
        let middle = (at * network.pulse_frames) as f64 + network.receptive_field_frames as f64 / 2.0;
        Moment { seconds: middle * hop_s, right: posteriors[row.label], said: posteriors[said] }
    };
    clip.course = logits.chunks_exact(n_classes).enumerate().map(moment).collect();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::figures::tests::pool;

    #[test]
    fn the_surest_mistake_comes_first() {
        let mut pool = pool(&[(0, [3.0, 0.0, 0.0]), (0, [0.0, 9.0, 0.0]), (1, [0.5, 0.0, 0.0]), (2, [50.0, 0.0, 0.0])]);
        pool.rows[3].set = None;
        let rows = |n: usize| choose(&pool, n).iter().map(|clip| clip.row).collect::<Vec<_>>();
        assert_eq!(rows(9), [1, 2, 0], "background is no clip");
        assert_eq!(rows(1), [1]);
    }
}

//! One fold's network on what it has not heard.
//!
//! Enters: a head that was trained without a fold. Leaves: the fold's folder with model,
//! predictions, peaks and result, as `fit` leaves them, so that thresholds and the report find what
//! they know. The network is run as the daemon runs it.

use super::OwnOptions;
use super::figures::Heard;
use super::head::NEVER;
use super::material::Material;
use super::model::{self, About};
use super::recordings::Recordings;
use super::start::{Classes, Head, Start};
use crate::chain::student::{MODEL, PREDICTIONS};
use crate::common::environment::Environment;
use crate::common::json;
use crate::data::SetInfo;
use crate::data::folds::{FoldMode, run_name};
use crate::error::{Error, Result};
use crate::judge::evaluate::HeldOut;
use crate::judge::summary::{FitResult, RESULT};
use crate::judge::thresholds::{self, PEAKS};
use edge_frontend::DataNotes;
use std::collections::BTreeMap;
use tch::{Device, Tensor};

/// Name of the user's recordings among the data sets of a report.
const SET: &str = "own";

/// What all folds have in common.
pub struct HeldOutFold<'a> {
    pub options: &'a OwnOptions,
    pub start: &'a Start,
    pub classes: &'a Classes,
    pub material: &'a Material,
    pub recordings: &'a Recordings,
}

impl HeldOutFold<'_> {
    /// Writes the folder of fold `k` with `head`, and leaves what was heard of it.
    pub fn measure(&self, k: u32, head: &Head) -> Result<Vec<Heard>> {
        let Self { options, start, classes, material, recordings } = self;
        let (folder, frontend) =
            (options.out.join(run_name(FoldMode::Source, Some(k))), &start.model.manifest.frontend);
        let model_folder = folder.join(MODEL);
        let decision = start.model.manifest.decision.clone();
        let decision = edge_frontend::Decision { classes: BTreeMap::new(), ..decision };
        let data = DataNotes { training: format!("all folds but {k}"), licence: "for measuring only".to_owned() };
        let about = About { name: options.name(), metrics: BTreeMap::new(), data };
        model::write(start, classes, head, decision, about, &model_folder)?;

        let own = (0..material.own.len()).filter(|&at| recordings.files[material.own[at].0].fold == k);
        let clips: Vec<_> = own.map(|at| material.clip(at, recordings, classes, frontend)).collect();
        let others = || material.others.iter().filter(|other| other.clip.fold() == Some(k));
        let negatives = others().filter(|other| !other.has_label || classes.are_all_new());
        let held_out = HeldOut {
            sets: vec![SetInfo { name: SET.to_owned(), labels: classes.own.clone() }],
            clips: clips.clone(),
            negatives: negatives.map(|other| other.clip.clone()).collect(),
            background: classes.background,
            frontend: frontend.clone(),
            device: Device::Cpu,
        };
        let missing = || Error::Usage(format!("fold {k} holds nothing out"));
        let predictions = held_out.predict(&model_folder)?.ok_or_else(missing)?;
        predictions.write(&folder.join(PREDICTIONS))?;
        let measured = |logits: &[f32]| held_out.measure(predictions.activation, logits);
        let result = FitResult {
            n_steps: super::head::N_STEPS as u64,
            evaluation: Some(measured(&predictions.logits)),
            int8: predictions.logits_int8.as_deref().map(measured),
            ..FitResult::new(&options.name(), Some(k), FoldMode::Source)
        };
        json::write(&folder.join(RESULT), &result)?;
        Environment::here(Device::Cpu, &options.data).write(&folder)?;

        let all: Vec<_> = clips.iter().chain(others().map(|other| &other.clip)).cloned().collect();
        let mut peaks = thresholds::peaks(&model_folder, &all)?;
        // A sound that the model has no label for has none, even where there is no background.
        for (peaks, _) in peaks[clips.len()..].iter_mut().zip(others()).filter(|(_, other)| !other.has_label) {
            peaks.label = String::new();
        }
        json::write(&folder.join(PEAKS), &peaks)?;
        let said = predictions.logits.chunks_exact(classes.labels.len()).map(most_likely).chain(std::iter::repeat(0));
        let own = clips.iter().map(|clip| Some((clip.source.clone(), clip.label))).chain(std::iter::repeat(None));
        Ok(peaks.into_iter().zip(own).zip(said).map(|((peaks, own), said)| Heard { peaks, own, said }).collect())
    }
}

fn most_likely(logits: &[f32]) -> usize {
    (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or(0)
}

/// Of the windows `features` `(N, n_channels)`, those whose most likely class is the same with both
/// heads; and all.
pub fn unchanged(before: &Head, after: &Head, classes: &Classes, features: &Tensor) -> Result<(usize, usize)> {
    let absent: Vec<f32> = classes.row.iter().map(|row| if row.is_none() { NEVER as f32 } else { 0.0 }).collect();
    let said = |head: &Head| Ok::<_, Error>(features.f_linear(&head.weight, Some(&head.bias))?);
    let before = said(before)?.f_add(&Tensor::f_from_slice(&absent)?)?.f_argmax(1, false)?;
    let same = said(after)?.f_argmax(1, false)?.f_eq_tensor(&before)?.f_sum(tch::Kind::Int64)?;
    Ok((same.f_int64_value(&[])? as usize, features.size()[0] as usize))
}

//! A search over the student's design space.
//!
//! Enters: a space (a base recipe and variants of it). Leaves: a [`Report`] of what each variant costs, how long a pulse of it
//! takes and how accurate it is, and which are on the Pareto fronts. Every variant is trained on the same folds with the same
//! seeds, each training in its own run folder, exported, and timed together with the others. Runs on the calling thread.
//!
//! The modules in the order of the data: [`space`] says what is compared, [`timing`] measures, [`pareto`] marks, [`report`] tells.

pub mod pareto;
pub mod report;
pub mod space;
pub mod timing;

use crate::chain::fit::{CHECKPOINT, FitOptions, FitResult, RESULT, fit, run_name};
use crate::common::json;
use crate::data::Places;
use crate::error::{Error, Result};
use crate::ship::export::{ExportOptions, export};
use crate::train::checkpoint::Checkpoint;
use crate::train::recipe::Recipe;
use report::{Report, Run, Settings};
use space::Candidate;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tch::Device;
use timing::Speed;

/// What to compare, and where.
#[derive(Debug)]
pub struct Search {
    /// Folds, seeds and rounds.
    pub settings: Settings,
    /// The variants, within the limits.
    pub candidates: Vec<Candidate>,
    /// Data and cache.
    pub places: Places,
    /// Folder of the run folders and models.
    pub out: PathBuf,
    /// Take what is finished from there and go on with what is not.
    pub resume: bool,
    /// Where to train; timing is on the CPU.
    pub device: Device,
    /// Set from outside to save and stop after the current step.
    pub stop: Arc<AtomicBool>,
}

impl Search {
    /// Trains, exports and times every variant. The order of the trainings is by seed, then fold, then variant, so that all
    /// variants have come equally far at any time.
    ///
    /// # Errors
    ///
    /// As [`fit`] and [`export`]; if a run folder holds the training of another recipe; or if a fold has no labelled clips.
    pub fn run(&self) -> Result<Report> {
        let mut runs: Vec<Vec<Run>> = vec![Vec::new(); self.candidates.len()];
        let n_runs = self.settings.n_runs() * self.candidates.len();
        let mut n_begun = 0;
        for (seed, fold) in self.settings.trainings() {
            for (candidate, runs) in self.candidates.iter().zip(&mut runs) {
                n_begun += 1;
                eprintln!("{} of {n_runs}: {}, seed {seed}, fold {fold}", n_begun, candidate.name);
                runs.push(Run { seed, result: self.train(candidate, seed, fold)? });
            }
        }
        let mut models = Vec::new();
        for candidate in &self.candidates {
            models.push(self.export(candidate)?);
        }
        let folders: Vec<&Path> = models.iter().map(|(folder, _)| folder.as_path()).collect();
        let Settings { rounds, pulses, .. } = self.settings;
        eprintln!("timing {} models in {rounds} rounds of {pulses} pulses", models.len());
        let speeds: Vec<Speed> = timing::measure(&folders, rounds, pulses)?;
        let streamed_to_batch = models.iter().map(|(_, difference)| *difference);
        let measured = runs.into_iter().zip(speeds).zip(streamed_to_batch);
        Report::new(&self.settings, self.candidates.iter().zip(measured))
    }

    /// The result of one training: from its folder if it is finished, otherwise trained now.
    fn train(&self, candidate: &Candidate, seed: u64, fold: u32) -> Result<FitResult> {
        let recipe = Recipe { seed, ..candidate.recipe.clone() };
        let out = self.run_folder(candidate, seed, fold);
        let result = out.join(RESULT);
        if self.resume && result.exists() {
            let checkpoint = out.join(CHECKPOINT);
            let mut header = Checkpoint::load(&checkpoint)?.header;
            header.recipe.export.clone_from(&recipe.export);
            if header.recipe != recipe || header.fold != Some(fold) || header.folds != self.settings.folds {
                let message = "is of a variant with other settings; choose another --out, or remove its folder";
                return Err(Error::content(&checkpoint, message));
            }
            return json::read(&result);
        }
        fit(&FitOptions {
            recipe,
            fold: Some(fold),
            folds: self.settings.folds,
            places: self.places.clone(),
            out,
            resume: self.resume,
            device: self.device,
            stop: self.stop.clone(),
            stop_after: None,
        })
    }

    /// Exports a candidate's first training; leaves the model's folder and how far streamed is from batch.
    fn export(&self, candidate: &Candidate) -> Result<(PathBuf, f32)> {
        let (seed, fold) =
            self.settings.trainings().next().ok_or_else(|| Error::Usage("no fold, no seed".to_owned()))?;
        let folder = self.out.join(&candidate.name).join("model");
        let report =
            export(&self.run_folder(candidate, seed, fold).join(CHECKPOINT), &folder, &ExportOptions::default())?;
        Ok((folder, report.agreement.streamed_to_batch))
    }

    fn run_folder(&self, candidate: &Candidate, seed: u64, fold: u32) -> PathBuf {
        self.out.join(&candidate.name).join(format!("seed-{seed}")).join(run_name(self.settings.folds, Some(fold)))
    }
}

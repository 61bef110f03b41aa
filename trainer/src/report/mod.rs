//! What a training came to, on one page.
//!
//! Enters: a run folder, or a folder of the folds of one recipe. Leaves: one HTML file that needs nothing else: no network, no
//! script, no font. What a folder does not hold is left out and said to be missing; the page holds names and spectrograms of
//! recordings, never their audio. Runs on the calling thread; resampling on the pool's.
//!
//! The modules in the order of the data: [`subject`] finds the [`run`]s that belong together ([`header`] and [`curves`] read their
//! files), [`heard`] asks their networks where they left no predictions, [`pool`] puts the predictions of all folds side by side,
//! [`figures`] measures, [`hardest`] and [`spectrogram`] look at single clips, [`rivals`] at other networks; [`chart`] draws and
//! [`page`] writes.

pub mod chart;
pub mod curves;
pub mod figures;
pub mod hardest;
pub mod header;
pub mod heard;
pub mod page;
mod pareto;
pub mod pool;
pub mod rivals;
pub mod run;
pub mod spectrogram;
pub mod subject;

use crate::error::{Error, Result};
use crate::train::recipe::FoldMode;
use edge::engine::Precision;
use figures::{Bootstrap, Figures};
use hardest::HardClip;
use heard::DataSets;
use pool::Pool;
use rivals::Rivals;
use std::path::PathBuf;
use subject::Subject;

/// What to show, and where.
#[derive(Debug, Clone)]
pub struct ReportOptions {
    /// Run folder, or folder of run folders.
    pub run: PathBuf,
    /// File to write.
    pub out: PathBuf,
    /// Which folds, if the folder has those of both kinds.
    pub folds: Option<FoldMode>,
    /// Whose predictions are looked at.
    pub precision: Precision,
    /// Folder of the data sets, instead of where the training found them.
    pub data_root: Option<PathBuf>,
    /// Folder of the feature cache.
    pub cache: PathBuf,
    /// Other runs to compare with.
    pub compare: Vec<PathBuf>,
    /// Hardest clips to show.
    pub n_clips: usize,
    /// How intervals are made.
    pub bootstrap: Bootstrap,
}

/// Everything on a page.
pub struct Report {
    /// The runs.
    pub subject: Subject,
    /// What their networks say of what they have not heard; none if nothing was held out, or nobody knows.
    pub held_out: Option<HeldOut>,
    /// Other networks.
    pub rivals: Option<Rivals>,
    /// What is missing, and why.
    pub notes: run::Notes,
}

/// What is known of the held-out folds.
pub struct HeldOut {
    /// Predictions of all folds.
    pub pool: Pool,
    /// What they come to.
    pub figures: Figures,
    /// The clips that they fail worst at.
    pub hardest: Vec<HardClip>,
}

/// Gathers what a page shows.
///
/// # Errors
///
/// If there is no run, or a file that was asked for by name cannot be read.
pub fn gather(options: &ReportOptions) -> Result<Report> {
    let mut notes = run::Notes::new();
    let mut subject = Subject::open(&options.run, options.folds, &mut notes)?;
    let data = DataSets::find(&subject, options);
    heard::complete(&mut subject, &data, options, &mut notes);
    let rivals = Rivals::gather(&subject, options, &mut notes)?;
    let held_out = match Pool::gather(&subject.runs, options.precision, &mut notes) {
        Some(pool) => {
            let figures = Figures::of(&pool, options.bootstrap);
            let hardest = hardest::choose(&pool, options.n_clips);
            let hardest = hardest::look_at(hardest, &pool, &subject, &data, options.precision, &mut notes);
            Some(HeldOut { pool, figures, hardest })
        }
        None => {
            let trained_on_all = subject.runs.iter().all(|run| run.recipe.is_some() && !run.is_held_out());
            let why =
                if trained_on_all { "nothing was held out" } else { "there are no predictions of held-out recordings" };
            notes.push(format!("Neither figures by class nor clips: {why}."));
            None
        }
    };
    Ok(Report { subject, held_out, rivals, notes })
}

/// Writes the page; leaves its size in bytes.
///
/// # Errors
///
/// As [`gather`], or if the file cannot be written.
pub fn report(options: &ReportOptions) -> Result<usize> {
    let page = page::page(&gather(options)?);
    std::fs::write(&options.out, &page).map_err(Error::io(&options.out))?;
    Ok(page.len())
}

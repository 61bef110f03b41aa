//! What a training came to, on one page.
//!
//! Enters: a run folder, or a folder of the folds of one recipe. Leaves: one HTML file that needs
//! nothing else: no network and no font. What a folder does not hold is left out, and the page says
//! so; it has names and spectrograms of recordings, never their audio. Runs on the calling thread;
//! resampling on the pool's.
//!
//! The modules in the order of the data: `subject` finds the `run`s that belong together, `heard`
//! runs their networks where they left no predictions, `pool` puts the predictions of all folds
//! side by side, `figures` measures; `page` writes the sections with the drawings of `chart` and
//! the pictures of `spectrogram`.

mod chart;
mod curves;
mod figures;
mod heard;
mod page;
mod pareto;
mod pool;
mod run;
mod spectrogram;
mod subject;

pub use figures::Bootstrap;
pub use pool::Pool;

use crate::data::folds::FoldMode;
use crate::error::{Error, Result};
use edge::engine::Precision;
use figures::Figures;
use heard::DataSets;
use page::{clips, clips::HardClip, rivals::Rivals};
use run::Notes;
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
    /// Of the networks whose predictions are shown.
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
    /// None if nothing was held out, or there are no predictions of it.
    pub held_out: Option<HeldOut>,
    /// Other networks.
    pub rivals: Option<Rivals>,
    /// What is missing, and why.
    pub notes: Notes,
}

/// What is known of the held-out folds.
pub struct HeldOut {
    /// Predictions of all folds.
    pub pool: Pool,
    /// Figures of these.
    pub figures: Figures,
    /// The clips on which the networks fail worst.
    pub hardest: Vec<HardClip>,
}

/// Gathers what a page shows.
///
/// # Errors
///
/// If there is no run, or a file that the options name cannot be read.
pub fn gather(options: &ReportOptions) -> Result<Report> {
    let mut notes = Notes::new();
    let mut subject = Subject::open(&options.run, options.folds, &mut notes)?;
    let data = DataSets::find(&subject, options);
    heard::complete(&mut subject, &data, options, &mut notes);
    let rivals = Rivals::gather(&subject, options, &mut notes)?;
    let pool = Pool::gather(&subject.runs, options.precision, &mut notes);
    if pool.is_none() {
        let trained_on_all = subject.runs.iter().all(|run| run.recipe.is_some() && !run.is_held_out());
        let unknown = "there are no predictions of held-out recordings";
        let why = if trained_on_all { "nothing was held out" } else { unknown };
        notes.push(format!("Neither figures by class nor clips: {why}."));
    }
    let held_out = pool.map(|pool| {
        let mut hardest = clips::choose(&pool, options.n_clips);
        clips::look_at(&mut hardest, &pool, &subject.runs, &data, &mut notes);
        HeldOut { figures: Figures::of(&pool, options.bootstrap), hardest, pool }
    });
    Ok(Report { subject, held_out, rivals, notes })
}

/// Writes the page; returns its size in bytes.
///
/// # Errors
///
/// As [`gather`], or if the file cannot be written.
pub fn report(options: &ReportOptions) -> Result<usize> {
    let page = page::page(&gather(options)?);
    std::fs::write(&options.out, &page).map_err(Error::io(&options.out))?;
    Ok(page.len())
}

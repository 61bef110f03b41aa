//! `fit --data`: a model of the user's own sounds.
//!
//! Enters: a folder with a folder of recordings for each label. Leaves: a run folder with the model, and on standard output how well each
//! class is recognised.

use super::train::{Common, set_threads};
use crate::chain::fit::MODEL;
use crate::error::Result;
use crate::tools::own::{self, OwnOptions};
use clap::Args;
use sounds::Sound;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Arguments of `fit --data`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Own sounds")]
pub(super) struct OwnArgs {
    /// Folder with a folder of recordings for each label, instead of a recipe. A folder called background or negatives holds none.
    #[arg(long, value_name = "DIR", conflicts_with = "recipe")]
    data: PathBuf,
    /// Model to start from.
    #[arg(long, value_name = "DIR", requires = "data", default_value = "models/home")]
    from: PathBuf,
    /// Leave the classes of the model out that is started from.
    #[arg(long, requires = "data")]
    only_own: bool,
    /// A generated sound that is like one of yours, such as beep or door, and must not serve as its opposite; may be repeated.
    #[arg(long, value_name = "SOUND", requires = "data")]
    like: Vec<Sound>,
}

impl OwnArgs {
    /// Trains, and prints what it came to.
    pub(super) fn fit(&self, common: &Common) -> Result<()> {
        set_threads(common.n_threads())?;
        let name = self.data.file_name().unwrap_or_default();
        let out = common.out().map_or_else(|| Path::new("runs").join(name), Path::to_owned);
        let options = OwnOptions {
            data: self.data.clone(),
            from: self.from.clone(),
            out: out.clone(),
            only_own: self.only_own,
            like: self.like.clone(),
            seed: common.seed().unwrap_or(1),
        };
        let started = Instant::now();
        // The products are too small to be shared out, and threads that wait for each other starve on a busy machine.
        tch::set_num_threads(1);
        print!("{}", own::fit_head(&options)?.table());
        let (seconds, model) = (started.elapsed().as_secs_f64(), out.join(MODEL));
        eprintln!("{seconds:.0} s; listen with it: earwitness run --model {}", model.display());
        Ok(())
    }
}

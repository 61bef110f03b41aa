//! `fit --data`: a model of the user's own sounds.
//!
//! Enters: a folder with a folder of recordings for each label. Leaves: a run folder with the
//! model, and on standard output how well each class is recognised.

use super::options::{Common, set_threads};
use crate::chain::student::MODEL;
use crate::error::{Error, Result};
use crate::tools::own::{self, OwnOptions};
use clap::Args;
use sounds::Sound;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Arguments of `fit --data`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Own sounds")]
pub(super) struct OwnArgs {
    /// Folder with one folder of recordings per label, in place of a recipe. A folder called
    /// background or negatives holds sounds without a label. The run folder is runs/ with the name
    /// of this folder, unless --out names another one.
    #[arg(long, value_name = "DIR", conflicts_with = "recipe")]
    data: PathBuf,
    /// Folder of the model to start from.
    #[arg(long, value_name = "DIR", requires = "data", default_value = "models/home")]
    from: PathBuf,
    /// Make a model of your classes alone, without the classes of the starting model.
    #[arg(long, requires = "data")]
    only_own: bool,
    /// Name of a generated sound, such as beep or door, that resembles one of yours and must
    /// therefore not be used as a counterexample; may be repeated.
    #[arg(long, value_name = "SOUND", requires = "data")]
    like: Vec<Sound>,
}

impl OwnArgs {
    /// Trains, and prints what it came to.
    pub(super) fn fit(&self, common: &Common) -> Result<()> {
        set_threads(common.n_threads())?;
        let out = common.out().map_or_else(|| self.run_folder(), |out| Ok(out.to_owned()))?;
        let options = OwnOptions {
            data: self.data.clone(),
            from: self.from.clone(),
            out: out.clone(),
            only_own: self.only_own,
            like: self.like.clone(),
            seed: common.seed().unwrap_or(1),
        };
        let started = Instant::now();
        // The products are too small to be shared out, and threads that wait for each other starve
        // on a busy machine.
        tch::set_num_threads(1);
        print!("{}", own::fit_head(&options)?.table());
        let (seconds, model) = (started.elapsed().as_secs_f64(), out.join(MODEL));
        eprintln!("{seconds:.0} s; listen with it: earwitness run --model {}", model.display());
        Ok(())
    }

    /// The folder in `runs` with the name of the recordings' folder.
    fn run_folder(&self) -> Result<PathBuf> {
        let data =
            self.data.canonicalize().map_err(|e| Error::input(&self.data, None, format!("cannot be read: {e}")))?;
        let name =
            data.file_name().ok_or_else(|| Error::Usage("--data: the folder has no name; give --out".to_owned()))?;
        Ok(Path::new("runs").join(name))
    }
}

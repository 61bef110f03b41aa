//! Command `scenes`.

use super::options::{FoldsArg, set_threads};
use crate::common::progress;
use crate::common::random::{Purpose, rng_for};
use crate::data::data_root;
use crate::data::scenes::{
    Listing, MicrophoneSettings, Pool, PoolSettings, SceneSettings, Share, Span, Unknown, compose,
};
use crate::data::world::Purpose as Use;
use crate::error::{Error, Result};
use crate::train::recipe::Recipe;
use clap::Args;
use rand::Rng as _;
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Arguments of `scenes`.
#[derive(Debug, Args)]
pub struct ScenesArgs {
    /// Recipe, a TOML file. The scenes consist of the clips of one of its folds over that fold's
    /// part of each background recording.
    #[arg(requires = "fold", conflicts_with = "data")]
    recipe: Option<PathBuf>,
    /// Fold whose held-out clips are used.
    #[arg(long, requires = "recipe")]
    fold: Option<u32>,
    /// Kind of folds: official (those of the tables) or source (regrouped so that no source is in
    /// two folds) [default: the recipe's].
    #[arg(long, requires = "recipe")]
    folds: Option<FoldsArg>,
    /// Folder of the data sets; replaces EARWITNESS_DATA and the recipe's.
    #[arg(long, requires = "recipe")]
    data_root: Option<PathBuf>,
    /// Folder with one folder of recordings per class, in place of a recipe.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Background recordings, or folders of them; replaces the recipe's. If there are none at all,
    /// room noise is generated.
    #[arg(long, num_args = 1.., value_name = "PATH")]
    background: Vec<PathBuf>,
    /// Folders of recordings of sounds without a label, in addition to the generated sounds and to
    /// the recipe's recordings. All folders are equally likely.
    #[arg(long, num_args = 1.., value_name = "DIR")]
    unknown: Vec<PathBuf>,

    /// Folder to write scenes into: scene-001.flac, .csv (the truth), .json (how the scene was
    /// made), and so on.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Number of scenes.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=999))]
    n: u32,
    /// Length of each scene in minutes.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Seed: the same seed writes the same files.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Sample rate of the scenes in Hz.
    #[arg(long, default_value_t = 24_000, value_parser = clap::value_parser!(u32).range(8_000..=96_000))]
    sample_rate: u32,
    /// Number of scenes composed at the same time [default: all cores].
    #[arg(long)]
    threads: Option<usize>,

    /// Use only background and sounds without a label: the truth is an empty table.
    #[arg(long)]
    negative: bool,
    /// Labelled sounds per minute; with --negative, unlabelled sounds per minute (0 for background
    /// only).
    #[arg(long, default_value_t = 6.0)]
    events_a_minute: f64,
    /// Unlabelled sounds per minute, in addition to the labelled ones.
    #[arg(long, default_value_t = 0.0, conflicts_with = "negative")]
    unknown_a_minute: f64,
    /// Of the generated sounds without a label, use only kinds that trainings may use.
    #[arg(long, conflicts_with_all = ["unseen", "recorded"])]
    seen: bool,
    /// Of the generated sounds without a label, use only kinds that no training uses.
    #[arg(long, conflicts_with = "recorded")]
    unseen: bool,
    /// For sounds without a label, use only recordings of the recipe and of --unknown, and no
    /// generated sounds.
    #[arg(long)]
    recorded: bool,
    /// Share of the sounds that overlap a sound of another class.
    #[arg(long, default_value_t = 0.0)]
    overlap: f64,
    /// Level of each sound over the background. Each range is one number, or LOW..HIGH to draw
    /// from.
    #[arg(long, default_value = "10", allow_hyphen_values = true, value_name = "DB")]
    snr_db: Span,
    /// Shortest pause that separates two events of one clip, in seconds.
    #[arg(long, default_value_t = 1.0)]
    gap_s: f64,
    /// Longest sound in seconds; longer ones are cut.
    #[arg(long, default_value_t = 10.0)]
    max_event_s: f64,
    /// Use the recordings reserved for choosing thresholds, in place of those reserved for tests.
    #[arg(long, requires = "recipe")]
    validation: bool,
    /// Share of the scenes that are in a measured room, if the recipe has measured rooms.
    #[arg(long, default_value_t = 0.5)]
    measured_rooms: f64,
    /// Reverberation time of the scene's room; 0 for none.
    #[arg(long, default_value = "0.2..0.6", value_name = "S")]
    reverb_s: Span,
    /// Distance of each sound from the microphone.
    #[arg(long, default_value = "0.5..3", value_name = "M")]
    distance_m: Span,
    /// Level of the scene's background.
    #[arg(long, default_value = "-60..-45", allow_hyphen_values = true, value_name = "DBFS")]
    background_dbfs: Span,
    /// Deviation of the microphone's frequency response; 0 for a flat one.
    #[arg(long, default_value_t = 3.0, value_name = "DB")]
    eq_db: f64,
    /// The microphone's low cut.
    #[arg(long, default_value = "30..120", value_name = "HZ")]
    low_cut_hz: Span,
    /// The microphone's high cut.
    #[arg(long, default_value = "8000..12000", value_name = "HZ")]
    high_cut_hz: Span,
    /// The microphone's own noise.
    #[arg(long, default_value = "-80..-65", allow_hyphen_values = true, value_name = "DBFS")]
    mic_noise_dbfs: Span,
    /// Level at which the microphone clips.
    #[arg(long, default_value = "0", allow_hyphen_values = true, value_name = "DBFS")]
    clip_dbfs: Span,
}

/// Composes scenes and writes them.
///
/// # Errors
///
/// As [`Listing::of_data`], [`Pool::of_folder`] and [`compose`]; if the folder holds scenes
/// already, or cannot be written.
pub fn scenes(args: &ScenesArgs) -> Result<()> {
    let settings = args.settings()?;
    settings.check(args.sample_rate)?;
    set_threads(args.threads)?;
    std::fs::create_dir_all(&args.out).map_err(Error::io(&args.out))?;
    let name = |k: u32| format!("scene-{k:03}");
    if args.out.join(name(1)).with_extension("flac").exists() {
        return Err(Error::Usage(format!("{}: holds scenes already; choose another --out", args.out.display())));
    }
    let pool = args.pool()?;
    match pool.silent() {
        [] => (),
        [source] => eprintln!("left out because it is silent: {source}"),
        [source, rest @ ..] => eprintln!("left out because they are silent: {source} and {} more", rest.len()),
    }
    let started = Instant::now();
    let bar = progress::bar(u64::from(args.n), "scenes");
    let write = |k: u32| {
        let seed = rng_for(args.seed, Purpose::Composition, u64::from(k)).random();
        let scene = compose(&settings, &pool, seed)?;
        scene.write(&args.out, &name(k))?;
        bar.inc(1);
        Ok(scene.truth.len())
    };
    let n_events: Vec<usize> = (1..=args.n).into_par_iter().map(write).collect::<Result<_>>()?;
    bar.finish_and_clear();
    let (minutes, elapsed_s) = (f64::from(args.n) * args.minutes, started.elapsed().as_secs_f64());
    eprintln!(
        "{} scenes, {minutes:.0} min, {} events, {:.0} times as fast as they play: {}",
        args.n,
        n_events.iter().sum::<usize>(),
        60.0 * minutes / elapsed_s,
        args.out.display()
    );
    Ok(())
}

impl ScenesArgs {
    fn settings(&self) -> Result<SceneSettings> {
        if !self.negative && self.events_a_minute <= 0.0 {
            return Err(Error::Usage(format!(
                "--events-a-minute is {}, must be above 0; --negative composes scenes without events",
                self.events_a_minute
            )));
        }
        let unknown = match (self.seen, self.unseen, self.recorded) {
            (true, ..) => Unknown::Seen,
            (_, true, _) => Unknown::Unseen,
            (.., true) => Unknown::Recorded,
            _ => Unknown::All,
        };
        let (events, others) =
            if self.negative { (0.0, self.events_a_minute) } else { (self.events_a_minute, self.unknown_a_minute) };
        Ok(SceneSettings {
            seconds: 60.0 * self.minutes,
            events_a_minute: Span::only(events),
            overlap: Span::only(self.overlap),
            unknown_a_minute: Span::only(others),
            as_many_as_fit: false,
            unknown,
            snr_db: self.snr_db,
            max_event_s: self.max_event_s,
            measured_rooms: self.measured_rooms,
            reverb_s: self.reverb_s,
            distance_m: self.distance_m,
            background_dbfs: self.background_dbfs,
            microphone: MicrophoneSettings {
                eq_db: self.eq_db,
                low_cut_hz: self.low_cut_hz,
                high_cut_hz: self.high_cut_hz,
                noise_dbfs: self.mic_noise_dbfs,
                clip_dbfs: self.clip_dbfs,
            },
            as_recorded: 0.0,
            swell_db: Span::only(0.0),
        })
    }

    fn pool(&self) -> Result<Pool> {
        if !(0.05..=60.0).contains(&self.gap_s) {
            return Err(Error::Usage(format!("--gap-s is {}, must be within 0.05..60", self.gap_s)));
        }
        let settings = PoolSettings { sample_rate: self.sample_rate, gap_s: self.gap_s, ..PoolSettings::default() };
        let mut pool = match (&self.recipe, self.fold, &self.data) {
            (Some(recipe), Some(fold), _) => {
                let (recipe, path) = Recipe::load(recipe)?;
                let root = data_root(&recipe.data_root, &path, self.data_root.as_deref());
                let folds = self.folds.map_or(recipe.folds, FoldsArg::mode);
                let purpose = if self.validation { Use::Validation } else { Use::Test };
                let share = Share { folds, fold: Some(fold), purpose };
                Pool::read(Listing::of_data(&recipe.name, &recipe.contents(), &root, share)?, settings)?
            }
            (None, _, None) if !self.negative => {
                return Err(Error::Usage("name a recipe with --fold, or a folder with --data".to_owned()));
            }
            (_, _, data) => Pool::of_folder(data.as_deref().map(Path::new), settings)?,
        };
        if !self.background.is_empty() {
            pool = pool.with_backgrounds(&self.background)?;
        }
        self.unknown.iter().try_fold(pool, |pool, folder| pool.with_unknown(folder))
    }
}

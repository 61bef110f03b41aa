//! `SPACE.toml`: what a search compares.
//!
//! Enters: a TOML file that names a base recipe, short-form settings and variants. Leaves: candidates, each a checked recipe with its
//! size and cost. A variant that is wrong or beyond the limits is an error that names it, before anything is trained.

use crate::chain::fit::network_cost;
use crate::error::{Error, Result};
use crate::nets::student::Cost;
use crate::train::recipe::{Network, Recipe, check, line_of, parse_toml, read};
use edge_frontend::FrontendConfig;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The most parameters of a student.
pub const MAX_PARAMS: usize = 1_000_000;
/// The most multiply-accumulates of a student for a second of sound, in millions.
pub const MAX_MMAC_PER_SECOND: f64 = 40.0;

/// A search space as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Space {
    /// Recipe that the variants are variants of, relative to this file.
    pub base: PathBuf,
    /// Passes over the training clips, instead of the base's.
    pub epochs: u64,
    /// Folds to hold out, one after another.
    pub held_out: Vec<u32>,
    /// Seeds to train with, one after another; the base's unless given.
    #[serde(default)]
    pub seeds: Vec<u64>,
    /// How the variants are timed.
    #[serde(default)]
    pub timing: Timing,
    /// What is compared.
    #[serde(rename = "variant")]
    pub variants: Vec<Variant>,
    #[serde(skip)]
    path: PathBuf,
    #[serde(skip)]
    text: String,
}

/// How the variants are timed, all in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timing {
    /// Turns of each variant.
    pub rounds: usize,
    /// Pulses a turn.
    pub pulses: usize,
}

impl Default for Timing {
    fn default() -> Self {
        Self { rounds: 41, pulses: 100 }
    }
}

/// A variant: whole tables that replace the base's.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Name in the report and of its folder.
    pub name: String,
    /// Front end, instead of the base's.
    #[serde(default)]
    pub frontend: Option<FrontendConfig>,
    /// Student, instead of the base's.
    #[serde(default)]
    pub network: Option<Network>,
}

/// A variant that may be trained.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The variant's name.
    pub name: String,
    /// The base recipe with the variant's tables and the search's epochs.
    pub recipe: Recipe,
    /// Its network's size and cost.
    pub cost: Cost,
}

impl Candidate {
    /// Sound that one output depends on, in milliseconds: all frames of the receptive field with their windows.
    pub fn receptive_field_ms(&self) -> f64 {
        let frontend = &self.recipe.frontend;
        let n_samples = (self.cost.receptive_field - 1) * frontend.hop_length + frontend.win_length;
        n_samples as f64 / f64::from(frontend.sample_rate) * 1e3
    }
}

impl Space {
    /// Reads and checks the space at `path`. A relative path that does not exist is also looked up under `trainer/`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is no valid TOML, holds an unknown key (the line is named) or a value out of range.
    pub fn load(path: &Path) -> Result<Self> {
        let (text, path) = read(path)?;
        let space = Self { path: path.clone(), ..parse_toml(&text, &path)? };
        let space = Self { text, ..space };
        space
            .check()
            .map_err(|(key, message)| Error::input(&path, line_of(&space.text, key), format!("{key}: {message}")))?;
        Ok(space)
    }

    /// The base recipe and where it lies.
    ///
    /// # Errors
    ///
    /// As [`Recipe::load`].
    pub fn base(&self) -> Result<(Recipe, PathBuf)> {
        Recipe::load(&self.path.parent().unwrap_or(Path::new("")).join(&self.base))
    }

    /// Keeps the variants called `names`, in the file's order.
    ///
    /// # Errors
    ///
    /// If there is none of a name.
    pub fn select(&mut self, names: &[String]) -> Result<()> {
        let known = |name: &&String| self.variants.iter().any(|v| v.name == **name);
        if let Some(unknown) = names.iter().find(|name| !known(name)) {
            return Err(Error::Usage(format!("--only: {} has no variant {unknown:?}", self.path.display())));
        }
        self.variants.retain(|variant| names.contains(&variant.name));
        Ok(())
    }

    /// The variants as recipes, for `n_classes` classes.
    ///
    /// # Errors
    ///
    /// If a variant is no valid recipe, has more than [`MAX_PARAMS`] or needs more than [`MAX_MMAC_PER_SECOND`]; it is named.
    pub fn candidates(&self, base: &Recipe, n_classes: usize) -> Result<Vec<Candidate>> {
        self.variants.iter().map(|variant| self.candidate(variant, base, n_classes)).collect()
    }

    fn candidate(&self, variant: &Variant, base: &Recipe, n_classes: usize) -> Result<Candidate> {
        let name = &variant.name;
        let wrong =
            |what: String| Error::input(&self.path, self.line_of_variant(name), format!("variant {name:?}: {what}"));
        let recipe = self.recipe(variant, base);
        check(&recipe).map_err(|(key, message)| wrong(format!("{key}: {message}")))?;
        let cost = network_cost(&recipe, n_classes);
        if cost.n_params > MAX_PARAMS {
            return Err(wrong(format!("{} parameters, at most {MAX_PARAMS} are allowed", cost.n_params)));
        }
        if cost.mmac_per_second > MAX_MMAC_PER_SECOND {
            let actual = cost.mmac_per_second;
            return Err(wrong(format!("{actual:.2} MMAC a second, at most {MAX_MMAC_PER_SECOND} are allowed")));
        }
        Ok(Candidate { name: name.clone(), recipe, cost })
    }

    /// Settings of the base that count frames or bands keep their time and their share of the bands.
    fn recipe(&self, variant: &Variant, base: &Recipe) -> Recipe {
        let mut recipe = base.clone();
        recipe.name = format!("{}-{}", base.name, variant.name);
        recipe.train.epochs = self.epochs;
        // The comparison is of single-precision networks; not all can be quantized, and not all hear in step with the teacher.
        recipe.quantize = None;
        recipe.optim.cycles = 1;
        if let Some(teacher) = &mut recipe.teacher {
            teacher.online = 0.0;
        }
        // The held-out fold is looked at once, at the end.
        recipe.train.evaluate_every = 0;
        if let Some(network) = &variant.network {
            recipe.network = network.clone();
        }
        if let Some(frontend) = &variant.frontend {
            recipe.frontend = frontend.clone();
            let more_frames = base.frontend.hop_seconds() / frontend.hop_seconds();
            let more_bands = frontend.n_mels as f64 / base.frontend.n_mels as f64;
            let scaled = |n: usize, factor: f64| (n as f64 * factor).round() as usize;
            recipe.train.crop_frames = scaled(base.train.crop_frames, more_frames);
            recipe.augment.time_mask = scaled(base.augment.time_mask, more_frames);
            recipe.augment.freq_mask = scaled(base.augment.freq_mask, more_bands);
            recipe.augment.mel_shift = (f64::from(base.augment.mel_shift) * more_bands) as f32;
        }
        recipe
    }

    fn check(&self) -> std::result::Result<(), (&'static str, String)> {
        let require = |holds: bool, key, message: &str| if holds { Ok(()) } else { Err((key, message.to_owned())) };
        require(self.epochs >= 1, "epochs", "must be at least 1")?;
        require(!self.held_out.is_empty(), "held_out", "must name at least one fold")?;
        require(all_differ(&self.held_out), "held_out", "names a fold twice")?;
        require(all_differ(&self.seeds), "seeds", "names a seed twice")?;
        require(self.timing.rounds >= 1, "rounds", "must be at least 1")?;
        require(self.timing.pulses >= 1, "pulses", "must be at least 1")?;
        require(!self.variants.is_empty(), "variant", "must not be empty")?;
        for variant in &self.variants {
            let name = &variant.name;
            let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
            require(plain, "name", &format!("{name:?} must be letters, digits, - and _"))?;
        }
        let names: Vec<&String> = self.variants.iter().map(|v| &v.name).collect();
        require(all_differ(&names), "variant", "two have the same name")
    }

    fn line_of_variant(&self, name: &str) -> Option<usize> {
        let quoted = format!("{name:?}");
        let names_it = |line: &str| {
            let value = line.trim_start().strip_prefix("name").map(str::trim_start).and_then(|l| l.strip_prefix('='));
            value.is_some_and(|value| value.trim_start().starts_with(&quoted))
        };
        self.text.lines().position(names_it).map(|at| at + 1)
    }
}

fn all_differ<T: PartialEq>(values: &[T]) -> bool {
    values.iter().enumerate().all(|(i, value)| !values[..i].contains(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> (Space, Recipe) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
        let space = Space::load(&folder.join("search.toml")).unwrap();
        let base = space.base().unwrap().0;
        (space, base)
    }

    #[test]
    fn the_shipped_space_is_within_the_limits_and_holds_the_shipped_network() {
        let (space, base) = shipped();
        let candidates = space.candidates(&base, 31).unwrap();
        let by_name = |name: &str| candidates.iter().find(|c| c.name == name).unwrap();
        let shipped = by_name("shipped");
        assert_eq!((&shipped.recipe.network, &shipped.recipe.frontend), (&base.network, &base.frontend));
        assert_eq!(shipped.cost.n_params, 380_407);
        assert!((shipped.receptive_field_ms() - 655.0).abs() < 1e-9);
        for candidate in candidates.iter().filter(|c| c.name != "shipped") {
            let Recipe { network, frontend, .. } = &candidate.recipe;
            assert!((network, frontend) != (&base.network, &base.frontend), "{} is the shipped one", candidate.name);
        }
    }

    #[test]
    fn another_hop_or_number_of_bands_keeps_times_and_shares() {
        let (space, base) = shipped();
        let candidates = space.candidates(&base, 31).unwrap();
        let recipe = |name: &str| &candidates.iter().find(|c| c.name == name).unwrap().recipe;
        let (slow, wide) = (recipe("hop-20"), recipe("mels-96"));
        assert_eq!((base.train.crop_frames, base.augment.time_mask), (160, 24));
        assert_eq!((slow.train.crop_frames, slow.augment.time_mask), (80, 12));
        assert_eq!((slow.augment.freq_mask, slow.augment.mel_shift), (10, 2.0));
        assert_eq!((wide.train.crop_frames, wide.augment.time_mask), (160, 24));
        assert_eq!((wide.augment.freq_mask, wide.augment.mel_shift), (15, 3.0));
    }
}
